package fhir

// ItemKey is what identifies an item of the list typePath.e when two copies
// of a resource are compared. strong names one and the same thing (an
// identifier's system and value); slot names the place that a changed value
// still fills (the mobile phone). Either may be "". Element.id is the
// caller's business, and so is a key that occurs twice in a list.
func (r *R4) ItemKey(typePath string, e Elem, item *Value) (strong, slot string) { return "", "" }

// Atomic says whether a merge treats the element as one value. Every
// primitive and every data type is; backbone elements and contained resources
// are merged inside.
func (r *R4) Atomic(e Elem) bool { return !e.Backbone && e.Type != "Resource" }
