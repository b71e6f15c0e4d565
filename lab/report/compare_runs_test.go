package report

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"slimlab/internal/golden"
	"slimlab/lab"
)

// threeRuns are a baseline, a run that is worse and better, and one with a setting, a seed less and
// without a row.
func threeRuns() []*lab.View {
	base := run("base", 5, nil).Snapshot()
	next := run("next", 5, func(row string, seed int, m map[string]lab.Measure) {
		if row == "distilled" {
			m["auc"] = lab.Measure{Value: m["auc"].Value - 0.002}
		}
		if row == "w8a8" {
			m["bytes"] = lab.Measure{Value: 150_000}
			delete(m, "smaller")
		}
	}).Snapshot()
	other := run("other", 4, nil).Snapshot()
	other.Begin.Hash, other.Begin.Settings = "fedcba", []string{"kd.steps=200", "kd.steps=300"}
	other.Rows = other.Rows[:2]
	return []*lab.View{base, next, other}
}

func unresolved(lab.Begin) ([]Setting, error) { return nil, errors.New("no text") }

// TestThreeRuns: the settings that differ, what cannot be matched, then a column for each run.
func TestThreeRuns(t *testing.T) {
	c := CompareRuns(threeRuns(), 0, unresolved)
	for _, format := range RunsFormats() {
		var b bytes.Buffer
		if err := c.Write(format, &b); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, "compare-runs."+format, b.String())
		if err := c.Write(format, failing{}); !errors.Is(err, errFull) {
			t.Errorf("%s to a full disk: %v", format, err)
		}
	}
	if err := c.Write("xml", &bytes.Buffer{}); err == nil {
		t.Error("comparison as xml")
	}
}

// TestRunsEqualPairs: every column of a comparison of several runs is the comparison of two, whole,
// whichever run is the baseline and whatever rows, metrics and seeds the runs have.
func TestRunsEqualPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		views := make([]*lab.View, rapid.IntRange(1, 12).Draw(t, "runs"))
		for i := range views {
			without := rapid.SampledFrom([]string{"", "auc", "bytes", "params"}).Draw(t, "without")
			shift := rapid.Float64Range(-0.1, 0.1).Draw(t, "shift")
			views[i] = run(fmt.Sprint("run", i), rapid.IntRange(1, 5).Draw(t, "seeds"), func(row string, seed int, m map[string]lab.Measure) {
				one := m["auc"]
				one.Value += shift
				m["auc"] = one
				delete(m, without)
			}).Snapshot()
			from := rapid.IntRange(0, 3).Draw(t, "row")
			views[i].Rows = views[i].Rows[min(from, rapid.IntRange(0, 3).Draw(t, "first")):]
		}
		baseline := rapid.IntRange(0, len(views)-1).Draw(t, "baseline")
		c := CompareRuns(views, baseline, nil)
		for i, v := range views {
			var column []Change
			for _, l := range c.Lines {
				if one := l.Changes[i]; one != nil {
					column = append(column, *one)
				}
			}
			if i == baseline {
				if column != nil || c.Against[i] != nil {
					t.Fatalf("the baseline is compared with itself: %+v", column)
				}
				continue
			}
			pair := Compare(views[baseline], v)
			if !sameChanges(column, pair.Changes) {
				t.Fatalf("run %d against %d: found\n%+v\nexpected\n%+v", i, baseline, column, pair.Changes)
			}
		}
	})
}

// sameChanges reports whether both hold the same changes; the lines of several runs have one order
// of metrics.
func sameChanges(a, b []Change) bool {
	text := func(list []Change) []string {
		var out []string
		for _, one := range list {
			out = append(out, fmt.Sprintf("%+v", one))
		}
		slices.Sort(out)
		return out
	}
	return reflect.DeepEqual(text(a), text(b))
}

