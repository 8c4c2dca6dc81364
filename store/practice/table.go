package practice

import (
	_ "embed"
	"math/rand/v2"
	"strconv"
	"strings"
)

//go:embed tables/names.txt
var namesTable []byte

//go:embed tables/places.txt
var placesTable []byte

//go:embed tables/clinic.txt
var clinicTable []byte

//go:embed tables/words.txt
var wordsTable []byte

//go:embed tables/edits.txt
var editsTable []byte

// tables are the embedded files, by section: each row split at "|".
type tables struct {
	rows    map[string][][]string
	weights map[string][]float64 // running sums of a second, numeric column
}

// readTables reads files of sections: "[name]", then a row on each line; "#"
// begins a line of comment.
func readTables(files ...[]byte) *tables {
	t := &tables{rows: map[string][][]string{}, weights: map[string][]float64{}}
	for _, file := range files {
		section := ""
		for line := range strings.Lines(string(file)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '[':
				section = strings.Trim(line, "[]")
			default:
				row := strings.Split(line, "|")
				t.rows[section] = append(t.rows[section], row)
				if len(row) > 1 {
					t.weigh(section, row[1])
				}
			}
		}
	}
	return t
}

// weigh adds to the running sum of a section, unless the column holds words.
func (t *tables) weigh(section, weight string) {
	w, err := strconv.ParseFloat(weight, 64)
	if err != nil {
		return
	}
	sums := t.weights[section]
	if len(sums) > 0 {
		w += sums[len(sums)-1]
	}
	t.weights[section] = append(sums, w)
}

// word draws the first column of a row, by weight where the section has them.
func (t *tables) word(r *rand.Rand, section string) string {
	rows, sums := t.rows[section], t.weights[section]
	if len(sums) != len(rows) {
		return pick(r, rows)[0]
	}
	x := r.Float64() * sums[len(sums)-1]
	i := 0
	for i < len(sums)-1 && sums[i] <= x {
		i++
	}
	return rows[i][0]
}

// row returns the row whose first column is the key.
func (t *tables) row(section, key string) []string {
	for _, row := range t.rows[section] {
		if row[0] == key {
			return row
		}
	}
	panic("practice: no " + key + " in table " + section)
}

// pick draws one, all alike.
func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// number reads a figure of a table, which is part of the program: a bad one is a
// fault of the program.
func number(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("practice: table: " + err.Error())
	}
	return f
}

func whole(text string) int { return int(number(text)) }

// span reads "a-b".
func span(text string) (from, to int) {
	a, b, _ := strings.Cut(text, "-")
	return whole(a), whole(b)
}

// region is a part of the country: how addresses are said there, who lives there.
type region struct {
	key, village, house, province string
	communes                      []string
	shares                        []string // per cent of each row of the section ethnic
}

func (t *tables) regions() (regions []region) {
	for _, row := range t.rows["region"] {
		regions = append(regions, region{row[0], row[1], row[2], row[3],
			strings.Split(row[4], ";"), strings.Split(row[5], ",")})
	}
	return regions
}

// illness is a diagnosis of primary care, with who gets it and what it is given.
type illness struct {
	code, name, group string
	weight            float64
	from, to          int // years of age
	sex               string
	every             int // days between follow-ups, 0 = acute
	medicines         []int
}

func (t *tables) illnesses(medicines []medicine) (all []illness) {
	index := map[string]int{}
	for i, m := range medicines {
		index[m.key] = i
	}
	for _, row := range t.rows["illness"] {
		ill := illness{code: row[0], name: row[1], group: row[2], weight: number(row[3]), sex: row[5], every: whole(row[6])}
		ill.from, ill.to = span(row[4])
		for key := range strings.SplitSeq(row[7], ",") {
			if i, ok := index[key]; ok {
				ill.medicines = append(ill.medicines, i)
			} else if key != "" {
				panic("practice: no medicine " + key)
			}
		}
		all = append(all, ill)
	}
	return all
}

// suits says whether a person of that age and sex may have it.
func (ill illness) suits(p *person, today day) bool {
	age := p.age(today)
	return age >= ill.from && age <= ill.to && (ill.sex == "a" || ill.sex == "f" == p.female)
}

// medicine is one preparation of the station's pharmacy.
type medicine struct {
	key, atc, name, strength, form, unit, way string
	dose                                      string
	times, days                               int
	from, to                                  int // years of age
	id                                        string
}

func (t *tables) medicines() (all []medicine) {
	for _, row := range t.rows["medicine"] {
		m := medicine{key: row[0], atc: row[1], name: row[2], strength: row[3], form: row[4], unit: row[5], way: row[6],
			dose: row[7], times: whole(row[8]), days: whole(row[9])}
		m.from, m.to = span(row[10])
		all = append(all, m)
	}
	return all
}

// vaccine is a series of doses. The schedule follows the country's programme as
// far as it is known; it is good for practice and decides about no child.
type vaccine struct {
	key, cvx, name    string
	antigens          []string
	age, gap          []int // of each dose, in days
	ml, route         string
	first             int
	girls, inPregnant bool
}

func (t *tables) vaccines() (all []vaccine) {
	for _, row := range t.rows["vaccine"] {
		v := vaccine{key: row[0], cvx: row[1], name: row[2], antigens: strings.Split(row[3], ";"),
			ml: row[5], route: row[6], first: whole(row[7]), girls: row[8] == "f", inPregnant: row[0] == "tt"}
		for dose := range strings.SplitSeq(row[4], ",") {
			age, gap, _ := strings.Cut(dose, ":")
			v.age, v.gap = append(v.age, whole(age)), append(v.gap, whole(gap))
		}
		all = append(all, v)
	}
	return all
}

// allergen is what people react to, and how.
type allergen struct{ code, name, category, reaction, reactionCode string }

func (t *tables) allergens() (all []allergen) {
	for _, row := range t.rows["allergen"] {
		all = append(all, allergen{row[0], row[1], row[2], row[3], row[4]})
	}
	return all
}
