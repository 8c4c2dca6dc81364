// Package summary makes of one person's records the International Patient Summary:
// a FHIR R4 document by the guide hl7.fhir.uv.ips 2.0.0, which a person can read and
// other software can take in.
//
// It owns which record stands in which section, the narrative in each language, and
// how the document's parts refer to each other. It promises that the document begins
// with its Composition, that the three required sections are there, that a section
// without records says what is known of that and no more, that every reference leads
// to a part of the document or is none, that an open conflict is marked where a
// person reads it, and that the same input gives the same bytes.
//
// It is pure: no I/O, no clock. It does not know where records are kept, who may see
// them, or what a version is.
package summary

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"tram/store/fhir"
	"tram/store/record"
)

// The profiles that a document says it keeps to.
const (
	bundleProfile      = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
	compositionProfile = "http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"
)

// ErrNoPerson says that a summary was asked for of what is no Patient with an id.
var ErrNoPerson = errors.New("a summary is made of a Patient: hand one in")

// Maker makes documents. It is immutable and safe for concurrent use.
type Maker struct {
	r4    *fhir.R4
	words words
}

// New makes a Maker.
func New(r4 *fhir.R4) (*Maker, error) {
	w, err := readWords()
	if err != nil {
		return nil, err
	}
	return &Maker{r4, w}, nil
}

// About says what a document is made of. No value in it is changed.
type About struct {
	// Person is the Patient that the document is of.
	Person *fhir.Value
	// Records are all of the person, in any order: the compartment, as $everything
	// gathers it. A further Patient is another record of the same person, and what
	// refers to it comes to refer to Person. A tag urn:tram:state|conflict in meta
	// says that a conflict is open.
	Records []*fhir.Value
	// Find looks up what Records refer to and do not hold, such as a Practitioner or a
	// Medication, and returns nil where there is none. It is asked once for each key
	// and may be nil. What refers to another person is not taken over.
	Find func(record.Key) *fhir.Value
	// Station is the Organization that the summary comes from. Without one the
	// author is a Device that stands for this program.
	Station *fhir.Value
	// Attester vouches for the content: a Practitioner, a PractitionerRole or an
	// Organization. Nobody does where it is nil.
	Attester *fhir.Value
	// At is when the summary is made, in the zone in which it is written down.
	At time.Time
	// Language is "vi" or else English.
	Language string
}

// Of makes the document, a Bundle; each of its entries holds the resource by its own
// kind and id. It fails with ErrNoPerson only.
func (m *Maker) Of(a About) (*fhir.Value, error) {
	if a.Person.Str("resourceType") != "Patient" || a.Person.Str("id") == "" {
		return nil, ErrNoPerson
	}
	d := m.begin(a)
	subject := d.part(d.person)
	author := d.part(d.author())
	custodian := d.partOf(a.Station)
	attester := d.attester()
	var list []*fhir.Value
	for _, s := range sections() {
		list = append(list, d.section(s))
	}
	parts := d.entries()
	at := fhir.NewString(a.At.Format(time.RFC3339))
	composition := fhir.NewObject(
		field("resourceType", "Composition"),
		field("id", uuid("Composition/"+d.person)),
		fhir.Field{Name: "meta", Value: profiled(compositionProfile)},
		field("language", d.say.language),
		fhir.Field{Name: "text", Value: d.say.cover(d.held[d.person], d.contested)},
		fhir.Field{Name: "identifier", Value: urn(uuid("Composition/" + d.person))},
		field("status", "final"),
		fhir.Field{Name: "type", Value: loinc("60591-5", "Patient summary Document", "")},
		fhir.Field{Name: "subject", Value: subject},
		fhir.Field{Name: "date", Value: at},
		fhir.Field{Name: "author", Value: fhir.NewArray(author)},
		field("title", d.say.get("title")),
		fhir.Field{Name: "attester", Value: attester},
		fhir.Field{Name: "custodian", Value: custodian},
		fhir.Field{Name: "section", Value: fhir.NewArray(list...)})
	entries := append([]*fhir.Value{entry("Composition/"+d.person, composition)}, parts...)
	return fhir.NewObject(
		field("resourceType", "Bundle"),
		fhir.Field{Name: "meta", Value: profiled(bundleProfile)},
		field("language", d.say.language),
		fhir.Field{Name: "identifier", Value: urn(digest(entries))},
		field("type", "document"),
		fhir.Field{Name: "timestamp", Value: at},
		fhir.Field{Name: "entry", Value: fhir.NewArray(entries...)}), nil
}

// attester tells who vouches, and as what.
func (d *draft) attester() *fhir.Value {
	party := d.partOf(d.a.Attester)
	if party == nil {
		return nil
	}
	mode := "professional"
	if d.a.Attester.Str("resourceType") == "Organization" {
		mode = "official"
	}
	return fhir.NewArray(fhir.NewObject(field("mode", mode), field("time", d.a.At.Format(time.RFC3339)),
		fhir.Field{Name: "party", Value: party}))
}

// uuid draws a UUID from a text, so that the same record has the same name in each
// document.
func uuid(text string) string {
	return uuidOf(sha256.Sum256([]byte("tram summary " + text)))
}

// digest is a UUID of all that a document says, when it says it included.
func digest(entries []*fhir.Value) string {
	h, buf := sha256.New(), []byte(nil)
	for _, e := range entries {
		buf = e.Append(buf[:0])
		h.Write(buf)
	}
	return uuidOf([sha256.Size]byte(h.Sum(nil)))
}

// uuidOf writes the beginning of a digest as a UUID (RFC 9562, version 8).
func uuidOf(b [sha256.Size]byte) string {
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func field(name, text string) fhir.Field {
	return fhir.Field{Name: name, Value: fhir.NewString(text)}
}

func urn(uuid string) *fhir.Value {
	return fhir.NewObject(field("system", "urn:ietf:rfc:3986"), field("value", "urn:uuid:"+uuid))
}

func profiled(url string) *fhir.Value {
	return fhir.NewObject(fhir.Field{Name: "profile", Value: fhir.NewArray(fhir.NewString(url))})
}

// entry is an entry of the document; its fullUrl is drawn from its key.
func entry(key string, resource *fhir.Value) *fhir.Value {
	return fhir.NewObject(field("fullUrl", "urn:uuid:"+uuid(key)), fhir.Field{Name: "resource", Value: resource})
}

func coded(system, code, display, text string) *fhir.Value {
	coding := fhir.NewObject(field("system", system), field("code", code), field("display", display))
	out := fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(coding)})
	if text != "" {
		out = out.With("text", fhir.NewString(text))
	}
	return out
}

func loinc(code, display, text string) *fhir.Value {
	return coded("http://loinc.org", code, display, text)
}
