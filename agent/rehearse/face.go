package rehearse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tram/store/fhir"
	"tram/store/record"
)

// Face is the FHIR R4 face of one replica, seen by a program with a token.
type Face struct {
	base  string // "http://127.0.0.1:8642/fhir"
	token string
	http  *http.Client
}

// NewFace makes a client for the page at an address.
func NewFace(page, token string) *Face {
	return &Face{"http://" + page + "/fhir", token, &http.Client{Timeout: 2 * time.Minute}}
}

// maxAnswer bounds one answer in bytes.
const maxAnswer = 256 << 20

// call asks for one thing. An answer other than 2xx is an error that holds the
// status alone: an answer may hold a person.
func (f *Face) call(ctx context.Context, method, url, tag string, body []byte) (*fhir.Value, error) {
	if !strings.HasPrefix(url, "http") {
		url = f.base + "/" + url
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	// A creation answers with what was made, and so with its id.
	req.Header.Set("Prefer", "return=representation")
	if body != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	if tag != "" {
		req.Header.Set("If-Match", `W/"`+tag+`"`)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("answer %d%s", resp.StatusCode, reason(b))
	}
	if len(b) == 0 {
		return nil, nil
	}
	return fhir.Parse(b, fhir.Limits{Bytes: maxAnswer, Values: 64 << 20})
}

// reason is the code and place of an OperationOutcome, which hold no content.
func reason(b []byte) string {
	v, err := fhir.Parse(b, fhir.DefaultLimits())
	if err != nil || v.Get("issue") == nil || len(v.Get("issue").Items) == 0 {
		return ""
	}
	issue := v.Get("issue").Items[0]
	out := " " + issue.Str("code")
	for _, field := range []string{"expression", "location"} {
		if at := issue.Get(field); at != nil && len(at.Items) > 0 {
			out += " at " + at.Items[0].Text
		}
	}
	return out
}

// All reads every record of the kinds, page by page.
func (f *Face) All(ctx context.Context, kinds []string) (Snapshot, error) {
	out := Snapshot{}
	for _, kind := range kinds {
		for next := kind + "?_count=500"; next != ""; {
			page, err := f.call(ctx, http.MethodGet, next, "", nil)
			if err != nil {
				return nil, fmt.Errorf("read all %s: %w", kind, err)
			}
			for _, e := range fhir.Entries(page) {
				if e.Resource == nil {
					continue
				}
				key, shown, err := read(e.Resource)
				if err != nil {
					return nil, fmt.Errorf("read all %s: %w", kind, err)
				}
				if _, twice := out[key]; twice {
					return nil, fmt.Errorf("read all %s: %s stands on two pages", kind, key)
				}
				out[key] = shown
			}
			next = linked(page, "next")
		}
	}
	return out, nil
}

func linked(page *fhir.Value, relation string) string {
	if links := page.Get("link"); links != nil {
		for _, l := range links.Items {
			if l.Str("relation") == relation {
				return l.Str("url")
			}
		}
	}
	return ""
}

// Put writes a record over the version that was seen.
func (f *Face) Put(ctx context.Context, key record.Key, resource []byte, seen string) error {
	if _, err := f.call(ctx, http.MethodPut, key.String(), seen, resource); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// Create makes a record and returns its key.
func (f *Face) Create(ctx context.Context, kind string, resource []byte) (record.Key, error) {
	v, err := f.call(ctx, http.MethodPost, kind, "", resource)
	if err != nil {
		return record.Key{}, fmt.Errorf("create %s: %w", kind, err)
	}
	key, _, err := read(v)
	return key, err
}

// Delete deletes the version that was seen.
func (f *Face) Delete(ctx context.Context, key record.Key, seen string) error {
	if _, err := f.call(ctx, http.MethodDelete, key.String(), seen, nil); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}
