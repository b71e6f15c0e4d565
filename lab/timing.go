package lab

import (
	"fmt"
	"strings"
)

// Timing says how the timings of one stage of a row were taken.
type Timing struct {
	Stage string `msgpack:"g" json:"stage"` // "serve" or "train"
	Run   string `msgpack:"r" json:"run"`   // that took them
	// Machine is "steady", "shared" or "throttled", as lab/doctor finds it from loops before and
	// after; empty where nobody looked, as in earlier versions.
	Machine  string   `msgpack:"m,omitempty" json:"machine,omitempty"`
	Findings []string `msgpack:"f,omitempty" json:"findings,omitempty"` // why it was not steady
	// Others is the number of other slimlab processes that worked meanwhile.
	Others int `msgpack:"o,omitempty" json:"others,omitempty"`
	// Beside says that other cells of the run computed meanwhile, which the findings cannot tell
	// from others.
	Beside bool `msgpack:"b,omitempty" json:"beside,omitempty"`
}

// Warning says why the timings are to be taken with care in a report of a run; "" where nothing is
// known. Its parts are separated as in Measure.Warning.
func (t Timing) Warning(run string) string {
	var parts []string
	if t.Run != run {
		parts = append(parts, "timing of run "+t.Run)
	}
	switch {
	case t.Beside:
		parts = append(parts, "timed beside other cells of the run")
	case t.Machine != "" && t.Machine != "steady":
		parts = append(parts, fmt.Sprintf("timed on a %s machine", t.Machine))
	}
	if t.Others > 0 {
		parts = append(parts, "timed beside another slimlab process")
	}
	return strings.Join(parts, warningSeparator)
}
