package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/store"
)

// An artifact is made once and found by its recipe; the log of a run is appended to and read back.
func Example() {
	home, err := os.MkdirTemp("", "store-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)

	artifacts := store.OpenArtifacts(filepath.Join(home, "artifacts"))
	teacher := recipe.Recipe{Stage: "train", Version: 1, Parameters: recipe.Values{"steps": 100}}
	if _, err := artifacts.Put(teacher, store.Label{Title: "train teacher"}, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "weights"), []byte("0.25"), 0o644)
	}); err != nil {
		panic(err)
	}
	dir, err := artifacts.Get(context.Background(), teacher.Key())
	if err != nil {
		panic(err)
	}
	weights, _ := os.ReadFile(filepath.Join(dir, "weights"))
	text, _ := os.ReadFile(filepath.Join(dir, recipe.FileName))
	fmt.Printf("%s made of %s\n", weights, text)

	logs := store.Open(filepath.Join(home, "runs"))
	log, err := logs.Create(lab.Begin{Run: "first", Scenario: "example", Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}, Rows: []string{"teacher"}})
	if err != nil {
		panic(err)
	}
	for _, e := range []lab.Event{
		{Kind: lab.KindRow, Cell: "seed=1", Row: "teacher", Key: teacher.Key(), Values: map[string]lab.Measure{"loss": {Value: 0.5}}},
		{Kind: lab.KindEnd, State: lab.Done},
	} {
		if err := log.Append(e); err != nil {
			panic(err)
		}
	}
	if err := log.Close(); err != nil {
		panic(err)
	}
	run, err := logs.Read("last")
	if err != nil {
		panic(err)
	}
	loss, _ := lab.Fold(run.Events).Snapshot().Rows[0].Metric("loss")
	fmt.Println(run.ID, run.State, loss.Value)

	// Output:
	// 0.25 made of {"parameters":{"steps":100},"recipe":1,"stage":"train","version":1}
	// first done 0.5
}
