package fhir

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func parse(t testing.TB, text string) *Value {
	t.Helper()
	v, err := Parse([]byte(text), DefaultLimits())
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return v
}

func TestBytesKeepWhatWasWritten(t *testing.T) {
	for _, text := range []string{
		`1.0`, `125.00`, `1e-7`, `-0`, `0.1E+5`, `123456789012345678901234567890.10`, `1e999999999999`,
		`true`, `false`, `null`, `""`, `[]`, `{}`, `[1,[2,{"a":null}]]`,
		`{"b":1,"a":2}`,
		`"Nguyễn \"M\" \\ \n\t\r\b\f\u0000\u001f / é 😀"`,
		`{"birthDate":"1988-02","_birthDate":{"id":"bd","extension":[{"url":"http://x","valueDecimal":1.50}]}}`,
		`{"given":["A",null],"_given":[null,{"id":"1"}],"madeUp":{"z":[1.10]}}`,
	} {
		if got := string(parse(t, text).Bytes()); got != text {
			t.Errorf("Parse(%s).Bytes() = %s", text, got)
		}
	}
	for in, want := range map[string]string{
		" [ 1 ,\t2 ]\r\n":              `[1,2]`,
		`"\u0041\/\u00e9\ud83d\uDE00"`: `"A/é😀"`,
	} {
		if got := string(parse(t, in).Bytes()); got != want {
			t.Errorf("Parse(%q).Bytes() = %s, want %s", in, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	small := Limits{Bytes: 60, Depth: 3, Values: 8}
	wide := make([]string, 40)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	for _, c := range []struct {
		name, text, code string
		offset           int
		limits           Limits
	}{
		{"nothing", "", SyntaxEmpty, 0, Limits{}},
		{"white space", " \n", SyntaxEmpty, 2, Limits{}},
		{"two values", `{} {}`, SyntaxTrailing, 3, Limits{}},
		{"duplicate", `{"a":1,"a":2}`, SyntaxDuplicate, 7, Limits{}},
		{"duplicate by escape", `{"a":1,"\u0061":2}`, SyntaxDuplicate, 7, Limits{}},
		{"duplicate among many", `{` + strings.Join(wide, ",") + `,"k3":1}`, SyntaxDuplicate, 311, Limits{}},
		{"duplicate of a late one", `{` + strings.Join(wide, ",") + `,"k39":1}`, SyntaxDuplicate, 311, Limits{}},
		{"byte order mark", "\xEF\xBB\xBF{}", SyntaxBOM, 0, Limits{}},
		{"latin-1", "\"\xe9\"", SyntaxUTF8, 1, Limits{}},
		{"latin-1 after escape", "\"\\n\xe9\"", SyntaxUTF8, 3, Limits{}},
		{"encoded surrogate", "\"\xed\xa0\x80\"", SyntaxUTF8, 1, Limits{}},
		{"high surrogate alone", `"\ud83d"`, SyntaxSurrogate, 1, Limits{}},
		{"high and letter", `"\ud83dA"`, SyntaxSurrogate, 1, Limits{}},
		{"low surrogate first", `"\ude00\ud83d"`, SyntaxSurrogate, 1, Limits{}},
		{"unknown escape", `"\x"`, SyntaxEscape, 1, Limits{}},
		{"short escape", `"\u12"`, SyntaxEscape, 1, Limits{}},
		{"raw newline", "\"a\nb\"", SyntaxControl, 2, Limits{}},
		{"raw newline after escape", "\"\\t\nb\"", SyntaxControl, 3, Limits{}},
		{"cut string", `{"a":"b`, SyntaxTruncated, 7, Limits{}},
		{"cut escape", `"\`, SyntaxTruncated, 2, Limits{}},
		{"cut object", `{"a":1`, SyntaxTruncated, 6, Limits{}},
		{"cut word", `tru`, SyntaxTruncated, 3, Limits{}},
		{"word", `trux`, SyntaxToken, 3, Limits{}},
		{"leading zero", `01`, SyntaxTrailing, 1, Limits{}},
		{"no fraction", `1.`, SyntaxNumber, 0, Limits{}},
		{"no exponent", `1e+`, SyntaxNumber, 0, Limits{}},
		{"minus alone", `-`, SyntaxNumber, 0, Limits{}},
		{"plus", `+1`, SyntaxToken, 0, Limits{}},
		{"NaN", `NaN`, SyntaxToken, 0, Limits{}},
		{"comma at end", `[1,]`, SyntaxToken, 3, Limits{}},
		{"comma at end of object", `{"a":1,}`, SyntaxToken, 7, Limits{}},
		{"no colon", `{"a" 1}`, SyntaxToken, 5, Limits{}},
		{"name is no string", `{a:1}`, SyntaxToken, 1, Limits{}},
		{"comment", `[/**/]`, SyntaxToken, 1, Limits{}},
		{"too deep", `[[[[]]]]`, SyntaxTooDeep, 3, small},
		{"depth bomb", strings.Repeat("[", 1<<20), SyntaxTooDeep, 64, Limits{}},
		{"object bomb", strings.Repeat(`{"a":`, 1<<18), SyntaxTooDeep, 320, Limits{}},
		{"too many", `[1,2,3,4,5,6,7,8,9]`, SyntaxTooMany, 18, small},
		{"too large", strings.Repeat(" ", 61), SyntaxTooLarge, 60, small},
	} {
		v, err := Parse([]byte(c.text), c.limits)
		var e *SyntaxError
		if v != nil || !errors.As(err, &e) || e.Code != c.code || e.Offset != c.offset {
			t.Errorf("%s: Parse(%.60q) = %v, %v; want %s at %d", c.name, c.text, v, err, c.code, c.offset)
		}
	}
	if v, err := Parse([]byte(`[[[1,2,3]]]`), small); err != nil {
		t.Errorf("within the limits: %v, %v", v, err)
	}
}

func TestParseKeepsHugeNumbers(t *testing.T) {
	text := strings.Repeat("9", 1<<20) + "." + strings.Repeat("0", 1<<10) + "e-99999999999999"
	if got := string(parse(t, text).Bytes()); got != text {
		t.Errorf("a number of %d characters came back with %d", len(text), len(got))
	}
}

func TestWith(t *testing.T) {
	v := parse(t, `{"a":1,"b":2,"c":3}`)
	for _, c := range []struct {
		name string
		got  *Value
		want string
	}{
		{"replace in place", v.With("b", NewString("x")), `{"a":1,"b":"x","c":3}`},
		{"append", v.With("d", NewBool(true)), `{"a":1,"b":2,"c":3,"d":true}`},
		{"remove", v.With("a", nil), `{"b":2,"c":3}`},
		{"remove absent", v.With("z", nil), `{"a":1,"b":2,"c":3}`},
		{"of nil", (*Value)(nil).With("a", NewNumber("1.0")), `{"a":1.0}`},
		{"build", NewObject(Field{"a", NewArray(NewNumber("1.50"), nil, &Value{})}, Field{"b", nil}, Field{"c", NewBool(false)}, Field{"a", NewString("\xff")}), `{"a":"�","c":false}`},
		{"array", NewArray(NewNumber("1.50"), nil, &Value{}), `[1.50,null]`},
		{"unchanged", v, `{"a":1,"b":2,"c":3}`},
	} {
		if got := string(c.got.Bytes()); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if got := NewNumber("1.") == nil && NewNumber("") == nil && NewNumber("1 ") == nil; !got {
		t.Error("NewNumber took what is no number")
	}
	if got := v.Str("a", "x") + (*Value)(nil).Str("a") + v.Get("b").Get("c").Str(); got != "" {
		t.Errorf("Str of absent paths = %q", got)
	}
}

func TestEqualAndSame(t *testing.T) {
	for _, c := range []struct {
		a, b        string
		equal, same bool
	}{
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, true, true},
		{`[1,2]`, `[2,1]`, false, false},
		{`1.0`, `1.00`, false, true},
		{`1.0`, `1`, false, true},
		{`10e-1`, `1`, false, true},
		{`0.001E3`, `1e0`, false, true},
		{`-0`, `0.000e5`, false, true},
		{`0e99999999999`, `0`, false, true},
		{`1e99999999999`, `1e99999999999`, true, true},
		{`1e99999999999`, `1e99999999998`, false, false},
		{`1e9999999999999999999999999`, `1e9999999999999999999999998`, false, false},
		{`1e9`, `1000000000`, false, true},
		{`0.1`, `0.10000000000000000000001`, false, false},
		{`9007199254740993`, `9007199254740992`, false, false},
		{`-1`, `1`, false, false},
		{`"1"`, `1`, false, false},
		{`"true"`, `true`, false, false},
		{`null`, `{}`, false, false},
		{`{"a":null}`, `{}`, false, false},
		{`{"a":1}`, `{"b":1}`, false, false},
		{`[[]]`, `[{}]`, false, false},
	} {
		a, b := parse(t, c.a), parse(t, c.b)
		if Equal(a, b) != c.equal || Equal(b, a) != c.equal {
			t.Errorf("Equal(%s, %s) = %v, want %v", c.a, c.b, !c.equal, c.equal)
		}
		if Same(a, b) != c.same || Same(b, a) != c.same {
			t.Errorf("Same(%s, %s) = %v, want %v", c.a, c.b, !c.same, c.same)
		}
	}
	if Equal(nil, parse(t, `null`)) || !Equal(nil, nil) {
		t.Error("absent is not null, and is absent")
	}
}

// random makes a small value; few names and numbers, so that equal ones occur.
func random(g *rand.Rand, depth int) *Value {
	n := g.IntN(7)
	if depth == 0 {
		n = g.IntN(4)
	}
	switch n {
	case 0:
		return NewNumber([]string{"1", "1.0", "10e-1", "-0"}[g.IntN(4)])
	case 1:
		return NewString([]string{"", "1", "\n\"\u2028", "é"}[g.IntN(4)])
	case 2:
		return NewBool(g.IntN(2) == 0)
	case 3:
		return &Value{}
	case 4:
		return NewArray(random(g, depth-1), random(g, depth-1))
	}
	var fields []Field
	for range g.IntN(30) {
		fields = append(fields, Field{fmt.Sprint("k", g.IntN(40)), random(g, depth-1)})
	}
	return NewObject(fields...)
}

func shuffled(g *rand.Rand, v *Value) *Value {
	switch v.Shape {
	case Array:
		items := make([]*Value, len(v.Items))
		for i, x := range v.Items {
			items[i] = shuffled(g, x)
		}
		return &Value{Shape: Array, Items: items}
	case Object:
		fields := make([]Field, len(v.Fields))
		for to, from := range g.Perm(len(v.Fields)) {
			fields[to] = Field{v.Fields[from].Name, shuffled(g, v.Fields[from].Value)}
		}
		return &Value{Shape: Object, Fields: fields}
	}
	return v
}

func TestLawsOfEqualAndCanonical(t *testing.T) {
	for seed := range uint64(300) {
		g := rand.New(rand.NewPCG(seed, 1))
		a, b := random(g, 3), random(g, 2)
		again := parse(t, string(a.Bytes()))
		other := shuffled(g, a)
		switch {
		case !Equal(a, again) || !bytes.Equal(a.Bytes(), again.Bytes()):
			t.Errorf("seed %d: Parse(Bytes()) differs: %s", seed, a.Bytes())
		case !Equal(a, other) || !Same(a, other) || !bytes.Equal(Canonical(a), Canonical(other)):
			t.Errorf("seed %d: the order of fields counts: %s, %s", seed, a.Bytes(), other.Bytes())
		case !Equal(a, parse(t, string(Canonical(a)))):
			t.Errorf("seed %d: Canonical is not equal: %s", seed, a.Bytes())
		case Equal(a, b) != bytes.Equal(Canonical(a), Canonical(b)):
			t.Errorf("seed %d: Equal and Canonical disagree: %s, %s", seed, a.Bytes(), b.Bytes())
		case Equal(a, b) && !Same(a, b):
			t.Errorf("seed %d: Equal but not Same: %s, %s", seed, a.Bytes(), b.Bytes())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1.0,-2e5,"x\u00e9\ud83d\ude00",null,true]}`, `{"a":1,"a":2}`, `[[[`, "\"\xff\"", `1e`, ` {} `, `"\ud800"`} {
		f.Add([]byte(s))
	}
	for _, b := range fixtures(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := Parse(in, DefaultLimits())
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(in) {
				t.Fatalf("Parse(%q) = %v", in, err)
			}
			return
		}
		out := v.Bytes()
		w, err := Parse(out, DefaultLimits())
		if err != nil || !Equal(v, w) || !bytes.Equal(w.Bytes(), out) {
			t.Fatalf("Parse(%q): not a fixpoint: %q, %v", in, out, err)
		}
	})
}
