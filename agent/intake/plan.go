package intake

import (
	"errors"
	"slices"
	"strings"

	"tram/agent/intake/match"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/query"
	"tram/store/record"
)

// plan is what a file comes to, before any of it is kept: the people it finds or makes,
// as they will be, and the other records.
type plan struct {
	in     *Intake
	writes []*fhir.Value // in the order in which they were made
	at     map[record.Key]int
	named  map[numbered][]int // where in writes those with an identifier stand; none is taken off it
	born   []Assigned
	joined map[string][]string // the ids of Patients that are to be linked, both ways
	anew   bool                // a person says whose it is: what was withdrawn stands for nothing
}

func (in *Intake) plan() *plan {
	return &plan{in: in, at: map[record.Key]int{}, named: map[numbered][]int{}, joined: map[string][]string{}}
}

// numbered is the identifier of records of a kind.
type numbered struct {
	kind   string
	number match.Number
}

func keyOf(v *fhir.Value) record.Key {
	return record.Key{Kind: v.Str("resourceType"), ID: v.Str("id")}
}

// set plans a record as it will be.
func (p *plan) set(v *fhir.Value) {
	key := keyOf(v)
	i, ok := p.at[key]
	if !ok {
		i = len(p.writes)
		p.at[key], p.writes = i, append(p.writes, nil)
	}
	p.writes[i] = v
	for _, n := range match.Numbers(v) {
		if as := (numbered{key.Kind, n}); !ok || !slices.Contains(p.named[as], i) {
			p.named[as] = append(p.named[as], i)
		}
	}
}

// bear plans a record under an id that was drawn for it.
func (p *plan) bear(v *fhir.Value, id string, line int) *fhir.Value {
	v = v.With("id", fhir.NewString(id))
	p.set(v)
	p.born = append(p.born, Assigned{Line: line, Key: keyOf(v)})
	return v
}

// find lists the records of a kind with an identifier that match the other clauses, and
// those that are planned with it.
func (p *plan) find(kind string, n match.Number, also ...query.Clause) ([]*fhir.Value, error) {
	number := query.Clause{Param: "identifier", Values: []string{token(n.System) + "|" + token(n.Value)}}
	all, err := p.in.o.Find(kind, append(also, number)...)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(all)
	for i, v := range out {
		if at, ok := p.at[keyOf(v)]; ok {
			out[i] = p.writes[at]
		}
	}
	for _, i := range p.named[numbered{kind, n}] {
		v := p.writes[i]
		if key := keyOf(v); !slices.ContainsFunc(out, func(o *fhir.Value) bool { return keyOf(o) == key }) {
			out = append(out, v)
		}
	}
	return out, nil
}

// token escapes a part of a token for a search (FHIR R4 search.html#escaping).
func token(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, ",", `\,`, "$", `\$`).Replace(s)
}

// found is what the numbers of a description lead to.
type found struct {
	patient *fhir.Value // the one person; nil where why says something
	why     Why
	all     []record.Key
	second  bool // the first number leads to nobody, and another one does
}

// person finds whom a description means: by number only, and not where anything else
// in it speaks against that. Several records that are joined are one person.
func (p *plan) person(said *fhir.Value) (found, error) {
	var all []*fhir.Value
	var f found
	for i, n := range match.Numbers(said) {
		some, err := p.find("Patient", n)
		if err != nil {
			return f, err
		}
		f.second = f.second || i == 0 && len(some) == 0
		for _, v := range some {
			if key := keyOf(v); !slices.Contains(f.all, key) {
				f.all = append(f.all, key)
				all = append(all, v)
			}
		}
	}
	switch {
	case len(all) == 0:
		f.why = Unknown
		return f, nil
	case !p.all(all[0], f.all):
		f.why = Several
		return f, nil
	}
	for _, v := range all {
		if trait := match.Differs(v, said); trait != "" {
			f.why = Why("other-" + string(trait))
			return f, nil
		}
	}
	f.patient = all[0]
	return f, nil
}

// meant is the person that a message means. A program that writes several numbers begins
// with the person's own; where only a later one is known, it may be of anybody.
func (p *plan) meant(said *fhir.Value) (found, error) {
	f, err := p.person(said)
	if err == nil && f.why == "" && f.second {
		f.patient, f.why = nil, OtherNumber
	}
	return f, err
}

// bare finds whom a description means among those of whose number nobody said who gave it,
// as a desk types it: by number, name and birth date together. Where these are not said,
// somebody may be meant; who contradicts any of it is not.
func (p *plan) bare(said *fhir.Value) (found, error) {
	f := found{why: Unknown}
	ids, err := p.in.o.Share(said)
	for _, id := range ids {
		v, err := p.patient(id)
		if err != nil {
			return f, err
		}
		if v == nil || !match.Bare(v, said) || match.Differs(v, said) != "" {
			continue
		}
		if f.why = BareNumber; match.Named(v) && match.Named(said) {
			f.patient = v
		}
		f.all = append(f.all, keyOf(v))
	}
	if f.patient != nil && p.all(f.patient, f.all) {
		f.why = ""
	} else {
		f.patient = nil
	}
	return f, err
}

// patient is a person by id, as planned; nil where there is none.
func (p *plan) patient(id string) (*fhir.Value, error) {
	if at, ok := p.at[record.Key{Kind: "Patient", ID: id}]; ok {
		return p.writes[at], nil
	}
	all, err := p.in.o.Find("Patient", query.Clause{Param: "_id", Values: []string{token(id)}})
	if err != nil || len(all) != 1 {
		return nil, err
	}
	return all[0], nil
}

// same are the ids of all records of the person with that Patient's id, itself first.
func (p *plan) same(id string) []string {
	out := []string{id}
	for i := 0; i < len(out); i++ {
		for _, other := range slices.Concat(p.in.o.Linked(out[i]), p.joined[out[i]]) {
			if !slices.Contains(out, other) {
				out = append(out, other)
			}
		}
	}
	return out
}

// all reports whether those records are all of that Patient's person.
func (p *plan) all(patient *fhir.Value, keys []record.Key) bool {
	one := p.same(patient.Str("id"))
	return !slices.ContainsFunc(keys, func(k record.Key) bool { return !slices.Contains(one, k.ID) })
}

// one reports whether two Patients are records of one person.
func (p *plan) one(a, b *fhir.Value) bool { return slices.Contains(p.same(a.Str("id")), b.Str("id")) }

// join is a person with a link to another one's record, as planned from now on.
func (p *plan) join(patient *fhir.Value, other string) *fhir.Value {
	id := patient.Str("id")
	p.joined[id], p.joined[other] = append(p.joined[id], other), append(p.joined[other], id)
	return people.Join(patient, other)
}

// change plans a record that is here, or planned, as it will be; where nothing differs it
// plans nothing.
func (p *plan) change(was, will *fhir.Value) {
	if was != will {
		p.set(will)
	}
}

// checked refuses what the mapping of a file made that is no FHIR. The place in the file
// is that of the message or row.
func (p *plan) checked() error {
	lines := map[record.Key]int{}
	for _, b := range p.born {
		lines[b.Key] = b.Line
	}
	for _, v := range p.writes {
		if err := check(p.in.o.R4, []unit{{lines[keyOf(v)], v}}); err != nil {
			return err
		}
	}
	return nil
}

// overtaken reports whether a plan failed because somebody saved one of its records since it
// was made: it is made anew.
func overtaken(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Code == Stale || errors.Is(err, record.ErrStale) || errors.Is(err, record.ErrExists) || errors.Is(err, record.ErrMoved)
}
