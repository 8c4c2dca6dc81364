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

// StickWords tells what became of a file from a stick, and what to do.
func StickWords(lang string, s Stick) (title, todo string) {
	return listed(lang, "stick", string(s))
}
