package web

import (
	"errors"
	"net/http"
	"slices"

	"tram/agent/web/show"
	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

// withdrawn is a record's content saying of itself that it was entered in error;
// false where it says so already, or where FHIR R4 has no such word for its kind.
func (c *call) withdrawn(content *fhir.Value) (*fhir.Value, bool) {
	kind, r4 := content.Str("resourceType"), c.Store.R4()
	if show.Wrong(content) {
		return nil, false
	}
	if e, ok := r4.Elem(kind, "status"); ok && e.Primitive && slices.Contains(e.Codes, show.EnteredInError) {
		return content.With("status", fhir.NewString(show.EnteredInError)).With("_status", nil), true
	}
	e, ok := r4.Elem(kind, "verificationStatus")
	if !ok || e.Type != "CodeableConcept" || !slices.Contains(e.Codes, show.EnteredInError) {
		return nil, false
	}
	coding := fhir.NewObject(fhir.Field{Name: "system", Value: fhir.NewString(e.CodeSystem)}, fhir.Field{Name: "code", Value: fhir.NewString(show.EnteredInError)})
	// What never was has no clinical status (FHIR R4, invariants ait-2 and con-5).
	return content.With("verificationStatus", fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(coding)})).With("clinicalStatus", nil), true
}

// wrong withdraws a record: it stays, and says that it was entered in error.
func (c *call) wrong() error {
	key := c.key()
	st, err := c.get(key)
	if err != nil {
		return err
	}
	if st.Shown.Deleted {
		return record.ErrDeleted
	}
	if c.r.PostForm.Get("base") != st.Tag() {
		return c.recordAgain(http.StatusConflict, true)
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return err
	}
	v, ok := c.withdrawn(content)
	if !ok {
		return errBadForm
	}
	_, err = c.Store.Put(c.r.Context(), store.Write{Key: key, Base: st.Tag(), Content: v.Bytes(), Author: c.user.User})
	if errors.Is(err, record.ErrStale) {
		return c.recordAgain(http.StatusConflict, true)
	}
	if err != nil {
		return err
	}
	return c.goTo("/record/"+key.String(), "wrong")
}
