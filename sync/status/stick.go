package status

// Stick says what became of a file that came on a stick. The list is closed and
// only grows.
type Stick string

// What becomes of a file.
const (
	StickTaken    Stick = "taken"
	StickGap      Stick = "gap"      // taken; files before it have not come
	StickAgain    Stick = "again"    // taken before
	StickOld      Stick = "old"      // a later answer said all of it, or nobody here asked
	StickForeign  Stick = "foreign"  // for another, or from another centre
	StickAltered  Stick = "altered"  // not as it was written, or not by whom it says
	StickNewer    Stick = "newer"    // of a form that this program does not read
	StickLarge    Stick = "large"    // larger than any file of this program
	StickStranger Stick = "stranger" // the centre knows another PC under this name
	StickRefused  Stick = "refused"  // heard; the centre gives nothing
	StickNonsense Stick = "nonsense" // it opens, and what is in it cannot be read
)

// Taken reports whether what the file held is in, now or since before.
func (s Stick) Taken() bool { return s == StickTaken || s == StickGap || s == StickAgain }

// Fine reports whether nothing is to be done about the file.
func (s Stick) Fine() bool { return s.Taken() || s == StickOld }

// StickWords tells what became of a file from a stick, and what to do.
func StickWords(lang string, s Stick) (title, todo string) {
	return listed(lang, "stick", string(s))
}

// Trip says what is known of a stick that a station wrote. The list is closed and
// only grows. None of them makes an entry green: a receipt does.
type Trip string

// What is known of a stick.
const (
	TripOut      Trip = "out"      // written; nothing was heard of it since
	TripCalled   Trip = "called"   // an exchange over the link did all that it was to do
	TripReplaced Trip = "replaced" // a later file took its place on the stick, and holds all of it
	TripPassed   Trip = "passed"   // a later one was answered, which held what was on it
	TripMissed   Trip = "missed"   // the same, and the centre had not got this one by then
	TripAnswered Trip = "answered" // the centre read it, and its answer was read here
)

// TripWords tells what is known of a stick that was written, and what to do.
func TripWords(lang string, t Trip) (title, todo string) {
	return listed(lang, "trip", string(t))
}
