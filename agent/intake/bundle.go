package intake

import (
	"fmt"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// item is one resource to take, with where it stood in the file.
type item struct {
	line  int // of NDJSON; 0 elsewhere
	entry int // of a Bundle, from 1; 0 elsewhere
	key   record.Key
	value *fhir.Value
	base  string // of the server where the entry is from, by its fullUrl; "" where that is none
	// born says that the file leaves the id to us.
	born bool
}

// at is the place of an item's entry for a refusal.
func (it item) at(part string) string {
	if it.entry == 0 {
		return ""
	}
	return fmt.Sprintf("Bundle.entry[%d]%s", it.entry-1, part)
}

// unpack lists the resources of a file. A transaction or batch is unpacked
// into its entries, whole or not at all; every other Bundle is a resource of
// its own (FHIR R4 http.html#transaction: only these two ask for anything). Ids
// that the file leaves to us come from newID, in order.
func unpack(r4 *fhir.R4, units []unit, newID func() string) ([]item, error) {
	var out []item
	// From what a file calls an entry to where it is. One map serves the whole
	// file: the lines of NDJSON may refer to each other's entries.
	links := map[string]string{}
	for _, u := range units {
		kind := u.value.Str("resourceType")
		if t := u.value.Str("type"); kind == "Bundle" && (t == "transaction" || t == "batch") {
			items, err := entries(u, links, newID)
			if err != nil {
				return nil, err
			}
			out = append(out, items...)
			continue
		}
		it := item{line: u.line, key: record.Key{Kind: kind, ID: u.value.Str("id")}, value: u.value}
		if it.key.ID == "" {
			it.key.ID, it.born = newID(), true
		}
		out = append(out, it)
	}
	seen := map[record.Key]bool{}
	for i := range out {
		it := &out[i]
		if seen[it.key] {
			return nil, &Refusal{Code: Twice, Line: it.line, Path: it.at(""), Key: it.key}
		}
		seen[it.key] = true
		if it.value.Str("id") != it.key.ID {
			it.value = it.value.With("id", fhir.NewString(it.key.ID))
		}
		if len(links) > 0 {
			it.value = r4.RewriteRefs(it.value, func(literal string) string {
				// A relative reference is one on the server of its entry (FHIR R4 bundle.html#references).
				for _, name := range []string{it.base + literal, literal} {
					if to, ok := links[name]; ok {
						return to
					}
				}
				return literal
			})
		}
	}
	return out, nil
}

// entries reads what a transaction or batch asks for. Reads have no effect and
// are left out; what this folder cannot do refuses the whole.
func entries(u unit, links map[string]string, newID func() string) ([]item, error) {
	var out []item
	aliases := map[string]string{}
	for i, e := range fhir.Entries(u.value) {
		it := item{line: u.line, entry: i + 1, value: e.Resource}
		refuse := func(code Code, part string) error {
			return &Refusal{Code: code, Line: u.line, Path: it.at(part)}
		}
		switch {
		case e.Method == "GET" || e.Method == "HEAD":
			continue
		case e.Method != "POST" && e.Method != "PUT":
			return nil, refuse(Request, ".request")
		case e.Resource == nil || e.Resource.Shape != fhir.Object:
			return nil, refuse(Request, ".resource")
		case e.IfNoneExist != "" || strings.Contains(e.URL, "?"):
			return nil, refuse(Conditional, ".request")
		}
		kind, id := e.Resource.Str("resourceType"), e.Resource.Str("id")
		if e.Method == "POST" {
			if strings.TrimPrefix(e.URL, "/") != kind {
				return nil, refuse(Request, ".request.url")
			}
			it.key, it.born = record.Key{Kind: kind, ID: newID()}, true
			if id != "" {
				aliases[kind+"/"+id] = it.key.String()
			}
		} else {
			key, err := record.ParseKey(strings.TrimPrefix(e.URL, "/"))
			if err != nil {
				return nil, refuse(Request, ".request.url")
			}
			if key.Kind != kind || id != "" && key.ID != id {
				return nil, refuse(Mismatch, ".request.url")
			}
			it.key = key
			if e.IfMatch != "" {
				it.value = from(it.value, e.IfMatch)
			}
		}
		if i := strings.LastIndex(e.FullURL, "/"+kind+"/"); i >= 0 {
			it.base = e.FullURL[:i+1]
		}
		if e.FullURL != "" {
			if _, taken := links[e.FullURL]; taken {
				return nil, refuse(Twice, ".fullUrl")
			}
			links[e.FullURL] = it.key.String()
		}
		out = append(out, it)
	}
	// A reference may also use the id that a new resource had where it came
	// from; a record of that very name in the same file goes first.
	for _, it := range out {
		delete(aliases, it.key.String())
	}
	for name, to := range aliases {
		if _, taken := links[name]; !taken {
			links[name] = to
		}
	}
	return out, nil
}

// from says in the resource which version it was made from: what If-Match is to
// an update (FHIR R4 http.html#concurrency), in the place where Take looks.
func from(v *fhir.Value, etag string) *fhir.Value {
	tag := strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	return v.With("meta", v.Get("meta").With("versionId", fhir.NewString(tag)))
}
