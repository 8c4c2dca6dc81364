package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

func TestEmptyFileMeansDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tram.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if want := Default(""); err != nil || got != want {
		t.Errorf("Load(empty) = %+v, %v; want %+v", got, err, want)
	}
}

func TestSampleIsTheDefaultsAndNamesEverySetting(t *testing.T) {
	got, err := Parse([]byte(Sample()), "/")
	if want := Default(""); err != nil || got != want {
		t.Errorf("Parse(Sample()) = %+v, %v; want %+v", got, err, want)
	}
	lines := positions([]byte(Sample()))
	for _, s := range settings() {
		if lines[s.key] == 0 {
			t.Errorf("the sample does not name %s", s.key)
		}
	}
}

func TestEverySettingIsRead(t *testing.T) {
	dir := t.TempDir()
	got, err := Parse([]byte(`
centre.url = "https://10.0.0.1:8643/"
centre.key_exchange = "classic"
[station]
name = "tram-a"
language = "en"
[data]
folder = "data"
journal = '`+filepath.Join(dir, "second")+`'
[keys]
passphrase = "word"
[page]
listen = "[::1]:0"
[api]
listen = "192.168.1.10:8643"
names = " Tram-A.example  tram-a "
certificate = "api.pem"
key = "api.key"
[drop]
folder = "in"
poll = "5s"
done = "36h"
references = "lenient"
identifiers = "BYT=urn:x:1, B = urn:x:2"
[mllp]
listen = "192.168.1.10:2575"
from = "192.168.1.20, ::1"
[stick]
folder = "sticks"
[points]
address = "192.168.1.10:8643"
[sync]
every = "1h"
urgent = "0s"
[log]
level = "debug"
`), dir)
	want := Config{Station{"tram-a", "en"}, Data{filepath.Join(dir, "data"), filepath.Join(dir, "second")},
		Keys{filepath.Join(dir, "word")}, Centre{URL: "https://10.0.0.1:8643", KeyExchange: "classic"}, Page{"[::1]:0"},
		API{"192.168.1.10:8643", "tram-a.example tram-a", filepath.Join(dir, "api.pem"), filepath.Join(dir, "api.key")}, Drop{filepath.Join(dir, "in"), 5 * time.Second, 36 * time.Hour, "lenient", "BYT=urn:x:1, B = urn:x:2"}, MLLP{"192.168.1.10:2575", "192.168.1.20, ::1"},
		Stick{filepath.Join(dir, "sticks")}, Points{"192.168.1.10:8643"}, Sync{time.Hour, 0}, Log{"debug"}}
	if err != nil || got != want {
		t.Errorf("Parse = %+v, %v; want %+v", got, err, want)
	}
	live, restart := Diff(Default(""), got)
	if n := len(live) + len(restart); n != len(settings()) {
		t.Errorf("Diff finds %d of %d settings: %v %v", n, len(settings()), live, restart)
	}
	wantLive := []string{"station.language", "drop.poll", "drop.done", "sync.every", "sync.urgent", "log.level"}
	if !reflect.DeepEqual(live, wantLive) {
		t.Errorf("live = %v, want %v", live, wantLive)
	}
	if live, restart := Diff(got, got); live != nil || restart != nil {
		t.Errorf("Diff of equals = %v, %v", live, restart)
	}
}

