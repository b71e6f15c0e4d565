package run

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/behaviour"
	"slimlab/internal/golden"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/checkpoint"
)

// stages is every kind of stage once, each on the same fixed model, so that what one computes does
// not depend on the others.
const stages = `
name: stages
task: { kind: recsys, members: 6, candidates: 1 }
models:
  fixed: { load: %q }
  small: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 24 }
pipeline:
  - baseline: { name: base, model: fixed }
  - train:    { name: trained, into: small, steps: 2, batch: 2, learning_rate: 1e-2 }
  - distil:   { name: distilled, into: small, teacher: fixed, steps: 2, batch: 2, learning_rate: 1e-2, loss: "jsd:0.3" }
  - distil:   { name: cached, into: small, teacher: fixed, steps: 2, batch: 2, learning_rate: 1e-2, cache: sampled:20 }
  - prune:    { name: pruned, from: fixed, mlp: 0.25, heads: 0.5, align: 1, calibration: { samples: 6 } }
  - quantize: { name: gptq, from: fixed, scheme: w4a16-gptq, group: 8, calibration: { samples: 6 } }
  - quantize: { name: rounded, from: fixed, scheme: w8a8 }
  - quantize: { name: beside, from: fixed, scheme: w3a16-quantease, group: 8, outliers: 2%%, sweeps: 5, calibration: { samples: 6 } }
  - quantize: { name: descent, from: fixed, scheme: w4a16-quantease, group: 8, range: mse, sweeps: 5, calibration: { samples: 6 } }
evaluate: { validation: 4 }
serve: { members: 2, candidates: 2 }
`

// ownTokenizer is a run that trains a tokenizer.
const ownTokenizer = `
name: own-tokenizer
task: { kind: recsys, members: 2, candidates: 1 }
tokenizer: { vocab: 400 }
models: { small: { layers: 1, hidden: 8, heads: 1, head_dim: 8, mlp: 8 } }
pipeline: [ train: { into: small, steps: 1, batch: 1 } ]
evaluate: { validation: 1 }
columns: [bytes]
`

