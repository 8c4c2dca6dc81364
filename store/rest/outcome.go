package rest

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"tram/store"
	"tram/store/element"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// texts.txt is the closed list of problems: one line each, tab-separated: the
// stable code, the HTTP status, FHIR's issue-type, the sentence in English and
// in Vietnamese.
//
//go:embed texts.txt
var textTable string

// codeSystem is the system of our codes in OperationOutcome.issue.details.
const codeSystem = "urn:tram:problem"

// Problem is why something was refused. It holds no content: At names a place
// (an element, an entry, a byte), never a value.
type Problem struct {
	Code   string       // a code of texts.txt
	At     string       // "Bundle.entry[3]", "byte 17: truncated", "birthdate"; may be ""
	Issues []fhir.Issue // what is wrong with a resource, when Code is "invalid"
	Err    error        // what lies behind it, for the log
}

func problem(code string) *Problem { return &Problem{Code: code} }

// in returns p with the place where it lies, unless it has one.
func (p *Problem) in(at string) *Problem {
	if p.At != "" || at == "" {
		return p
	}
	out := *p
	out.At = at
	return &out
}

// because returns p with what lies behind it.
func (p *Problem) because(err error) *Problem {
	out := *p
	out.Err = err
	return &out
}

// row finds the code's line: status, issue type, English, Vietnamese. Only
// refusals pay for the search.
func (p *Problem) row() []string {
	for line := range strings.Lines(textTable) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); f[0] == p.Code && len(f) == 5 {
			return f[1:]
		}
	}
	return []string{"500", "exception", "Something went wrong.", "Có lỗi xảy ra."}
}

// Status is the HTTP status that says it.
func (p *Problem) Status() int {
	n, err := strconv.Atoi(p.row()[0])
	if err != nil {
		return http.StatusInternalServerError
	}
	return n
}

// Text says in one sentence, in "vi" or else in English, what is wrong and what
// to do, followed by the place.
func (p *Problem) Text(language string) string {
	text := p.row()[2]
	if language == "vi" {
		text = p.row()[3]
	}
	if p.At != "" {
		text += " (" + p.At + ")"
	}
	return text
}

func (p *Problem) Error() string { return p.Text("en") }

func (p *Problem) Unwrap() error { return p.Err }

// outcome is the OperationOutcome that tells of p.
func (p *Problem) outcome() *fhir.Value {
	var issues []*fhir.Value
	for _, i := range p.Issues {
		issues = append(issues, issue("error", i.Code, i.Key, p.row()[2], i.Path))
	}
	if len(issues) == 0 {
		at := p.At
		if !strings.HasPrefix(at, "Bundle.") {
			at = ""
		}
		issues = append(issues, issue("error", p.row()[1], p.Code, p.Text("en"), at))
	}
	return outcomeOf(issues...)
}

// outcomeOf makes an OperationOutcome.
func outcomeOf(issues ...*fhir.Value) *fhir.Value {
	return fhir.NewObject(
		fhir.Field{Name: "resourceType", Value: fhir.NewString("OperationOutcome")},
		fhir.Field{Name: "issue", Value: fhir.NewArray(issues...)})
}

// issue is one OperationOutcome.issue; path is a FHIRPath or "".
func issue(severity, kind, code, text, path string) *fhir.Value {
	out := fhir.NewObject(
		fhir.Field{Name: "severity", Value: fhir.NewString(severity)},
		fhir.Field{Name: "code", Value: fhir.NewString(kind)},
		fhir.Field{Name: "details", Value: fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(
			fhir.NewObject(
				fhir.Field{Name: "system", Value: fhir.NewString(codeSystem)},
				fhir.Field{Name: "code", Value: fhir.NewString(code)}))})},
		fhir.Field{Name: "diagnostics", Value: fhir.NewString(text)})
	if path != "" {
		out = out.With("expression", fhir.NewArray(fhir.NewString(path)))
	}
	return out
}

// badJSON tells where a text stops being JSON.
func badJSON(e *fhir.SyntaxError) *Problem {
	code := "bad-json"
	switch e.Code {
	case fhir.SyntaxTooLarge:
		code = "too-large"
	case fhir.SyntaxTooDeep, fhir.SyntaxTooMany:
		code = "too-complex"
	}
	return problem(code).in("byte " + strconv.Itoa(e.Offset) + ": " + e.Code)
}

// invalid tells what Check found. In a Bundle the paths start at its entry.
func invalid(issues []fhir.Issue, at string) *Problem {
	p := &Problem{Code: "invalid", At: at, Issues: make([]fhir.Issue, len(issues))}
	copy(p.Issues, issues)
	for i := range p.Issues {
		if _, rest, ok := strings.Cut(p.Issues[i].Path, "."); at != "" {
			p.Issues[i].Path = at + ".resource"
			if ok {
				p.Issues[i].Path += "." + rest
			}
		}
	}
	return p
}

// fromStore maps an error of the backend to a problem.
func fromStore(err error) *Problem {
	var bad *store.InvalidError
	var param *query.ParamError
	var known *Problem
	var syntax *fhir.SyntaxError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		return badJSON(syntax)
	case errors.Is(err, record.ErrNotFound):
		return problem("not-found")
	case errors.Is(err, record.ErrDeleted):
		return problem("gone")
	case errors.Is(err, record.ErrStale), errors.Is(err, record.ErrMoved):
		return problem("stale")
	case errors.Is(err, record.ErrExists), errors.Is(err, store.ErrParked):
		return problem("id-taken")
	case errors.Is(err, store.ErrFull):
		return problem("disk-full").because(err)
	case errors.Is(err, store.ErrTooMuch):
		return problem("too-large").because(err)
	case errors.Is(err, store.ErrStopped):
		return problem("stopped").because(err)
	case errors.Is(err, element.ErrDecision):
		return problem("bad-decision")
	case errors.As(err, &bad):
		return invalid(bad.Issues, "")
	case errors.As(err, &param) && param.Param == "page":
		return problem("bad-page")
	case errors.As(err, &param):
		return problem("bad-search").in(param.Param)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem("cancelled")
	}
	return problem("internal").because(err)
}
