package eval

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"slimlab/internal/behaviour"
	"slimlab/internal/golden"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
)

// TestBehaviour: an evaluation that computes something else needs another version.
func TestBehaviour(t *testing.T) {
	if recipe.Arch() != "amd64" {
		t.Skipf("skipped: the fixture was made on amd64, this is %s, which may fuse products and sums", recipe.Arch())
	}
	restore, err := kernels.Use("ref")
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	tiny := tinySource(t, "tiny", 3, "<bos>")
	source := Source{Name: "tiny", Positions: tiny.Positions, Recipe: func(context.Context) (recipe.Recipe, error) { return recipe.Recipe{Stage: "eval"}, nil }}
	kept := memory{}
	source.Load = tiny.Load
	rng := rand.New(rand.NewPCG(1, 1))
	text := ""
	for range 40 {
		text += sentences[rng.IntN(60):]
	}
	_, err = Run(t.Context(), []Source{source}, Options{
		Texts: []string{write(t, "text.txt", text)}, Choices: []string{write(t, "choice.jsonl", questions)}, Prompt: "The", Tokens: 4,
		Window: 32, Cue: task.DefaultCue, Store: kept,
	})
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(kept) // what is kept of each part, by its key
	if err != nil || len(kept) != 4 {
		t.Fatalf("%d parts are kept, %v", len(kept), err)
	}
	behaviour.Check(t, filepath.Join("testdata", "behaviour.golden"), []behaviour.Record{{Stage: "eval", Version: version, Hash: recipe.Text(string(content))}}, golden.Updating())
}
