package practice

import (
	"math/rand/v2"
	"slices"
)

// Sizes of a day, after the load that the design plans for.
const (
	visitsPerDay  = 40
	recordsPerDay = 330
)

// purpose is why somebody comes.
type purpose int

const (
	acute purpose = iota
	followUp
	vaccination
	pregnancy
	growth
	newborn
)

// slot is one visit of the agenda.
type slot struct {
	p   *person
	why purpose
}

// work makes one day, in the order of the visits' times.
func (s *Station) work(n int) []Entry {
	today := s.workday(n)
	r := s.random(4, uint64(n))
	agenda := s.agenda(r, today)
	times := make([]float64, len(agenda))
	for i := range times {
		// the morning is busier; nobody is seen between 11:30 and 13:15
		if times[i] = 422 + 268*r.Float64(); r.IntN(100) < 38 {
			times[i] = 795 + 190*r.Float64()
		}
	}
	slices.Sort(times)
	var entries []Entry
	target := recordsPerDay + r.IntN(21) - 10
	for i, one := range agenda {
		left := len(agenda) - i
		budget := (float64(target-len(entries)) + r.Float64()) / float64(left)
		// visits differ in length; the last ones make up for it
		if left > 3 {
			budget += 1.6 * r.NormFloat64()
		}
		v := &visit{s: s, r: r, p: one.p, why: one.why, today: today, clock: times[i], budget: int(budget)}
		v.run()
		entries = append(entries, v.out...)
	}
	return entries
}

// agenda says who comes today and why: those who are due first, then people
// who fell ill.
func (s *Station) agenda(r *rand.Rand, today day) []slot {
	var agenda []slot
	coming := map[*person]bool{}
	take := func(p *person, why purpose) {
		if !coming[p] && len(agenda) < visitsPerDay {
			coming[p] = true
			agenda = append(agenda, slot{p, why})
		}
	}
	for _, child := range s.deliver(r, today) {
		take(child, newborn)
	}
	// vaccines are opened on Wednesdays; on other days for few
	session := 2
	if (today+3)%7 == 2 {
		session = 13
	}
	s.invite(r, session, func(p *person) bool { return len(s.dueDoses(p, today)) > 0 }, vaccination, take)
	s.invite(r, 5, func(p *person) bool {
		return p.pregnant != 0 && p.contacts < len(antenatal()) && p.weeks(today) >= antenatal()[p.contacts]
	}, pregnancy, take)
	s.invite(r, 3, func(p *person) bool { return p.months(today) < 24 && today-p.visited >= 28 }, growth, take)
	s.invite(r, 18, func(p *person) bool { return len(p.chronic) > 0 && p.due <= today }, followUp, take)
	// the rest fell ill: children and the old more often, nobody twice in a few
	// days where the commune is large enough
	for tries := 0; len(agenda) < visitsPerDay; tries++ {
		p := pick(r, s.people)
		likely := 45
		if age := p.age(today); age < 5 || age > 60 {
			likely = 100
		}
		if r.IntN(100) >= likely || today-p.visited < 4 && tries < 4000 {
			continue
		}
		if tries > 8000 { // a commune smaller than a day's visits
			delete(coming, p)
		}
		take(p, acute)
	}
	r.Shuffle(len(agenda), func(i, j int) { agenda[i], agenda[j] = agenda[j], agenda[i] })
	return agenda
}

// invite takes up to limit people who are due, those who waited longest first.
func (s *Station) invite(r *rand.Rand, limit int, due func(*person) bool, why purpose, take func(*person, purpose)) {
	var found []*person
	for _, p := range s.people {
		if due(p) {
			found = append(found, p)
		}
	}
	r.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	slices.SortStableFunc(found, func(a, b *person) int { return int(a.visited - b.visited) })
	for _, p := range found[:min(limit, len(found))] {
		take(p, why)
	}
}

// deliver brings the pregnancies up to the day and returns today's newborns.
func (s *Station) deliver(r *rand.Rand, today day) (children []*person) {
	for i := range s.births {
		b := &s.births[i]
		switch {
		case b.done:
		case b.due <= today:
			b.done = true
			b.mother.pregnant, b.mother.contacts = 0, 0
			children = append(children, s.born(r, b.mother, today-day(r.IntN(2))))
		case b.mother.pregnant == 0 && b.due < today+230:
			b.mother.pregnant = b.due
		}
	}
	return children
}

// born adds an inhabitant without a personal number, in the mother's house.
func (s *Station) born(r *rand.Rand, mother *person, on day) *person {
	family, ethnic := mother.family, mother.ethnic
	if mother.spouse != nil {
		family, ethnic = mother.spouse.family, mother.spouse.ethnic
	}
	child := s.add(r, mother.house, ethnic, family, r.IntN(1000) < 473, 0, "child")
	child.birth, child.mother, child.personalID, child.insurance = on, mother, "", ""
	child.id = s.newID()
	return child
}

// dueDoses are the vaccines that a person may have today. A late series is
// continued, never restarted.
func (s *Station) dueDoses(p *person, today day) (due []int) {
	for i, v := range s.vaccines {
		k := p.doses[i]
		switch {
		case k >= len(v.age):
		case v.inPregnant:
			if p.pregnant != 0 && p.weeks(today) > 18 && today-p.last[i] >= day(v.gap[k]) {
				due = append(due, i)
			}
		case v.girls && !p.female, int(today-p.birth) > v.age[len(v.age)-1]+900:
		case int(today-p.birth) >= v.age[k] && (k == 0 || int(today-p.last[i]) >= v.gap[k]):
			due = append(due, i)
		}
	}
	// three injections in one visit are what parents accept
	return due[:min(3, len(due))]
}
