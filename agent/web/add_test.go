package web_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestVisitAndAllergyAreSaved(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "trang")
	b := s.as("quang")
	visit := "/person/" + p.Key.ID + "/visit"
	_, page, _ := b.get(visit)
	f := with(hidden(t, page, visit), "when", "05/10/2026 08:30", "reason", "Ho, sốt", "pulse", "88", "systolic", "130", "temperature", "37,80", "note", "Hẹn khám lại")
	code, page, _ := b.post(visit, f)
	if code != http.StatusUnprocessableEntity || !strings.Contains(page, "cả hai số") || !strings.Contains(page, "Hẹn khám lại") {
		t.Fatalf("half a blood pressure: %d", code)
	}
	if code, page, _ = b.post(visit, with(f, "diastolic", "39")); code != http.StatusUnprocessableEntity || !strings.Contains(page, "ít gặp") {
		t.Fatalf("an unusual value: %d", code)
	}
	if code, _, _ = b.post(visit, with(f, "diastolic", "85")); code != http.StatusSeeOther {
		t.Fatalf("save: %d", code)
	}
	if code, _, _ = b.post(visit, f); code != http.StatusSeeOther {
		t.Errorf("sent twice: %d", code)
	}
	// A browser that went back asks for the form anew, and gets new ids.
	_, page, _ = b.get(visit)
	again := with(hidden(t, page, visit), "when", "05/10/2026 08:31", "reason", "Ho, sốt", "pulse", "88")
	if code, page, _ = b.post(visit, again); code != http.StatusUnprocessableEntity || !strings.Contains(page, "lưu hai lần") {
		t.Errorf("saved again from a fresh form: %d, want to be asked back", code)
	}
	allergy := "/person/" + p.Key.ID + "/allergy"
	typed := []string{"substance", "Penicillin", "criticality", "high", "category", "medication", "reaction", "Nổi mề đay", "certainty", "confirmed"}
	_, page, _ = b.get(allergy)
	if code, _, _ = b.post("/draft", with(hidden(t, page, allergy), append(typed, "draft_path", allergy)...)); code != http.StatusNoContent {
		t.Fatalf("the draft of an allergy: %d", code)
	}
	_, page, _ = b.get(allergy)
	want(t, "the draft", page, `<option value="confirmed" selected>`)
	if code, _, _ = b.post(allergy, with(hidden(t, page, allergy), typed...)); code != http.StatusSeeOther {
		t.Fatalf("allergy: %d", code)
	}
	_, page, _ = b.get(allergy)
	if code, page, _ = b.post(allergy, with(hidden(t, page, allergy), typed...)); code != http.StatusUnprocessableEntity || !strings.Contains(page, "lưu hai lần") {
		t.Errorf("the allergy once more: %d, want to be asked back", code)
	}
	_, page, _ = b.get("/person/" + p.Key.ID)
	want(t, "the person", page, "Ho, sốt", "130/85 mmHg", "37,80 °C", "88 lần/phút", "Hẹn khám lại", "Dị ứng và lưu ý", "Penicillin", "Nổi mề đay", "nguy cơ cao (còn hiệu lực, chắc chắn)", "05/10/2026 08:30", "Đã lưu ở đây")
	c, err := s.store.Waiting()
	if err != nil || c.Records != 7 {
		t.Errorf("%d records (%v), want the person, a visit, four observations and an allergy", c.Records, err)
	}
}

// What is wrong has the cursor, and only what may be right after all can be confirmed.
func TestRefusedFormLeadsToWhatIsWrong(t *testing.T) {
	s := open(t)
	v := s.born("Patient", `,"name":[{"text":"Đặng Bé"}],"birthDate":"2026-06-01"`, "quang")
	b := s.as("quang")
	visit := "/person/" + v.Key.ID + "/visit"
	_, page, _ := b.get(visit)
	form := with(hidden(t, page, visit), "when", "05/10/2026 08:30", "pulse", "8o", "weight", "62")
	code, page, _ := b.post(visit, form)
	if code != http.StatusUnprocessableEntity || strings.Contains(page, `name="sure"`) {
		t.Errorf("a value that is none can be confirmed: %d", code)
	}
	want(t, "the form", page, `inputmode="decimal" aria-invalid="true" aria-describedby="e-pulse" autofocus`, "không hợp với tuổi")
	code, page, _ = b.post(visit, with(form, "pulse", "120"))
	if code != http.StatusUnprocessableEntity || len(s.all("Encounter")) != 0 {
		t.Errorf("an adult's weight for a baby: %d", code)
	}
	want(t, "asked", page, `name="sure"`, `aria-describedby="e-weight" autofocus`)
	if code, _, _ := b.post(visit, with(form, "sure", "1")); code != http.StatusSeeOther {
		t.Errorf("confirmed: %d", code)
	}
}
