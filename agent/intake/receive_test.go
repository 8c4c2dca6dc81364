package intake

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/agent/intake/hl7v2"
)

func TestAMessageIsAnsweredWhenItIsKept(t *testing.T) {
	st := newStation(t)
	receive := func(text string) hl7v2.Segment {
		t.Helper()
		all, err := hl7v2.Parse(st.Receive(t.Context(), []byte(strings.ReplaceAll(text, "\n", "\r"))), st.o.Zone)
		if err != nil {
			t.Fatal(err)
		}
		return all[0].Segments[1]
	}
	oru := msh("ORU^R01", "77") + pid + orders
	for _, c := range []struct{ name, text, want string }{
		{"a person", msh("ADT^A28", "1") + pid, "AA"},
		{"a result", oru, "AA"},
		{"the same again", oru, "AA"},
		{"one that waits", strings.Replace(oru, "079001", "9", 1), "AA"},
		{"an order", msh("ORM^O01", "2") + pid, "AR"},
		{"a wrong time", strings.Replace(oru, "19800205", "19801305", 1), "AE"},
		{"noise", "\x01\x02", "AE"},
	} {
		msa := receive(c.text)
		if got := msa.Text(1); got != c.want || strings.Contains(msa.Text(3), secret) || (msa.Text(3) == "") != (got == "AA") {
			t.Errorf("%s: got %s %q, want %s", c.name, got, msa.Text(3), c.want)
		}
	}
	receive(msh("ORM^O01", "2") + pid) // sent again and again
	if list, _ := st.Waiting(); len(list) != 1 || st.counts() != "Patient 1, DiagnosticReport 1, Observation 1, DocumentReference 2" {
		t.Errorf("%d wait, holds %s", len(list), st.counts())
	}
	if n := len(st.tree()); n != 6 {
		t.Errorf("files %q, want three set aside and their notes", st.tree())
	}
	st.cut(0, func() {
		if msa := receive(strings.Replace(oru, "|77|", "|78|", 1)); msa.Text(1) != "AR" {
			t.Errorf("while the store is stopped: %s", msa.Text(1))
		}
	})
	if msa := receive(strings.Replace(oru, "|77|", "|78|", 1)); msa.Text(1) != "AA" {
		t.Errorf("afterwards: %s %s", msa.Text(1), msa.Text(3))
	}
}

func TestMessagesOfTheNetworkDoNotFillAside(t *testing.T) {
	st := newStation(t)
	if err := os.Mkdir(filepath.Join(st.drop, "aside"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 2*maxAside + 1 {
		st.put(fmt.Sprintf("aside/%d", i), "x")
	}
	answer := st.Receive(t.Context(), []byte(msh("ORM^O01", "1")))
	if !strings.Contains(string(answer), "MSA|AR|1|"+(&Refusal{Code: AsideFull}).Text("en")) || len(st.tree()) != 2*maxAside+1 {
		t.Errorf("answered %q, %d files", answer, len(st.tree()))
	}
}
