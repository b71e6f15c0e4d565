package run

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
)

// shippedKeys is the keys of the models of a shipped scenario's first cell, by step.
func shippedKeys(t *testing.T, h *home.Home, name string, set ...string) map[string]string {
	t.Helper()
	s, err := LoadScenario(name, os.DirFS("../../scenarios"), scenario.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	plan := s.Plan()
	r := &Run{home: h, plan: plan, Board: lab.NewBoard(), options: Options{Now: clock()}, readOnly: true}
	t.Cleanup(r.letGo)
	w := &worker{run: r, cell: &plan.Cells[0]}
	jobs, err := w.plan(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	of := map[string]string{}
	for i, step := range w.cell.Point.Steps {
		of[step.Name] = jobs[i].model.key
	}
	return of
}

// TestShippedScenariosShareModels: what scenarios of chains say that they find in the home where
// paper/table5 was run has its keys.
func TestShippedScenariosShareModels(t *testing.T) {
	h := newHome(t)
	keys := func(name string) map[string]string { return shippedKeys(t, h, name) }
	table5 := keys("paper/table5")
	for name, rows := range map[string]map[string]string{
		"reasoning-teachers": {"small-SFT": "small-SFT", "middle-SFT": "middle-SFT", "large-SFT": "large-SFT"},
		"kd-onpolicy":        {"middle-SFT": "middle-SFT", "base": "base", "FKL": "FKL"},
		"kd-divergences":     {"middle-SFT": "middle-SFT", "base": "base", "FKL": "FKL", "RKL": "RKL", "JSD": "JSD"},
		"kd-teachers": {
			"small-SFT": "small-SFT", "middle-SFT": "middle-SFT", "large-SFT": "large-SFT", "base": "base",
			"small": "FKL-small", "middle": "FKL", "large": "FKL-large",
		},
	} {
		of := keys(name)
		for row, as := range rows {
			if of[row] == "" || of[row] != table5[as] {
				t.Errorf("%s: row %s has key %.12s, and %s of paper/table5 %.12s", name, row, of[row], as, table5[as])
			}
		}
	}
}

// TestShippedScenariosLoad: each scenario that ships is one that may run, in full and quick; those
// of the user's own files lack nothing but their names.
func TestShippedScenariosLoad(t *testing.T) {
	files := os.DirFS("../../scenarios")
	var names []string
	for _, pattern := range []string{"*.yaml", "paper/*.yaml", "beyond/*.yaml"} {
		found, err := fs.Glob(files, pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 20 {
		t.Fatalf("found %d scenarios", len(names))
	}
	own := map[string]string{"own-data": "file"}
	for _, name := range names {
		name = strings.TrimSuffix(name, ".yaml")
		for _, quick := range []bool{false, true} {
			_, err := LoadScenario(name, files, scenario.Options{Quick: quick})
			if what := own[name]; err != nil && (what == "" || !strings.Contains(err.Error(), "no "+what+" is named")) {
				t.Errorf("%s, quick %t: %v", name, quick, err)
			}
		}
	}
}

// TestRatingsScenariosShareModels: the front of real ratings begins with the models of movielens.
func TestRatingsScenariosShareModels(t *testing.T) {
	h, path := newHome(t), "task.path="+writeRatings(t, 1)
	trained, front := shippedKeys(t, h, "movielens", path), shippedKeys(t, h, "pareto-movielens", path)
	for row, as := range map[string]string{"FM": "FM", "32-wide": "kd-10%"} {
		if front[row] == "" || front[row] != trained[as] {
			t.Errorf("row %s has key %.12s, and %s of movielens %.12s", row, front[row], as, trained[as])
		}
	}
}
