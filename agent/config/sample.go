package config

import _ "embed"

//go:embed sample.toml
var sample string

// Sample is a settings file that names every setting with its default and a
// note in both languages.
func Sample() string { return sample }
