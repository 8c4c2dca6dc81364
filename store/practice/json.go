package practice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// raw is a JSON value as text; numbers keep the digits they were made with.
type raw string

// decimal formats a FHIR decimal with a fixed number of digits after the point.
func decimal(value float64, digits int) raw { return raw(strconv.FormatFloat(value, 'f', digits, 64)) }

// object writes keys and values in the order given. A string, raw, bool or
// int is a value; "" and an empty raw are left out, as FHIR has no empty values.
func object(pairs ...any) raw {
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; i < len(pairs); i += 2 {
		var value raw
		switch v := pairs[i+1].(type) {
		case string:
			if v != "" {
				value = quote(v)
			}
		case raw:
			value = v
		case bool:
			value = raw(strconv.FormatBool(v))
		case int:
			value = raw(strconv.Itoa(v))
		default:
			panic(fmt.Sprintf("practice: %T in JSON", v))
		}
		if value == "" {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(string(quote(pairs[i].(string))))
		b.WriteByte(':')
		b.WriteString(string(value))
	}
	b.WriteByte('}')
	return raw(b.String())
}

// list leaves out empty items, and is itself empty without any.
func list(items ...raw) raw {
	var b bytes.Buffer
	for _, item := range items {
		if item == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(item))
	}
	if b.Len() == 0 {
		return ""
	}
	return raw("[" + b.String() + "]")
}

// texts is a list of strings.
func texts(items ...string) raw {
	quoted := make([]raw, len(items))
	for i, item := range items {
		quoted[i] = quote(item)
	}
	return list(quoted...)
}

// quote writes a string as JSON. Characters of HTML stay as they are.
func quote(text string) raw {
	if !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' || c == utf8.RuneError }) {
		return raw(`"` + text + `"`)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic("practice: " + err.Error())
	}
	return raw(bytes.TrimSpace(b.Bytes()))
}

// member is one key of an object with its value as it was written.
type member struct {
	key   string
	value raw
}

// members is an object whose keys keep their order and whose values keep
// their bytes, so that one of them can be changed and no other.
type members []member

var errNotObject = errors.New("not a JSON object")

// parseMembers reads an object without reading its values.
func parseMembers(text raw) (members, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject
	}
	var all members
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read object: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("read object: %w", err)
		}
		all = append(all, member{key.(string), raw(value)})
	}
	return all, nil
}

// get returns the value of a key as it was written, "" where it is absent.
func (m members) get(key string) raw {
	for _, one := range m {
		if one.key == key {
			return one.value
		}
	}
	return ""
}

// text returns the value of a key that holds a string, else "".
func (m members) text(key string) string {
	var s string
	if json.Unmarshal([]byte(m.get(key)), &s) != nil {
		return ""
	}
	return s
}

// set replaces a value in its place, or adds the key at the end.
func (m members) set(key string, value raw) members {
	out := append(members(nil), m...)
	for i := range out {
		if out[i].key == key {
			out[i].value = value
			return out
		}
	}
	return append(out, member{key, value})
}

// raw writes the object again, without white space between its members.
func (m members) raw() raw {
	pairs := make([]any, 0, 2*len(m))
	for _, one := range m {
		pairs = append(pairs, one.key, one.value)
	}
	return object(pairs...)
}

// parseList returns the items of a list as they were written; none where the
// value is no list.
func parseList(text raw) []raw {
	var items []json.RawMessage
	if json.Unmarshal([]byte(text), &items) != nil {
		return nil
	}
	out := make([]raw, len(items))
	for i, item := range items {
		out[i] = raw(item)
	}
	return out
}
