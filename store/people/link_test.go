package people

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
)

func patient(t testing.TB, id, rest string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"`+id+`"`+rest+`}`), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func links(ids ...string) string {
	var out []string
	for _, id := range ids {
		out = append(out, `{"other":{"reference":"Patient/`+id+`"},"type":"seealso"}`)
	}
	return `"link":[` + strings.Join(out, ",") + `]`
}

func TestJoinedAndPartedIsAsItWas(t *testing.T) {
	for _, rest := range []string{``, `,"active":true`, `,"link":[{"other":{"reference":"RelatedPerson/p2"},"type":"seealso"}],"gender":"male"`,
		`,"multipleBirthInteger":1.0,"link":[{"other":{"reference":"Patient/p3"},"type":"refer"}]`} {
		was := patient(t, "p1", rest)
		joined := Join(was, "p2")
		if got := Links(joined); got[len(got)-1] != "p2" || Join(joined, "p2") != joined {
			t.Errorf("%s: joined it links to %v", rest, got)
		}
		if got := Part(joined, "p2"); string(got.Bytes()) != string(was.Bytes()) {
			t.Errorf("%s: parted it is %s", rest, got.Bytes())
		}
		if Part(was, "p2") != was {
			t.Errorf("%s: parted without a link it is another", rest)
		}
	}
}

func TestLinksAreFollowedToTheirEnd(t *testing.T) {
	p := empty(t)
	want := func(id string, others ...string) {
		t.Helper()
		if got := p.Linked(id); !slices.Equal(got, others) {
			t.Errorf("%s is linked to %v, want %v", id, got, others)
		}
	}
	set(p, 1, links("p2"))
	want("p1", "p2")
	want("p2", "p1")
	set(p, 2, links("p3", "p1"))
	set(p, 3, links("p1", "p3", "gone")) // a circle, itself, and one that is not here
	want("p1", "gone", "p2", "p3")
	want("gone", "p1", "p2", "p3")
	set(p, 3, `"active":true`)
	want("p1", "p2", "p3")
	set(p, 2, `"active":true`)
	set(p, 1, `"active":true`)
	for _, id := range []string{"p1", "p2", "p3", "gone"} {
		want(id)
	}
	if len(p.linked)+len(p.linking) != 0 {
		t.Errorf("links stay behind: %v %v", p.linked, p.linking)
	}
	for i := range 100 {
		set(p, i, links(fmt.Sprint("p", i+1)))
	}
	if got := p.Linked("p50"); len(got) != maxLinked || !slices.Contains(got, "p49") || slices.Contains(got, "p99") {
		t.Errorf("of a chain of 100: %v", got)
	}
}

func TestDoubles(t *testing.T) {
	const hoa = `"name":[{"text":"Trần Thị Hoà"}],"birthDate":"1961-02-03"`
	p := index(t, hoa+`,"identifier":[{"value":"old-1"},{"value":"001161002345"}],"telecom":[{"system":"phone","value":"0912 345 678"}]`,
		`"name":[{"text":"tran thi  HOA"}],"birthDate":"1961-02-03"`,
		`"name":[{"text":"Trần Thị Hòa"}],"birthDate":"1970","telecom":[{"system":"phone","value":"+84 912 345 678"}]`,
		`"name":[{"text":"Lê Na"}],"identifier":[{"value":"0011 6100 2345"}]`,
		`"name":[{"text":"Trần Thị Hoà"}]`,
		`"name":[{"text":"Trần Thị Hoà"}],"birthDate":"1961-09-09"`,
		`"name":[{"text":"Trần Thị Hoà"}],"birthDate":"1975-02-03","identifier":[{"value":"0912345678"}]`, // a phone is no identifier
		`"name":[{"text":"Hoà Trần Thị"}],"birthDate":"1961-02-03"`,
		hoa+`,`+links("p1"),
		`"birthDate":"1961-02-03"`)
	said := func(v *fhir.Value, wide bool) string {
		not := append(p.Linked(v.Str("id")), v.Str("id"))
		var out []string
		for _, h := range p.Doubles(v, wide) {
			if id := fmt.Sprint("p", h.Number); !slices.Contains(not, id) {
				out = append(out, id+":"+string(h.By))
			}
		}
		return strings.Join(out, " ")
	}
	me := patient(t, "p1", `,`+hoa+`,"identifier":[{"value":"old-1"},{"value":"001161002345"}],"telecom":[{"system":"phone","value":"0912 345 678"}]`)
	for _, c := range []struct {
		v    *fhir.Value
		wide bool
		want string
	}{
		{me, false, "p4:number p2:birth p3:phone"},
		{me, true, "p4:number p2:birth p3:phone p5:year p6:year"},
		{patient(t, "new", `,`+hoa), false, "p1:birth p2:birth p9:birth"},
		{patient(t, "new", `,"birthDate":"1961-02-03","identifier":[{"value":"12"}]`), true, ""},
		{patient(t, "new", `,"identifier":[{"value":"OLD 1"}]`), false, "p1:number"},
	} {
		if got := said(c.v, c.wide); got != c.want {
			t.Errorf("doubles of %s, wide %t: %s, want %s", c.v.Bytes(), c.wide, got, c.want)
		}
	}
}

func BenchmarkDoublesAmong50000(b *testing.B) {
	p := many(b, 50_000)
	v := patient(b, "new", `,"name":[{"family":"Đặng","given":["Thị","Hoà"]}],"birthDate":"1961-02-03"`)
	for b.Loop() {
		p.Doubles(v, true)
	}
}
