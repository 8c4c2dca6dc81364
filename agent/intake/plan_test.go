package intake

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tram/store/fhir"
)

// A number that one message of a file adds to a person leads the next one there.
func TestAFileKnowsTheNumbersItAdds(t *testing.T) {
	st := newStation(t)
	old := strings.Replace(pid, "079001", "079002", 1)
	a40 := msh("ADT^A40", "2") + pid + "MRG|079002^^^BYT^NI\n"
	e := st.submit(msh("ADT^A28", "1") + pid + a40 + msh("ORU^R01", "3") + old + orders)
	if e.What != Took || e.Waits != 0 || st.counts() != "Patient 1, DiagnosticReport 1, Observation 1, DocumentReference 3" {
		t.Fatalf("%+v, holds %s", e, st.counts())
	}
	if got := len(st.all("Patient")[0].Get("identifier").Items); got != 2 {
		t.Errorf("%d numbers, want 2", got)
	}
}

func TestWhatIsNoFHIRIsToldWithItsLine(t *testing.T) {
	p := newStation(t).plan()
	for line, text := range []string{`"gender":"female"`, `"gender":"purple"`, `"gender":"male"`} {
		v, err := fhir.Parse([]byte(`{"resourceType":"Patient",`+text+`}`), fhir.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		p.bear(v, fmt.Sprint("p", line), line)
	}
	var r *Refusal
	if err := p.checked(); !errors.As(err, &r) || r.Code != NotFHIR || r.Line != 1 {
		t.Errorf("got %v, want not-fhir at line 1", err)
	}
}
