package rehearse

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"tram/store/record"
	"tram/sync/merge"
)

// world is one small evening that went well: a record for each fate, at two
// replicas.
type world struct {
	r    *Replicas
	p    *Plot
	word decision
	was  Snapshot
}

var ( // keys of the records; values, never changed
	kApart   = record.Key{Kind: "Patient", ID: "apart"}
	kSafety  = record.Key{Kind: "Patient", ID: "safety"}
	kAdmin   = record.Key{Kind: "Patient", ID: "admin"}
	kDeleted = record.Key{Kind: "Patient", ID: "deleted"}
	kBirth   = record.Key{Kind: "Observation", ID: "birth"}
	kChange  = record.Key{Kind: "Observation", ID: "change"}
	kDecided = record.Key{Kind: "Patient", ID: "decided"}
	kOther   = record.Key{Kind: "Patient", ID: "other"}
)

func patient(k record.Key, rest string) string {
	return contentOf(fmt.Appendf(nil, `{"resourceType":%q,"id":%q%s}`, k.Kind, k.ID, rest))
}

func name(n uint64) record.Name { return record.Name{Lineage: "aaaaaaaaaaaaaaaa", N: n} }

func version(n uint64, author, content string, at int64) *record.Version {
	return &record.Version{Name: name(n), Author: author, Content: []byte(content), Stamp: record.Stamp{Unix: at}}
}

// good is the world without a fault.
func good() *world {
	base := func(k record.Key) string { return patient(k, `,"gender":"male","birthDate":"1960-01-01"`) }
	apart := Case{Key: kApart, Base: base(kApart), ElementA: "gender", ElementB: "birthDate",
		A: patient(kApart, `,"gender":"female","birthDate":"1960-01-01"`), B: patient(kApart, `,"gender":"male","birthDate":"1961-01-01"`)}
	both := func(k record.Key) Case {
		return Case{Key: k, Base: base(k), ElementA: "birthDate", ElementB: "birthDate",
			A: patient(k, `,"gender":"male","birthDate":"1959-01-01"`), B: patient(k, `,"gender":"male","birthDate":"1961-01-01"`)}
	}
	safety, admin, dead := both(kSafety), both(kAdmin), both(kDeleted)
	dead.B = ""
	birth := Late{Key: kBirth, Mark: "mark 1", Content: patient(kBirth, `,"valueString":"mark 1"`)}
	change := Late{Key: kChange, Content: patient(kChange, `,"valueString":"new"`)}
	word := decision{key: kDecided, want: patient(kDecided, `,"birthDate":"1959-01-01"`)}
	w := &world{
		p:    &Plot{Apart: []Case{apart}, Safety: []Case{safety}, Administrative: []Case{admin}, Deleted: []Case{dead}, Late: []Late{birth, change}},
		word: word,
		was: Snapshot{kApart: {Content: apart.Base}, kSafety: {Content: safety.Base}, kAdmin: {Content: admin.Base}, kDeleted: {Content: dead.Base},
			kChange: {Content: patient(kChange, "")}, kOther: {Content: base(kOther)}, kDecided: {Content: word.want}},
		r: &Replicas{Names: []string{"centre", "a"}, Shown: map[string]Snapshot{}, Files: map[string]*Evidence{}},
	}
	for _, n := range w.r.Names {
		w.r.Shown[n] = Snapshot{
			kApart:   {Content: patient(kApart, `,"birthDate":"1961-01-01","gender":"female"`)},
			kSafety:  {Content: safety.Base, Contested: true},
			kAdmin:   {Content: admin.B},
			kDeleted: {Content: dead.A},
			kBirth:   {Content: birth.Content}, kChange: {Content: change.Content},
			kDecided: {Content: word.want}, kOther: {Content: base(kOther)},
		}
		w.r.Files[n] = &Evidence{Open: 1,
			Conflicts: map[record.Key][]record.Conflict{kSafety: {{Path: "birthDate", Values: []record.Candidate{
				{Value: []byte(`{"birthDate":"1959-01-01"}`), Writers: []record.Writer{{Name: name(1)}}},
				{Value: []byte(`{"birthDate":"1961-01-01"}`), Writers: []record.Writer{{Name: name(2)}}}}}}},
			Vault: map[record.Key][]record.Lost{kAdmin: {{Path: "birthDate", Value: []byte(`{"birthDate":"1959-01-01"}`), Won: []byte(`{"birthDate":"1961-01-01"}`)}}},
			Past: map[record.Key][]*record.Version{
				kAdmin:   {version(9, merge.Author, admin.B, 9), version(3, "a", admin.A, 1), version(4, "b", admin.B, 2)},
				kDeleted: {version(5, "a", dead.A, 1), {Name: name(6), Deleted: true, Content: []byte(dead.Base)}},
				kChange:  {version(7, "b", change.Content, 1)},
			}}
	}
	return w
}

