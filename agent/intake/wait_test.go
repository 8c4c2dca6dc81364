package intake

import (
	"context"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
)

func TestWhatIsSetAsideWaitsNowhereElse(t *testing.T) {
	text := msh("ADT^A28", "1") + pid + strings.Replace(msh("ORU^R01", "2")+pid+orders, "079001", "999", 1)
	for _, c := range []struct {
		name  string
		fails error
		want  What
	}{
		{"refused for good", &Refusal{Code: Deleted}, Aside},
		{"not now", store.ErrStopped, Held},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation(t)
			take := st.o.Take
			st.o.Take = func(context.Context, []*fhir.Value, string) (Taken, error) { return Taken{}, c.fails }
			if e := st.submit(text); e.What != c.want {
				t.Fatalf("%+v", e)
			}
			if list, err := st.Waiting(); err != nil || len(list) != 0 {
				t.Errorf("waiting %v, %v", list, err)
			}
			st.o.Take = take
			if e := st.submit(text); e.What != Took || e.Waits != 1 || st.counts() != "Patient 1, DocumentReference 1" {
				t.Errorf("then %+v, holds %s", e, st.counts())
			}
		})
	}
}

// The power goes before the n-th word that is written down; nothing is lost or doubled.
func TestAFileCutOffIsTakenAndWaitsOnce(t *testing.T) {
	text := msh("ADT^A28", "1") + pid + strings.Replace(msh("ORU^R01", "2")+pid+orders, "079001", "999", 1)
	for cut := range 4 {
		st := newStation(t)
		st.cut(cut, func() { st.submit(text) })
		st.submit(text)
		if list, err := st.Waiting(); err != nil || len(list) != 1 || st.counts() != "Patient 1, DocumentReference 1" {
			t.Errorf("cut %d: waiting %v, %v, holds %s", cut, list, err, st.counts())
		}
	}
}
