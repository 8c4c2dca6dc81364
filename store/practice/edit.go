package practice

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Edit is one change of one top-level element of a record that a day made.
type Edit struct {
	Kind, ID  string
	Patient   string
	Author    string // user name of who changes it
	Element   string // its name in JSON, for example "telecom" or "valueQuantity"
	Base, New []byte // the whole resource before and after
	Class     string // ClassSafety, ClassAdministrative or ClassMonotonic
}

// What an edit touches. What a merge makes of it is the merge's business.
const (
	ClassSafety         = "safety"
	ClassAdministrative = "administrative"
	ClassMonotonic      = "monotonic"
)

// editWithin is how many working days after its making a record is edited at
// the latest.
const editWithin = 14

// Edits returns up to count edits that are made on the n-th working day, of
// records of that day and of the 14 before. A record is edited at most once,
// so that Base is the record as Day made it, whatever other days edit. About
// 100 edits are there on the first day and 330 on a later one.
func (s *Station) Edits(n, count int) []Edit {
	var found []Entry
	for made := max(0, n-editWithin); made <= n; made++ {
		lags := s.random(6, uint64(made))
		for _, e := range s.Day(made) {
			lag := 0
			if lags.IntN(10) > 2 {
				lag = 1 + lags.IntN(editWithin)
			}
			if made+lag == n {
				found = append(found, e)
			}
		}
	}
	r := s.random(7, uint64(n))
	r.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	var edits []Edit
	for _, e := range found {
		if len(edits) == count {
			break
		}
		classes := []string{ClassAdministrative, ClassSafety, ClassMonotonic}
		// most edits of a day are administrative; where a record has no such element
		// the next class is tried
		i := []int{0, 0, 0, 1, 1, 2, 2}[r.IntN(7)]
		classes[0], classes[i] = classes[i], classes[0]
		salt := r.IntN(1 << 30)
		for _, class := range classes {
			if changed, element := change(e.Resource, class, salt); element != "" {
				edits = append(edits, Edit{e.Kind, e.ID, e.Patient, pick(r, s.staff).user, element, e.Resource, changed, class})
				break
			}
		}
	}
	return edits
}

// EditAdministrative changes an element about which the later word may win: a
// telephone number, a title, a date of recording. Like its siblings below it
// takes any R4 resource of a kind that a station keeps, returns the changed
// copy and the name of the one top-level element that differs, keeps the order
// of keys and every digit, and returns nil and "" where it knows no such
// element. The element depends on the resource alone, the value on the salt:
// salts that follow each other give different values.
func EditAdministrative(resource []byte, salt int) ([]byte, string) {
	return change(resource, ClassAdministrative, salt)
}

// EditSafety changes an element that only a person may decide about: a birth
// date, a measured value, a dose, a diagnosis.
func EditSafety(resource []byte, salt int) ([]byte, string) {
	return change(resource, ClassSafety, salt)
}

// EditOther changes an element that neither of the two above touches.
func EditOther(resource []byte, salt int) ([]byte, string) { return change(resource, "other", salt) }

// EditStatus moves the status on by one step, "" if it stands at its end.
func EditStatus(resource []byte, salt int) ([]byte, string) {
	return change(resource, ClassMonotonic, salt)
}

// change takes the first row of the table that fits the resource.
func change(resource []byte, class string, salt int) ([]byte, string) {
	m, err := parseMembers(raw(resource))
	if err != nil {
		return nil, ""
	}
	t := readTables(editsTable)
	kind := m.text("resourceType")
	for _, row := range t.rows["edit"] {
		if row[0] != kind && row[0] != "*" || row[1] != class {
			continue
		}
		element, way, needs := row[2], row[3], row[4]
		old := m.get(element)
		way, adds := strings.CutSuffix(way, "+")
		// an occurrence of another type would stand beside the added one
		if old == "" && (!adds || element == "occurrenceDateTime" && m.get("occurrenceTiming") != "") {
			continue
		}
		c := changer{t: t, salt: salt, needs: needs, r: rand.New(rand.NewPCG(uint64(salt), 8))}
		if value := c.value(way, old); value != "" && value != old {
			return []byte(m.set(element, value).raw()), element
		}
	}
	return nil, ""
}

// changer makes the new value of one element.
type changer struct {
	t     *tables
	salt  int
	needs string
	r     *rand.Rand
}

// value returns "" where the way does not fit the old value.
func (c changer) value(way string, old raw) raw {
	switch way {
	case "date":
		return c.date(old)
	case "quantity":
		return inside(old, "value", c.count)
	case "whole":
		if old == "" {
			return raw(strconv.Itoa(1 + c.step()))
		}
		return c.count(old)
	case "component":
		return first(old, func(item raw) raw {
			return inside(item, "valueQuantity", func(q raw) raw { return inside(q, "value", c.count) })
		})
	case "words":
		return quote(c.words())
	case "strings":
		return list(append(parseList(old), quote(c.words()))...)
	case "concept":
		return within(old, "text", quote(c.words()))
	case "concepts":
		return list(append(parseList(old), object("text", c.words()))...)
	case "note":
		return list(append(parseList(old), object("text", c.words()))...)
	case "display":
		return within(old, "display", quote(c.words()))
	case "language":
		return quote("vi-x-p" + strconv.Itoa(c.salt&0xfffff))
	case "code":
		return c.code(old)
	case "step":
		return c.onward(old)
	case "phone":
		return c.phone(old)
	case "address":
		return c.address(old)
	case "identifier":
		return first(old, func(item raw) raw { return within(item, "value", quote("P-"+strconv.Itoa(c.salt))) })
	case "period":
		return c.period(old)
	case "dose":
		return c.dose(old)
	}
	panic("practice: no way " + way)
}

