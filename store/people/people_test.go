package people

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/record"
)

// index makes an index of patients, numbered from 1, their ids p1, p2 and so on.
func index(t testing.TB, patients ...string) *Index {
	p := empty(t)
	for i, rest := range patients {
		set(p, i+1, rest)
	}
	return p
}

func empty(t testing.TB) *Index {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	return New(r4)
}

func set(p *Index, n int, rest string) {
	key := record.Key{Kind: "Patient", ID: fmt.Sprint("p", n)}
	p.Set(uint64(n), key, &record.Version{Key: key, Content: []byte(`{"resourceType":"Patient","id":"` + key.ID + `",` + rest + `}`)}, Date{})
}

func named(names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf(`"name":[{"text":%q}]`, n))
	}
	return out
}

// ids are the ids of who is found.
func ids(found []Person) string {
	var out []string
	for _, f := range found {
		out = append(out, f.ID)
	}
	return strings.Join(out, " ")
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"Ho\xc3\xa0": "hoa", "Hoa\xcc\x80": "hoa", "H\xc3\xb2a": "hoa", "hoa": "hoa", "HO\xc3\x80": "hoa",
		"Đặng": "dang", "ĐẶNG": "dang", "đ": "d", "Nguyễn Thị Ơn": "nguyen thi on", "Ưu": "uu", "Ý": "y",
		"Đắk Lắk": "dak lak", "O'Brien": "o'brien", "": "",
	} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"0912 345-678": "0912345678", "+84 (0)912": "840912", "AB-12/ĐX": "ab12dx", "---": ""} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFindsAsADeskTypes(t *testing.T) {
	p := index(t,
		`"name":[{"family":"Đặng","given":["Thị","Hoà"]}],"birthDate":"1961-02-03","identifier":[{"value":"001161002345"},{"value":"DN-4-01"}],"telecom":[{"system":"phone","value":"0912 345 678"}]`,
		`"name":[{"text":"Trần Văn Hòa","family":"Trần","given":["Văn","Hòa"]},{"family":"Lê"}],"birthDate":"1980-12"`,
		`"name":[{"text":"Bé Na"}],"birthDate":"2026","identifier":[{"value":"12"}]`,
		`"birthDate":"1961-02-03"`)
	for text, want := range map[string]string{
		"dang thi hoa": "p1", "hoa dang": "p1", "HÒA": "p1 p2", "h": "p1 p2", "hoa le": "p2", "tran hoa": "p2",
		"001161002345": "p1", "0911": "", "0912345678": "p1", "0912 345 678": "", "345678": "p1", "2345": "p1", "234": "", "dn401": "p1", "DN-4-01": "p1",
		"03/02/1961": "p4 p1", "3/2/1961": "", "1961-02-03": "p4 p1", "19610203": "p4 p1", "03021961": "p4 p1", "1961": "p4 p1", "02/1961": "",
		"12/1980": "p2", "1980-12": "p2", "2026": "p3", "hoa 1961": "p1", "hoa 2026": "", "na": "p3", "oa": "", "": "p4 p1 p2 p3", "  ": "p4 p1 p2 p3",
	} {
		if got := ids(p.Find(text, 10)); got != want {
			t.Errorf("Find(%q) = %q, want %q", text, got, want)
		}
	}
	if got := ids(p.Find("", 2)); got != "p4 p1" {
		t.Errorf("at most two: %q", got)
	}
	if got := p.Numbers([]string{"hoa"}); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("Numbers = %v", got)
	}
	one := p.Find("dang", 1)[0]
	if want := (Person{ID: "p1", Name: "Đặng Thị Hoà", Birth: "1961-02-03", Phone: "0912 345 678", Identifier: "001161002345"}); one != want {
		t.Errorf("got %+v, want %+v", one, want)
	}
}

