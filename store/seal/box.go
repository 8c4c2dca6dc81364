package seal

// Box seals small values that are kept in files of their own.
type Box struct{ keys *Keys }

// NewBox is a box under some keys.
func NewBox(keys *Keys) Box { return Box{keys} }

// Seal seals a value for a place.
func (b Box) Seal(place string, plain []byte) ([]byte, error) {
	return b.keys.Seal([]byte("box/"+place), plain), nil
}

// Open opens what was sealed for the place.
func (b Box) Open(place string, sealed []byte) ([]byte, error) {
	return b.keys.Open([]byte("box/"+place), sealed)
}

// Newest reports whether a value is sealed under the newest key.
func (b Box) Newest(sealed []byte) bool { return b.keys.Newest(sealed) }
