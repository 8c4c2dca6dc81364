package practice

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// person is an inhabitant, with what a body keeps from visit to visit.
type person struct {
	id                    string
	family, middle, given string
	ethnic                []string // a row of the section ethnic
	female                bool
	birth                 day
	house                 *house
	mother                *person
	spouse                *person
	role                  string
	// oldID is the number of the card before the 12 digits; identifiers have a history
	personalID, oldID string
	insurance         string
	phone             string
	occupation        string

	height, weight    float64 // full-grown, or as a share of the median of the age
	systolic, glucose float64
	// chronic and allergies are indexes of the tables; an allergy leaves the list
	// when it is on record
	chronic   []int
	due       day // of the next follow-up
	allergies []int
	// doses given and the day of the last one, by vaccine
	doses         []int
	last          []day
	pregnant      day // due date of a pregnancy, 0 = none
	contacts      int
	seen, flagged bool // has a Patient, a Flag on record
	visited       day
}

// house is a household: one address, one telephone.
type house struct {
	line, village string
	number        int
	phone         string
}

// birth is a pregnancy that ends after the first day.
type birth struct {
	mother *person
	due    day
	done   bool
}

// age in completed years.
func (p *person) age(today day) int { return int(float64(today-p.birth) / 365.2425) }

// months of life, with a fraction.
func (p *person) months(today day) float64 { return float64(today-p.birth) / 30.4369 }

// fullName is in the country's order: family, middle, given. Ê Đê names put
// the family last.
func (p *person) fullName() string {
	if p.ethnic[0] == "ede" {
		return p.given + " " + p.family
	}
	if p.middle == "" {
		return p.family + " " + p.given
	}
	return p.family + " " + p.middle + " " + p.given
}

// settle fills the commune household by household, after the ages and
// households of the country's census of 2019, roughly.
func (s *Station) settle(r *rand.Rand) {
	for number := 1; len(s.people) < s.residents; number++ {
		s.household(r, number)
	}
	s.people = s.people[:s.residents]
	for _, p := range s.people {
		p.id = s.newID()
	}
	for _, p := range s.people {
		if p.spouse != nil && p.spouse.id == "" { // the last household is cut short
			p.spouse = nil
		}
		s.expect(r, p)
	}
}

// household is a head, mostly a spouse, their children at home, and sometimes
// the parents.
func (s *Station) household(r *rand.Rand, number int) {
	h := &house{number: number, phone: s.newPhone(r)}
	h.village = s.region.village + " " + s.tables.word(r, "village."+s.region.key)
	h.line = s.region.house + " " + strconv.Itoa(1+r.IntN(14)) + ", " + h.village
	if r.IntN(3) == 0 {
		h.line = "Số nhà " + strconv.Itoa(1+r.IntN(240)) + ", " + s.tables.word(r, "street") + ", " + h.village
	}
	ethnic := s.ethnic(r)
	family := s.tables.word(r, "surname."+ethnic[0])
	// young households are the most; the second term is the tail of the old
	years := 22 + 32*math.Sqrt(r.Float64())*r.Float64() + 36*r.Float64()*r.Float64()
	head := s.add(r, h, ethnic, family, r.IntN(100) < 24, years, "head")
	head.phone = h.phone
	var mother *person
	if head.female {
		mother = head
	}
	if r.IntN(100) < 84 {
		other := ethnic
		if r.IntN(12) == 0 {
			other = s.ethnic(r)
		}
		spouse := s.add(r, h, other, s.tables.word(r, "surname."+other[0]), !head.female, max(19, years-2.5+3*r.NormFloat64()), "spouse")
		head.spouse, spouse.spouse = spouse, head
		if spouse.female {
			mother, years = spouse, float64(spouse.age(s.start))
		}
		// children have their father's name and group
		if !spouse.female {
			family, ethnic = spouse.family, spouse.ethnic
		}
	}
	if mother != nil && years < 66 {
		s.children(r, mother, ethnic, family, years)
	}
	if r.IntN(100) < 34 && years < 62 {
		elder := max(60, years+20) + 9*r.Float64()
		s.add(r, h, ethnic, family, r.IntN(100) < 62, elder, "elder")
		if r.IntN(100) < 40 {
			s.add(r, h, ethnic, s.tables.word(r, "surname."+ethnic[0]), true, elder-3, "elder")
		}
	}
}

// children are born after the mother's twentieth year, some years apart.
func (s *Station) children(r *rand.Rand, mother *person, ethnic []string, family string, years float64) {
	wanted := []int{0, 1, 1, 2, 2, 2, 2, 2, 3, 3, 4}[r.IntN(11)]
	age := years - 20 - 6*r.Float64()
	for ; wanted > 0 && age > 0; wanted-- {
		// grown children mostly have a household of their own
		if age < 19 || r.IntN(100) < 28 {
			child := s.add(r, mother.house, ethnic, family, r.IntN(1000) < 473, age, "child")
			child.mother = mother
		}
		age -= 1.6 + 4*r.Float64()
	}
}

// ethnic draws a group by the region's shares.
func (s *Station) ethnic(r *rand.Rand) []string {
	x := r.IntN(100)
	rows := s.tables.rows["ethnic"]
	for i, share := range s.region.shares {
		if x -= whole(share); x < 0 {
			return rows[i]
		}
	}
	return rows[0]
}

