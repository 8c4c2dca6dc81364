package intake

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/agent/intake/hl7v2"
	"tram/store"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
	"tram/store/storetest"
)

// station is a drop folder over a real store.
type station struct {
	*bench
	s *store.Store
}

func newStation(t testing.TB) *station {
	t.Helper()
	st := &station{s: storetest.Open(t, store.Options{Name: "tram-a"})}
	st.bench = newBench(t, t.TempDir(), func(o *Options) {
		over := Over(st.s)
		over.Folder, over.Now, over.Events, over.Author = o.Folder, o.Now, o.Events, "drop"
		over.Rules = hl7v2.Rules{Systems: map[string]string{"BYT": "urn:example:cccd"}}
		*o = over
	})
	return st
}

// all are the records of a kind.
func (st *station) all(kind string) []*fhir.Value {
	st.t.Helper()
	res, err := st.s.Search(query.Query{Kind: kind, Limit: 1000})
	if err != nil {
		st.t.Fatal(err)
	}
	var out []*fhir.Value
	for _, one := range res.Stands {
		v, err := fhir.Parse(one.Shown.Content, fhir.DefaultLimits())
		if err != nil {
			st.t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// counts tells how many records there are, as "Patient 1, Observation 2".
func (st *station) counts() string {
	var out []string
	for _, kind := range []string{"Patient", "Encounter", "DiagnosticReport", "Observation", "Immunization", "DocumentReference"} {
		if n := len(st.all(kind)); n > 0 {
			out = append(out, fmt.Sprintf("%s %d", kind, n))
		}
	}
	return strings.Join(out, ", ")
}

// register keeps a person as somebody at a desk does.
func (st *station) register(id, text string) {
	st.t.Helper()
	w := store.Write{Key: record.Key{Kind: "Patient", ID: id}, Author: "x", Content: []byte(`{"resourceType":"Patient","id":"` + id + `",` + text + `}`)}
	if _, err := st.s.Put(st.t.Context(), w); err != nil {
		st.t.Fatal(err)
	}
}

// edit changes the records of a kind as somebody on the page does.
func (st *station) edit(kind string, f func(*fhir.Value) *fhir.Value) {
	st.t.Helper()
	for _, v := range st.all(kind) {
		w := store.Write{Key: keyOf(v), Base: "*", Author: "x", Content: f(v).Bytes()}
		if _, err := st.s.Put(st.t.Context(), w); err != nil {
			st.t.Fatal(err)
		}
	}
}

func (st *station) submit(text string) Event {
	st.t.Helper()
	e, err := st.Submit(st.t.Context(), "x.hl7", []byte(strings.ReplaceAll(text, "\n", "\r")))
	if err != nil {
		st.t.Fatal(err)
	}
	return e
}

func msh(event, control string) string {
	return "MSH|^~\\&|LIS|BVH|Tram|TYT|20261103080000+0700||" + event + "|" + control + "|P|2.5\n"
}

const (
	pid    = "PID|1||079001^^^BYT^NI||NGUYỄN^" + secret + "^THỊ||19800205|F\n"
	orders = "OBR|1|P1^LIS|F1^LIS|718-7^Hb^LN|||20261103073000|||||||||||||||||||F\nOBX|1|NM|718-7^Hb^LN||13.40|g/dL^^UCUM|12.0-16.0|N|||F\n"
)

func TestMessagesAreTakenOnceAndWhole(t *testing.T) {
	st := newStation(t)
	if e := st.submit(msh("ADT^A28", "1") + pid); e.What != Took || e.Taken.New != 2 || e.Kind != "ADT^A28" {
		t.Fatalf("a person: %+v", e)
	}
	oru := msh("ORU^R01", "2") + pid + orders
	if e := st.submit(oru); e.What != Took || e.Taken.New != 3 || e.Waits != 0 {
		t.Fatalf("a result: %+v", e)
	}
	want := "Patient 1, DiagnosticReport 1, Observation 1, DocumentReference 2"
	for name, again := range map[string]string{
		"the same":           oru,
		"sent again later":   strings.Replace(oru, "20261103080000", "20261103090000", 1),
		"with a byte order":  "\xef\xbb\xbf" + oru,
		"in a frame of MLLP": "\x0b" + oru + "\x1c\n",
		"in a batch":         "FHS|^~\\&|LIS\nBHS|^~\\&|LIS\n" + oru + "BTS|1\nFTS|1\n",
	} {
		if e := st.submit(again); e.What != Again || st.counts() != want {
			t.Errorf("%s: %+v, holds %s", name, e, st.counts())
		}
	}
	obs, doc := st.all("Observation")[0], st.all("DocumentReference")[0]
	who := "Patient/" + st.all("Patient")[0].Str("id")
	if obs.Str("valueQuantity", "value") != "13.40" || obs.Str("subject", "reference") != who || doc.Str("subject", "reference") != who {
		t.Errorf("kept %s and %s", obs.Bytes(), doc.Bytes())
	}
	file := doc.Get("content").Items[0].Get("attachment")
	raw, err := st.o.Kept(strings.TrimPrefix(file.Str("url"), "Binary/"))
	if want := strings.TrimRight(strings.ReplaceAll(oru, "\n", "\r"), "\r"); err != nil || string(raw) != want {
		t.Errorf("kept as it came: %q, %v; want %q", raw, err, want)
	}
	other := strings.Replace(oru, "13.40", "9.1", 1) // the number of a message used again
	if e := st.submit(other); e.What != Took || e.Taken.New != 3 {
		t.Errorf("another result under the same number: %+v", e)
	}
}

func TestNobodyIsFoundByAGuess(t *testing.T) {
	oru := msh("ORU^R01", "9") + pid + orders
	for _, c := range []struct {
		name, text string
		why        Why
	}{
		{"found", oru, ""},
		{"the name in another order, without marks", strings.Replace(oru, "NGUYỄN^"+secret+"^THỊ", "Bi Mat^Thi^Nguyen", 1), ""},
		{"no name at all", strings.Replace(oru, "NGUYỄN^"+secret+"^THỊ", "", 1), ""},
		{"the year of birth alone", strings.Replace(oru, "19800205", "1980", 1), ""},
		{"no such number", strings.Replace(oru, "079001", "079002", 1), Unknown},
		{"the number of another authority", strings.Replace(oru, "^BYT", "^BHXH", 1), Unknown},
		{"another name", strings.Replace(oru, "NGUYỄN", "TRẦN", 1), OtherName},
		{"another birth date", strings.Replace(oru, "19800205", "19800206", 1), OtherBirth},
		{"another sex", strings.Replace(oru, "|F\n", "|M\n", 1), OtherSex},
		{"a number that leads to nobody before hers", strings.Replace(oru, "079001^", "901^^^BVH^MR~079001^", 1), OtherNumber},
		{"hers before one that leads to nobody", strings.Replace(oru, "^NI|", "^NI~901^^^BVH^MR|", 1), ""},
		{"an account of that number", strings.Replace(oru, "079001^^^BYT^NI", "901^^^BVH^MR~079001^^^BYT^AN", 1), Unknown},
		{"a number that two have", strings.Replace(oru, "079001^", "555^", 1), Several},
		{"an update of somebody unknown", strings.Replace(msh("ADT^A08", "9")+pid, "079001", "079002", 1), Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation(t)
			name := `"name":[{"text":"Nguyễn Thị ` + secret + `"}],"birthDate":"1980-02-05","gender":"female"`
			for id, numbers := range map[string]string{"p": "079001", "q": "555", "r": "555"} {
				text := `{"resourceType":"Patient","id":"` + id + `","identifier":[{"system":"urn:example:cccd","value":"` + numbers + `"}],` + name + `}`
				if _, err := st.s.Put(t.Context(), store.Write{Key: record.Key{Kind: "Patient", ID: id}, Content: []byte(text), Author: "x"}); err != nil {
					t.Fatal(err)
				}
			}
			e := st.submit(c.text)
			list, err := st.Waiting()
			if err != nil {
				t.Fatal(err)
			}
			if c.why == "" {
				if e.What != Took || len(list) != 0 || st.all("Observation")[0].Str("subject", "reference") != "Patient/p" {
					t.Errorf("%+v, waiting %v", e, list)
				}
				return
			}
			if e.What != Waits || e.Waits != 1 || len(list) != 1 || list[0].Why != c.why || st.counts() != "Patient 3" {
				t.Fatalf("%+v, waiting %v, holds %s", e, list, st.counts())
			}
			if e := st.submit(c.text); e.What != Again {
				t.Errorf("the same again while it waits: %+v", e)
			}
			for _, language := range []string{"vi", "en"} {
				if text := list[0].Why.Text(language); !strings.HasSuffix(text, ".") || strings.Contains(text, "waits-") {
					t.Errorf("%s has no word: %s", c.why, text)
				}
			}
		})
	}
}

func TestVisitsGoOnAndPeopleAreCompletedNeverChanged(t *testing.T) {
	st := newStation(t)
	pv1 := "PV1|1|O|||||||||||||||||V7^^^BVH" + strings.Repeat("|", 25) + "20261103080000"
	st.submit(msh("ADT^A04", "1") + pid + pv1 + "\n")
	more := strings.Replace(pid, "|F\n", "|F|||12 Lê Lợi^^Hà Nội||0900000001\n", 1)
	st.submit(msh("ADT^A08", "2") + more)
	st.submit(msh("ADT^A03", "3") + pid + pv1 + "|20261103100000\n")
	st.submit(msh("ADT^A04", "4") + pid + pv1 + "\n") // late
	if st.counts() != "Patient 1, Encounter 1, DocumentReference 4" {
		t.Fatal(st.counts())
	}
	v := st.all("Encounter")[0]
	if v.Str("status") != "finished" || v.Str("period", "end") != "2026-11-03T10:00:00+00:00" || v.Str("class", "code") != "AMB" {
		t.Errorf("the visit: %s", v.Bytes())
	}
	who := st.all("Patient")[0]
	if who.Get("telecom").Items[0].Str("value") != "0900000001" || len(who.Get("name").Items) != 1 {
		t.Errorf("the person: %s", who.Bytes())
	}
}

func TestTwoNumbersOfOnePersonAreJoined(t *testing.T) {
	a40 := msh("ADT^A40", "5") + pid + "MRG|079002^^^BYT^NI\n"
	for _, c := range []struct {
		name string
		here []string
		want string
	}{
		{"both are here", []string{"079001", "079002"}, "linked"},
		{"the one that stays", []string{"079001"}, "numbered"},
		{"the one that goes", []string{"079002"}, "numbered"},
		{"neither", nil, "waits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation(t)
			for i, n := range c.here {
				st.submit(strings.Replace(msh("ADT^A28", fmt.Sprint(i))+pid, "079001", n, 1))
			}
			e := st.submit(a40)
			var ids []string
			for _, p := range st.all("Patient") {
				ids = append(ids, p.Str("id"))
			}
			switch c.want {
			case "linked":
				if e.What != Took || !slices.Equal(st.s.Linked(ids[0]), ids[1:]) {
					t.Errorf("%+v, %v linked to %v", e, ids, st.s.Linked(ids[0]))
				}
			case "numbered":
				if e.What != Took || len(st.all("Patient")[0].Get("identifier").Items) != 2 {
					t.Errorf("%+v, %s", e, st.all("Patient")[0].Bytes())
				}
			default:
				if e.What != Waits || len(ids) != 0 {
					t.Errorf("%+v, %v", e, ids)
				}
			}
		})
	}
}

// A visit's number that is used once more, or comes of a visit that somebody took back, is that
// of another visit. What a later message says more of the same one is added.
func TestAVisitUnderANumberUsedBeforeIsAnother(t *testing.T) {
	visit := func(event, class, start, end string) string {
		return msh("ADT^"+event, "x"+event+start+end) + pid + "PV1|1|" + class + strings.Repeat("|", 17) + "V7^^^BVH" + strings.Repeat("|", 25) + start + "|" + end + "\n"
	}
	const morning, noon = "20261103080000", "20261103120000"
	for _, c := range []struct{ name, first, then, want string }{
		{"the same again, with another control id", visit("A04", "O", morning, ""), visit("A01", "O", morning, ""), "in-progress AMB 2026-11-03T08:00:00+00:00 -"},
		{"admitted on the day", visit("A04", "O", morning, ""), visit("A01", "I", noon, ""), "in-progress AMB 2026-11-03T08:00:00+00:00 -"},
		{"the visit of another year", visit("A04", "O", "20250101080000", ""), visit("A04", "O", morning, ""),
			"in-progress AMB 2025-01-01T08:00:00+00:00 -, in-progress AMB 2026-11-03T08:00:00+00:00 -"},
		{"its start comes later", visit("A04", "O", "", ""), visit("A01", "O", morning, ""), "in-progress AMB 2026-11-03T08:00:00+00:00 -"},
		{"its end comes later", visit("A03", "O", morning, ""), visit("A03", "O", morning, noon), "finished AMB 2026-11-03T08:00:00+00:00 2026-11-03T12:00:00+00:00"},
		{"another end", visit("A03", "O", morning, noon), visit("A03", "O", morning, "20261103150000"),
			"finished AMB 2026-11-03T08:00:00+00:00 2026-11-03T12:00:00+00:00, finished AMB 2026-11-03T08:00:00+00:00 2026-11-03T15:00:00+00:00"},
		{"begun after planned", visit("A05", "P", morning, ""), visit("A04", "E", noon, ""), "in-progress EMER 2026-11-03T12:00:00+00:00 -"},
	} {
		st := newStation(t)
		st.submit(msh("ADT^A28", "1") + pid)
		if e1, e2 := st.submit(c.first), st.submit(c.then); e1.What != Took || e2.What != Took {
			t.Fatalf("%s: %+v, %+v", c.name, e1, e2)
		}
		var got []string
		for _, v := range st.all("Encounter") {
			got = append(got, strings.Join([]string{v.Str("status"), v.Str("class", "code"), v.Str("period", "start"), cmp.Or(v.Str("period", "end"), "-")}, " "))
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: got %s, want %s", c.name, text, c.want)
		}
	}
	st := newStation(t)
	st.submit(visit("A05", "O", morning, ""))
	st.edit("Encounter", func(v *fhir.Value) *fhir.Value { return v.With("status", fhir.NewString("cancelled")) })
	st.submit(strings.Replace(visit("A05", "O", morning, ""), "|xA05", "|again", 1))
	if got := len(st.all("Encounter")); got != 1 {
		t.Errorf("a visit that was cancelled here is planned once more: %d", got)
	}
	st.submit(visit("A04", "O", morning, ""))
	if got := len(st.all("Encounter")); got != 2 {
		t.Errorf("a visit that was cancelled and took place after all: %d, want 2", got)
	}
}

// vxu is a dose of a person, by its order's number.
func vxu(control, number, order string) string {
	return msh("VXU^V04", control) + strings.Replace(pid, "079001", number, 1) + "ORC|RE||" + order + "^IIS\nRXA|0|1|20261103||03^MMR^CVX|0.5|mL|||||||||||||||A\n"
}

func TestADoseIsOnceWhateverNumberItComesUnder(t *testing.T) {
	a40 := msh("ADT^A40", "3") + pid + "MRG|079002^^^BYT^NI\n"
	two := msh("ADT^A28", "1") + pid + strings.Replace(msh("ADT^A28", "2")+pid, "079001", "079002", 1)
	for name, files := range map[string][]string{
		"one by one": {two, vxu("4", "079002", "D1"), a40, vxu("5", "079001", "D1")},
		"in a batch": {two, vxu("4", "079002", "D1"), a40 + vxu("5", "079001", "D1")},
		"all in one": {two + vxu("4", "079002", "D1") + a40 + vxu("5", "079001", "D1")},
	} {
		st := newStation(t)
		for _, text := range files {
			if e := st.submit(text); e.What != Took {
				t.Fatalf("%s: %+v", name, e)
			}
		}
		if got := len(st.all("Immunization")); got != 1 {
			t.Errorf("%s: %d doses, want 1", name, got)
		}
	}
}

func TestADoseIsOnceHoweverManyBearItsNumber(t *testing.T) {
	st := newStation(t)
	text := ""
	for i := range 22 { // the first program to send counts its doses anew every day
		number := fmt.Sprint("0790", 10+i)
		text += strings.Replace(msh("ADT^A28", "a"+number)+pid, "079001", number, 1) + vxu("b"+number, number, "1")
	}
	st.submit(text)
	st.submit(strings.ReplaceAll(text, "|b", "|c"))
	if got := len(st.all("Immunization")); got != 22 {
		t.Errorf("%d doses, want 22", got)
	}
}

// A number that its sender uses once more makes no dose vanish, in other messages or in one.
func TestADoseUnderANumberUsedBeforeIsAnother(t *testing.T) {
	st := newStation(t)
	first := vxu("2", "079001", "1")
	dose := func(field int, value string) string {
		before, rxa, _ := strings.Cut(first, "RXA|")
		all := strings.Split(rxa, "|")
		all[field-1] = value
		return before + "RXA|" + strings.Join(all, "|")
	}
	st.submit(msh("ADT^A28", "1") + pid + first)
	for i, c := range []struct {
		text string
		want int
	}{
		{strings.Replace(first, "|2|", "|3|", 1), 1},
		{strings.Replace(first, "|20261103|", "|202611030815|", 1), 1}, // the hour is no other day
		{strings.Replace(first, "|20261103|", "|20271203|", 1), 2},
		{strings.Replace(first, "03^MMR", "10^IPV", 1), 3},
		{strings.Replace(first, "03^MMR", "10^IPV", 1) + "ORC|RE||1^IIS\nRXA|0|1|20261103||08^HepB^CVX|0.5|mL|||||||||||||||A\n", 4},
		{strings.Replace(first, "|20261103|", "|20271203|", 1), 4},
		{dose(20, "RE"), 5}, // refused, and given on the same day
		{dose(20, "CP"), 5},
		{dose(20, "NA"), 5},
		{dose(15, "LOT1"), 5}, // what it lacked
		{dose(15, "lot-1"), 5},
		{dose(15, "LOT12"), 6},
		{dose(6, "0.50"), 6},
		{dose(6, "1"), 7},
	} {
		if e := st.submit(strings.Replace(c.text, "|2|", fmt.Sprintf("|x%d|", i), 1)); e.What != Took {
			t.Fatalf("%d: %+v", i, e)
		}
		if got := len(st.all("Immunization")); got != c.want {
			t.Errorf("%d: %d doses, want %d", i, got, c.want)
		}
	}
	var got []string
	for _, v := range st.all("Immunization") {
		got = append(got, v.Str("status")+" "+v.Str("lotNumber"))
	}
	slices.Sort(got)
	if want := []string{"completed ", "completed ", "completed ", "completed ", "completed LOT1", "completed LOT12", "not-done "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestABatchIsOneAndKnowsItsOwnPeople(t *testing.T) {
	st := newStation(t)
	unknown := strings.Replace(msh("ORU^R01", "3")+pid+orders, "079001", "999", 1)
	text := msh("ADT^A28", "1") + pid + msh("ORU^R01", "2") + pid + orders + unknown
	bad := text + msh("ORM^O01", "4") + pid
	if e := st.submit(bad); e.What != Aside || e.Refusal.Code != "other-message" || e.Refusal.What != "ORM" || st.counts() != "" {
		t.Fatalf("with an order in it: %+v, %s", e, st.counts())
	}
	if list, _ := st.Waiting(); len(list) != 0 {
		t.Errorf("what was set aside waits too: %v", list)
	}
	if e := st.submit(text); e.What != Took || e.Waits != 1 || st.counts() != "Patient 1, DiagnosticReport 1, Observation 1, DocumentReference 2" {
		t.Errorf("%+v, %s", e, st.counts())
	}
}

func TestATakeThatWasCutOffIsRepeatedAsItWas(t *testing.T) {
	st := newStation(t)
	text := msh("ADT^A04", "1") + pid + "PV1|1|O" + strings.Repeat("|", 17) + "V7^^^BVH\n" + msh("ORU^R01", "2") + pid + orders
	for cut := range 6 {
		st.cut(cut, func() { st.submit(text) })
	}
	st.submit(text)
	if want := "Patient 1, Encounter 1, DiagnosticReport 1, Observation 1, DocumentReference 2"; st.counts() != want {
		t.Errorf("holds %s, want %s", st.counts(), want)
	}
}

func TestTheWaitingListHasAnEnd(t *testing.T) {
	st := newStation(t)
	full := make([]Waiting, MaxWaiting)
	for i := range full {
		full[i] = Waiting{ID: fmt.Sprint(i), Why: Unknown}
	}
	if err := st.keepWaiting(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if e := st.submit(msh("ORU^R01", "1") + pid + orders); e.What != Aside || e.Refusal.Code != ListFull {
		t.Errorf("one more: %+v", e)
	}
	if err := st.keepWaiting(t.Context(), full[1:]); err != nil {
		t.Fatal(err)
	}
	if e := st.submit(msh("ORU^R01", "1") + pid + orders); e.What != Waits {
		t.Errorf("with room again: %+v", e)
	}
}

func TestAMessageThatCameTooEarlyIsTakenWhenThePersonIsKnown(t *testing.T) {
	st := newStation(t)
	st.put("early.hl7", msh("ORU^R01", "1")+pid+orders)
	other := strings.Replace(msh("ORU^R01", "2")+strings.Replace(pid, "NGUYỄN", "TRẦN", 1)+orders, "F1", "F2", 1)
	st.put("other.hl7", other)
	st.settle()
	if list, err := st.Waiting(); err != nil || len(list) != 2 || st.counts() != "" {
		t.Fatalf("waiting %v, %v, holds %s", list, err, st.counts())
	}
	st.submit(msh("ADT^A28", "3") + pid)
	st.pass(rethink - time.Second)
	st.pass(time.Second)
	list, err := st.Waiting()
	if err != nil || len(list) != 1 || list[0].Why != OtherName || st.counts() != "Patient 1, DiagnosticReport 1, Observation 1, DocumentReference 2" {
		t.Errorf("waiting %v, %v, holds %s", list, err, st.counts())
	}
	if e := st.submit(other); e.What != Again {
		t.Errorf("what waits sent again: %+v", e)
	}
}
