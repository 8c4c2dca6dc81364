package api

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// op is one operation.
type op struct {
	name string
	// ask is its n-th request, for every server that holds the same records the same.
	ask func(n int) request
}

// page is how many records a search asks for.
const page = 50

// ops are all operations. What writes comes behind what reads, so that the answers to
// searches are known.
func (d *drawn) ops() []op {
	return []op{
		{"read", d.read},
		{"search: patient and kind", d.byPatient},
		{"search: code and date", d.byDay},
		{"search: name", d.byName},
		{"create", d.create},
		{"update", d.update},
		{fmt.Sprintf("transaction of %d", entries), d.transaction},
	}
}

// read asks for one record; its content is for tests of the face to judge.
func (d *drawn) read(n int) request {
	key := d.reads[n%len(d.reads)]
	kind, id, _ := bytes.Cut([]byte(key), []byte("/"))
	return request{method: http.MethodGet, path: "/" + key, status: http.StatusOK, right: func(answer []byte) (int, error) {
		return 1, holds(answer, `"resourceType":"`+string(kind)+`"`, `"id":"`+string(id)+`"`)
	}}
}

// byPatient asks for "subject", which is "patient" where that is a Patient: Medplum
// takes a hundred times as long for the latter.
func (d *drawn) byPatient(n int) request {
	p := d.people[n%len(d.people)]
	return search("Observation", url.Values{"subject": {"Patient/" + p.id}}, func(answer []byte) (int, error) {
		return p.observations, exactly(answer, p.observations)
	})
}

// byDay asks for one code on one day, among everybody: what a report of the day needs.
func (d *drawn) byDay(n int) request {
	one := d.days[n%len(d.days)]
	return search("Observation", url.Values{"code": {one.code}, "date": {one.date}}, func(answer []byte) (int, error) {
		return one.observations, exactly(answer, one.observations)
	})
}

// byName looks for one person by two parts of the name. Servers differ in who else
// bears it, as some fold accents and some take what stands within a word.
func (d *drawn) byName(n int) request {
	p := d.named[n%len(d.named)]
	return search("Patient", url.Values{"name": {p.family, p.given}}, func(answer []byte) (int, error) {
		total, err := totalOf(answer)
		switch {
		case err != nil || total > page:
			return total, err
		case total == 0:
			return 0, fmt.Errorf("nobody was found")
		}
		return total, holds(answer, `"id":"`+p.id+`"`)
	})
}

// search asks for the first page of a search.
func search(kind string, asks url.Values, right func([]byte) (int, error)) request {
	asks.Set("_count", strconv.Itoa(page))
	return request{method: http.MethodGet, path: "/" + kind + "?" + asks.Encode(), status: http.StatusOK, right: right}
}

// create lets an Observation be born again; the server names it.
func (d *drawn) create(n int) request {
	o := d.plain[n%len(d.plain)]
	return request{method: http.MethodPost, path: "/Observation", body: unnamed(o.id, o.text), status: http.StatusCreated, right: func(answer []byte) (int, error) {
		return 1, holds(answer, `"resourceType":"Observation"`, `"id":"`, `"versionId":"`)
	}}
}

// update adds a note, another one each time.
func (d *drawn) update(n int) request {
	o := d.plain[n%len(d.plain)]
	note := fmt.Sprintf(`"note":[{"text":"Đo lại lần %d"}]`, n+1)
	body := slices.Concat(bytes.TrimSuffix(o.text, []byte("}")), []byte(","+note+"}"))
	return request{method: http.MethodPut, path: "/Observation/" + o.id, body: body, status: http.StatusOK, right: func(answer []byte) (int, error) {
		return 1, holds(answer, `"id":"`+o.id+`"`, note)
	}}
}

// transaction sends a visit. Every entry has to come to be, whatever a server says of it.
func (d *drawn) transaction(n int) request {
	return request{method: http.MethodPost, body: d.visits[n%len(d.visits)], status: http.StatusOK, right: func(answer []byte) (int, error) {
		if made := bytes.Count(answer, []byte(`"status":"201`)); made != entries {
			return made, fmt.Errorf("%d of %d entries were made", made, entries)
		}
		return entries, nil
	}}
}

// nothing asks who answers nothing.
func nothing(int) request { return request{method: http.MethodGet, path: "/", status: http.StatusOK} }

// holds looks for what an answer must say. All servers send compact JSON; reading it
// as such would take longer than some of them need to make it.
func holds(answer []byte, parts ...string) error {
	for _, p := range parts {
		if !bytes.Contains(answer, []byte(p)) {
			return fmt.Errorf("it does not hold %s", p)
		}
	}
	return nil
}

// exactly holds a page against how many records there are.
func exactly(answer []byte, want int) error {
	total, err := totalOf(answer)
	if err != nil {
		return err
	}
	if here := bytes.Count(answer, []byte(`"resource":{`)); total != want || here != min(want, page) {
		return fmt.Errorf("%d were found and %d came, of %d", total, here, want)
	}
	return nil
}

// totalOf reads Bundle.total.
func totalOf(answer []byte) (int, error) {
	_, after, _ := bytes.Cut(answer, []byte(`"total":`))
	end := bytes.IndexAny(after, ",}")
	if end < 0 {
		return 0, fmt.Errorf("it has no total")
	}
	return strconv.Atoi(string(after[:end]))
}
