package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tram/sync/status"
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
		`Cần bạn <b class="count hot">1</b>`, `<a href="/conflicts">1</a>`, "0 trung tâm không nhận, 1 cần chọn giá trị")
}
