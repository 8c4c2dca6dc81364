package wire

import "time"

// Allowance is what an upstream lets a replica use its link for. The zero value bounds
// nothing. What is urgent goes in any case.
type Allowance struct {
	// Bytes may go up and down in a day, TLS included; 0 is any number.
	Bytes int64 `json:"bytes,omitempty"`
	// From and Until are minutes of the replica's own day, between which it may call:
	// over midnight where Until is the earlier one, always where they are the same.
	From  int `json:"from,omitempty"`
	Until int `json:"until,omitempty"`
}

// minutes are those of a day.
const minutes = 24 * 60

// Valid reports whether an allowance means anything.
func (a Allowance) Valid() bool {
	return a.Bytes >= 0 && a.From >= 0 && a.From < minutes && a.Until >= 0 && a.Until < minutes
}

// Opens is how long it is from a moment, in the zone of the replica, until it may call; 0
// where it may now.
func (a Allowance) Opens(at time.Time) time.Duration {
	now := at.Hour()*60 + at.Minute()
	since := (now - a.From + minutes) % minutes
	if open := (a.Until - a.From + minutes) % minutes; open == 0 || since < open {
		return 0
	}
	into := time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())
	return time.Duration(minutes-since)*time.Minute - into
}
