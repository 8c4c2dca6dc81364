package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"tram/store/record"
	"tram/sync/status"
)

const life = record.Lineage("abcdefghij234567")

// day is a certificate with something of everything.
func day() Certificate {
	link := record.Link{Lineage: life, N: 7, Chain: record.Sum([]byte("x"))}
	return Certificate{Form: Form, Station: "tram-a", Version: "1", Day: "2026-11-27", Zone: 420, From: 1, To: 2, Made: 1_795_000_000_000, Doubt: true,
		Lineages: []record.Link{link}, Entries: 4, Partial: true, Doubtful: 1, Cause: status.NoLink, Returned: 3, Others: 5,
		Received: []Received{{record.Receipt{Link: link, Epoch: "e", At: 5, Sig: []byte("sig")}, []uint64{3, 7}, map[string]int{"Patient": 1, "Flag": 1}}},
		Waiting: []Group{{Parked, record.IDTaken, []record.Name{{Lineage: life, N: 8}}, map[string]int{"Patient": 1}},
			{Unsent, "", []record.Name{{Lineage: life, N: 9}}, map[string]int{"Observation": 1}}},
		Feeds: []Feed{{record.Cursor{Feed: "own", Seq: 4}, record.Sum()}, {record.Cursor{Feed: "shared"}, record.Sum()}}, Last: Last{6, true}}
}

func TestFileComesBack(t *testing.T) {
	b, digest, err := Encode(day())
	if err != nil {
		t.Fatal(err)
	}
	got, same, err := Decode(b)
	if err != nil || same != digest || !reflect.DeepEqual(got, day()) {
		t.Errorf("got %+v, %s, %v\nwant %+v, %s", got, same, err, day(), digest)
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, b); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Decode(flat.Bytes()); err != nil {
		t.Errorf("without white space: %v", err)
	}
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"a count":           {strings.Replace(string(b), `"entries": 4`, `"entries": 5`, 1), ErrAltered},
		"the digest":        {strings.Replace(string(b), digest.String(), record.Sum([]byte("y")).String(), 1), ErrAltered},
		"no certificate":    {`{"digest":"` + digest.String() + `"}`, ErrForm},
		"a list":            {`[]`, ErrForm},
		"half":              {string(b[:len(b)/2]), ErrForm},
		"longer than a day": {string(b) + strings.Repeat(" ", MaxFile), ErrForm},
	} {
		if c.in == string(b) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, _, err := Decode([]byte(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What a later program wrote beside the known fields is ignored, and a form that is
// not known is refused.
func TestFileOfTomorrow(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want error
	}{"a field": {`{"form":1,"station":"tram-a","moon":7}`, nil}, "a form": {`{"form":2}`, ErrForm}} {
		got, _, err := Decode([]byte(`{"certificate":` + c.body + `,"digest":"` + digest([]byte(c.body)).String() + `"}`))
		if !errors.Is(err, c.want) || c.want == nil && got.Station != "tram-a" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestCertificateInWords(t *testing.T) {
	for lang, wants := range map[string][]string{
		"vi": {"trạm tram-a, ngày 27/11/2026", "Ghi 4 mục, trung tâm đã nhận 2, còn chờ 2.", "giờ +07:00", "Hồ sơ khác đã dùng số này", "hai bên giống nhau"},
		"en": {"station tram-a, 27/11/2026", "4 entries, 2 received by the centre, 2 wait.", "UTC+07:00", "2 entries by its receipt for book " + string(life) + " up to 7", "<Flag> 1, <Patient> 1",
			"Another record has the same number", "Not sent yet; they go by themselves at the next connection. No link to the centre.", "both sides were equal", "5 entries of other days", "3 more came back from the centre", "clock may have been wrong"},
	} {
		sections, err := Sections(day(), record.Sum([]byte("d")), lang, func(k string) string { return "<" + k + ">" })
		if err != nil {
			t.Fatal(err)
		}
		text := Text(sections)
		for _, want := range append(wants, record.Sum([]byte("d")).String(), record.Sum([]byte("x")).String()) {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q in\n%s", lang, want, text)
			}
		}
		if strings.ContainsAny(text, "{}") {
			t.Errorf("%s has an empty place:\n%s", lang, text)
		}
	}
}

func TestBothLanguagesSayTheSame(t *testing.T) {
	var table map[string]map[string]string
	if err := toml.Unmarshal(wordsTable, &table); err != nil {
		t.Fatal(err)
	}
	if len(table["vi"]) == 0 || !slices.Equal(slices.Sorted(maps.Keys(table["vi"])), slices.Sorted(maps.Keys(table["en"]))) {
		t.Errorf("the keys differ: %v", table)
	}
	for key, text := range table["vi"] {
		if strings.Count(text, "{") != strings.Count(table["en"][key], "{") {
			t.Errorf("%s has other places in Vietnamese", key)
		}
	}
	for _, w := range Whys() {
		if table["vi"]["why-"+string(w)] == "" {
			t.Errorf("no words for %s", w)
		}
	}
}
