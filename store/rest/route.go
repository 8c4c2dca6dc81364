package rest

import (
	"net/http"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// action is an interaction of FHIR R4 (http.html).
type action int

const (
	doNothing action = iota
	doMetadata
	doRead
	doVread
	doSearch
	doEverything
	doSummary
	doHistory
	doKindHistory
	doSystemHistory
	doCreate
	doUpdate
	doPatch
	doDelete
	doBundle
	doValidate
	doChanges
	doConflicts
	doConflict
	doResolve
	doExport
	doExportStatus
	doExportFile
)

// route finds what a method and a path ask for. allow lists the methods that
// the path knows; it is "" when there is no such path.
func route(r4 *fhir.R4, method, path string) (c *call, allow string, p *Problem) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	c = &call{method: method}
	var seg []string
	if path = strings.Trim(path, "/"); path != "" {
		seg = strings.Split(path, "/")
	}
	table, p := place(r4, c, seg)
	if p != nil {
		return nil, "", p
	}
	var names []string
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if _, ok := table[m]; ok {
			names = append(names, m)
		}
	}
	if table["GET"] != doNothing {
		names = append(names, "HEAD")
	}
	allow = strings.Join(append(names, "OPTIONS"), ", ")
	if c.action = table[method]; c.action == doNothing {
		return nil, allow, problem("method")
	}
	return c, allow, nil
}

// place reads the path's segments into c and returns what may be done there.
func place(r4 *fhir.R4, c *call, seg []string) (map[string]action, *Problem) {
	n := len(seg)
	switch {
	case n == 0:
		return map[string]action{"POST": doBundle}, nil
	case n == 1 && seg[0] == "metadata":
		return map[string]action{"GET": doMetadata}, nil
	case n == 1 && seg[0] == "_history":
		return map[string]action{"GET": doSystemHistory}, nil
	case n == 3 && seg[0] == "Patient" && record.ValidID(seg[1]) && seg[2] == "$everything":
		c.key = record.Key{Kind: seg[0], ID: seg[1]}
		return map[string]action{"GET": doEverything, "POST": doEverything}, nil
	case seg[0] == "Patient" && seg[n-1] == "$summary" && (n == 2 || n == 3 && record.ValidID(seg[1])):
		if c.key.Kind = "Patient"; n == 3 {
			c.key.ID = seg[1]
		}
		return map[string]action{"GET": doSummary, "POST": doSummary}, nil
	case seg[n-1] == "$validate" && (n == 1 || r4.IsKind(seg[0]) && (n == 2 || n == 3 && record.ValidID(seg[1]))):
		if n > 1 {
			c.key.Kind = seg[0]
		}
		return map[string]action{"POST": doValidate}, nil
	case seg[n-1] == "$export" && (n == 1 || n == 2 && seg[0] == "Patient"):
		if n == 2 {
			c.key.Kind = "Patient"
		}
		return map[string]action{"GET": doExport}, nil
	case n == 2 && seg[0] == "$export-status":
		c.job = seg[1]
		return map[string]action{"GET": doExportStatus, "DELETE": doExportStatus}, nil
	case n == 2 && seg[0] == "$export-file":
		c.job = seg[1]
		return map[string]action{"GET": doExportFile}, nil
	case n == 1 && seg[0] == "$changes":
		return map[string]action{"GET": doChanges}, nil
	case n == 1 && seg[0] == "$conflicts":
		return map[string]action{"GET": doConflicts}, nil
	case n == 3 && r4.IsKind(seg[0]) && record.ValidID(seg[1]) && (seg[2] == "$conflicts" || seg[2] == "$resolve"):
		c.key = record.Key{Kind: seg[0], ID: seg[1]}
		if seg[2] == "$resolve" {
			return map[string]action{"POST": doResolve}, nil
		}
		return map[string]action{"GET": doConflict}, nil
	case strings.HasPrefix(seg[n-1], "$"):
		return nil, problem("unknown-operation")
	case n > 4 || seg[0] == "_search":
		return nil, problem("unknown-route")
	case !r4.IsKind(seg[0]):
		return nil, problem("unknown-kind")
	}
	c.key.Kind = seg[0]
	switch {
	case n == 1:
		return map[string]action{"GET": doSearch, "POST": doCreate, "PUT": doUpdate, "PATCH": doPatch, "DELETE": doDelete}, nil
	case n == 2 && seg[1] == "_search":
		return map[string]action{"POST": doSearch}, nil
	case n == 2 && seg[1] == "_history":
		return map[string]action{"GET": doKindHistory}, nil
	case !record.ValidID(seg[1]):
		return nil, problem("bad-id")
	}
	c.key.ID = seg[1]
	switch {
	case n == 2:
		return map[string]action{"GET": doRead, "PUT": doUpdate, "PATCH": doPatch, "DELETE": doDelete}, nil
	case c.key.Kind == "Patient" && r4.IsKind(seg[2]) && (n == 3 || n == 4 && seg[3] == "_search"):
		c.within, c.key = c.key.ID, record.Key{Kind: seg[2]}
		if n == 4 {
			return map[string]action{"POST": doSearch}, nil
		}
		return map[string]action{"GET": doSearch}, nil
	case seg[2] != "_history":
		return nil, problem("unknown-route")
	case n == 3:
		return map[string]action{"GET": doHistory}, nil
	}
	c.version = seg[3]
	return map[string]action{"GET": doVread}, nil
}
