// Package layout says what stands in which table of a store, and as which bytes.
//
// It owns the list of tables, the number of their schema, and the short forms of
// what every write touches. It promises that what it encoded it decodes to the
// same, and that bytes of another form are refused. Pure values: it does no I/O
// and does not know what the store does with them.
package layout

import "tram/store/table"

// Schema is the number of the layout below. A newer one is refused untouched, an
// older one is brought up to it.
const Schema = 7

// The tables. Records stand under internal numbers that say nothing; every value is
// sealed but for numbers, digests of digests and what stands under blind keys as such.
const (
	Meta      = "meta"      // name -> value
	Keys      = "keys"      // blind(key), or blind(lineage), number, blind(kind) -> number
	Stands    = "stands"    // number -> Row
	Versions  = "versions"  // number, order -> version
	Previews  = "previews"  // number -> version without a name
	AuditOf   = "audit-of"  // number, order -> nothing
	Order     = "order"     // order of a version -> number
	Own       = "own"       // order of a version -> own change that has no receipt yet
	Links     = "links"     // lineage, number -> chain
	Audit     = "audit"     // order -> entry
	Vault     = "vault"     // order -> value that did not win
	Lives     = "lives"     // order -> lineage
	Rescued   = "rescued"   // order -> own version of a record that went
	Feeds     = "feeds"     // blind(feed), sequence -> entry
	FeedAt    = "feed-at"   // blind(feed), number -> sequence
	Index     = "index"     // see the store's index
	Loose     = "loose"     // lineage, previous number -> change above a gap
	Receipts  = "receipts"  // lineage -> receipt
	Cursors   = "cursors"   // feed -> cursor
	Refused   = "refused"   // blind(ref) -> change that was not taken, with its reason
	Contested = "contested" // number -> nothing
	Peers     = "peers"     // blind(name) -> peer
	Trees     = "trees"     // blind(feed), bucket -> digest
	Scope     = "scope"     // number of a patient -> stations
	Settings  = "settings"  // blind(name) -> value
	VaultOf   = "vault-of"  // number, order -> nothing; since schema 3
	Attached  = "attached"  // blind(content), number, order of a version -> id of content that it refers to; since schema 5
	Unsettled = "unsettled" // blind(content) -> content that is not known to be both here and upstream; since schema 5
)

// Sealed are the tables whose values are sealed.
func Sealed() []string {
	return []string{Meta, Stands, Versions, Previews, Own, Audit, Vault, Lives, Rescued, Feeds, Receipts, Cursors, Refused, Peers, Scope, Settings, Attached, Unsettled}
}

// IsSealed reports whether the value under a key of a sealed table is: a few of Meta
// are not.
func IsSealed(name string, key []byte) bool {
	return name != Meta || string(key) == Epoch || string(key) == Mended
}

// Keys of Meta.
const (
	Number  = "schema"   // the schema's, 8 bytes
	Journal = "journal"  // position up to which the journal is in the database
	Chain   = "audit"    // digest of the audit's last entry
	Shown   = "shown"    // how many records show something, tombstones too
	Came    = "came"     // when the last transaction took something in, Unix milliseconds, 8 bytes
	Settled = "settled-" // and a segment of the journal: since when the centre has all of it
	Backed  = "backed"   // how far the journal reached when a backup was made, where it lacked something before
	Voided  = "voided"   // how often receipts were taken back, 8 bytes
	Epoch   = "epoch"    // of this replica's feeds, sealed
	Mended  = "mended"   // what was mended last, sealed
)

// Names in the data folder.
const (
	DatabaseFile = "tram.db"
	SlotsFile    = "keys.json"
	BlobFolder   = "blobs"
	// RestoringFile stands there while a backup is put into the folder.
	RestoringFile = "restoring"
)

// Place is what a sealed value is bound to: the table and the key under which it
// stands.
func Place(table string, key []byte) []byte {
	return append(append(append(make([]byte, 0, len(table)+1+len(key)), table...), '/'), key...)
}

// Tables is the layout of the schema. New tables go behind the last.
func Tables() table.Layout {
	return table.Layout{
		{Name: Meta, Letter: 'M', Area: table.Small},
		{Name: Keys, Letter: 'K', Area: table.Mixed},
		{Name: Stands, Letter: 'S', Area: table.Record},
		{Name: Versions, Letter: 'V', Area: table.Record},
		{Name: Previews, Letter: 'P', Area: table.Record},
		{Name: AuditOf, Letter: 'T', Area: table.Record},
		{Name: Order, Letter: 'O', Area: table.Rising},
		{Name: Own, Letter: 'W', Area: table.Rising},
		{Name: Links, Letter: 'L', Area: table.Rising},
		{Name: Audit, Letter: 'A', Area: table.Rising},
		{Name: Vault, Letter: 'U', Area: table.Rising},
		{Name: Lives, Letter: 'Y', Area: table.Rising},
		{Name: Rescued, Letter: 'B', Area: table.Rising},
		{Name: Feeds, Letter: 'D', Area: table.Rising},
		{Name: FeedAt, Letter: 'H', Area: table.Mixed},
		{Name: Index, Letter: 'I', Area: table.Mixed},
		{Name: Loose, Letter: 'E', Area: table.Mixed},
		{Name: Receipts, Letter: 'R', Area: table.Mixed},
		{Name: Cursors, Letter: 'C', Area: table.Mixed},
		{Name: Refused, Letter: 'F', Area: table.Mixed},
		{Name: Contested, Letter: 'Q', Area: table.Mixed},
		{Name: Peers, Letter: 'G', Area: table.Mixed},
		{Name: Trees, Letter: 'X', Area: table.Mixed},
		{Name: Scope, Letter: 'J', Area: table.Mixed},
		{Name: Settings, Letter: 'Z', Area: table.Mixed},
		{Name: VaultOf, Letter: 'N', Area: table.Record},
		{Name: Attached, Letter: 'a', Area: table.Mixed},
		{Name: Unsettled, Letter: 'b', Area: table.Mixed},
	}
}
