package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"tram/store/record"
)

// now is the moment that the tests judge at.
const now = int64(1_790_000_000_000)

// good is the report of a station where nothing is wrong.
func good() Report {
	return Report{
		Station: "tram-a", Version: "1.0.0", Made: now, OS: "linux", Arch: "amd64",
		DiskFree: 90 << 30, DiskTotal: 200 << 30, Database: 40 << 20, People: 5200, Records: 61234,
		Tried: now - minute, Synced: now - minute, Up: 3600, Slot: "file",
		Lineage: "abcdefghij234567",
	}
}

// text draws a list of values: "code/severity<why", in order.
func text(values []Health) string {
	var out []string
	for _, h := range values {
		s := string(h.Code) + "/" + string(h.Severity)
		if h.Why != "" {
			s += "<" + string(h.Why)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*Report)
		want string
	}{
		{"nothing wrong", func(*Report) {}, "fine/ok"},
		{"two failures are an ordinary day", func(r *Report) { r.Failures, r.Failure = 2, FailLink }, "fine/ok"},
		{"a third failure is said", func(r *Report) { r.Failures, r.Failure = 3, FailLink }, "no-link/info"},
		{"a refusal is said at once", func(r *Report) { r.Failures, r.Failure = 1, FailRefused }, "centre-refuses/stop"},
		{"a failure that is over is not said", func(r *Report) { r.Failures, r.Failure = 0, FailRefused }, "fine/ok"},
		{"a failure of tomorrow", func(r *Report) { r.Failures, r.Failure = 1, "moon" }, "unknown/warn"},
		{"almost a day behind", func(r *Report) { r.Synced = now - day + 1 }, "fine/ok"},
		{"a day behind", func(r *Report) { r.Synced = now - day }, "behind-1/info"},
		{"three days behind", func(r *Report) { r.Synced = now - 3*day }, "behind-3/warn"},
		{"seven days behind", func(r *Report) { r.Synced = now - 7*day }, "behind-7/warn"},
		{"a moment short of 21 days", func(r *Report) { r.Synced = now - 21*day + 1 }, "behind-7/warn"},
		{"21 days behind", func(r *Report) { r.Synced = now - 21*day }, "behind-21/stop"},
		{"an old entry waits though the link is good", func(r *Report) { r.Oldest, r.Waiting = now-8*day, 1 }, "behind-7/warn"},
		{"no link explains three weeks behind, and comes first", func(r *Report) {
			r.Synced, r.Failures, r.Failure = now-22*day, 400, FailLink
		}, "no-link/info behind-21/stop<no-link"},
		{"a cause outweighs a graver stranger", func(r *Report) {
			r.Synced, r.Failures, r.Failure, r.Conflicts = now-22*day, 400, FailLink, 2
		}, "no-link/info behind-21/stop<no-link conflicts/warn"},
		{"a full disk explains a stopped store", func(r *Report) {
			r.Codes, r.Synced = []Code{StoreStopped, DiskFull}, now-2*day
		}, "disk-full/stop store-stopped/stop<disk-full behind-1/info<disk-full"},
		{"a second PC explains the refusal", func(r *Report) {
			r.Codes, r.Failures, r.Failure = []Code{SecondPC}, 1, FailRefused
		}, "second-pc/stop centre-refuses/stop<second-pc"},
		{"a refused code explains not being enrolled", func(r *Report) {
			r.Codes = []Code{NotEnrolled, EnrolRefused}
		}, "enrol-refused/stop not-enrolled/warn<enrol-refused"},
		{"a chain of causes", func(r *Report) {
			r.Codes, r.Failures, r.Failure, r.Oldest = []Code{NotEnrolled}, 9, FailLink, now-30*day
		}, "no-link/info not-enrolled/warn<no-link behind-21/stop<no-link"},
		{"a stick six days on its way", func(r *Report) { r.Stick = Sticks{Last: 3, Out: 1, Since: now - 7*day + 1} }, "fine/ok"},
		{"a stick a week without an answer explains what waits", func(r *Report) {
			r.Stick, r.Oldest, r.Waiting = Sticks{Last: 3, Taken: 2, Out: 1, Since: now - 8*day}, now-8*day, 2
		}, "stick-out/warn behind-7/warn<stick-out"},
		{"a clock years off is no stick years out", func(r *Report) {
			const off = 730 * day
			r.Made, r.Synced, r.Tried, r.Offset, r.Stick.Since = now-off, now-off, now-off, off, now-off
		}, "clock-doubt/warn"},
		{"a refused stick explains the missing answer", func(r *Report) {
			r.Stick = Sticks{Last: 3, Out: 3, Since: now - 9*day, Refused: StickAltered}
		}, "stick-refused/warn stick-out/warn<stick-refused"},
		{"a stick that was too old is no trouble", func(r *Report) { r.Stick = Sticks{Last: 3, Taken: 3, Refused: StickOld} }, "fine/ok"},
		{"parked entries", func(r *Report) { r.Parked = 2 }, "parked/warn"},
		{"messages wait for somebody", func(r *Report) { r.Messages = 3 }, "messages/warn"},
		{"values that lost", func(r *Report) { r.Untold = 1 }, "untold/info"},
		{"a disk running low, as its store says", func(r *Report) { r.Codes = []Code{DiskLow} }, "disk-low/warn"},
		{"no room for files explains upkeep that failed", func(r *Report) { r.Codes = []Code{UpkeepFailed, DiskNoFiles} }, "disk-no-files/warn upkeep-failed/warn<disk-no-files"},
		{"of two states of the disk the worse is told", func(r *Report) { r.Codes = []Code{DiskLow, DiskFull} }, "disk-full/stop"},
		{"figures of the disk judge nothing", func(r *Report) { r.DiskFree, r.DiskTotal = 1, 10<<30 }, "fine/ok"},
		{"a clock two years off is no two years behind", func(r *Report) {
			const off = 730 * day
			r.Made, r.Synced, r.Tried, r.Offset = now-off, now-off, now-off, off
		}, "clock-doubt/warn"},
		{"a clock in doubt", func(r *Report) { r.Doubt = true }, "clock-doubt/warn"},
		{"seen at the centre, the station is silent", func(r *Report) {
			r.Made, r.Synced = now-4*day, now-4*day
		}, "silent/warn behind-3/warn<silent"},
		{"practice", func(r *Report) { r.Codes = []Code{Practice} }, "practice/info"},
		{"a code of tomorrow is shown", func(r *Report) { r.Codes = []Code{"sunspots"} }, "unknown/warn"},
		{"fine is nothing that a station may claim", func(r *Report) { r.Codes, r.Parked = []Code{Fine}, 1 }, "parked/warn"},
		{"a code said twice counts once", func(r *Report) { r.Codes = []Code{FileAside, FileAside} }, "file-aside/warn"},
		{"figures beyond reason", func(r *Report) {
			r.Made, r.Synced, r.Oldest, r.Offset = math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64
		}, "silent/warn clock-doubt/warn"},
	} {
		r := good()
		c.make(&r)
		if got := text(Judge(r, now)); got != c.want {
			t.Errorf("%s: Judge = %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Every code that a station may raise comes out again, with filled words.
func TestJudgeShowsEveryCode(t *testing.T) {
	for _, code := range Codes() {
		if code == Fine {
			continue
		}
		r := good()
		r.Codes = []Code{code}
		values := Judge(r, now)
		if len(values) != 1 || values[0].Code != code {
			t.Errorf("%s: Judge = %s", code, text(values))
			continue
		}
		for _, lang := range Languages() {
			h := values[0].In(lang)
			if h.Title == "" || h.Todo == "" || strings.ContainsAny(h.Title+h.Todo, "{}") {
				t.Errorf("%s in %s: %q, %q", code, lang, h.Title, h.Todo)
			}
		}
	}
}

func TestEveryFailureIsSaid(t *testing.T) {
	for _, f := range constants(t, ".", "Failure") {
		got := Failure(f).code()
		if got == "" || got == UnknownCode {
			t.Errorf("failure %q shows as %q", f, got)
		}
	}
}

// A weight climbs through a chain only if each cause stands before its effect.
func TestCausesStandBeforeEffects(t *testing.T) {
	rank := map[Code]int{}
	for i, r := range rules() {
		rank[r.code] = i
	}
	for i, r := range rules() {
		for _, e := range r.explains {
			if at, ok := rank[e]; !ok || at <= i {
				t.Errorf("%s explains %s, which stands at %d, not behind %d", r.code, e, at, i)
			}
		}
	}
}

func TestFiguresAreInTheTexts(t *testing.T) {
	r := good()
	r.Synced, r.Oldest, r.Waiting, r.Conflicts = now-9*day, now-8*day, 41, 3
	values := In("vi", Judge(r, now))
	if got, want := values[0].Title, "Đã 9 ngày chưa gửi được"; got != want {
		t.Errorf("title %q, want %q", got, want)
	}
	if got := values[0].Todo; !strings.HasPrefix(got, "Có 41 mục đang chờ") {
		t.Errorf("todo %q, want 41 entries in it", got)
	}
	if got, want := In("en", Judge(r, now))[1].Title, "3 values need your decision"; got != want {
		t.Errorf("title %q, want %q", got, want)
	}
}

// Why a stick was refused is said in the reader's language, with what to do.
func TestRefusedStickSaysWhy(t *testing.T) {
	r := good()
	r.Stick = Sticks{Last: 4, Out: 2, Since: now - 9*day, Refused: StickForeign}
	for lang, want := range map[string][2]string{
		"vi": {"Có USB không được nhận: Không phải cho nơi này", "Hãy chuyển USB đi tiếp, đừng xóa."},
		"en": {"A stick was refused: Not for us", "Hand the stick on; do not delete it."},
	} {
		values := In(lang, Judge(r, now))
		if values[0].Title != want[0] || !strings.HasSuffix(values[0].Todo, want[1]) {
			t.Errorf("%s: %q, %q", lang, values[0].Title, values[0].Todo)
		}
		if values[1].Code != SilentStick || !strings.Contains(values[1].Title, "9") || !strings.Contains(values[1].Todo, ": 2.") {
			t.Errorf("%s: %q, %q", lang, values[1].Title, values[1].Todo)
		}
	}
}

func TestWorstAndWell(t *testing.T) {
	for _, c := range []struct {
		values []Health
		worst  Severity
		well   bool
	}{
		{nil, OK, true},
		{[]Health{{Severity: OK}, {Severity: Info}}, Info, true},
		{[]Health{{Severity: Info}, {Severity: Warn}}, Warn, false},
		{[]Health{{Severity: Stop}, {Severity: Warn}}, Stop, false},
		{[]Health{{Severity: "dire"}}, "dire", false},
	} {
		if got, well := Worst(c.values), Well(c.values); got != c.worst || well != c.well {
			t.Errorf("%s: Worst = %s, Well = %v, want %s, %v", text(c.values), got, well, c.worst, c.well)
		}
	}
}

// stuff sets every field to something as long as its type allows.
func stuff(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			stuff(v.Field(i))
		}
	case reflect.String:
		v.SetString(strings.Repeat("w", 200))
		if v.Type() == reflect.TypeFor[record.Lineage]() {
			v.SetString("abcdefghij234567")
		}
	case reflect.Int64:
		v.SetInt(math.MaxInt64)
	case reflect.Uint64:
		v.SetUint(math.MaxUint64)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 50, 50))
		for i := range v.Len() {
			stuff(v.Index(i))
		}
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func TestReportFitsIntoOneKilobyte(t *testing.T) {
	var worst Report
	stuff(reflect.ValueOf(&worst).Elem())
	worst.Offset = math.MinInt64 // the sign is a byte more
	b := worst.Encode()
	t.Logf("worst case %d bytes, an ordinary report %d", len(b), len(good().Encode()))
	if len(b) > MaxReport {
		t.Errorf("the worst case has %d bytes, want at most %d: %s", len(b), MaxReport, b)
	}
	back, err := Parse(b)
	if err != nil || !reflect.DeepEqual(back, worst.bounded()) {
		t.Errorf("Parse(Encode) = %+v, %v\nwant %+v", back, err, worst.bounded())
	}
}

// The biggest groups travel, the others are added up, and nothing is lost of the sum.
func TestReportGroupsWhatIsContested(t *testing.T) {
	r := good()
	sum := int64(0)
	for i := range 40 {
		n := int64(40 - i)
		r.Contested = append(r.Contested, Group{"MedicationRequest", fmt.Sprint("dosageInstruction.timing", i), "safety", n})
		sum += n
	}
	got, err := Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Contested) < 3 || got.Contested[0] != r.Contested[0] || got.Contested[2] != r.Contested[2] {
		t.Errorf("%d groups, %+v; want the biggest", len(got.Contested), got.Contested)
	}
	for _, g := range got.Contested {
		sum -= g.N
	}
	if got.Rest != sum {
		t.Errorf("the rest is %d, want %d", got.Rest, sum)
	}
	if again, err := Parse(got.Encode()); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("read and said again: %+v, %v\nwant %+v", again, err, got)
	}
}

