package people

import (
	"fmt"
	"runtime"
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
func ids(found []uint64) string {
	var out []string
	for _, n := range found {
		out = append(out, fmt.Sprint("p", n))
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
}

func TestShow(t *testing.T) {
	v := patient(t, "p1", `,"name":[{"family":"Đặng","given":["Thị","Hoà"]},{"text":"Hai"}],"birthDate":"1961-02-03","gender":"female",
		"identifier":[{"system":"http://x"},{"value":"001161002345"},{"value":"DN-4-01"}],"telecom":[{"system":"email","value":"a@b"},{"system":"phone","value":"0912 345 678"}],
		"address":[{"line":["12 A","Thôn 2"],"city":"Huế"},{"text":"Hà Nội"}]`)
	want := Person{ID: "p1", Name: "Đặng Thị Hoà", Birth: "1961-02-03", Gender: "female", Phone: "0912 345 678", Identifier: "001161002345", Address: "12 A, Thôn 2, Huế"}
	if got := Show(v); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Show(patient(t, "p2", "")); got != (Person{ID: "p2"}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestOrderIsByGivenNameAsInVietnam(t *testing.T) {
	want := []string{"Trần Văn An", "Đặng Ân", "Lê Ẩn", "Trần Ấn", "Nguyễn Cường", "Nguyễn Dũng", "Lê Đức", "Trần Đức", "Vũ Ê", "Đỗ Ích", "Lê Oanh", "An Ớt", "Bùi Uyên", "Bùi Ước", "Lê Ý"}
	given := slices.Clone(want)
	slices.Reverse(given)
	var got []string
	for _, n := range index(t, named(given...)...).Find("", 100) {
		got = append(got, given[n-1])
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
	p := empty(t)
	fill(p, n)
	return p
}

func fill(p *Index, n int) {
	family := strings.Fields("Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý")
	middle := strings.Fields("Thị Văn Hữu Đức Ngọc Minh Thanh Xuân Kim Quốc")
	given := strings.Fields("An Ân Bình Châu Cường Dũng Đức Giang Hà Hải Hạnh Hiền Hoà Hoa Hùng Hương Khánh Lan Linh Long Mai Minh Nam Nga Ngọc Phúc Phương Quân Quỳnh Sơn Tâm Thảo Thu Thuỷ Trang Tú Tuấn Uyên Vân Yến")
	for i := range n {
		x := uint32(i) * 2654435761
		set(p, i+1, fmt.Sprintf(`"name":[{"family":%q,"given":[%q,%q]}],"birthDate":"%d-%02d-%02d","identifier":[{"value":"%012d"}],"telecom":[{"system":"phone","value":"09%08d"}]`,
			family[x>>8%16], middle[x>>12%10], given[x>>16%40], 1930+x>>4%95, 1+x>>5%12, 1+x>>7%28, i*7919, x%100000000))
	}
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

// TestFindsWhoIsThere holds the index to a plain list, also after changes.
func TestFindsWhoIsThere(t *testing.T) {
	family, given := []string{"Nguyễn", "Trần", "Đặng", "Lê"}, []string{"Hoà", "Văn An", "Thị Ẩn", "An Nguyên", "Bình"}
	type person struct{ name, birth, phone string }
	p, all := empty(t), map[uint64]person{}
	keep := func(p *Index, n uint64, one person) {
		set(p, int(n), fmt.Sprintf(`"name":[{"text":%q}],"birthDate":%q,"telecom":[{"system":"phone","value":%q}]`, one.name, one.birth, one.phone))
	}
	born := func(n uint64, one person) {
		all[n] = one
		keep(p, n, one)
	}
	kept := func(p *Index, n uint64) someone {
		i := p.at[n]
		return p.blocks[i/blockLen].someone(i % blockLen)
	}
	for n := range uint64(200) {
		born(n+1, person{family[n%4] + " " + given[n%5], fmt.Sprintf("19%02d-03-02", n%100), fmt.Sprintf("09%06d", n*7)})
	}
	has := func(one person, word string) bool {
		date := strings.Split(one.birth, "-")
		return strings.Contains(" "+Fold(one.name), " "+word) || len(word) >= MinNumber && (strings.Contains(one.phone, word) || word == date[0] || word == date[2]+date[1]+date[0])
	}
	for round := range uint64(3) {
		for _, text := range []string{"", "an", "ng", "nguyen an", "tran thi", "0900", "1961", "02031961", "hoa 1940", "nobody", "le 0901"} {
			var want []uint64
			for n, one := range all {
				if !slices.ContainsFunc(strings.Fields(text), func(word string) bool { return !has(one, word) }) {
					want = append(want, n)
				}
			}
			slices.Sort(want)
			if got := p.Numbers(strings.Fields(text)); !slices.Equal(got, want) {
				t.Errorf("round %d, %q: found %v, want %v", round, text, got, want)
			}
			if got := slices.Sorted(slices.Values(p.Find(text, 1000))); !slices.Equal(got, want) {
				t.Errorf("round %d, %q: at the desk %v, want %v", round, text, got, want)
			}
		}
		fresh := empty(t)
		for n, one := range all {
			keep(fresh, n, one)
			if got, want := kept(p, n), kept(fresh, n); got != want {
				t.Errorf("round %d: of %d is kept %+v, want %+v", round, n, got, want)
			}
		}
		gone := round*50 + 1
		delete(all, gone)
		p.Set(gone, record.Key{Kind: "Patient", ID: fmt.Sprint("p", gone)}, nil, Date{})
		born(gone+1, person{"Lê Văn Nguyên", "1961-03-02", "0900000"})
	}
}

// TestIsSmall holds down what the index keeps of a person.
func TestIsSmall(t *testing.T) {
	const n, most = 5000, 300
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	p := empty(t)
	before := heap()
	fill(p, n)
	p.Find("dang hoa", 20)
	got := (heap() - before) / p.Len()
	t.Logf("%d bytes a person", got)
	if got > most {
		t.Errorf("%d bytes a person, want at most %d", got, most)
	}
}

func BenchmarkNamedAmong50000(b *testing.B) {
	p := many(b, 50_000)
	for b.Loop() {
		p.Named([][]string{{"nguyen"}, {"duc"}})
	}
}
