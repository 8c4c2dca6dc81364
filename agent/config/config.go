// Package config is the settings of a station's program, read strictly from a
// TOML file.
//
// It owns the names of all settings, their defaults, what may stand in each,
// and the words that tell a person what is wrong with a file, in Vietnamese and
// English. It promises that an empty file works, that nothing in a file is
// ever ignored in silence, and that a bad new file never replaces good
// settings. It does not know what the settings do.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// MaxBytes is the largest settings file that is read.
const MaxBytes = 1 << 20

// Config is all settings. It is a plain value: copy it freely.
type Config struct {
	Station Station
	Data    Data
	Keys    Keys
	Centre  Centre
	Page    Page
	API     API
	Drop    Drop
	MLLP    MLLP
	Stick   Stick
	Points  Points
	Sync    Sync
	Log     Log
}

// Station says who this is.
type Station struct {
	Name     string // this replica's name: 1 to 40 of a-z, 0-9 and "-"; "" means the one that enrolment gives
	Language string // what people see: "vi" or "en"
}

// Data says where records live.
type Data struct {
	Folder  string // absolute
	Journal string // absolute, best on a second disk; "" means inside Folder
}

// Keys say how the records are opened, beside what the key slots say themselves.
type Keys struct {
	Passphrase string // absolute path of a file that holds the passphrase; "" means none
}

// Centre says whom to reconcile with.
type Centre struct {
	URL string // "https://host:port"; "" means the station works alone
	// KeyExchange is "hybrid", which a quantum computer of later cannot read either, or
	// "classic", which saves 2.3 kB a connection.
	KeyExchange string
}

// Classic reports whether connections are to leave out what a quantum computer cannot read.
func (c Centre) Classic() bool { return c.KeyExchange == "classic" }

// Page says where the pages are offered, and the FHIR face to programs on this PC.
type Page struct {
	Listen string // "host:port" of this PC alone; port 0 lets the system choose
}

// API says where the FHIR face is offered to the station's network, over TLS.
type API struct {
	Listen      string // "address:port"; "" means that nobody outside this PC is answered
	Names       string // host names under which other PCs know this one, beside the address; blanks part them
	Certificate string // absolute path of a PEM file; "" means that the station makes one itself
	Key         string // absolute path of the certificate's key
}

// Drop is the folder that files are taken from.
type Drop struct {
	Folder     string        // absolute; "" means inside Data.Folder
	Poll       time.Duration // how often the folder is looked at, beside being told of changes
	Done       time.Duration // how long files that were taken stay in it
	References string        // "strict": a reference to nothing sets a file aside; "lenient": it does not
	// Identifiers name the FHIR system of identifiers by who assigns them in HL7 messages:
	// "BYT=http://example.org/cccd, TTYT=urn:oid:1.2.3".
	Identifiers string
}

// Systems are the Identifiers, by authority.
func (d Drop) Systems() map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(d.Identifiers, ",") {
		if name, system, ok := strings.Cut(pair, "="); ok {
			out[strings.TrimSpace(name)] = strings.TrimSpace(system)
		}
	}
	return out
}

// MLLP is where HL7 messages are received over the network.
type MLLP struct {
	Listen string // "host:port"; "" means that none are
	From   string // IP addresses that are heard besides this PC, split by commas
}

// Senders are the addresses of From.
func (m MLLP) Senders() []netip.Addr {
	var out []netip.Addr
	for text := range strings.SplitSeq(m.From, ",") {
		if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// Stick is where USB sticks appear.
type Stick struct {
	Folder string // absolute, a stick's own or one in which sticks are mounted; "" means that none are looked for
}

// Points is where satellite points of this station reach it.
type Points struct {
	Address string // "host:port" on the station's own network; "" means that there are no points
}

// Sync is when the station speaks with its centre.
type Sync struct {
	Every  time.Duration // at least this often
	Urgent time.Duration // this long after an entry was saved
}

// Log is what the program writes about itself.
type Log struct {
	Level string // "debug", "info", "warn" or "error"
}

// Default is the settings of an empty file. An empty dataDir means
// DefaultFolder.
func Default(dataDir string) Config {
	if dataDir == "" {
		dataDir = DefaultFolder()
	}
	return Config{
		Station: Station{Language: "vi"},
		Data:    Data{Folder: dataDir},
		Centre:  Centre{KeyExchange: "hybrid"},
		Page:    Page{Listen: "127.0.0.1:8642"},
		Drop:    Drop{Poll: 30 * time.Second, Done: 7 * 24 * time.Hour, References: "strict"},
		Sync:    Sync{Every: 15 * time.Minute, Urgent: 2 * time.Second},
		Log:     Log{Level: "info"},
	}
}

// DefaultFolder is where this system keeps a service's data: /var/lib/tram, or
// Tram\data below ProgramData on Windows.
func DefaultFolder() string {
	if runtime.GOOS != "windows" {
		return "/var/lib/tram"
	}
	base := os.Getenv("ProgramData")
	if base == "" {
		base = `C:\ProgramData`
	}
	return filepath.Join(base, "Tram", "data")
}

// DefaultFile is where this system keeps a service's settings: /etc/tram/tram.toml,
// or Tram\tram.toml below ProgramData on Windows.
func DefaultFile() string {
	if runtime.GOOS != "windows" {
		return "/etc/tram/tram.toml"
	}
	return filepath.Join(filepath.Dir(DefaultFolder()), "tram.toml")
}

// DropFolder is Drop.Folder, or its place inside the data folder.
func (c Config) DropFolder() string {
	if c.Drop.Folder != "" {
		return c.Drop.Folder
	}
	return filepath.Join(c.Data.Folder, "drop")
}

// JournalFolder is Data.Journal, or its place inside the data folder.
func (c Config) JournalFolder() string {
	if c.Data.Journal != "" {
		return c.Data.Journal
	}
	return filepath.Join(c.Data.Folder, "journal")
}

// Load reads the file over the defaults. Folders in it are relative to the
// folder that the file is in. Every error is an *Error; errors.Is finds
// fs.ErrNotExist in that of a missing file.
func Load(path string) (Config, error) {
	text, err := read(path)
	if err != nil {
		return Config{}, err
	}
	return parse(text, path)
}

// parse is Parse with the file's name in the error.
func parse(text []byte, path string) (Config, error) {
	c, err := Parse(text, filepath.Dir(path))
	var bad *Error
	if errors.As(err, &bad) {
		bad.File = path
		return c, bad
	}
	return c, err
}

// read takes in at most MaxBytes; a file that never ends costs no memory.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Code: NoFile, File: path, cause: err}
	}
	if err != nil {
		return nil, &Error{Code: Unreadable, File: path, cause: err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, &Error{Code: Unreadable, File: path, cause: err}
	}
	if len(text) > MaxBytes {
		return nil, &Error{Code: TooLarge, File: path, Hint: fmt.Sprint(MaxBytes >> 20)}
	}
	return text, nil
}
