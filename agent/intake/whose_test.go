package intake

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A desk types a number and not who gave it. Who is registered there is nobody new to a
// message or a table that says who did.
func TestANumberTypedAtADeskIsTheSame(t *testing.T) {
	const typed = `"identifier":[{"value":"079 001"}],`
	her := typed + `"name":[{"text":"Nguyễn Thị ` + secret + `"}],"birthDate":"1980-02-05","gender":"female"`
	for _, c := range []struct {
		name string
		here []string
		text string
		why  Why
		want string
	}{
		{"number, name and birth date", []string{her}, msh("ADT^A04", "1") + pid, "", "Patient 1, DocumentReference 1"},
		{"a result", []string{her}, msh("ORU^R01", "1") + pid + orders, "", "Patient 1, DiagnosticReport 1, Observation 1, DocumentReference 1"},
		{"two records of one person", []string{her, her + `,"link":[{"type":"seealso","other":{"reference":"Patient/p0"}}]`}, msh("ADT^A04", "1") + pid, "", "Patient 2, DocumentReference 1"},
		{"the year alone", []string{strings.Replace(her, "1980-02-05", "1980", 1)}, msh("ADT^A04", "1") + pid, BareNumber, "Patient 1"},
		{"no name", []string{typed + `"birthDate":"1980-02-05"`}, msh("ADT^A08", "1") + pid, BareNumber, "Patient 1"},
		{"two people", []string{her, her}, msh("ADT^A04", "1") + pid, BareNumber, "Patient 2"},
		{"another birth date", []string{strings.Replace(her, "1980", "1981", 1)}, msh("ADT^A04", "1") + pid, "", "Patient 2, DocumentReference 1"},
		{"a number that somebody else gave", []string{strings.Replace(her, `{"value"`, `{"system":"urn:x","value"`, 1)}, msh("ADT^A04", "1") + pid, "", "Patient 2, DocumentReference 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation(t)
			for i, text := range c.here {
				st.register("p"+string(rune('0'+i)), text)
			}
			e := st.submit(c.text)
			list, err := st.Waiting()
			if err != nil || (c.why == "") != (e.What == Took) || st.counts() != c.want {
				t.Fatalf("%+v, %v, holds %s, want %s", e, err, st.counts(), c.want)
			}
			if c.why == "" {
				return
			}
			if len(list) != 1 || list[0].Why != c.why || len(list[0].Here) != len(c.here) {
				t.Fatalf("waiting %+v", list)
			}
			if _, err := st.Attach(t.Context(), list[0].ID, Choice{Person: list[0].Here[0], Who: "hoa", Remember: true}); err != nil {
				t.Fatal(err)
			}
			if e := st.submit(msh("ADT^A04", "2") + pid); e.What != Took || e.Waits != 0 || len(e.Assigned) != 1 {
				t.Errorf("the next one: %+v", e)
			}
		})
	}
}

func TestARowUnderANumberTypedAtADesk(t *testing.T) {
	st := newStation(t)
	if err := os.Mkdir(filepath.Join(st.drop, "maps"), 0o700); err != nil {
		t.Fatal(err)
	}
	st.put("maps/people.map.toml", example(t, "people.map.toml"))
	st.register("p", `"identifier":[{"value":"079185000123"}]`)
	st.put("people.csv", example(t, "people.csv"))
	st.settle()
	if e := st.events[0]; e.What != Aside || e.Refusal.Code != "row-bare-number" || st.counts() != "Patient 1" {
		t.Errorf("%+v, holds %s", e, st.counts())
	}
}
