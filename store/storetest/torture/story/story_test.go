package story

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// told is the model of a story.
func told(t *testing.T, marks ...Mark) *Model {
	t.Helper()
	m := NewModel()
	for _, k := range marks {
		if err := m.Take(k); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func begun(id int64, writes ...Write) Mark {
	return Mark{Word: Begun, ID: id, Asked: Asked{Writes: writes}}
}

func TestCompareTellsWhatMayBeThere(t *testing.T) {
	a, b := Write{Key: "Patient/a", Content: "1"}, Write{Key: "Patient/b", Content: "2"}
	sa, sb := Seen{Key: "Patient/a", Name: "x-1", Content: "1"}, Seen{Key: "Patient/b", Name: "x-2", Content: "2"}
	saved, refused := Mark{Word: Saved, ID: 1, Names: []string{"x-1", "x-2"}}, Mark{Word: Refused, ID: 1}
	for name, c := range map[string]struct {
		story []Mark
		seen  []Seen
		wrong string // "" for nothing
		there bool
	}{
		"saved and there":            {[]Mark{begun(1, a, b), saved}, []Seen{sa, sb}, "", false},
		"saved and gone":             {[]Mark{begun(1, a, b), saved}, []Seen{sa}, "was acknowledged and is not there", false},
		"saved and other":            {[]Mark{begun(1, a, b), saved}, []Seen{sa, {Key: "Patient/b", Name: "x-2", Content: "3"}}, "not as it was acknowledged", false},
		"saved and deleted":          {[]Mark{begun(1, a, b), saved}, []Seen{sa, {Key: "Patient/b", Name: "x-2", Content: "2", Deleted: true}}, "not as it was acknowledged", false},
		"refused and not there":      {[]Mark{begun(1, a, b), refused}, nil, "", false},
		"refused and there":          {[]Mark{begun(1, a, b), refused}, []Seen{sa, sb}, "was refused or never asked for", false},
		"begun and not there":        {[]Mark{begun(1, a, b)}, nil, "", false},
		"begun and there":            {[]Mark{begun(1, a, b)}, []Seen{sb, sa}, "", true},
		"begun and there by half":    {[]Mark{begun(1, a, b)}, []Seen{sa}, "by half", true},
		"begun and there twice":      {[]Mark{begun(1, a)}, []Seen{sa, {Key: "Patient/a", Name: "x-9", Content: "1"}}, "was refused or never asked for", true},
		"a failure that is there":    {[]Mark{begun(1, a), {Word: Unknown, ID: 1}}, []Seen{sa}, "", true},
		"settled there, and gone":    {[]Mark{begun(1, a), {Word: Settled, ID: 1, There: true, Names: []string{"x-1"}}}, nil, "was acknowledged and is not there", false},
		"settled gone, and there":    {[]Mark{begun(1, a), {Word: Settled, ID: 1}}, []Seen{sa}, "was refused or never asked for", false},
		"one version under one name": {[]Mark{begun(1, a, b), saved}, []Seen{sa, sb, sb}, "is there twice", false},
	} {
		wrong, there := told(t, c.story...).Compare(c.seen)
		if got := strings.Join(wrong, "; "); (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: wrong is %q, want %q", name, got, c.wrong)
		}
		if (len(there[1]) > 0) != c.there {
			t.Errorf("%s: there is %v, want %t", name, there, c.there)
		}
	}
}

func TestStoryIsReadAsItWasTold(t *testing.T) {
	var b bytes.Buffer
	teller := NewTeller(&b, 7)
	id, err := teller.Begin(Asked{Setting: &Setting{"a", "Hoà\n"}})
	if err != nil || id != 8 {
		t.Fatalf("number %d, %v; want 8", id, err)
	}
	if err := teller.Tell(Mark{Word: Saved, ID: id}); err != nil {
		t.Fatal(err)
	}
	b.WriteString(`{"is":"begun","id":9`) // cut short
	got, err := Parse(b.Bytes())
	want := []Mark{{Word: Begun, ID: 8, Asked: Asked{Setting: &Setting{"a", "Hoà\n"}}}, {Word: Saved, ID: 8}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if m := told(t, got...); m.Settings["a"] != "Hoà\n" || len(m.Open) != 0 {
		t.Errorf("the model holds %q and %v", m.Settings, m.Open)
	}
	if err := NewModel().Take(Mark{Word: Saved, ID: 1}); err == nil {
		t.Error("an answer without a question was taken")
	}
}
