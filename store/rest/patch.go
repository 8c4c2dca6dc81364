package rest

import (
	"encoding/base64"
	"mime"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"tram/store/fhir"
	"tram/store/record"
)

// The limits of a JSON Patch (RFC 6902).
const (
	maxPatch      = 1 << 20 // bytes
	maxPatchSteps = 1000
)

const patchType = "application/json-patch+json"

// isPatch says whether a body's media type is that of a JSON Patch in UTF-8.
func isPatch(contentType string) bool {
	kind, par, err := mime.ParseMediaType(contentType)
	return err == nil && kind == patchType && utf8Set(par["charset"])
}

// parsePatch reads a JSON Patch. The JSON is held against our limits first.
func parsePatch(b []byte) (jsonpatch.Patch, *Problem) {
	v, err := fhir.Parse(b, fhir.Limits{Bytes: maxPatch})
	if err != nil || v.Shape != fhir.Array || len(v.Items) == 0 || len(v.Items) > maxPatchSteps {
		return nil, problem("bad-patch")
	}
	for _, step := range v.Items {
		if !isStep(step) {
			return nil, problem("bad-patch")
		}
	}
	p, err := jsonpatch.DecodePatch(b)
	if err != nil {
		return nil, problem("bad-patch")
	}
	return p, nil
}

// isStep says whether an operation has the members that RFC 6902, 4 demands.
func isStep(step *fhir.Value) bool {
	text := func(name string) bool { v := step.Get(name); return v != nil && v.Shape == fhir.String }
	switch op := step.Str("op"); {
	case step.Shape != fhir.Object || !text("path"):
		return false
	case op == "add" || op == "replace" || op == "test":
		return step.Get("value") != nil
	case op == "move" || op == "copy":
		return text("from")
	default:
		return op == "remove"
	}
}

// tests says whether a patch asks what stands in the record.
func tests(p jsonpatch.Patch) bool {
	return slices.ContainsFunc(p, func(step jsonpatch.Operation) bool { return step.Kind() == "test" })
}

// patchIn reads the patch of a Bundle's entry, which a Binary carries (FHIR R4 http.html#trules).
func patchIn(v *fhir.Value) (jsonpatch.Patch, *Problem) {
	if v == nil || v.Str("resourceType") != "Binary" || !isPatch(v.Str("contentType")) {
		return nil, problem("bad-patch")
	}
	b, err := base64.StdEncoding.DecodeString(v.Str("data"))
	if err != nil {
		return nil, problem("bad-patch")
	}
	return parsePatch(b)
}

// patched is what a record becomes, as a read shows it: what is ours of its meta is taken away
// again before it is written. Its digits are those that were written, and its kind and id stay.
func patched(s *record.Stand, patch jsonpatch.Patch) (*fhir.Value, *Problem) {
	o := jsonpatch.NewApplyOptions()
	o.SupportNegativeIndices = false
	o.AccumulatedCopySizeLimit = maxBody
	o.EscapeHTML = false
	before, p := shown(s.Shown, s.Tag())
	if p != nil {
		return nil, p
	}
	b, err := patch.ApplyWithOptions(before.Bytes(), o)
	if err != nil {
		return nil, problem("patch-failed") // its text may quote the record
	}
	v, p := parse(b)
	switch {
	case p != nil:
		return nil, problem("patch-failed")
	case v.Str("resourceType") != s.Key.Kind || v.Str("id") != s.Key.ID:
		return nil, problem("patch-moves")
	}
	return v, nil
}
