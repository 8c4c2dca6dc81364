// Package practice makes up a Vietnamese commune health station: its staff,
// its people, their days and the edits of their records, as FHIR R4 JSON.
// Training, demos, tests and benchmarks use it.
//
// It promises that all of it follows from a seed and the options: the same
// ones give the same bytes on every amd64 machine; another processor may round
// a measured value differently. It owns the tables of names,
// illnesses, medicines and sentences that it draws from. Nobody in it exists:
// its identifier systems say so, its telephone prefixes belong to no mobile
// network, its personal numbers begin with the province code 099, which is
// not given out.
//
// It knows no store, no network and no clock: the first day and, if wanted,
// the ids are given by the caller.
package practice

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Options shape a station. The zero value is a station of 1,200 people.
type Options struct {
	Name    string        // of the station; default "Trạm Y tế " and the commune
	Commune string        // default: one of the tables' made-up communes
	People  int           // default 1200
	Start   time.Time     // the first working day; only its date counts; default 2026-01-05
	NewID   func() string // called once for each record, in a fixed order; default "practice-1", "practice-2", …
}

// Entry is one record as it is first written.
type Entry struct {
	Kind, ID string
	Resource []byte // compact JSON with resourceType and id, without meta
	Patient  string // id of the Patient it belongs to, the person's own id for a Patient, "" for what all share
	Author   string // user name of the member of staff who writes it
}

// Station is a made-up station. It keeps the days that it has made, because
// what happens on a day depends on those before. It is not safe for use by
// several goroutines at once.
type Station struct {
	tables  *tables
	region  region
	seed    uint64
	name    string
	commune string
	start   day
	newID   func() string

	staff     []staff
	medicines []medicine
	vaccines  []vaccine
	illnesses []illness
	allergens []allergen
	org       string
	places    []string // ids of Locations

	residents int
	people    []*person
	births    []birth
	shared    []Entry
	days      [][]Entry
	notes     []string
}

// New makes the staff and the people; no day yet.
func New(seed uint64, options Options) *Station {
	s := &Station{seed: seed, tables: readTables(namesTable, placesTable, clinicTable, wordsTable), residents: options.People, newID: options.NewID}
	if s.residents <= 0 {
		s.residents = 1200
	}
	if s.newID == nil {
		n := 0
		s.newID = func() string { n++; return "practice-" + strconv.Itoa(n) }
	}
	s.start = civil(2026, 1, 5)
	if !options.Start.IsZero() {
		y, m, d := options.Start.Date()
		s.start = civil(y, int(m), d)
	}
	for s.start.weekend() {
		s.start++
	}
	r := s.random(1, 0)
	s.region = pick(r, s.tables.regions())
	s.commune = options.Commune
	if s.commune == "" {
		s.commune = "Xã " + pick(r, s.region.communes)
	}
	s.name = options.Name
	if s.name == "" {
		s.name = "Trạm Y tế " + s.commune
	}
	s.medicines = s.tables.medicines()
	s.vaccines = s.tables.vaccines()
	s.illnesses = s.tables.illnesses(s.medicines)
	s.allergens = s.tables.allergens()
	s.makeShared(s.random(2, 0))
	s.settle(s.random(3, 0))
	return s
}

// Shared returns what all people share: the Organization, its Locations, the
// Practitioners with a PractitionerRole each, the Medications.
func (s *Station) Shared() []Entry { return append([]Entry(nil), s.shared...) }

// Name is what the station is called.
func (s *Station) Name() string { return s.name }

// Member is one of the staff.
type Member struct {
	User  string // the author of records
	Name  string
	Title string
	ID    string // of the Practitioner
}

// Staff returns the members in a fixed order, the head of the station first.
func (s *Station) Staff() (all []Member) {
	for i := range s.staff {
		one := &s.staff[i]
		all = append(all, Member{one.user, one.fullName(), one.title, one.practitioner})
	}
	return all
}

// People is the number of people that live in the commune on the first day.
func (s *Station) People() int { return s.residents }

// Person returns the Patient of the i-th inhabitant, 0 <= i < People. It is
// the same record that Day writes when it first sees that person.
func (s *Station) Person(i int) Entry {
	if i < 0 || i >= s.residents {
		panic(fmt.Sprintf("practice: person %d of %d", i, s.residents))
	}
	return s.patient(s.people[i])
}

// Day returns the records of the n-th working day, n >= 0, in the order in
// which they are written: 40 visits and about 330 records. References point
// to Shared, to earlier records of the same day or to an earlier day.
func (s *Station) Day(n int) []Entry {
	for len(s.days) <= n {
		s.days = append(s.days, s.work(len(s.days)))
	}
	return append([]Entry(nil), s.days[n]...)
}

// Date returns the civil date of the n-th working day, at midnight local time.
func (s *Station) Date(n int) time.Time { return s.workday(n).at(0) }

// random gives each purpose its own stream, so that one more draw in one
// place does not change all others.
func (s *Station) random(purpose, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, purpose<<48|n))
}

// workday counts Mondays to Fridays from the first day on.
func (s *Station) workday(n int) day {
	d := s.start + day(n/5*7)
	for range n % 5 {
		d++
		for d.weekend() {
			d++
		}
	}
	return d
}

// day is a civil date as days since 1970-01-01.
type day int

func civil(y, m, d int) day {
	return day(time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func (d day) weekend() bool { return (d+3)%7 >= 5 }

// at is the local time of the day, some minutes after midnight.
func (d day) at(minutes float64) time.Time {
	zone := time.FixedZone("", 7*3600)
	return time.Unix(int64(d)*86400-7*3600+int64(minutes*60), 0).In(zone)
}

func (d day) String() string { return d.at(0).Format(time.DateOnly) }

func (d day) year() int { return d.at(0).Year() }

func instant(t time.Time) string { return t.Format("2006-01-02T15:04:05-07:00") }
