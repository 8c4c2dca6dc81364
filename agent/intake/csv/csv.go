// Package csv reads tables of old programs and devices and says in FHIR R4 what their
// rows hold, by a map that is written once for each kind of table.
//
// It owns the form of the map, character sets, and how a cell becomes a value. It
// promises that a table is read whole or refused with a line, a column and a reason,
// that a number keeps its digits, and that what begins like a formula is text. It is
// pure, and does not know who is registered here.
package csv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/unicode/norm"

	"tram/store/fhir"
)

// The limits of one table.
const (
	MaxBytes   = 16 << 20
	MaxRows    = 5000
	MaxColumns = 200
	MaxRecords = 5000     // people and records of all rows
	MaxText    = 32 << 20 // of all cells and constants, where they are put
)

// Subject is what a row's records refer to as their person.
const Subject = "urn:tram:subject"

// Code says why a table is not taken.
type Code string

// The codes of an Error.
const (
	BadMap   Code = "bad-map"       // the map itself; Place says where
	NotTable Code = "not-csv"       // quotes or columns that do not fit
	Charset  Code = "table-charset" // not in the character set that the map says
	Header   Code = "no-column"     // the table lacks a column of the map
	Cell     Code = "bad-cell"      // What says what it should be
	TooLarge Code = "too-many-rows"
	Nobody   Code = "row-without-person" // a row without the number of a person
)

// Codes lists all codes.
func Codes() []Code {
	return []Code{BadMap, NotTable, Charset, Header, Cell, TooLarge, Nobody}
}

// Error says why a table is not taken, and where. It names columns as the map does, and
// never holds content.
type Error struct {
	Code  Code
	Line  int    // from 1, in the file
	Place string // a column's name, or a path of the map
	What  string // of Cell: number, whole-number, date, time, word or yes-no
}

func (e *Error) Error() string { return fmt.Sprintf("%s at line %d: %s", e.Code, e.Line, e.Place) }

// Row is a row of a table.
type Row struct {
	Line    int
	Person  *fhir.Value // a Patient without id that has a number
	Records []Record
}

// Record is a resource about the row's person, without id.
type Record struct {
	Value *fhir.Value
	// Once says that a record here with its first identifier is the same one, unless it
	// contradicts it.
	Once bool
}

// Read reads a table by a map. Times without a zone are those of zone. Every error is
// an *Error.
func Read(data []byte, m *Map, zone *time.Location) ([]Row, error) {
	if len(data) > MaxBytes {
		return nil, &Error{Code: TooLarge}
	}
	text, err := decode(data, m.Charset)
	if err != nil {
		return nil, err
	}
	text, first := m.body(text)
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = m.comma()
	header, err := r.Read()
	if err != nil {
		return nil, broken(err, first)
	}
	at, err := m.columns(header, first+1)
	if err != nil {
		return nil, err
	}
	var out []Row
	records := 0
	in := &reader{m: m, at: at, zone: zone, left: MaxText}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, broken(err, first)
		}
		line, _ := r.FieldPos(0)
		line += first
		if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			continue
		}
		in.cells = cells
		row, err := in.row(line)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
		if records += 1 + len(row.Records); len(out) > MaxRows || records > MaxRecords {
			return nil, &Error{Code: TooLarge, Line: line}
		}
	}
}

// broken is the reader's error as ours.
func broken(err error, first int) error {
	bad := &Error{Code: NotTable, Line: first + 1}
	var at *csv.ParseError
	if errors.As(err, &at) {
		bad.Line = first + at.Line
	}
	return bad
}

// body is the table from its header on, and how many lines stand before it: those that
// the map skips, and the one by which Excel is told the delimiter.
func (m *Map) body(text string) (string, int) {
	lines := 0
	for ; lines < m.Skip; lines++ {
		_, text, _ = strings.Cut(text, "\n")
	}
	if strings.HasPrefix(strings.ToLower(text), "sep=") {
		_, text, _ = strings.Cut(text, "\n")
		lines++
	}
	return text, lines
}

// decode reads text in a character set; a byte order mark goes before what the map says.
func decode(data []byte, set string) (string, error) {
	var from encoding.Encoding
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		from = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
	case set == "windows-1258":
		from = charmap.Windows1258
	case set == "windows-1252":
		from = charmap.Windows1252
	case set == "iso-8859-1":
		from = charmap.ISO8859_1
	}
	if from != nil {
		var err error
		if data, err = from.NewDecoder().Bytes(data); err != nil || bytes.ContainsRune(data, utf8.RuneError) {
			return "", &Error{Code: Charset, Line: 1}
		}
	}
	if i := invalid(data); i >= 0 {
		return "", &Error{Code: Charset, Line: 1 + bytes.Count(data[:i], []byte("\n"))}
	}
	if !bytes.ContainsRune(data, '\n') { // as old Macs write
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	}
	// Windows-1258 writes marks as letters of their own; names are searched composed.
	return norm.NFC.String(string(data)), nil
}

// invalid is where bytes are no UTF-8, or a control character that no table has; -1 for
// nowhere.
func invalid(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n <= 1 || r < ' ' && r != '\t' && r != '\r' && r != '\n' {
			return i
		}
		i += n
	}
	return -1
}
