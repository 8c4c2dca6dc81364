package match

import (
	"testing"

	"tram/store/fhir"
)

func read(t testing.TB, text string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(`{"resourceType":"Patient",`+text+`}`), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDiffers(t *testing.T) {
	here := `"name":[{"text":"Nguyễn Thị Hoa"},{"use":"nickname","text":"Bé"}],"birthDate":"1985-06-12","gender":"female"`
	for _, c := range []struct {
		name, said string
		want       Trait
	}{
		{"the same", here, ""},
		{"nothing said", `"active":true`, ""},
		{"in parts, turned, without marks", `"name":[{"family":"HOA","given":["Nguyen","Thi"]}]`, ""},
		{"a part of it", `"name":[{"family":"Nguyễn","given":["Hoa"]}]`, ""},
		{"an initial", `"name":[{"family":"Nguyễn","given":["T","Hoa"]}]`, ""},
		{"more than is known", `"name":[{"text":"Nguyễn Thị Hoa Mai"}]`, ""},
		{"the other name", `"name":[{"text":"bé"}]`, ""},
		{"one word differs", `"name":[{"text":"Nguyễn Thị Hồng"}]`, Name},
		{"one word twice", `"name":[{"text":"Hoa Hoa"}]`, Name},
		{"another family", `"name":[{"text":"Trần Thị Hoa"}]`, Name},
		{"the year alone", `"birthDate":"1985"`, ""},
		{"another year", `"birthDate":"1986"`, Birth},
		{"another day", `"birthDate":"1985-06-13"`, Birth},
		{"another sex", `"gender":"male"`, Sex},
		{"a sex that is not known", `"gender":"unknown"`, ""},
	} {
		a, b := read(t, here), read(t, c.said)
		if got := Differs(a, b); got != c.want || Differs(b, a) != got {
			t.Errorf("%s: got %q and %q, want %q", c.name, got, Differs(b, a), c.want)
		}
	}
}

func TestCompleteAddsAndChangesNothing(t *testing.T) {
	here := read(t, `"identifier":[{"system":"a","value":"1"}],"name":[{"text":"Hoa"}],"telecom":[{"system":"phone","value":"0900 000 042"}]`)
	by := read(t, `"identifier":[{"system":"a","value":"1"},{"system":"b","value":"1"}],"name":[{"text":"Mai"}],"telecom":[{"value":"0900000042"},{"value":"1"}],"gender":"female","birthDate":"1985","deceasedBoolean":true,"address":[{"text":"x"}]`)
	want := `{"resourceType":"Patient","identifier":[{"system":"a","value":"1"},{"system":"b","value":"1"}],"name":[{"text":"Hoa"}],"telecom":[{"system":"phone","value":"0900 000 042"},{"value":"1"}],"gender":"female","birthDate":"1985","address":[{"text":"x"}]}`
	got := Complete(here, by)
	if string(got.Bytes()) != want {
		t.Errorf("got  %s\nwant %s", got.Bytes(), want)
	}
	if again := Complete(got, by); again != got {
		t.Errorf("again it is another: %s", again.Bytes())
	}
}

func TestSameConcept(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`"coding":[{"system":"cvx","code":"03"}]`, `"coding":[{"system":"vn","code":"SII"},{"system":"cvx","code":"03","display":"MMR"}]`, true},
		{`"coding":[{"system":"cvx","code":"03"}],"text":"Sởi"`, `"coding":[{"system":"cvx","code":"10"}],"text":"Sởi"`, false},
		{`"text":"Sởi"`, `"coding":[{"system":"cvx","code":"03","display":"SOI"}]`, true},
		{`"text":"Sởi"`, `"text":"Lao"`, false},
	} {
		if got := SameConcept(read(t, c.a), read(t, c.b)); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}

func TestANumberHasASystem(t *testing.T) {
	p := read(t, `"identifier":[{"value":"1"},{"system":"a"},{"system":"a","value":"1"},{"system":"a","value":"1"},{"system":"b","value":"1"}]`)
	if got := Numbers(p); len(got) != 2 || got[0] != (Number{"a", "1"}) || got[1] != (Number{"b", "1"}) {
		t.Errorf("got %v", got)
	}
}