func TestOrderIsByGivenNameAsInVietnam(t *testing.T) {
	want := []string{"Trần Văn An", "Đặng Ân", "Lê Ẩn", "Trần Ấn", "Nguyễn Cường", "Nguyễn Dũng", "Lê Đức", "Trần Đức", "Vũ Ê", "Đỗ Ích", "Lê Oanh", "An Ớt", "Bùi Uyên", "Bùi Ước", "Lê Ý"}
	given := slices.Clone(want)
	slices.Reverse(given)
	var got []string
	for _, f := range index(t, named(given...)...).Find("", 100) {
		got = append(got, f.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSetReplacesAndTakesOut(t *testing.T) {
	p := index(t, named("Hoà", "Dũng")...)
	set(p, 1, named("Lan")[0])
	if got := ids(p.Find("hoa", 10)) + "," + ids(p.Find("lan", 10)); got != ",p1" {
		t.Errorf("after a change: %q", got)
	}
	gone := &record.Version{Deleted: true, Content: []byte(`{"resourceType":"Patient"}`)}
	p.Set(1, record.Key{}, gone, Date{})
	p.Set(2, record.Key{}, nil, Date{})
	p.Set(3, record.Key{}, nil, Date{})
	if p.Len() != 0 || len(p.Find("", 10)) != 0 {
		t.Errorf("%d left", p.Len())
	}
}

// many is an index of n made-up people.
func many(t testing.TB, n int) *Index {
	family := strings.Fields("Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý")
	middle := strings.Fields("Thị Văn Hữu Đức Ngọc Minh Thanh Xuân Kim Quốc")
	given := strings.Fields("An Ân Bình Châu Cường Dũng Đức Giang Hà Hải Hạnh Hiền Hoà Hoa Hùng Hương Khánh Lan Linh Long Mai Minh Nam Nga Ngọc Phúc Phương Quân Quỳnh Sơn Tâm Thảo Thu Thuỷ Trang Tú Tuấn Uyên Vân Yến")
	p := empty(t)
	for i := range n {
		x := uint32(i) * 2654435761
		set(p, i+1, fmt.Sprintf(`"name":[{"family":%q,"given":[%q,%q]}],"birthDate":"%d-%02d-%02d","identifier":[{"value":"%012d"}],"telecom":[{"system":"phone","value":"09%08d"}]`,
			family[x>>8%16], middle[x>>12%10], given[x>>16%40], 1930+x>>4%95, 1+x>>5%12, 1+x>>7%28, i*7919, x%100000000))
	}
	return p
}

func BenchmarkFindTwoWordsAmong50000(b *testing.B) {
	p := many(b, 50_000)
	b.ReportAllocs()
	for b.Loop() {
		p.Find("dang hoa", 20)
	}
}

func BenchmarkFindOneLetterAmong50000(b *testing.B) {
	p := many(b, 50_000)
	for b.Loop() {
		p.Find("h", 20)
	}
}

func BenchmarkFindPhoneAmong50000(b *testing.B) {
	p := many(b, 50_000)
	for b.Loop() {
		p.Find("09123", 20)
	}
}

func BenchmarkSet50000(b *testing.B) {
	for b.Loop() {
		many(b, 50_000)
	}
}

// TestSearchGoesThroughAllTexts compares the search that begins with the longest term
// with one that looks at everybody, also after changes.
func TestSearchGoesThroughAllTexts(t *testing.T) {
	family, given := []string{"Nguyễn", "Trần", "Đặng", "Lê"}, []string{"Hoà", "Văn An", "Thị Ẩn", "An Nguyên", "Bình"}
	p := empty(t)
	for n := range 200 {
		name := family[n%len(family)] + " " + given[n%len(given)]
		set(p, n+1, fmt.Sprintf(`"name":[{"text":%q}],"birthDate":"19%02d-03-02","telecom":[{"system":"phone","value":"09%06d"}]`, name, n%100, n*7))
	}
	for round := range 3 {
		for _, text := range []string{"", "an", "ng", "nguyen an", "tran thi", "0900", "1961", "02031961", "hoa 1940", "nobody", "le 0901"} {
			words := terms(strings.Fields(Fold(text)))
			var want []uint64
			for i := range p.all {
				if p.all[i].matches(words) {
					want = append(want, p.all[i].number)
				}
			}
			slices.Sort(want)
			if got := p.Numbers(strings.Fields(Fold(text))); !slices.Equal(got, want) {
				t.Errorf("round %d, %q: found %v, want %v", round, text, got, want)
			}
			if got := len(p.Find(text, 1000)); got != len(want) {
				t.Errorf("round %d, %q: %d at the desk, want %d", round, text, got, len(want))
			}
		}
		p.Set(uint64(round*50+1), record.Key{Kind: "Patient", ID: "p1"}, nil, Date{})
		set(p, round*50+2, `"name":[{"text":"Lê Văn Nguyên"}]`)
	}
}

func BenchmarkNamedAmong50000(b *testing.B) {
	p := many(b, 50_000)
	for b.Loop() {
		p.Named([][]string{{"nguyen"}, {"duc"}})
	}
}
