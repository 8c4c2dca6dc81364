package kit

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"tram/installer/place"
	"tram/sync/trust"
)

const maxEnrol = 32 << 10 // bytes

// Enrol is what gives a station its place at the centre: its name, the
// centre's address, the root certificate to trust it by, and a one-time code.
// It never shows the code, in no format, no log and no error.
type Enrol struct {
	Station string
	Centre  string // https address
	Root    string // PEM
	Code    string // one-time, 16 letters and digits in groups of four

	Recovery string // public recovery key of the centre, a line; may be empty
}

type enrolFile struct {
	Station string `json:"station"`
	Centre  string `json:"centre"`
	Root    string `json:"root"`
	Code    string `json:"code"`

	Recovery string `json:"recovery,omitempty"`
}

// String shows which station and centre are meant, and nothing secret.
func (e Enrol) String() string { return e.Station + " at " + e.Centre }

// GoString is String: %#v shows no code either.
func (e Enrol) GoString() string { return e.String() }

// LogValue is String.
func (e Enrol) LogValue() slog.Value { return slog.StringValue(e.String()) }

// MarshalJSON refuses: the only JSON with a code in it is Bytes, for the
// agent's enrol.json.
func (e Enrol) MarshalJSON() ([]byte, error) {
	return nil, errors.New("an enrolment is not written as JSON by itself")
}

// Whole says whether nothing is missing. A kit's file may leave the station's
// name and code out; they are typed in then.
func (e Enrol) Whole() bool { return e.Station != "" && e.Centre != "" && e.Root != "" && e.Code != "" }

// Bytes is the content of the agent's enrol.json.
func (e Enrol) Bytes() ([]byte, error) {
	return json.MarshalIndent(enrolFile(e), "", "  ")
}

// ReadEnrol reads an enrol.json of at most 32 KB. Every field that is there
// must be well-formed; errors name the field and never quote it.
func ReadEnrol(r io.Reader) (Enrol, error) {
	raw, err := place.ReadLimited(r, maxEnrol)
	if err != nil {
		return Enrol{}, fmt.Errorf("read enrolment: %w", err)
	}
	var f enrolFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return Enrol{}, errors.New("enrolment is not JSON")
	}
	e := Enrol{Station: f.Station, Centre: f.Centre, Root: f.Root, Recovery: f.Recovery}
	if f.Recovery != "" && !strings.HasPrefix(f.Recovery, "tram-recovery-") {
		return Enrol{}, errors.New("enrolment: recovery is not a recovery key")
	}
	if f.Station != "" && !StationName(f.Station) {
		return Enrol{}, errors.New("enrolment: station is not a name")
	}
	u, err := url.Parse(f.Centre)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return Enrol{}, errors.New("enrolment: centre is not an https address")
	}
	if !pemCertificates([]byte(f.Root)) {
		return Enrol{}, errors.New("enrolment: root is not a certificate")
	}
	if f.Code != "" {
		code, err := trust.ParseCode(f.Code)
		if err != nil {
			return Enrol{}, fmt.Errorf("enrolment: %w", err)
		}
		e.Code = code.String()
	}
	return e, nil
}

// StationName says whether s may name a station: 1 to 40 lower-case letters,
// digits and hyphens, none at either end.
func StationName(s string) bool {
	if s == "" || len(s) > 40 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range s {
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func pemCertificates(raw []byte) bool {
	seen := false
	for {
		var b *pem.Block
		if b, raw = pem.Decode(raw); b == nil {
			return seen
		}
		if _, err := x509.ParseCertificate(b.Bytes); b.Type != "CERTIFICATE" || err != nil {
			return false
		}
		seen = true
	}
}