func TestBadFilesSayWhereAndWhat(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want Error
	}{
		"not TOML":            {"[page]\nlisten 127", Error{Code: Syntax, Line: 2}},
		"key twice":           {"[log]\nlevel=\"info\"\nlevel=\"warn\"", Error{Code: Syntax, Line: 3}},
		"near miss":           {"\n[drop]\npol = \"3s\"", Error{Code: DidYouMean, Line: 3, Key: "drop.pol", Hint: "drop.poll"}},
		"in the wrong group":  {"[page]\npoll = \"3s\"", Error{Code: DidYouMean, Line: 2, Key: "page.poll", Hint: "drop.poll"}},
		"without a group":     {"listen = \"127.0.0.1:1\"", Error{Code: DidYouMean, Line: 1, Key: "listen", Hint: "page.listen"}},
		"misspelt group":      {"[statoin]\nname = \"a\"", Error{Code: DidYouMean, Line: 1, Key: "statoin", Hint: "[station]"}},
		"no group is near":    {"[foo]\nname = \"a\"", Error{Code: UnknownKey, Line: 1, Key: "foo"}},
		"nothing like it":     {"[log]\ncolour = \"blue\"", Error{Code: UnknownKey, Line: 2, Key: "log.colour"}},
		"deeper than it goes": {"[log.level]\nx = 1", Error{Code: WrongType, Line: 1, Key: "log.level", Hint: "debug"}},
		"group is a text":     {"\nlog = \"info\"", Error{Code: DidYouMean, Line: 2, Key: "log", Hint: "[log]"}},
		"number for text":     {"[drop]\n\npoll = 30", Error{Code: WrongType, Line: 3, Key: "drop.poll", Hint: "30s"}},
		"inline":              {"sync = {every = true}", Error{Code: WrongType, Line: 1, Key: "sync.every", Hint: "5m"}},
		"no unit":             {"[sync]\nevery = \"5\"", Error{Code: BadDuration, Line: 2, Key: "sync.every", Hint: "5m"}},
		"too seldom":          {"[sync]\nevery = \"48h\"", Error{Code: OutOfRange, Line: 2, Key: "sync.every", Hint: "10s – 24h"}},
		"negative":            {"[sync]\nurgent = \"-1s\"", Error{Code: OutOfRange, Line: 2, Key: "sync.urgent", Hint: "0s – 1h"}},
		"no port":             {"[page]\nlisten = \"127.0.0.1\"", Error{Code: BadAddress, Line: 2, Key: "page.listen", Hint: "127.0.0.1:8642"}},
		"port too high":       {"[page]\nlisten = \"127.0.0.1:65536\"", Error{Code: BadAddress, Line: 2, Key: "page.listen", Hint: "127.0.0.1:8642"}},
		"a name":              {"[page]\nlisten = \"pc.example:80\"", Error{Code: BadAddress, Line: 2, Key: "page.listen", Hint: "127.0.0.1:8642"}},
		"page outside":        {"[page]\nlisten = \"192.168.1.10:8642\"", Error{Code: PlainOutside, Line: 2, Key: "page.listen", Hint: "127.0.0.1:8642"}},
		"page everywhere":     {"[page]\nlisten = \"0.0.0.0:80\"", Error{Code: PlainOutside, Line: 2, Key: "page.listen", Hint: "127.0.0.1:80"}},
		"page everywhere, v6": {"[page]\nlisten = \"[::]:80\"", Error{Code: PlainOutside, Line: 2, Key: "page.listen", Hint: "127.0.0.1:80"}},
		"api by name":         {"[api]\nlisten = \"tram-a:8643\"", Error{Code: BadAddress, Line: 2, Key: "api.listen", Hint: "192.168.1.10:8643"}},
		"api on port 0":       {"[api]\nlisten = \"192.168.1.10:0\"", Error{Code: BadAddress, Line: 2, Key: "api.listen", Hint: "192.168.1.10:8643"}},
		"name with a port":    {"[api]\nnames = \"tram-a:8643\"", Error{Code: BadHost, Line: 2, Key: "api.names", Hint: "tram-a.example"}},
		"key alone":           {"[api]\n\nkey = \"k\"", Error{Code: Incomplete, Line: 1, Key: "api.certificate", Hint: "api.key"}},
		"certificate alone":   {"[api]\n\ncertificate = \"c\"", Error{Code: Incomplete, Line: 3, Key: "api.certificate", Hint: "api.key"}},
		"api everywhere":      {"[api]\nlisten = \"0.0.0.0:8643\"", Error{Code: Incomplete, Line: 2, Key: "api.listen", Hint: "api.names"}},
		"plain http":          {"[centre]\nurl = \"http://c:1\"", Error{Code: BadURL, Line: 2, Key: "centre.url", Hint: "https://centre.example:8643"}},
		"a password":          {"[centre]\nurl = \"https://u:p@c\"", Error{Code: BadURL, Line: 2, Key: "centre.url", Hint: "https://centre.example:8643"}},
		"a path":              {"[centre]\nurl = \"https://c/x\"", Error{Code: BadURL, Line: 2, Key: "centre.url", Hint: "https://centre.example:8643"}},
		"port 0":              {"[centre]\nurl = \"https://c:0\"", Error{Code: BadURL, Line: 2, Key: "centre.url", Hint: "https://centre.example:8643"}},
		"capital":             {"[station]\nname = \"Tram\"", Error{Code: BadName, Line: 2, Key: "station.name", Hint: "tram-a"}},
		"language":            {"[station]\nlanguage = \"fr\"", Error{Code: BadChoice, Line: 2, Key: "station.language", Hint: "vi, en"}},
		"line in a folder":    {"[data]\nfolder = \"a\\nb\"", Error{Code: BadFolder, Line: 2, Key: "data.folder", Hint: DefaultFolder() + "/folder"}},
		"the first of two":    {"[log]\nlevel = \"x\"\n[drop]\nfoo = 1", Error{Code: BadChoice, Line: 2, Key: "log.level", Hint: "debug, info, warn, error"}},
	} {
		_, err := Parse([]byte(c.in), "/")
		var got *Error
		if !errors.As(err, &got) {
			t.Errorf("%s: Parse(%q) = %v, want %+v", name, c.in, err, c.want)
			continue
		}
		if filepath.ToSlash(got.Hint) != filepath.ToSlash(c.want.Hint) || got.Code != c.want.Code || got.Line != c.want.Line || got.Key != c.want.Key {
			t.Errorf("%s: Parse(%q) = %+v, want %+v", name, c.in, *got, c.want)
		}
	}
}