// add makes one person of an age in years on the first day.
func (s *Station) add(r *rand.Rand, h *house, ethnic []string, family string, female bool, years float64, role string) *person {
	p := &person{house: h, ethnic: ethnic, family: family, female: female, role: role,
		birth: s.start - day(years*365.2425) - day(r.IntN(60)) - 1}
	s.naming(r, p)
	s.body(r, p)
	age := p.age(s.start)
	// the number comes with the registration of birth, which takes its time
	if days := int(s.start - p.birth); days > 75 {
		p.register(r, s.start)
	}
	if age >= 35 && r.IntN(100) < 45 {
		p.oldID = fmt.Sprintf("09%07d", r.IntN(10000000))
	}
	if age >= 12 && r.IntN(100) < 78 {
		p.phone = s.newPhone(r)
	}
	if age >= 17 {
		p.occupation = s.tables.word(r, "occupation")
	}
	s.burden(r, p)
	s.people = append(s.people, p)
	return p
}

// naming draws the names after the family name: for most people of the smaller
// groups from their own, for the others as in the majority.
func (s *Station) naming(r *rand.Rand, p *person) {
	sex := "male"
	if p.female {
		sex = "female"
	}
	if p.ethnic[0] != "kinh" && (p.ethnic[0] == "ede" || r.IntN(100) < 75) {
		p.given = s.tables.word(r, p.ethnic[0]+"."+sex)
		return
	}
	p.middle, p.given = s.tables.word(r, "middle."+sex), s.tables.word(r, "given."+sex)
	if r.IntN(5) == 0 {
		if second := s.tables.word(r, "middle."+sex); second != p.middle && second != "Thị" && second != "Văn" {
			p.middle += " " + second
		}
	}
	// nobody is called Anh Anh
	for p.given == p.middle {
		p.given = s.tables.word(r, "given."+sex)
	}
}

// register gives the personal number: province, century and sex, year of
// birth, six digits (the form of Decree 137/2015/NĐ-CP; from memory). And
// mostly an insurance number of 15 characters: group, province, ten digits.
func (p *person) register(r *rand.Rand, today day) {
	year, century := p.birth.year(), 0
	if year >= 2000 {
		century = 2
	}
	if p.female {
		century++
	}
	p.personalID = fmt.Sprintf("099%d%02d%06d", century, year%100, r.IntN(1000000))
	if r.IntN(100) < 92 {
		group := pick(r, []string{"GD4", "GD4", "DN4", "HN2", "DT2", "CN3", "HT3"})
		switch age := p.age(today); {
		case age < 6:
			group = "TE1"
		case age >= 80:
			group = "BT2"
		}
		p.insurance = fmt.Sprintf("%s99%010d", group, r.Int64N(10_000_000_000))
	}
}

// newPhone has ten digits and a prefix that rings nowhere.
func (s *Station) newPhone(r *rand.Rand) string {
	return fmt.Sprintf("%s%07d", s.tables.word(r, "phone"), r.IntN(10000000))
}

// body draws what stays: build, blood pressure and sugar.
func (s *Station) body(r *rand.Rand, p *person) {
	p.height = 165 + 5.6*r.NormFloat64()
	if p.female {
		p.height -= 10.8
	}
	age := float64(p.age(s.start))
	p.height -= max(0, age-50) * 0.09
	// weight is kept as BMI, so that it fits whatever height
	index := 21.2 + 0.035*min(age, 55) + 2.6*r.NormFloat64()
	p.weight = max(14.5, index)
	p.systolic = 102 + 0.38*age + 0.9*(p.weight-22) + 7*r.NormFloat64()
	p.glucose = 4.9 + 0.008*age + 0.05*(p.weight-22) + 0.35*r.NormFloat64()
}

// burden draws illnesses that last and allergies.
func (s *Station) burden(r *rand.Rand, p *person) {
	for i, ill := range s.illnesses {
		if ill.every == 0 || !ill.suits(p, s.start) {
			continue
		}
		// the table's weights are per 400 people of the ages it names, before the
		// rise with age
		risk := ill.weight / 400
		if age := p.age(s.start); age > 50 {
			risk *= 1 + float64(age-50)/18
		}
		if len(p.chronic) < 3 && r.Float64() < risk {
			p.chronic = append(p.chronic, i)
			switch ill.group {
			case "heart":
				p.systolic += 14 + 6*r.NormFloat64()
			case "sugar":
				p.glucose += 3 + 1.6*math.Abs(r.NormFloat64())
			}
			p.due = s.start + day(r.IntN(ill.every))
		}
	}
	if r.IntN(100) < 9 {
		p.allergies = append(p.allergies, r.IntN(len(s.allergens)))
	}
	p.doses, p.last = make([]int, len(s.vaccines)), make([]day, len(s.vaccines))
	// what a child had before the first day is known, but not on record: as if from
	// a paper book; one dose in twenty was missed
	for i, v := range s.vaccines {
		for k := range v.age {
			given := p.birth + day(v.age[k]+r.IntN(20))
			if given >= s.start || v.inPregnant || v.girls && !p.female {
				break
			}
			if r.IntN(20) > 0 {
				p.doses[i], p.last[i] = k+1, given
			}
		}
	}
}

// expect makes a part of the women pregnant, for the first year of days.
func (s *Station) expect(r *rand.Rand, p *person) {
	if age := p.age(s.start); !p.female || age < 18 || age > 41 || p.role == "child" || r.IntN(100) >= 14 {
		return
	}
	due := s.start + 3 + day(r.IntN(500))
	s.births = append(s.births, birth{mother: p, due: due})
	if due < s.start+280 {
		p.pregnant = due
		for p.contacts < len(antenatal()) && antenatal()[p.contacts] < p.weeks(s.start) {
			p.contacts++
		}
	}
}

// weeks of a pregnancy.
func (p *person) weeks(today day) float64 { return 40 - float64(p.pregnant-today)/7 }

// antenatal are the weeks of WHO's eight contacts (WHO recommendations on
// antenatal care for a positive pregnancy experience, 2016).
func antenatal() []float64 { return []float64{12, 20, 26, 30, 34, 36, 38, 40} }
