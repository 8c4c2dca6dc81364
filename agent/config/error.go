package config

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

//go:embed words.toml
var words []byte

// Code names what is wrong with a settings file. The list only grows.
type Code string

// The codes.
const (
	NoFile      Code = "no-file"      // there is no such file
	Unreadable  Code = "unreadable"   // the system does not let us read it
	TooLarge    Code = "too-large"    // Hint: the limit in MiB
	Syntax      Code = "syntax"       // not TOML
	UnknownKey  Code = "unknown-key"  // no such setting
	DidYouMean  Code = "did-you-mean" // no such setting; Hint: the likely one
	WrongType   Code = "wrong-type"   // not a text in quotes; Hint: an example
	BadDuration Code = "bad-duration" // Hint: an example
	OutOfRange  Code = "out-of-range" // Hint: the least and the most
	BadAddress  Code = "bad-address"  // not host:port; Hint: an example
	BadURL      Code = "bad-url"      // not an https address; Hint: an example
	BadName     Code = "bad-name"     // not a station's name; Hint: an example
	BadChoice   Code = "bad-choice"   // Hint: what may stand there
	BadFolder   Code = "bad-folder"   // no folder can have this name; Hint: an example

	BadSenders     Code = "bad-senders"     // not IP addresses; Hint: an example
	BadIdentifiers Code = "bad-identifiers" // not authorities and URIs; Hint: an example
	// PlainOutside is an address that a network could read; Hint: an example.
	PlainOutside Code = "plain-outside"
	BadHost      Code = "bad-host"   // not host names; Hint: an example
	Incomplete   Code = "incomplete" // Hint: the setting that it needs
)

// Codes lists all codes.
func Codes() []Code {
	return []Code{NoFile, Unreadable, TooLarge, Syntax, UnknownKey, DidYouMean, WrongType, BadDuration,
		OutOfRange, BadAddress, BadURL, BadName, BadChoice, BadFolder, BadSenders, BadIdentifiers,
		PlainOutside, BadHost, Incomplete}
}

// Error is one thing wrong with a settings file, as a code with what its words
// need. Fields that a code has no use for are empty.
type Error struct {
	Code Code
	File string
	Line int    // from 1; 0 where no line is to blame
	Key  string // "drop.poll"
	Hint string
	// cause is the system's own error, for errors.Is.
	cause error
}

// Error is the English sentence.
func (e *Error) Error() string { return e.Text("en") }

// Unwrap is the system's error behind NoFile and Unreadable, else nil.
func (e *Error) Unwrap() error { return e.cause }

// Text is one sentence that says what is wrong and what to do, in "vi" or
// "en"; any other language reads English.
func (e *Error) Text(language string) string {
	var table map[Code]map[string]string
	text := ""
	if err := toml.Unmarshal(words, &table); err == nil {
		if text = table[e.Code][language]; text == "" {
			text = table[e.Code]["en"]
		}
	}
	if text == "" {
		text = string(e.Code) + " {key}"
	}
	return strings.NewReplacer("{file}", e.File, "{line}", strconv.Itoa(e.Line), "{key}", e.Key, "{hint}", e.Hint).Replace(text)
}