func (w *world) judge() map[string]Line {
	out := map[string]Line{}
	for _, l := range []Line{JudgeEqual("equal", w.r), JudgeApart(w.r, w.p.Apart), JudgeSafety(w.r, w.p.Safety), JudgeAdministrative(w.r, w.p.Administrative),
		JudgeDeleted(w.r, w.p.Deleted), JudgeLate(w.r, w.p.Late), JudgeRest(w.r, w.was, w.p), JudgeDecided(w.r, w.word), JudgeSound(w.r, 1)} {
		out[l.Key] = l
	}
	return out
}

func TestJudgeTakesAGoodEvening(t *testing.T) {
	for key, l := range good().judge() {
		if !l.OK() || l.Want == 0 {
			t.Errorf("%s: found %d of %d", key, l.Found, l.Want)
		}
	}
}

// TestJudgeSeesEachFault: each fault is made at the second replica alone.
func TestJudgeSeesEachFault(t *testing.T) {
	show := func(k record.Key, content string) func(*world) {
		return func(w *world) {
			s := w.r.Shown["a"][k]
			s.Content = content
			w.r.Shown["a"][k] = s
		}
	}
	lose := func(k record.Key) func(*world) { return func(w *world) { delete(w.r.Shown["a"], k) } }
	tag := func(k record.Key, on bool) func(*world) {
		return func(w *world) {
			s := w.r.Shown["a"][k]
			s.Contested = on
			w.r.Shown["a"][k] = s
		}
	}
	g := good()
	for _, c := range []struct {
		name  string
		fault func(*world)
		wrong []string
	}{
		{"a's edit is lost", show(kApart, g.p.Apart[0].B), []string{"apart", "equal"}},
		{"b's edit is lost", show(kApart, g.p.Apart[0].A), []string{"apart", "equal"}},
		{"a merge that needed nobody is contested", tag(kApart, true), []string{"apart"}},
		{"a merged record is gone", lose(kApart), []string{"apart", "equal"}},
		{"a safety value was chosen in silence", tag(kSafety, false), []string{"safety"}},
		{"a contested record shows what nobody wrote", show(kSafety, patient(kSafety, `,"gender":"male","birthDate":"1960-06-06"`)), []string{"safety", "equal"}},
		{"a conflict holds one value only", func(w *world) {
			w.r.Files["a"].Conflicts[kSafety][0].Values = w.r.Files["a"].Conflicts[kSafety][0].Values[:1]
		}, []string{"safety"}},
		{"a conflict has one writer for both values", func(w *world) {
			w.r.Files["a"].Conflicts[kSafety][0].Values[1].Writers = []record.Writer{{Name: name(1)}}
		}, []string{"safety"}},
		{"the earlier word won", show(kAdmin, g.p.Administrative[0].A), []string{"administrative", "equal"}},
		{"the loser is not in the vault", func(w *world) { w.r.Files["a"].Vault = nil }, []string{"administrative"}},
		{"the vault holds another value", func(w *world) {
			w.r.Files["a"].Vault[kAdmin][0].Value = []byte(`{"birthDate":"1960-01-01"}`)
		}, []string{"administrative"}},
		{"a typed version is not in the history", func(w *world) { w.r.Files["centre"].Past[kAdmin] = w.r.Files["centre"].Past[kAdmin][:2] }, []string{"administrative"}},
		{"a deletion won", lose(kDeleted), []string{"deleted", "equal"}},
		{"an edit was undone by a deletion", show(kDeleted, g.p.Deleted[0].Base), []string{"deleted", "equal"}},
		{"nobody deleted", func(w *world) { w.r.Files["centre"].Past[kDeleted] = w.r.Files["centre"].Past[kDeleted][:1] }, []string{"deleted"}},
		{"a late birth is lost", lose(kBirth), []string{"late", "equal"}},
		{"a late birth is doubled", func(w *world) {
			k := record.Key{Kind: "Observation", ID: "twin"}
			w.r.Shown["a"][k] = Shown{Content: patient(k, `,"valueString":"mark 1"`)}
		}, []string{"late", "equal", "rest"}},
		{"a late change is lost", show(kChange, patient(kChange, "")), []string{"late", "equal"}},
		{"a late change was made twice", func(w *world) {
			past := w.r.Files["centre"].Past
			past[kChange] = append(past[kChange], version(8, "b", w.p.Late[1].Content, 5))
		}, []string{"late"}},
		{"another record is lost", lose(kOther), []string{"rest", "equal"}},
		{"another record changed", show(kOther, patient(kOther, "")), []string{"rest", "equal"}},
		{"a decision did not arrive", tag(kDecided, true), []string{"decided"}},
		{"another value was decided", show(kDecided, patient(kDecided, "")), []string{"decided", "rest", "equal"}},
		{"a store is not sound", func(w *world) { w.r.Files["a"].Findings = 1 }, []string{"sound"}},
		{"a conflict more is open", func(w *world) { w.r.Files["a"].Open = 2 }, []string{"sound"}},
		{"a replica shows nothing", func(w *world) { w.r.Shown["a"] = nil },
			[]string{"apart", "safety", "administrative", "deleted", "late", "rest", "decided", "equal"}},
		{"no replica at all", func(w *world) { w.r.Names = nil },
			[]string{"apart", "safety", "administrative", "deleted", "late", "rest", "decided"}},
	} {
		w := good()
		c.fault(w)
		var wrong []string
		for key, l := range w.judge() {
			if !l.OK() {
				wrong = append(wrong, key)
			}
		}
		slices.Sort(wrong)
		slices.Sort(c.wrong)
		if !slices.Equal(wrong, c.wrong) {
			t.Errorf("%s: wrong are %v, want %v", c.name, wrong, c.wrong)
		}
	}
}

func TestDigestIsOfContentAlone(t *testing.T) {
	one := func(text string) string {
		s := Snapshot{}
		s[kOther] = Shown{Content: contentOf([]byte(text)), Version: text}
		return s.Digest()
	}
	first := one(`{"resourceType":"Patient","id":"other","active":true,"multipleBirthInteger":1}`)
	for _, c := range []struct {
		name, text string
		same       bool
	}{
		{"other order and meta", `{"id":"other","meta":{"versionId":"9"},"resourceType":"Patient","multipleBirthInteger":1,"active":true}`, true},
		{"other value", `{"resourceType":"Patient","id":"other","active":false,"multipleBirthInteger":1}`, false},
		{"a digit more", `{"resourceType":"Patient","id":"other","active":true,"multipleBirthInteger":1.0}`, false},
		{"an element less", `{"resourceType":"Patient","id":"other","active":true}`, false},
	} {
		if got := one(c.text) == first; got != c.same {
			t.Errorf("%s: same digest %v, want %v", c.name, got, c.same)
		}
	}
	w := good()
	fewer := maps.Clone(w.r.Shown["a"])
	delete(fewer, kOther)
	if fewer.Digest() == w.r.Shown["a"].Digest() {
		t.Error("a record less has the same digest")
	}
}
