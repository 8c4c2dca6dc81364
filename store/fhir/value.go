package fhir

import (
	"strings"
	"unicode/utf8"
)

// Shape says which of JSON's six kinds of value a Value is.
type Shape uint8

// The zero Shape is Null, so that the zero Value is JSON's null.
const (
	Null Shape = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is one JSON value. Nothing that a sender wrote is lost: the fields of
// an object keep their order and a number keeps its literal text.
//
// A Value is immutable once made; every function that "changes" one returns a
// copy that shares what did not change. It is safe for concurrent use.
type Value struct {
	Shape  Shape
	Text   string   // of a String its content, of a Number its literal, of a Bool "true" or "false"
	Fields []Field  // of an Object, each name once
	Items  []*Value // of an Array
}

// Field is one member of a JSON object.
type Field struct {
	Name  string
	Value *Value
}

// NewString makes a JSON string. Bytes that are not UTF-8 become U+FFFD.
func NewString(s string) *Value {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return &Value{Shape: String, Text: s}
}

// NewNumber makes a JSON number that keeps its literal, or nil when the
// literal is not a number of RFC 8259.
func NewNumber(literal string) *Value {
	if n := numberLen(literal); n == 0 || n != len(literal) {
		return nil
	}
	return &Value{Shape: Number, Text: literal}
}

// NewBool makes true or false.
func NewBool(b bool) *Value {
	if b {
		return &Value{Shape: Bool, Text: "true"}
	}
	return &Value{Shape: Bool, Text: "false"}
}

// NewObject makes an object of the fields in their order. A field without a
// value is left out; of two fields with one name the later value stays, in
// the place of the earlier.
func NewObject(fields ...Field) *Value {
	out := make([]Field, 0, len(fields))
	at := make(map[string]int, len(fields))
	for _, f := range fields {
		if f.Value == nil {
			continue
		}
		if i, ok := at[f.Name]; ok {
			out[i].Value = f.Value
			continue
		}
		at[f.Name] = len(out)
		out = append(out, f)
	}
	return &Value{Shape: Object, Fields: out}
}

// NewArray makes an array; nil items are left out.
func NewArray(items ...*Value) *Value {
	out := make([]*Value, 0, len(items))
	for _, x := range items {
		if x != nil {
			out = append(out, x)
		}
	}
	return &Value{Shape: Array, Items: out}
}

// Get returns the field of an object, or nil when v is no object or has no
// such field. v may be nil.
func (v *Value) Get(name string) *Value {
	if v == nil {
		return nil
	}
	for i := range v.Fields {
		if v.Fields[i].Name == name {
			return v.Fields[i].Value
		}
	}
	return nil
}

// Str returns the text of the string, number or bool at a path of field
// names, or "" when there is none. v may be nil.
func (v *Value) Str(path ...string) string {
	for _, name := range path {
		v = v.Get(name)
	}
	if v == nil {
		return ""
	}
	return v.Text
}

// With returns a copy of the object in which the field has the value x: in
// its old place, or at the end when it is new. A nil x removes the field. A v
// that is no object counts as an empty one.
func (v *Value) With(name string, x *Value) *Value {
	out := &Value{Shape: Object}
	if v != nil && v.Shape == Object {
		out.Fields = make([]Field, 0, len(v.Fields)+1)
		for _, f := range v.Fields {
			if f.Name == name {
				if x == nil {
					continue
				}
				f.Value, x = x, nil
			}
			out.Fields = append(out.Fields, f)
		}
	}
	if x != nil {
		out.Fields = append(out.Fields, Field{name, x})
	}
	return out
}

// Bytes returns v as compact JSON. Parse of the result is Equal to v.
func (v *Value) Bytes() []byte { return v.Append(nil) }

// Append appends v as compact JSON: fields in their order, numbers by their
// literals, and only what RFC 8259 demands escaped. A nil v is null.
func (v *Value) Append(dst []byte) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	switch v.Shape {
	case Bool, Number:
		return append(dst, v.Text...)
	case String:
		return appendString(dst, v.Text)
	case Array:
		dst = append(dst, '[')
		for i, x := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = x.Append(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i := range v.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, v.Fields[i].Name), ':')
			dst = v.Fields[i].Value.Append(dst)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(append(dst, s[from:i]...), '\\')
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, c)
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		case '\b':
			dst = append(dst, 'b')
		case '\f':
			dst = append(dst, 'f')
		default:
			dst = append(dst, 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
