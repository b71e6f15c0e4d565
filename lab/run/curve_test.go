package run

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
)

// curvesOf writes all curves of a run, bit for bit.
func curvesOf(b *lab.Board) string {
	var text strings.Builder
	view := b.Snapshot()
	for i := range view.Cells {
		for j := range view.Cells[i].Series {
			s := &view.Cells[i].Series[j]
			fmt.Fprintf(&text, "%s %s:", view.Cells[i].ID, s.Name)
			for _, p := range s.Points() {
				fmt.Fprintf(&text, " %d %x", p.Step, math.Float64bits(p.Value))
			}
			text.WriteByte('\n')
		}
	}
	return text.String()
}

// TestCurvesAreKept: a run that finds its models shows the curves of their trainings, bit for bit.
func TestCurvesAreKept(t *testing.T) {
	ref := theReference(t)
	want := curvesOf(ref.board)
	for _, name := range []string{"teacher.loss", "student.loss", "student.divergence", "healed.divergence"} {
		if !strings.Contains(want, "seed=2 "+name+":") {
			t.Fatalf("the reference has no curve %s:\n%s", name, want)
		}
	}
	out := mustWork(t, copyHome(t, everything), parse(t, chain, scenario.Options{Seeds: 2}), Options{})
	if got := curvesOf(out.Board); got != want {
		t.Errorf("curves are\n%s\nexpected\n%s", got, want)
	}
	// What is on disk is what was seen.
	h := copyHome(t, everything)
	again := mustWork(t, h, parse(t, chain, scenario.Options{Seeds: 2}), Options{Jobs: 2})
	log, err := h.Logs.Read(again.Run)
	if err != nil {
		t.Fatal(err)
	}
	if got := curvesOf(lab.Fold(log.Events)); got != want {
		t.Errorf("the log has the curves\n%s\nexpected\n%s", got, want)
	}
}

// TestCurvesOfASharedModel: where two cells share a model, both show its curve, in the run that
// trains it and in the next.
func TestCurvesOfASharedModel(t *testing.T) {
	text := strings.Replace(onWorld, "- train: { name: first, into: little, steps: 3, batch: 4 }",
		"- train: { name: first, into: little, steps: 3, batch: 4 }\n  - quantize: { name: packed, scheme: \"${scheme}\", group: 8 }\nsweep: { scheme: [w8a8, w4a16-rtn] }", 1)
	h := copyHome(t, onlyTokenizer)
	first := mustWork(t, h, parse(t, text, scenario.Options{}), Options{Jobs: 2})
	next := mustWork(t, h, parse(t, text, scenario.Options{}), Options{Jobs: 1})
	want := curvesOf(first.Board)
	if strings.Count(want, "first.loss:") != 2 {
		t.Errorf("the first run has the curves\n%s\nexpected first.loss in both cells", want)
	}
	if got := curvesOf(next.Board); got != want {
		t.Errorf("curves are\n%s\nexpected\n%s", got, want)
	}
}

// TestModelWithoutCurves: a model of an earlier version says once that no curve is shown, and of
// which run it is; facts that do not fit are an error with the file.
func TestModelWithoutCurves(t *testing.T) {
	for _, c := range []struct{ facts, note, err string }{
		{`{"tokens":9,"seconds":1,"loss":2,"run":"r1"}`, "first: no curve is shown: the model is of an earlier version, which kept none, and of run r1", ""},
		{`{"tokens":9,"seconds":1,"loss":2}`, "first: no curve is shown: the model is of an earlier version, which kept none", ""},
		{`{"curves":[{"name":"loss","steps":[1,2],"values":[0.5]}]}`, "", "curve loss has 2 steps and 1 value"},
		{`{"curves":[{"name":"loss","steps":[1],"values":["half"]}]}`, "", "expected a number"},
		{`{"curves":[{"name":"loss","steps":[1],"values":[{}]}]}`, "", "expected a number"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, recipe.FactsFile), []byte(c.facts), 0o644); err != nil {
			t.Fatal(err)
		}
		r := &Run{}
		for range 2 { // two cells
			err := (&worker{run: r, cell: &scenario.Cell{}, stage: "first"}).showCurves("first", dir)
			if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), dir)) {
				t.Errorf("%s: %v, expected %q", c.facts, err, c.err)
			}
		}
		var notes []string
		for _, e := range r.unlogged {
			notes = append(notes, e.Text)
		}
		if strings.Join(notes, "\n") != c.note {
			t.Errorf("%s: notes %q, expected %q", c.facts, notes, c.note)
		}
	}
}

// TestCurveValues: each value comes back from JSON with its bits.
func TestCurveValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		if rapid.Bool().Draw(t, "special") {
			x = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64}).Draw(t, "x")
		}
		text, err := json.Marshal([]curveValue{curveValue(x)})
		if err != nil {
			t.Fatal(err)
		}
		var got []curveValue
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if y := float64(got[0]); math.Float64bits(y) != math.Float64bits(x) && !(math.IsNaN(x) && math.IsNaN(y)) {
			t.Fatalf("%x became %s and %x", x, text, y)
		}
	})
}