// No text of a report holds more than what one word is made of, whatever was
// put there.
func TestReportHoldsNoFreeText(t *testing.T) {
	r := good()
	r.Station, r.Version, r.Codes = "Nguyễn Thị Hoa <b>", "1.0 \"x\"", []Code{"a b\n", ""}
	r.Lineage, r.Receipt = "Trần Văn B", Position{Lineage: "x", N: 4}
	got, err := Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if got.Station != "NguynThHoab" || got.Version != "1.0x" || fmt.Sprint(got.Codes) != "[ab]" || got.Lineage != "" || got.Receipt != (Position{}) {
		t.Errorf("got %+v", got)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"a report", string(good().Encode()), true},
		{"fields of tomorrow", `{"s":"tram-a","t":1,"zz":{"deep":[1,2]}}`, true},
		{"a report of tomorrow, longer", `{"s":"tram-a","zz":"` + strings.Repeat("z", 2000) + `"}`, true},
		{"empty", "", false},
		{"no object", `[1]`, false},
		{"another type", `{"s":5}`, false},
		{"half", `{"s":"tram-a"`, false},
		{"far too long", `{"s":"tram-a","zz":"` + strings.Repeat("z", maxRead) + `"}`, false},
	} {
		r, err := Parse([]byte(c.in))
		if (err == nil) != c.ok || (c.ok && r.Station != "tram-a") || (!c.ok && !errors.Is(err, ErrReport)) {
			t.Errorf("%s: Parse = %+v, %v, want ok %v", c.name, r, err, c.ok)
		}
	}
}

func TestHealthOnThePage(t *testing.T) {
	r := good()
	r.Codes = []Code{Practice}
	got, err := json.Marshal(In("en", Judge(r, now)))
	want := `[{"code":"practice","severity":"info","title":"Practice mode","todo":"All people here are made up. Do not enter real patients."}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good().Encode())
	f.Add([]byte(`{"s":"<b>","off":-9223372036854775808,"t":-1,"hc":["no-link","` + strings.Repeat("x", 99) + `"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		if out := r.Encode(); len(out) > MaxReport {
			t.Errorf("%q encodes to %d bytes", b, len(out))
		}
		for _, h := range In("vi", Judge(r, now)) {
			if h.Title == "" || h.Todo == "" || strings.ContainsAny(h.Title+h.Todo, "{}<") {
				t.Errorf("%q shows %+v", b, h)
			}
		}
	})
}
