package web_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tram/sync/carry/stick"
	"tram/sync/merge"
	"tram/sync/status"
	"tram/sync/trust"
)

func TestWaitingPageCountsTheDay(t *testing.T) {
	s := open(t)
	s.born("Patient", hoa, "quang")
	s.pass(time.UnixMilli(1_790_000_000_000).Sub(s.clock()))
	b := s.as("quang")
	_, page, _ := b.get("/waiting")
	want(t, "waiting", page, "Hôm nay ghi 1 mục, trung tâm đã nhận 0.", "1 mục còn chờ", "<svg class=\"bars\"", "Nguyễn Văn Quang")
	_, page, _ = b.get("/state")
	want(t, "state", page, `<svg class="qr"`, "1.2.3", "tram-a")
	if code, page, _ := b.post("/state/check", nil); code != http.StatusOK || !strings.Contains(page, "không có lỗi") {
		t.Errorf("check: %d", code)
	}
}

func TestWaitingPageSaysWhyAndHowMany(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	s.meet(v, edited(v, "1961-02-03", "1961-03-02"), edited(v, "1961-02-03", "1962-02-03"))
	s.failed = status.FailLink
	b := s.as("quang")
	if _, _, to := b.post("/sync", nil); to != "/waiting?said=sync" {
		t.Fatalf("asked for an exchange: to %q", to)
	}
	_, page, _ := b.get("/waiting?said=sync")
	title, _ := status.Words("vi", string(status.NoLink))
	want(t, "waiting", page, "chưa biết gửi được hay chưa", "Lần thử cuối, lúc 05/10/2026 09:00, không thành công", title,
		`Cần bạn <b class="count hot">1</b>`, `<a href="/conflicts">1</a>`, "<small>1 cần chọn giá trị</small>", "Mới chỉ ở đây")
}

// desk is the station at a stick, enrolled with a centre of its own.
func (s *station) desk() *stick.Station {
	s.t.Helper()
	a, err := trust.NewAuthority(s.clock())
	if err != nil {
		s.t.Fatal(err)
	}
	fresh, err := trust.NewIdentity()
	if err != nil {
		s.t.Fatal(err)
	}
	csr, err := fresh.CSR()
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := a.Enrol(csr, "tram-a", s.clock())
	if err != nil {
		s.t.Fatal(err)
	}
	id, err := trust.FinishEnrol(fresh, a.RootPEM(), "tram-a", answer)
	if err != nil {
		s.t.Fatal(err)
	}
	classes, err := merge.DefaultClasses()
	if err != nil {
		s.t.Fatal(err)
	}
	return &stick.Station{Store: s.store, Identity: id, Merger: merge.New(s.store.R4(), classes), Now: func() int64 { return s.clock().UnixMilli() }}
}

func TestWaitingPageSaysHowLongAStickIsOut(t *testing.T) {
	s := open(t)
	s.born("Patient", hoa, "quang")
	d, ctx := s.desk(), context.Background()
	for range 12 {
		if _, err := d.Make(ctx); err != nil {
			t.Fatal(err)
		}
		s.pass(24 * time.Hour)
	}
	if err := d.Note(ctx, status.StickForeign); err != nil {
		t.Fatal(err)
	}
	b := s.as("quang")
	for lang, texts := range map[string][]string{
		"vi": {"12 USB đang trên đường, chưa có trả lời.", "(đã 10 ngày)", "USB số 12, ghi lúc 16/10/2026 09:00", "Không phải cho nơi này. Không nhận gì."},
		"en": {"12 on their way without an answer.", "(for 10 days)", "On its way on stick 12, written 16/10/2026 09:00", "Not for us. Nothing was taken in."},
	} {
		b.post("/language", url.Values{"lang": {lang}, "back": {"/people"}})
		_, page, _ := b.get("/waiting")
		want(t, lang, page, append(texts, `<circle cx="40"`, `class="trip out"`, ">07/10<")...)
		_, proof, _ := b.get("/waiting/proof")
		want(t, lang, proof, texts[0])
		if n := strings.Count(page, "<circle cx=\"") - strings.Count(page, `<circle cx="10"`); n != 10 {
			t.Errorf("%s: %d sticks are drawn, want the last 10", lang, n)
		}
		if raw := regexp.MustCompile(`\b(sticks|waiting)\.[a-z-]+\b|style="`).FindString(page); raw != "" {
			t.Errorf("%s: the page shows %q", lang, raw)
		}
	}
}
