package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
)

func TestTakenIDGetsANumberOfItsOwn(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	b := s.as("trang")
	at := "/record/" + v.Key.String()
	if code, _, _ := b.post(at+"/reissue", nil); code != http.StatusConflict {
		t.Errorf("a number that nobody took is given up: %d", code)
	}
	said := []record.Answer{{Key: v.Key, Ref: v.Ref(), Verdict: record.Parked, Reason: record.IDTaken}}
	if err := s.store.Apply(context.Background(), record.Stretch{Peer: store.Upstream, Answers: said}); err != nil {
		t.Fatal(err)
	}
	_, page, _ := b.get(at)
	want(t, "record", page, "Cần bạn", at+"/reissue", "cấp số mới")
	code, _, to := b.post(at+"/reissue", nil)
	if code != http.StatusSeeOther || to == at {
		t.Fatalf("reissue: %d to %s", code, to)
	}
	if code, _, _ := b.get(at); code != http.StatusNotFound {
		t.Errorf("under the old number: %d", code)
	}
	if _, page, _ := b.get(to); !strings.Contains(page, "Hoà") {
		t.Errorf("under the new number, %s: the person is not there", to)
	}
}
