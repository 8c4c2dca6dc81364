package account

import (
	"errors"
	"strings"
)

// What can be wrong with a scope. A ScopeError says which one it is.
var (
	ErrScope      = errors.New("no such scope; write it as system/Observation.rs, with letters of cruds in this order")
	ErrScopeOf    = errors.New("a scope of a person signed in or of one patient is not served; write system/ in front")
	ErrScopeKind  = errors.New("no such resource type; write one of FHIR R4, or *")
	ErrScopeQuery = errors.New("a scope that a search narrows is not served; leave out what follows the ?")
	ErrScopeNone  = errors.New("no scope; name at least one")
)

// ScopeError is what is wrong with one scope of several.
type ScopeError struct {
	Scope string // as it was written, cut to what can be shown
	Err   error
}

func (e *ScopeError) Error() string { return "scope " + e.Scope + ": " + e.Err.Error() }

func (e *ScopeError) Unwrap() error { return e.Err }

// The interactions of a scope, in the order in which SMART App Launch 2.2 writes them:
// create; read, vread and an instance's history; update and patch; delete; search, and
// the histories of a kind and of all.
const verbs = "cruds"

const (
	anyKind   = "*"
	maxScopes = 200
	maxScope  = 80 // bytes
)

// Scope is what a program may do with records of one kind, or of any ("*").
type Scope struct {
	Kind  string `json:"kind"`
	Verbs string `json:"verbs"` // of "cruds", in this order
}

func (s Scope) String() string { return "system/" + s.Kind + "." + s.Verbs }

// Scopes are what a program may do; what none of them allows it may not.
type Scopes []Scope

// Everything is all there is.
func Everything() Scopes { return Scopes{{anyKind, verbs}} }

func (s Scopes) String() string {
	out := make([]string, len(s))
	for i, one := range s {
		out[i] = one.String()
	}
	return strings.Join(out, " ")
}

// May reports whether an interaction, a letter of "cruds", with a kind is allowed. Kind
// "*" asks for all kinds at once, as the history of a whole system does.
func (s Scopes) May(verb byte, kind string) bool {
	for _, one := range s {
		if (one.Kind == anyKind || one.Kind == kind) && strings.IndexByte(one.Verbs, verb) >= 0 {
			return true
		}
	}
	return false
}

// ParseScopes reads scopes that blanks part (SMART App Launch 2.2, "Scopes for
// requesting FHIR Resources"), and those of version 1, whose read is "rs" and whose
// write is "cud". What it does not know it refuses: a scope that were left out would
// surprise as much as one that is too wide. isKind knows the kinds of FHIR R4.
func ParseScopes(text string, isKind func(string) bool) (Scopes, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil, ErrScopeNone
	}
	if len(fields) > maxScopes {
		return nil, ErrScope
	}
	var out Scopes
	seen := map[Scope]bool{}
	for _, f := range fields {
		one, err := parseScope(f, isKind)
		if err != nil {
			return nil, &ScopeError{strings.ToValidUTF8(f[:min(len(f), maxScope)], ""), err}
		}
		if !seen[one] {
			seen[one], out = true, append(out, one)
		}
	}
	return out, nil
}

func parseScope(text string, isKind func(string) bool) (Scope, error) {
	if len(text) > maxScope {
		return Scope{}, ErrScope
	}
	of, rest, ok := strings.Cut(text, "/")
	switch {
	case of == "patient" || of == "user":
		return Scope{}, ErrScopeOf
	case !ok || of != "system":
		return Scope{}, ErrScope
	case strings.Contains(rest, "?"):
		return Scope{}, ErrScopeQuery
	}
	kind, may, ok := strings.Cut(rest, ".")
	switch may {
	case "read":
		may = "rs"
	case "write":
		may = "cud"
	case "*":
		may = verbs
	}
	if !ok || !inOrder(may) {
		return Scope{}, ErrScope
	}
	if kind != anyKind && !isKind(kind) {
		return Scope{}, ErrScopeKind
	}
	return Scope{kind, may}, nil
}

// inOrder reports whether letters are some of "cruds", each once and in this order.
func inOrder(letters string) bool {
	at := 0
	for i := range len(letters) {
		n := strings.IndexByte(verbs[at:], letters[i])
		if n < 0 {
			return false
		}
		at += n + 1
	}
	return letters != ""
}
