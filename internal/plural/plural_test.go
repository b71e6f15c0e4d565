package plural

import "testing"

// TestOf: one thing alone has no ending, and a verb of its own.
func TestOf(t *testing.T) {
	for want, of := range map[string]string{
		"0 cells": Of(0, "cell"), "1 cell": Of(1, "cell"), "2 cells": Of(int64(2), "cell"), "-1 cells": Of(-1, "cell"), "1 axis": Of(1, "axis"), "2 axes": Of(2, "axis"),
		"is": Verb(1), "are": Verb(0),
		"does": Words(1, "does", "do"), "do": Words(int64(0), "does", "do"),
	} {
		if of != want {
			t.Errorf("found %q, expected %q", of, want)
		}
	}
}