// TestDifferences: only what differs, in the order of the runs' keys, absent keys included.
func TestDifferences(t *testing.T) {
	runs := []lab.Begin{
		{Run: "a", Scenario: "x", Hash: "1", Version: "v1", Cells: []lab.Cell{{Seed: 1}, {Seed: 2}, {Seed: 1}}, Source: "kd.steps=10 kd.rate=1 w8.kind=quantize"},
		{Run: "b", Scenario: "x", Hash: "2", Version: "v1", Cells: []lab.Cell{{Seed: 1}}, Quick: true, Source: "kd.steps=20 kd.keep=best kd.rate=1 w8.kind=quantize"},
	}
	resolve := func(b lab.Begin) ([]Setting, error) {
		var out []Setting
		for _, word := range strings.Fields(b.Source) {
			key, value, _ := strings.Cut(word, "=")
			out = append(out, Setting{key, value})
		}
		return out, nil
	}
	got, notes := Differences(runs, resolve)
	want := []Difference{{"quick", []string{"false", "true"}}, {"seeds", []string{"1, 2", "1"}}, {"kd.steps", []string{"10", "20"}}, {"kd.keep", []string{Missing, "best"}}}
	if !reflect.DeepEqual(got, want) || notes != nil {
		t.Errorf("found\n%v %q\nexpected\n%v", got, notes, want)
	}
	runs[1].Settings = []string{"a=1", "b=2", "a=3"}
	got, notes = Differences(runs, unresolved)
	want = append(want[:2:2], Difference{"b", []string{Missing, "2"}}, Difference{"a", []string{Missing, "3"}}, Difference{"hash", []string{"1", "2"}})
	if !reflect.DeepEqual(got, want) || len(notes) != 2 {
		t.Errorf("without settings: found\n%v %q\nexpected\n%v", got, notes, want)
	}
	// the hash stands for what no key shows
	if got, _ := Differences([]lab.Begin{{Hash: "1"}, {Hash: "2"}, {Hash: "1"}}, resolve); len(got) != 1 || got[0].Key != "hash" {
		t.Errorf("hashes alone: %v", got)
	}
	if got, _ := Differences([]lab.Begin{runs[0], runs[0]}, resolve); got != nil {
		t.Errorf("of equal runs: %v", got)
	}
}

// TestRunsWithNothingInCommon: no line, each run is said not to be comparable.
func TestRunsWithNothingInCommon(t *testing.T) {
	views := threeRuns()
	for i, v := range views {
		for k := range v.Rows {
			v.Rows[k].Name = fmt.Sprint(strings.Repeat("n", 200), i, k)
		}
	}
	c := CompareRuns(views, 1, nil)
	var b bytes.Buffer
	if err := c.Write("table", &b); err != nil || len(c.Lines) != 0 || strings.Count(b.String(), "NOT COMPARABLE") != 2 {
		t.Errorf("%v\n%s", err, b.String())
	}
	if s, ok := (&RunsLine{Changes: make([]*Change, 2)}).Value(1, 0); ok || !math.IsNaN(s.Value) {
		t.Errorf("of a run without the row: %+v", s)
	}
}

// TestRunsFitATerminal: runs that do not fit stand in further tables, each with the baseline, and
// every value of every run is there once.
func TestRunsFitATerminal(t *testing.T) {
	views := make([]*lab.View, 12)
	for i := range views {
		views[i] = run(fmt.Sprint("run", i), 2, func(row string, seed int, m map[string]lab.Measure) {
			m["bytes"] = lab.Measure{Value: float64(100_000 * (10 + i))}
		}).Snapshot()
		views[i].Begin.Settings = []string{fmt.Sprintf("a.name=%d", i%2)}
	}
	for _, baseline := range []int{0, 5, 11} {
		c := CompareRuns(views, baseline, unresolved)
		var whole bytes.Buffer
		if err := c.Text(&whole, 0); err != nil || strings.Count(whole.String(), "FM         bytes") != 1 {
			t.Fatalf("%v\n%s", err, whole.String())
		}
		for _, width := range []int{1, 70, 100, 1000} {
			var b bytes.Buffer
			if err := c.Text(&b, width); err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			for line := range strings.SplitSeq(b.String(), "\n") {
				if !strings.HasPrefix(line, "FM         bytes") && !strings.HasPrefix(line, "a.name") {
					continue
				}
				values := strings.Fields(line)
				if width >= 70 && ansi.StringWidth(line) > width {
					t.Errorf("width %d: %q", width, line)
				}
				for _, value := range values {
					seen[value]++
				}
			}
			for i := range views {
				base := fmt.Sprintf("%.2fMB", 1+0.1*float64(i))
				if n := seen[base]; i != baseline && n != 1 || i == baseline && n < 1 || (width == 1000) != (seen["bytes"] == 1) {
					t.Errorf("width %d, baseline %d: run %d stands there %d times\n%s", width, baseline, i, n, b.String())
				}
			}
			if seen["="] < 5 {
				t.Errorf("width %d: equal settings are written out\n%s", width, b.String())
			}
		}
	}
}
