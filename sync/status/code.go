package status

// Code names a kind of health value. The list is closed and only grows; a
// reader shows an unknown one as UnknownCode, never drops it.
type Code string

// The codes that stop saving or sending.
const (
	StoreStopped  Code = "store-stopped"  // the store met an I/O error and takes nothing more
	ReadFailed    Code = "read-failed"    // what is kept here cannot be read or exchanged
	DiskFull      Code = "disk-full"      // too little space for new records
	KeyProblem    Code = "key-problem"    // the key that opens the records is missing or wrong
	DatabaseHeld  Code = "database-held"  // another process holds the database
	PortInUse     Code = "port-in-use"    // the page's port is taken by another program
	SecondPC      Code = "second-pc"      // another PC speaks for this station
	EnrolRefused  Code = "enrol-refused"  // the one-time code was refused
	CentreRefuses Code = "centre-refuses" // the centre's deny list names this station
	Certificate   Code = "certificate"    // one side's certificate does not verify
	VersionOld    Code = "version-old"    // the centre no longer speaks with this version
)

// The codes of the way to the centre.
const (
	NotEnrolled    Code = "not-enrolled"    // no identity yet
	CentreNonsense Code = "centre-nonsense" // its answer cannot be read
	CentreBusy     Code = "centre-busy"     // it said: later
	NoLink         Code = "no-link"         // it cannot be reached
	LinkCuts       Code = "link-cuts"       // the link breaks before an exchange ends
	LinkClosed     Code = "link-closed"     // the centre lets it be used at other hours only
	LinkSpent      Code = "link-spent"      // what the centre lets it carry in a day was carried
	Silent         Code = "silent"          // no report for a day, as seen at the centre
	RefusedStick   Code = "stick-refused"   // the last file from a stick yielded nothing
	SilentStick    Code = "stick-out"       // a stick was written a week ago, and nothing was heard of it
	Behind21       Code = "behind-21"       // 21 days without reaching or sending
	Behind7        Code = "behind-7"
	Behind3        Code = "behind-3"
	Behind1        Code = "behind-1"
)

// The codes of the PC, its records and its folders.
const (
	ClockDoubt      Code = "clock-doubt"      // the PC's clock is or was wrong
	DatabaseRebuilt Code = "database-rebuilt" // the database was unreadable, set aside and made anew
	JournalTrouble  Code = "journal-trouble"  // the journal was lost or an older copy; no backup holds what it lacks
	Restored        Code = "restored"         // an older copy of the data folder was put back
	Unequal         Code = "unequal"          // records differ from the centre's and are being brought together
	Healed          Code = "healed"           // records differed from the centre's and were brought together
	DiskLow         Code = "disk-low"
	DiskNoFiles     Code = "disk-no-files"   // too little space for attachments
	UpkeepFailed    Code = "upkeep-failed"   // what keeps the database in order did not end
	Parked          Code = "parked"          // the centre could not take some entries
	Conflicts       Code = "conflicts"       // a person must decide between values
	Undated         Code = "undated"         // a wrong clock stamped entries: a person must say when they were made
	Untold          Code = "untold"          // values that did not win, not yet shown to who typed them
	FileAside       Code = "file-aside"      // a file in the drop folder was not taken
	DropUnreadable  Code = "drop-unreadable" // the drop folder cannot be read
	Messages        Code = "messages"        // messages wait for somebody to say whose they are
	MessagesClosed  Code = "messages-closed" // no messages are received over the network
	PointsClosed    Code = "points-closed"   // points of this station cannot reach it
	ConfigRefused   Code = "config-refused"  // a changed setting is wrong; the old ones hold
	Practice        Code = "practice"        // made-up people only
	Fine            Code = "fine"            // nothing is wrong
	UnknownCode     Code = "unknown"         // stands for a code this program does not know
)

// rule is what Judge knows of a code.
type rule struct {
	code     Code
	severity Severity
	// explains are the codes that follow from this one.
	explains []Code
}

// rules lists every code, the likelier cause before the likelier effect.
func rules() []rule {
	behind := []Code{Behind21, Behind7, Behind3, Behind1}
	and := func(more ...Code) []Code { return append(more, behind...) }
	return []rule{
		{KeyProblem, Stop, and(StoreStopped, ReadFailed)},
		{DatabaseHeld, Stop, and(PortInUse)},
		{DiskFull, Stop, and(StoreStopped, ReadFailed, UpkeepFailed)},
		{StoreStopped, Stop, and(ReadFailed)},
		{ReadFailed, Stop, behind},
		{SecondPC, Stop, and(CentreRefuses)},
		{EnrolRefused, Stop, and(NotEnrolled)},
		{CentreRefuses, Stop, and(Certificate)},
		{VersionOld, Stop, and(CentreNonsense)},
		{Certificate, Stop, behind},
		{CentreNonsense, Warn, behind},
		{NoLink, Info, and(NotEnrolled)},
		{LinkCuts, Info, behind},
		{CentreBusy, Info, behind},
		{LinkClosed, Info, behind},
		{LinkSpent, Info, behind},
		{NotEnrolled, Warn, behind},
		{Silent, Warn, behind},
		{PortInUse, Stop, nil},
		{Parked, Warn, behind},
		{ClockDoubt, Warn, behind},
		{RefusedStick, Warn, and(SilentStick)},
		{SilentStick, Warn, behind},
		{Behind21, Stop, nil},
		{Behind7, Warn, nil},
		{DatabaseRebuilt, Warn, nil},
		{JournalTrouble, Warn, nil},
		{Unequal, Warn, nil},
		{Conflicts, Warn, nil},
		{Undated, Warn, nil},
		{Behind3, Warn, nil},
		{DropUnreadable, Warn, nil},
		{FileAside, Warn, nil},
		{Messages, Warn, nil},
		{MessagesClosed, Warn, nil},
		{PointsClosed, Warn, nil},
		{ConfigRefused, Warn, nil},
		{DiskNoFiles, Warn, []Code{UpkeepFailed}},
		{DiskLow, Warn, nil},
		{UpkeepFailed, Warn, nil},
		{UnknownCode, Warn, nil},
		{Behind1, Info, nil},
		{Untold, Info, nil},
		{Restored, Info, nil},
		{Healed, Info, nil},
		{Practice, Info, nil},
		{Fine, OK, nil},
	}
}

// Codes lists every code.
func Codes() []Code {
	var out []Code
	for _, r := range rules() {
		out = append(out, r.code)
	}
	return out
}
