package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// open reads what a file holds: the entries of a transaction or batch, or the one
// resource that it is. It reads with the standard library, not with the parser
// that is on trial; numbers keep their digits.
func (f *file) open() error {
	v, err := decode(f.content)
	if err != nil {
		return err
	}
	if kind := v["type"]; v["resourceType"] != "Bundle" || kind != "transaction" && kind != "batch" {
		f.records = []*item{{source: v, key: str(v, "resourceType") + "/" + str(v, "id")}}
		if str(v, "id") == "" {
			return fmt.Errorf("a resource without an id")
		}
		return nil
	}
	entries, _ := v["entry"].([]any)
	for i, e := range entries {
		entry, _ := e.(map[string]any)
		resource, _ := entry["resource"].(map[string]any)
		request, _ := entry["request"].(map[string]any)
		it := &item{entry: i + 1, source: resource, url: str(entry, "fullUrl")}
		switch method := str(request, "method"); {
		case method == "GET" || method == "HEAD":
			continue
		case method == "PUT" && resource != nil:
			it.key = str(request, "url")
		case method == "POST" && resource != nil:
		default:
			return fmt.Errorf("entry %d: a request that is not tried here", i+1)
		}
		f.records = append(f.records, it)
	}
	return nil
}

// decode reads an object and nothing behind it.
func decode(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("not a JSON object")
	}
	if d.More() {
		return nil, fmt.Errorf("something stands behind the JSON object")
	}
	return v, nil
}

func str(v map[string]any, name string) string {
	s, _ := v[name].(string)
	return s
}

// apply takes over the map that the station wrote: a line for each id that it
// gave, the entry's number and the record. The map must be one to one: every
// entry that asked for an id has one, of its kind, and nobody else's; taken are
// those of all files.
func (f *file) apply(note []byte, taken map[string]bool) error {
	given := map[int]string{}
	for line := range strings.Lines(string(note)) {
		place, key, ok := strings.Cut(strings.TrimSpace(line), "\t")
		n, err := strconv.Atoi(place)
		if !ok || err != nil || given[n] != "" {
			return fmt.Errorf("the list of ids has a bad line")
		}
		given[n] = key
	}
	for _, it := range f.records {
		if it.key != "" {
			continue
		}
		it.key = given[it.entry]
		delete(given, it.entry)
		kind, id, _ := strings.Cut(it.key, "/")
		if kind != it.source["resourceType"] || id == "" {
			return fmt.Errorf("entry %d has no id of its kind", it.entry)
		}
		it.given = true
	}
	if len(given) > 0 {
		return fmt.Errorf("the list of ids names %d entries that did not ask for one", len(given))
	}
	for _, it := range f.records {
		if taken[it.key] {
			return fmt.Errorf("%s was given twice", it.key)
		}
		taken[it.key] = true
	}
	return nil
}

// expect makes what every resource must come to: its id the one that it was given,
// references to entries of its Bundle pointing there (FHIR R4 http
// "transaction"), and no meta.
func (f *file) expect() {
	moved := map[string]string{}
	for _, it := range f.records {
		if it.url != "" {
			moved[it.url] = it.key
		}
	}
	for _, it := range f.records {
		it.want, _ = follow(it.source, moved).(map[string]any)
		_, id, _ := strings.Cut(it.key, "/")
		it.want["id"] = id
		ownMeta(it.want)
	}
}

// ownMeta leaves of a resource's meta what its author wrote: version and time are
// the server's to say (FHIR R4 Resource.meta).
func ownMeta(v map[string]any) {
	meta, ok := v["meta"].(map[string]any)
	if !ok {
		return
	}
	delete(meta, "versionId")
	delete(meta, "lastUpdated")
	if len(meta) == 0 {
		delete(v, "meta")
	}
}

// follow copies a value with its references rewritten.
func follow(v any, moved map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			if s, ok := x.(string); ok && name == "reference" && moved[s] != "" {
				x = moved[s]
			}
			out[name] = follow(x, moved)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = follow(x, moved)
		}
		return out
	}
	return v
}
