// Package quietstart keeps the libraries of the workbench from asking the terminal a question while
// the program starts.
//
// bubbletea asks the terminal for its background colour in its own initialisation, whatever the
// command line says, and waits five seconds where none answers. It does not ask a dumb terminal. So
// this package says that the terminal is one while packages are initialised, and Restore takes that
// back. Go initialises packages as soon as what they import is, by their names; this one imports
// only os, the libraries import much more and come later. A test of the program on a silent
// terminal holds this.
//
// It promises that TERM is after Restore what it was at the start. It leaves out colours: nothing
// in slimlab depends on the background.
package quietstart

import "os"

var term, isSet = hide()

func hide() (value string, isSet bool) {
	value, isSet = os.LookupEnv("TERM")
	os.Setenv("TERM", "dumb")
	return value, isSet
}

// Restore gives TERM the value that it had when the program started. It is to be called once,
// before anything else.
func Restore() {
	if isSet {
		os.Setenv("TERM", term)
	} else {
		os.Unsetenv("TERM")
	}
}
