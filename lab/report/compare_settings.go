package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/lab"
)

// Setting is a key of a run with its value.
type Setting struct{ Key, Value string }

// Difference is a key whose value is not the same in all runs.
type Difference struct {
	Key    string
	Values []string // by run; Missing where a run has no such key
}

// Differences lists the keys that differ between runs, in the order in which the runs have them:
// what the run itself is (scenario, quick, seeds), the settings of its scenario, then version and
// machine. resolve derives the settings from a run's log. Where it cannot do so for one of the
// runs, what was set is compared in place of them, with the scenario's hash, and notes say why.
func Differences(runs []lab.Begin, resolve Resolve) (differences []Difference, notes []string) {
	of := make([][]Setting, len(runs))
	whole := true
	for i, b := range runs {
		settings, err := resolve(b)
		if err != nil {
			whole = false
			notes = appendNew(notes, fmt.Sprintf("run %s: its settings cannot be derived, what was set and the scenario's hash are compared: %v", b.Run, err))
		}
		of[i] = settings
	}
	for i, b := range runs {
		if !whole {
			of[i] = overrides(b)
		}
		head := []Setting{{"scenario", b.Scenario}, {"quick", strconv.FormatBool(b.Quick)}, {"seeds", seedsOf(b)}}
		of[i] = slices.Concat(head, of[i], []Setting{{"version", b.Version}, {"machine", b.Machine}})
	}
	differences = differing(of)
	hashes := Difference{Key: "hash"}
	for _, b := range runs {
		hashes.Values = append(hashes.Values, fmt.Sprintf("%.8s", b.Hash))
	}
	if !same(hashes.Values) && (!whole || len(differences) == 0) {
		differences = append(differences, hashes)
	}
	return differences, notes
}

// overrides are the settings that a run was given; of one key the last counts.
func overrides(b lab.Begin) []Setting {
	var out []Setting
	for _, text := range b.Settings {
		key, value, _ := strings.Cut(text, "=")
		out = slices.DeleteFunc(out, func(s Setting) bool { return s.Key == key })
		out = append(out, Setting{key, value})
	}
	return out
}

func seedsOf(b lab.Begin) string {
	var seeds []string
	for _, c := range b.Cells {
		seeds = appendNew(seeds, strconv.Itoa(c.Seed))
	}
	return strings.Join(seeds, ", ")
}

// differing merges the keys of all runs, each behind the one that it follows in its run, and keeps
// those whose values differ.
func differing(of [][]Setting) []Difference {
	var keys []string
	values := map[string][]string{}
	for run, settings := range of {
		at := 0
		for _, s := range settings {
			v, known := values[s.Key]
			if !known {
				v = slices.Repeat([]string{Missing}, len(of))
				values[s.Key] = v
				keys = slices.Insert(keys, at, s.Key)
			}
			at = slices.Index(keys, s.Key) + 1
			v[run] = s.Value
		}
	}
	var out []Difference
	for _, key := range keys {
		if !same(values[key]) {
			out = append(out, Difference{key, values[key]})
		}
	}
	return out
}

func same(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
}
