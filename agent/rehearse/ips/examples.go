package ips

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"tram/store/fhir"
)

// expectedExamples and expectedDocuments are how many the package of version 2.0.0
// holds: other numbers mean that it is another package.
const (
	expectedExamples  = 44
	expectedDocuments = 5
)

// maxExample is how large an example may be, in bytes.
const maxExample = 4 << 20

// example is one example of the guide.
type example struct {
	name     string
	resource *fhir.Value
}

// readExamples reads the package, sorted by the names of its files.
func readExamples(name string) (out []example, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	documents := 0
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if path.Dir(h.Name) != "package/example" || !strings.HasSuffix(h.Name, ".json") || path.Base(h.Name)[0] == '.' {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(t, maxExample))
		if err != nil {
			return nil, err
		}
		v, err := fhir.Parse(b, fhir.Limits{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(h.Name), err)
		}
		if v.Str("type") == "document" {
			documents++
		}
		out = append(out, example{path.Base(h.Name), v})
	}
	if len(out) != expectedExamples || documents != expectedDocuments {
		return nil, fmt.Errorf("%d examples with %d documents instead of %d with %d: not hl7.fhir.uv.ips 2.0.0",
			len(out), documents, expectedExamples, expectedDocuments)
	}
	slices.SortFunc(out, func(a, b example) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// tally counts what went in and what came out.
type tally struct {
	what          string
	in, out, same int
	wrong         []string
}

// note takes up how one resource fared; a nil got is one that did not come back.
func (t *tally) note(name string, want, got *fhir.Value, err error) {
	t.in++
	if err != nil {
		t.wrong = append(t.wrong, fmt.Sprintf("%s: %v", name, err))
		return
	}
	t.out++
	if !fhir.Equal(want.With("meta", nil), got.With("meta", nil)) {
		t.wrong = append(t.wrong, name+": came back different")
		return
	}
	t.same++
}

// print tells the counts and what is wrong, and returns how much that is.
func (t *tally) print(out io.Writer) int {
	fmt.Fprintf(out, "%-34s in %3d  out %3d  equal %3d  different %3d\n", t.what, t.in, t.out, t.same, t.out-t.same)
	for _, w := range t.wrong {
		fmt.Fprintln(out, "FAILED", w)
	}
	return len(t.wrong)
}

// examples sends every example as it is, each document as one resource, and then the
// parts of each document in one transaction, and reads all back. It returns how many
// did not come back equal.
func (s *station) examples(ctx context.Context, files []example, out io.Writer) (int, error) {
	whole, single := &tally{what: "documents"}, &tally{what: "other examples"}
	parts := &tally{what: "parts of documents, by transaction"}
	for _, f := range files {
		t := single
		if f.resource.Str("type") == "document" {
			t = whole
		}
		got, err := s.round(ctx, f.resource)
		t.note(f.name, f.resource, got, err)
		if t == whole {
			s.transact(ctx, f, parts)
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	return whole.print(out) + single.print(out) + parts.print(out), nil
}

// round puts a resource under its own id and reads it back.
func (s *station) round(ctx context.Context, v *fhir.Value) (*fhir.Value, error) {
	at := "/" + v.Str("resourceType") + "/" + v.Str("id")
	if _, err := s.ask(ctx, "PUT", at, v.Bytes()); err != nil {
		return nil, err
	}
	return s.ask(ctx, "GET", at, nil)
}

// transact sends the parts of a document as one transaction and reads each back. What
// they call each other by fullUrl must have become their addresses.
func (s *station) transact(ctx context.Context, f example, t *tally) {
	here := map[string]string{}
	var entries []*fhir.Value
	for _, e := range fhir.Entries(f.resource) {
		at := e.Resource.Str("resourceType") + "/" + e.Resource.Str("id")
		here[e.FullURL] = at
		entries = append(entries, fhir.NewObject(
			fhir.Field{Name: "fullUrl", Value: fhir.NewString(e.FullURL)},
			fhir.Field{Name: "resource", Value: e.Resource},
			fhir.Field{Name: "request", Value: fhir.NewObject(
				fhir.Field{Name: "method", Value: fhir.NewString("PUT")},
				fhir.Field{Name: "url", Value: fhir.NewString(at)})}))
	}
	transaction := fhir.NewObject(
		fhir.Field{Name: "resourceType", Value: fhir.NewString("Bundle")},
		fhir.Field{Name: "type", Value: fhir.NewString("transaction")},
		fhir.Field{Name: "entry", Value: fhir.NewArray(entries...)})
	_, refused := s.ask(ctx, "POST", "/", transaction.Bytes())
	for _, e := range fhir.Entries(f.resource) {
		at := here[e.FullURL]
		want := s.r4.RewriteRefs(e.Resource, func(literal string) string {
			if to, ok := here[literal]; ok {
				return to
			}
			return literal
		})
		got, err := s.ask(ctx, "GET", "/"+at, nil)
		if refused != nil {
			err = refused
		}
		t.note(f.name+" "+at, want, got, err)
	}
}
