package web_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tram/agent/health"
	"tram/store"
	"tram/store/account"
	"tram/store/record"
	"tram/store/storetest"
)

// TestRebuiltDatabaseIsTold opens a store that was rebuilt, and lets a nurse and then
// the administrator look at it.
func TestRebuiltDatabaseIsTold(t *testing.T) {
	dir := t.TempDir()
	first, err := store.Open(store.Options{Dir: dir, Name: "tram-a", R4: storetest.R4(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, storetest.Open(t, store.Options{Dir: dir, Name: "tram-a", Rebuild: true}))
	if err := s.web.Accounts().Add(context.Background(), "trang", "Lê Thị Trang", account.Admin, pin, ""); err != nil {
		t.Fatal(err)
	}
	m, err := s.store.Mended()
	if err != nil || m.Aside == "" {
		t.Fatal(m, err)
	}
	b := s.as("trang")
	_, page, _ := b.get("/state")
	want(t, "the page", page, "Cơ sở dữ liệu đã được dựng lại", m.Aside, "Không thiếu gì")
	f := hidden(t, page, "/state/mended")
	if code, _, _ := b.post("/state/mended", with(f, "at", "soon")); code != http.StatusBadRequest {
		t.Errorf("nonsense: %d", code)
	}
	if code, _, to := b.post("/state/mended", with(f, "at", strconv.FormatInt(m.At, 10))); code != http.StatusSeeOther || to != "/state?said=mended" {
		t.Errorf("read: %d to %q", code, to)
	}
	if _, page, _ = b.get("/state"); strings.Contains(page, "/state/mended") {
		t.Error("it is told again")
	}
	if left, err := health.Mended(s.store); left != nil || err != nil {
		t.Errorf("still to be read: %+v, %v", left, err)
	}
	raw, err := s.store.Setting("mended-seen")
	if err != nil || !strings.Contains(string(raw), `"who":"trang"`) || !strings.Contains(string(raw), strconv.FormatInt(s.clock().UnixMilli(), 10)) {
		t.Errorf("who and when: %s, %v", raw, err)
	}
}

// TestAGapOfTheJournalIsTold rebuilds a store whose journal was lost: nobody can say that
// nothing is missing.
func TestAGapOfTheJournalIsTold(t *testing.T) {
	dir := t.TempDir()
	first, err := store.Open(store.Options{Dir: dir, Name: "tram-a", R4: storetest.R4(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.SetSetting(context.Background(), "word", nil), first.Close(), os.RemoveAll(filepath.Join(dir, "journal"))); err != nil {
		t.Fatal(err)
	}
	s := start(t, storetest.Open(t, store.Options{Dir: dir, Name: "tram-a", Rebuild: true}))
	if err := s.web.Accounts().Add(context.Background(), "trang", "Lê Thị Trang", account.Admin, pin, ""); err != nil {
		t.Fatal(err)
	}
	_, page, _ := s.as("trang").get("/state")
	want(t, "the page", page, "Nhật ký từng bị mất 1 đoạn")
	if strings.Contains(page, "Không thiếu gì") {
		t.Error("it says that nothing is missing")
	}
}

// A receipt is for what was answered, too: what the centre did not take is not said to be there.
func TestReceiptsClaimNoMoreThanIsSo(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	b := s.as("quang")
	_, page, _ := b.get("/state")
	want(t, "the state", page, "đã nhận hoặc đã trả lời mọi mục đến số này.</p>")
	s.refuse(record.NotFHIR, v)
	_, page, _ = b.get("/state")
	want(t, "the state with an entry not taken", page, "Trong đó có 1 mục trung tâm không nhận.", `href="/conflicts#parked"`)
}