// fixedModel writes a model whose weights no stage makes.
func fixedModel(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	tok, err := newHome(t).Tokenizer("pretrained:recsys-fm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: tok.Vocab(), Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 4, 2, 64),
		MaxPositions: 512, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: int(tok.BOS()), EOS: int(tok.EOS()),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range m.Tensors() {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		for j := range p.Data {
			if p.Data[j] = 0.15 * (rng.Float32() - 0.5); strings.Contains(p.Name, "norm") {
				p.Data[j]++
			}
		}
	}
	if err := checkpoint.Save(t.Context(), folder, m, tok, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		t.Fatal(err)
	}
	return folder
}

// useReference takes the kernels whose bits are the same on every CPU.
func useReference(t *testing.T) {
	t.Helper()
	if recipe.Arch() != "amd64" {
		t.Skipf("skipped: the fixture was made on amd64, this is %s, which may fuse products and sums", recipe.Arch())
	}
	restore, err := kernels.Use("ref")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(restore)
}

// TestBehaviour: a stage that computes something else needs another version, and the recipes of the
// stages, with the keys that they give, are those of the golden.
func TestBehaviour(t *testing.T) {
	useReference(t)
	h := newHome(t)
	fixed := fixedModel(t)
	for _, text := range []string{fmt.Sprintf(stages, fixed), ownTokenizer} {
		r, err := Start(t.Context(), h, parse(t, text, scenario.Options{}), Options{Jobs: 1, Now: clock()})
		if err != nil {
			t.Fatal(err)
		}
		r.machine = "test"
		if _, err := r.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	records := []behaviour.Record{{Stage: "task", Version: recsysVersion, Hash: taskOutput(t)}}
	var recipes strings.Builder
	for _, of := range []struct {
		title, stage string
		version      int
	}{
		{"tokenizer", "tokenizer", tokenizerVersion},
		{"train trained", "train", trainVersion},
		{"distil distilled", "distil", trainVersion},
		{"distil cached", "distil-cached", trainVersion},
		{"rows of MODEL (sampled:20)", "teacher-cache", cacheVersion},
		{"prune pruned", "prune", pruneVersion},
		{"quantize gptq", "quantize-gptq", quantizeVersion},
		{"quantize rounded", "quantize-rtn", quantizeVersion},
		{"quantize beside", "quantize-outliers", quantizeVersion},
		{"quantize descent", "quantize-quantease", quantizeVersion},
		{"evaluation of base", "evaluate", evaluateVersion},
		{"agreement of rounded", "agreement", agreementVersion},
		{"serving of base", "serve", serveVersion},
	} {
		dirs := artifactDirs(t, h, func(title string) bool { return strings.ReplaceAll(title, fixed, "MODEL") == of.title })
		if len(dirs) != 1 {
			t.Fatalf("%d artifacts %q, expected 1", len(dirs), of.title)
		}
		text, err := os.ReadFile(filepath.Join(dirs[0], recipe.FileName))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&recipes, "%s\n%s\n%s\n\n", of.title, filepath.Base(dirs[0]), text)
		records = append(records, behaviour.Record{Stage: of.stage, Version: of.version, Hash: output(t, dirs[0])})
	}
	behaviour.Check(t, filepath.Join("testdata", "behaviour.golden"), records, golden.Updating())
	golden.Equal(t, "recipes.golden", recipes.String())
}

// output hashes what a stage has made: tensors, config and tokenizer of a model, and the facts that
// are no timings.
func output(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	add := func(value any) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case recipe.FactsFile:
			var facts map[string]any
			if err := readFacts(dir, &facts); err != nil {
				t.Fatal(err)
			}
			for _, timing := range []string{"seconds", "cold", "hot", "memory", "run", "machine", "findings", "others", "beside", "curves"} {
				delete(facts, timing)
			}
			if cache, ok := facts["cache"].(map[string]any); ok {
				delete(cache, "seconds")
			}
			add(facts)
		case rowsFile:
			content, err := os.ReadFile(filepath.Join(dir, rowsFile))
			if err != nil {
				t.Fatal(err)
			}
			add(recipe.Text(string(content)))
		case "tokenizer.json":
			tok, err := newHome(t).Tokenizer(dir)
			if err != nil {
				t.Fatal(err)
			}
			add(tok.Hash())
		case "config.json":
			c, err := checkpoint.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			add(c.Config())
			tensors := c.Tensors()
			slices.SortFunc(tensors, func(a, b checkpoint.TensorInfo) int { return strings.Compare(a.Name, b.Name) })
			for _, tensor := range tensors {
				raw, err := c.Raw(tensor.Name)
				if err != nil {
					t.Fatal(err)
				}
				add([]any{tensor.Name, tensor.DType, tensor.Shape, fmt.Sprintf("%x", sha256.Sum256(raw))})
			}
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// taskOutput hashes examples of each split of the task.
func taskOutput(t *testing.T) string {
	t.Helper()
	tok, err := newHome(t).Tokenizer("pretrained:recsys-fm")
	if err != nil {
		t.Fatal(err)
	}
	cfg := task.DefaultRecsys()
	cfg.Members = 4
	r, err := task.NewRecsys(cfg, tok)
	if err != nil {
		t.Fatal(err)
	}
	calibration, err := r.Calibration(task.InDomain, 3)
	if err != nil {
		t.Fatal(err)
	}
	type tokens struct { // without weights, of which an example has none
		Tokens []int32
		Answer []bool
	}
	of := func(examples ...task.Example) (list []tokens) {
		for _, e := range examples {
			if e.Weights != nil {
				t.Fatal("an example has weights")
			}
			list = append(list, tokens{e.Tokens, e.Answer})
		}
		return list
	}
	trained := of(r.Train(1, 0), r.Train(1, 5))
	text, err := json.Marshal([]any{trained[0], trained[1], of(r.Validation(3)...), of(calibration...), r.ServeGroups(2, 2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return recipe.Text(string(text))
}
