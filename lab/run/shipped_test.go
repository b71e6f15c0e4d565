package run

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// TestShippedScenariosShareModels: what scenarios of chains say that they find in the home where
// paper/table5 was run has its keys.
func TestShippedScenariosShareModels(t *testing.T) {
	h := newHome(t)
	keys := func(name string) map[string]string {
		s, err := LoadScenario(name, os.DirFS("../../scenarios"), scenario.Options{})
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
	for _, pattern := range []string{"*.yaml", "paper/*.yaml"} {
		found, err := fs.Glob(files, pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 20 {
		t.Fatalf("found %d scenarios", len(names))
	}
	own := map[string]string{"movielens": "folder", "pareto-movielens": "folder", "own-data": "file"}
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
