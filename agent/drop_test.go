package agent

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/agent/config"
	"tram/agent/intake/mllp"
	"tram/store/record"
	"tram/sync/status"
)

func TestAMachineSendsOverTheNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	a, _ := startStation(t, dir, func(c *config.Config) {
		c.MLLP.Listen, c.Drop.Identifiers, c.Station.Language = address, "BYT=urn:example:cccd", "en"
	})
	var conn net.Conn
	for end := time.Now().Add(20 * time.Second); conn == nil; time.Sleep(20 * time.Millisecond) {
		if conn, err = net.Dial("tcp", address); err != nil && time.Now().After(end) {
			t.Fatal(err)
		}
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	const head = "MSH|^~\\&|LIS|BVH|Tram|TYT|20261103080000||"
	const person = "|P|2.5\rPID|1||079001^^^BYT||Nguyễn^Hoa||19800205|F\r"
	for _, c := range []struct{ text, want string }{
		{head + "ADT^A28|1" + person, "MSA|AA|1|"},
		{head + "ORU^R01|2" + strings.Replace(person, "079001", "9", 1) + "OBR|1|||a\rOBX|1|NM|a||5\r", "MSA|AA|2|"},
		{head + "ORM^O01|3" + person, "MSA|AR|3|This is no message of those"},
	} {
		conn.Write(mllp.Frame([]byte(c.text)))
		if got, err := mllp.Read(in, mllp.MaxFrame); err != nil || !bytes.Contains(got, []byte(c.want)) {
			t.Errorf("got %q, %v; want %s", got, err, c.want)
		}
	}
	if found, err := a.Store().People("079001", 2); err != nil || len(found) != 1 || found[0].Birth != "1980-02-05" {
		t.Errorf("registered %v, %v", found, err)
	}
	if r := a.Report(); r.Messages != 1 || slices.Contains(r.Codes, status.MessagesClosed) {
		t.Errorf("the report says %d messages, codes %v", r.Messages, r.Codes)
	}
	var out, errs bytes.Buffer
	settings := filepath.Join(dir, "tram.toml")
	if err := os.WriteFile(settings, []byte("station.language = \"en\""), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := Main(t.Context(), []string{"--data", dir, "drop"}, &out, &errs); code != ExitFine {
		t.Fatalf("%d: %s", code, &errs)
	}
	for _, want := range []string{"mllp    ADT^A28  1      0      0        0      2", "mllp    ORU^R01  0      0      1", "mllp    ORM^O01  0      0      0        1",
		"1 messages wait", "ORU^R01: Nobody here has the number"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "Hoa") {
		t.Errorf("the report names people:\n%s", &out)
	}
	if code := Main(t.Context(), []string{"--data", dir, "drop", "--day", "x"}, &out, &errs); code != ExitTrouble {
		t.Errorf("a day that is none: %d", code)
	}
}

// A file that refers by any of the station's addresses is about the person here.
func TestAFileMayReferByTheAddressOfTheStation(t *testing.T) {
	a, run := startStation(t, t.TempDir(), func(c *config.Config) { c.API.Listen = "127.0.0.1:0" })
	eventually(t, "the network is answered", func() bool { return len(a.door.State().Addresses) > 0 })
	submit := func(text string) {
		if e, err := a.intake.Submit(t.Context(), "x.json", []byte(text)); err != nil || e.Refusal != nil {
			t.Fatalf("%s: %+v, %v", text, e, err)
		}
	}
	submit(`{"resourceType":"Patient","id":"p","name":[{"text":"X"}]}`)
	_, port, _ := net.SplitHostPort(run.address)
	for i, base := range []string{"http://" + run.address, "http://localhost:" + port, a.door.State().Addresses[0]} {
		id := fmt.Sprint("a", i)
		submit(`{"resourceType":"AllergyIntolerance","id":"` + id + `","code":{"text":"x"},"patient":{"reference":"` + base + `/fhir/Patient/p"}}`)
		st, err := a.Store().Get(record.Key{Kind: "AllergyIntolerance", ID: id})
		if err != nil || !bytes.Contains(st.Shown.Content, []byte(`"reference":"Patient/p"`)) {
			t.Errorf("%s: %s, %v", base, st.Shown.Content, err)
		}
	}
}

// A port that another program has is told as health, and stops nothing else.
func TestATakenPortForMessagesIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, _ := startStation(t, t.TempDir(), func(c *config.Config) { c.MLLP.Listen = l.Addr().String() })
	eventually(t, "the port is told", func() bool { return slices.Contains(a.Report().Codes, status.MessagesClosed) })
}