// words is a short text that no other salt gives.
func (c changer) words() string {
	return pick(c.r, c.t.rows["revision"])[0] + ", phiếu " + strconv.Itoa(c.salt)
}

// step is 1 to 27, another one for the next salt.
func (c changer) step() int { return 1 + (c.salt%27+27)%27 }

// count adds some units of the last digit and keeps the number of digits
// after the point. A number with an exponent is left alone.
func (c changer) count(old raw) raw {
	whole, fraction, dotted := strings.Cut(string(old), ".")
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return ""
	}
	text := n.Add(n.Abs(n), big.NewInt(int64(c.step()))).String()
	if !dotted {
		return raw(text)
	}
	for len(text) <= len(fraction) {
		text = "0" + text
	}
	return raw(text[:len(text)-len(fraction)] + "." + text[len(text)-len(fraction):])
}

// date goes back by some days, or years where only a year or month is known.
func (c changer) date(old raw) raw {
	text := strings.Trim(string(old), `"`)
	if text == "" {
		text = c.needs
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01", "2006"} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if len(layout) < len(time.DateOnly) {
			return quote(t.AddDate(-c.step(), 0, 0).Format(layout))
		}
		day := t.AddDate(0, 0, -c.step()).Format(time.DateOnly)
		return quote(day + text[len(day):])
	}
	return ""
}

// period moves the start.
func (c changer) period(old raw) raw {
	m, err := parseMembers(old)
	if err != nil {
		return object("start", c.date(""))
	}
	return m.set("start", c.date(m.get("start"))).raw()
}

// code takes one of the other codes.
func (c changer) code(old raw) raw {
	var others []string
	for _, code := range strings.Fields(c.needs) {
		if quote(code) != old {
			others = append(others, code)
		}
	}
	return quote(others[(c.salt%len(others)+len(others))%len(others)])
}

// onward is the next step of a status, "" at its end.
func (c changer) onward(old raw) raw {
	for _, step := range strings.Fields(c.needs) {
		if from, to, _ := strings.Cut(step, ">"); quote(from) == old {
			return quote(to)
		}
	}
	return ""
}

// phone replaces the first telephone number and leaves e-mail alone.
func (c changer) phone(old raw) raw {
	number := quote("030" + strconv.Itoa(1000000+c.r.IntN(9000000)))
	items := parseList(old)
	for i, item := range items {
		m, err := parseMembers(item)
		if err == nil && m.text("system") == "phone" {
			items[i] = m.set("value", number).raw()
			return list(items...)
		}
	}
	return list(append(items, object("system", "phone", "value", number, "use", "mobile"))...)
}

// address replaces the street of the first address.
func (c changer) address(old raw) raw {
	line := "Tổ " + strconv.Itoa(c.step()) + ", " + c.words()
	if len(parseList(old)) == 0 {
		return list(object("use", "home", "text", line, "line", texts(line)))
	}
	return first(old, func(item raw) raw {
		m, err := parseMembers(item)
		if err != nil {
			return ""
		}
		return m.set("text", quote(line)).set("line", texts(line)).raw()
	})
}

// dose changes the amount and says so in the text. It needs an Element.id:
// without one, two changed dosages are two dosages.
func (c changer) dose(old raw) raw {
	said := quote("Đổi liều: " + c.words())
	return first(old, func(item raw) raw {
		m, err := parseMembers(item)
		if err != nil {
			return ""
		}
		if m.get("id") == "" {
			return ""
		}
		rates := first(m.get("doseAndRate"), func(rate raw) raw {
			return inside(rate, "doseQuantity", func(q raw) raw { return inside(q, "value", c.count) })
		})
		if rates != "" {
			m = m.set("doseAndRate", rates)
		}
		return m.set("text", said).raw()
	})
}

// inside changes a key that is there, "" where it is not.
func inside(object raw, key string, to func(raw) raw) raw {
	m, err := parseMembers(object)
	if err != nil || m.get(key) == "" {
		return ""
	}
	value := to(m.get(key))
	if value == "" {
		return ""
	}
	return m.set(key, value).raw()
}

// within sets a key of an object that may be absent.
func within(old raw, key string, value raw) raw {
	m, err := parseMembers(old)
	if err != nil && old != "" {
		return ""
	}
	return m.set(key, value).raw()
}

// first changes the first item of a list.
func first(old raw, to func(raw) raw) raw {
	items := parseList(old)
	if len(items) == 0 {
		return ""
	}
	if items[0] = to(items[0]); items[0] == "" {
		return ""
	}
	return list(items...)
}
