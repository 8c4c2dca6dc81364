package merge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
	"tram/sync/merge"
)

// drawer draws histories.
type drawer struct {
	t       *testing.T
	r       *rand.Rand
	r4      *fhir.R4
	m       *merge.Merger
	from    source
	cases   int // merges that were held against the laws
	key     record.Key
	clock   int64
	numbers map[string]uint64
	ordered map[string]bool // elements that may depend on the order of arrival
	trees   map[*record.Version]*element.Tree
}

// born draws a record and its first version.
func (d *drawer) born(by string) *record.Version {
	var content *fhir.Value
	if d.from.resources == nil {
		content = d.grown()
	} else {
		content = must(d.t, d.from.resources[d.r.IntN(len(d.from.resources))])
	}
	d.key = record.Key{Kind: content.Str("resourceType"), ID: content.Str("id")}
	d.numbers, d.ordered = map[string]uint64{}, map[string]bool{}
	v, err := compose(d.r4, d.key, nil, nil, nil, write{name: d.name(by), author: by, stamp: d.stamp(), content: content})
	if err != nil {
		d.t.Fatal(err)
	}
	return v
}

func (d *drawer) name(by string) record.Name {
	d.numbers[by]++
	return record.Name{Lineage: record.Lineage(strings.Repeat(by, record.LineageLen)), N: d.numbers[by]}
}

func (d *drawer) stamp() record.Stamp {
	d.clock += 1000
	return record.Stamp{Unix: d.clock + d.r.Int64N(9000), Doubt: d.r.IntN(6) == 0}
}

// lawful merges and holds it against the laws, merging again in a drawn way: one case.
func (d *drawer) lawful(base, head, in *record.Version) *record.Version {
	d.cases++
	out := joined(d.t, d.m, d.read, base, head, in)
	repeated(d.t, d.m, base, head, in, out, d.r.IntN(repeats))
	return out
}

// read reads a version of the history, once.
func (d *drawer) read(v *record.Version) *element.Tree {
	if d.trees[v] == nil {
		d.trees[v] = tree(d.t, v)
	}
	return d.trees[v]
}

// write draws a plain write, a deletion, a revival or a decision over what is shown.
func (d *drawer) write(by string, old, head, pending *record.Version) *record.Version {
	w := write{name: d.name(by), author: by, stamp: d.stamp()}
	switch open := old.Conflicts(); {
	case old.Deleted:
		w.content = value(d.t, old)
	case len(open) > 0 && d.r.IntN(3) == 0:
		c := open[d.r.IntN(len(open))]
		decided := record.Decision{Path: c.Path, Value: c.Values[d.r.IntN(len(c.Values))].Value}
		for _, k := range c.Values {
			for _, who := range k.Writers {
				if d.r.IntN(5) > 0 {
					decided.Closes = append(decided.Closes, who.Name)
				}
			}
		}
		w.decisions = []record.Decision{decided}
	case d.r.IntN(12) == 0:
		w.remove = true
	default:
		w.content = d.edited(value(d.t, old), by)
	}
	v, err := compose(d.r4, d.key, old, head, pending, w)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(d.r4.Check(value(d.t, v))) > 0 { // the store refuses such a decision
		return d.write(by, old, head, pending)
	}
	rewritten(d.t, v)
	return v
}

// edited draws one to three changes of a valid resource.
func (d *drawer) edited(v *fhir.Value, by string) *fhir.Value {
	for range 1 + d.r.IntN(3) {
		for try := 0; ; try++ {
			next := d.change(v, by)
			if len(d.r4.Check(next)) == 0 {
				v = next
				break
			}
			if try == 50 {
				return v
			}
		}
	}
	return v
}

func (d *drawer) change(v *fhir.Value, by string) *fhir.Value {
	salt := d.r.IntN(1000)*8 + int(by[0]-'a')%8
	edits := []func([]byte, int) ([]byte, string){
		practice.EditAdministrative, practice.EditSafety, practice.EditOther, practice.EditStatus,
	}
	switch i := d.r.IntN(13); {
	case i < len(edits):
		if b, element := edits[i](v.Bytes(), salt); element != "" {
			return must(d.t, b)
		}
	case i >= 10:
		return d.redrawn(v)
	}
	return d.within(v, by, 0)
}

// redrawn puts a newly drawn value in place of one element: a choice may change
// its type, and a primitive get a sibling.
func (d *drawer) redrawn(v *fhir.Value) *fhir.Value {
	elems := d.r4.Elems(d.key.Kind)
	e := elems[d.r.IntN(len(elems))]
	if e.Name == "id" {
		return v
	}
	for _, other := range elems {
		if other.Base == e.Base {
			v = v.With(other.Name, nil).With("_"+other.Name, nil)
		}
	}
	for _, f := range d.field(e, 0) {
		v = v.With(f.Name, f.Value)
	}
	return v
}

// within changes something in an object or below: it removes a field, or an
// item of a list, adds an item, or writes another text.
func (d *drawer) within(v *fhir.Value, by string, depth int) *fhir.Value {
	f := v.Fields[d.r.IntN(len(v.Fields))]
	if f.Name == "resourceType" || f.Name == "id" && depth == 0 || f.Value.Shape == fhir.Null {
		return v
	}
	if d.r.IntN(6) == 0 {
		return v.With(f.Name, nil)
	}
	return v.With(f.Name, d.other(f.Value, by, depth))
}

func (d *drawer) other(v *fhir.Value, by string, depth int) *fhir.Value {
	switch v.Shape {
	case fhir.Object:
		return d.within(v, by, depth+1)
	case fhir.Array:
		i, items := d.r.IntN(len(v.Items)), append([]*fhir.Value(nil), v.Items...)
		switch d.r.IntN(4) {
		case 0:
			items = append(items[:i], items[i+1:]...)
		case 1:
			items = append(items, d.other(items[i], by, depth))
		case 2:
			j := d.r.IntN(len(items))
			items[i], items[j] = items[j], items[i]
		default:
			items[i] = d.other(items[i], by, depth)
		}
		if len(items) == 0 {
			return nil
		}
		return fhir.NewArray(items...)
	case fhir.String:
		return fhir.NewString(fmt.Sprintf("%s%s%d", strings.TrimRight(v.Text, "0123456789abcd"), by, d.r.IntN(9)))
	case fhir.Number:
		if whole, fraction, ok := strings.Cut(v.Text, "."); ok { // the same number may have other digits
			return fhir.NewNumber(whole + "." + fraction + strings.Repeat("0", d.r.IntN(3)))
		}
		return fhir.NewNumber(fmt.Sprint(d.r.IntN(90) + 1))
	}
	return v
}