// A station whose page was on the network once goes on, with its page on this PC.
func TestPageOutsideLeavesSettingsToUse(t *testing.T) {
	const outside = "[page]\nlisten = \"192.168.1.10:8700\"\n"
	for in, want := range map[string]string{outside + "[log]\nlevel = \"warn\"": "127.0.0.1:8700", outside + "[log]\nlevel = \"x\"": ""} {
		c, err := Parse([]byte(in), "/")
		var bad *Error
		if !errors.As(err, &bad) || c.Page.Listen != want || want != "" && (bad.Code != PlainOutside || c.Log.Level != "warn") {
			t.Errorf("Parse(%q) = %+v, %v; want the page on %q", in, c, err, want)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.toml")
	if err := os.WriteFile(big, []byte(strings.Repeat("#", MaxBytes+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Code{filepath.Join(dir, "none.toml"): NoFile, dir: Unreadable, big: TooLarge} {
		_, err := Load(path)
		var got *Error
		if !errors.As(err, &got) || got.Code != want || got.File != path {
			t.Errorf("Load(%s) = %v, want %s", path, err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "none.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file is not fs.ErrNotExist: %v", err)
	}
}

func TestEveryCodeHasOneSentenceInBothLanguages(t *testing.T) {
	var table map[Code]map[string]string
	if err := toml.Unmarshal(words, &table); err != nil {
		t.Fatal(err)
	}
	if len(table) != len(Codes()) {
		t.Errorf("%d codes have words, there are %d", len(table), len(Codes()))
	}
	for _, code := range Codes() {
		e := &Error{Code: code, File: "FILE", Line: 7, Key: "KEY", Hint: "HINT"}
		vi, en := e.Text("vi"), e.Text("en")
		for _, s := range []string{vi, en} {
			if !strings.HasSuffix(s, ".") || strings.ContainsAny(s, "{}") || strings.Count(s, ". ") > 0 {
				t.Errorf("%s: not one full sentence: %s", code, s)
			}
		}
		if vi == en || e.Error() != en || e.Text("fr") != en {
			t.Errorf("%s: vi %q, en %q", code, vi, en)
		}
	}
}
