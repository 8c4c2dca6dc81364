package layout

import (
	"tram/store/audit"
	"tram/store/record"
)

// AuditEntry is an entry of the audit as it is kept: with the number of its record
// instead of the key, where the store holds one.
type AuditEntry struct {
	audit.Linked
	Number uint64
}

// Encode writes the entry.
func (a *AuditEntry) Encode() []byte {
	w := &writer{b: make([]byte, 0, 80)}
	w.number(uint64(a.At))
	w.text(a.Who)
	w.text(string(a.Action))
	w.number(a.Number)
	if a.Number == 0 {
		w.text(a.Key.Kind)
		w.text(a.Key.ID)
	}
	w.name(a.Version)
	w.text(a.Purpose)
	w.b = append(w.b, a.Chain[:]...)
	return w.b
}

// DecodeAudit reads what Encode wrote. The key is zero where the number is not.
func DecodeAudit(stored []byte) (AuditEntry, error) {
	b := &reader{b: stored}
	var a AuditEntry
	a.At = int64(b.number())
	a.Who, a.Action, a.Number = b.text(), audit.Action(b.text()), b.number()
	if a.Number == 0 {
		a.Key = record.Key{Kind: b.text(), ID: b.text()}
	}
	a.Version, a.Purpose = b.name(), b.text()
	a.Chain = b.digest()
	return a, b.end()
}
