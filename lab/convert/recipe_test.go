package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/internal/behaviour"
	"slimlab/internal/golden"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
)

// interrupted runs a conversion until its first layer is written.
func interrupted(t *testing.T, run func(ctx context.Context, from, text, to string, o Options) (*Result, error), from, text, to string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := func(int, int, string) {
		if shards, _ := filepath.Glob(filepath.Join(to+".partial", "*.safetensors")); len(shards) > 0 {
			cancel()
		}
	}
	if _, err := run(ctx, from, text, to, Options{Open: open, Progress: stop}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted conversion ends with %v", err)
	}
}

func edit(t *testing.T, path string, change func(text []byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestChangedInputsAreNotContinued: a conversion goes on with the layers that it has finished only
// while all that they depend on has the same content; its path and time of writing do not matter.
func TestChangedInputsAreNotContinued(t *testing.T) {
	last := func(text []byte) []byte { text[len(text)-1] ^= 1; return text }
	space := func(text []byte) []byte { return append(text, ' ') }
	for _, c := range []struct {
		name   string
		change func(t *testing.T, from, text, to string) (string, string)
		want   string // in the error; empty where the conversion goes on
	}{
		{"weights", func(t *testing.T, from, text, _ string) (string, string) {
			edit(t, filepath.Join(from, "model.safetensors"), last)
			return from, text
		}, "another command (the content of the model's model.safetensors has changed: "},
		{"config", func(t *testing.T, from, text, _ string) (string, string) {
			edit(t, filepath.Join(from, "config.json"), space)
			return from, text
		}, "another command (the content of the model's config.json has changed: "},
		{"tokenizer", func(t *testing.T, from, text, _ string) (string, string) {
			edit(t, filepath.Join(from, "tokenizer.json"), space)
			return from, text
		}, "another command (the content of the model's tokenizer.json has changed: "},
		{"a new file", func(t *testing.T, from, text, _ string) (string, string) {
			if err := os.WriteFile(filepath.Join(from, "chat_template.jinja"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			return from, text
		}, "another command (the model's chat_template.jinja is new: it was not there when the work began)"},
		{"a file that is gone", func(t *testing.T, from, text, _ string) (string, string) {
			if err := os.Remove(filepath.Join(from, "generation_config.json")); err != nil {
				t.Fatal(err)
			}
			return from, text
		}, "another command (the model's generation_config.json is gone: it was there when the work began)"},
		{"calibration", func(t *testing.T, from, text, _ string) (string, string) {
			edit(t, text, last)
			return from, text
		}, "another command (the content of the calibration text has changed: "},
		{"version", func(t *testing.T, from, text, to string) (string, string) {
			edit(t, filepath.Join(to+".partial", "slimlab-recipe.json"), func(text []byte) []byte {
				return bytes.Replace(text, []byte(`"version":`), []byte(`"version":9`), 1)
			})
			return from, text
		}, "another command (version: begun with 9"},
		{"a recipe of old", func(t *testing.T, from, text, to string) (string, string) {
			edit(t, filepath.Join(to+".partial", "slimlab-recipe.json"), func([]byte) []byte {
				return []byte(`"quantize w4a16-gptq damping 0, 16 × 24 tokens of text.txt, seed 1, BF16, from /m/model.safetensors 123 456 "` + "\n")
			})
			return from, text
		}, "out.partial was begun by another version of slimlab, whose layers cannot be continued: remove the folder"},
		{"a truncated recipe", func(t *testing.T, from, text, to string) (string, string) {
			edit(t, filepath.Join(to+".partial", "slimlab-recipe.json"), func(text []byte) []byte { return text[:len(text)/2] })
			return from, text
		}, "out.partial/slimlab-recipe.json is damaged, "},
		{"an empty recipe", func(t *testing.T, from, text, to string) (string, string) {
			edit(t, filepath.Join(to+".partial", "slimlab-recipe.json"), func([]byte) []byte { return nil })
			return from, text
		}, "out.partial/slimlab-recipe.json is damaged, 0 bytes that no version of slimlab writes"},
		{"a recipe with more behind it", func(t *testing.T, from, text, to string) (string, string) {
			edit(t, filepath.Join(to+".partial", "slimlab-recipe.json"), func(text []byte) []byte { return append(text, " "...) })
			return from, text
		}, "remove the folder "},
		{"times", func(t *testing.T, from, text, _ string) (string, string) {
			for _, file := range []string{text, filepath.Join(from, "model.safetensors")} {
				if err := os.Chtimes(file, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
					t.Fatal(err)
				}
			}
			return from, text
		}, ""},
		{"place", func(t *testing.T, from, text, _ string) (string, string) {
			moved := filepath.Join(t.TempDir(), "moved")
			if err := os.Rename(from, moved); err != nil {
				t.Fatal(err)
			}
			return moved, text
		}, ""},
	} {
		for _, verb := range []string{"w4a16-gptq", "prune"} {
			t.Run(c.name+" "+verb, func(t *testing.T) {
				from, text := source(t, checkpoint.BF16)
				to := filepath.Join(t.TempDir(), "out")
				run := conversions(t)[verb]
				interrupted(t, run, from, text, to)
				from, text = c.change(t, from, text, to)
				_, err := run(t.Context(), from, text, to, Options{Open: open})
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("the error is %v, expected %q", err, c.want)
				}
				if left, _ := filepath.Glob(filepath.Join(to+".partial", "*.safetensors")); c.want != "" && len(left) == 0 {
					t.Error("the finished layer was lost")
				}
			})
		}
	}
}

// TestBehaviour: a verb that writes something else needs another version.
func TestBehaviour(t *testing.T) {
	if recipe.Arch() != "amd64" {
		t.Skipf("skipped: the fixture was made on amd64, this is %s, which may fuse products and sums", recipe.Arch())
	}
	restore, err := kernels.Use("ref")
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	from, text := source(t, checkpoint.BF16)
	var records []behaviour.Record
	for _, v := range []struct {
		name    string
		version int
	}{{"prune", pruneVersion}, {"w4a16-gptq", quantizeVersion}, {"w8a8", quantizeVersion}, {"import", transferVersion}} {
		to := filepath.Join(t.TempDir(), "out")
		if _, err := conversions(t)[v.name](t.Context(), from, text, to, Options{Open: open}); err != nil {
			t.Fatal(err)
		}
		records = append(records, behaviour.Record{Stage: v.name, Version: v.version, Hash: tensors(t, to)})
	}
	behaviour.Check(t, filepath.Join("testdata", "behaviour.golden"), records, golden.Updating())
}

// tensors names the tensors of a folder, whatever files they are in.
func tensors(t *testing.T, folder string) string {
	t.Helper()
	c, err := open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var lines []string
	for _, tensor := range c.Tensors() {
		raw, err := c.Raw(tensor.Name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(tensor.Name, tensor.DType, tensor.Shape, recipe.Text(string(raw))))
	}
	slices.Sort(lines)
	return recipe.Text(strings.Join(lines, "\n"))
}

// TestChangedInputsInWords: an input that has changed, is new or is gone.
func TestChangedInputsInWords(t *testing.T) {
	for want, d := range map[string]recipe.Difference{
		"the model's generation_config.json is new: it was not there when the work began":        {Field: "inputs.model/generation_config.json", Expected: `"ab"`},
		"the model's generation_config.json is gone: it was there when the work began":           {Field: "inputs.model/generation_config.json", Found: `"ab"`},
		`the content of the model's config.json has changed: "ab" when the work began, now "cd"`: {Field: "inputs.model/config.json", Found: `"ab"`, Expected: `"cd"`},
		"the calibration text is new: it was not there when the work began":                      {Field: "inputs.calibration", Expected: `"cd"`},
		"the adapter 1 is gone: it was there when the work began":                                {Field: "inputs.adapter 1", Found: `"ab"`},
		"seed (--seed): begun with 1, now none":                                                  {Field: "parameters.seed", Found: "1"},
		"calibration.samples (--samples): begun with 8, now 9":                                   {Field: "parameters.calibration.samples", Found: "8", Expected: "9"},
		"mlp.ratio (--mlp): begun with 0.2, now 0.3":                                             {Field: "parameters.mlp.ratio", Found: "0.2", Expected: "0.3"},
		"kernels (SLIMLAB_KERNELS): begun with \"ref\", now \"avx2\"":                            {Field: "kernels", Found: `"ref"`, Expected: `"avx2"`},
		"version: begun with 3, now 4":                                                           {Field: "version", Found: "3", Expected: "4"},
	} {
		if got := changed([]recipe.Difference{d}); len(got) != 1 || got[0] != want {
			t.Errorf("%+v: got %q, want %q", d, got, want)
		}
	}
}

// TestEveryParameterNamesItsFlag: whatever of a command differs from the one that began, the
// refusal says what gives it.
func TestEveryParameterNamesItsFlag(t *testing.T) {
	without := []string{"swaps", "dense"} // which no flag gives
	var lacking func(prefix string, values recipe.Values) []string
	lacking = func(prefix string, values recipe.Values) (list []string) {
		for key, value := range values {
			if within, ok := value.(recipe.Values); ok {
				list = append(list, lacking(prefix+key+".", within)...)
			} else if name := prefix + key; named("parameters."+name) == name && !slices.Contains(without, name) {
				list = append(list, name)
			}
		}
		return list
	}
	from, _ := source(t, checkpoint.BF16)
	calibration := Calibration{Random: true, Samples: 1, Length: 8}
	o := Options{Open: open, Content: recipe.Checkpoint}
	o.watch = recipe.NewWatch(from)
	p := Pruning{Calibration: calibration, widths: pruning.BudgetWidths, budget: "1ms", layers: pruning.Cut{Count: 1}}
	p.QueryHeads, p.Intercept, p.Starts = pruning.Cut{Count: 1}, true, "greedy"
	q := Quantization{Calibration: calibration, Transformation: Transformation{Clip: true}}
	if err := q.Set("0.5", "residual"); err != nil {
		t.Fatal(err)
	}
	q.Scheme, _ = ParseWords(SchemeWords{Scheme: "w4a16"}, func(string) bool { return false })
	for _, c := range []compression{&p, &q} {
		of, err := c.recipe(t.Context(), from, &o)
		if err != nil {
			t.Fatal(err)
		}
		of.Parameters["gathering"] = c.gathering().values()
		if list := lacking("", of.Parameters); len(list) > 0 || len(of.Parameters) < 6 {
			t.Errorf("%s: no flag is named for %q of %v", of.Stage, list, of.Parameters)
		}
	}
}

// TestNumbersHaveARange: a number of steps that no command ends is refused with what would do.
func TestNumbersHaveARange(t *testing.T) {
	for want, set := range map[string]func(p *Pruning){
		"--step 1000000: expected 1 to 65536": func(p *Pruning) { p.Batch = 1_000_000 },
		"--step 65536":                        func(p *Pruning) { p.Batch = 65536 },
		"--local-search 100001: expected -1, none, or 1 to 100000":      func(p *Pruning) { p.LocalSearch = 100_001 },
		"--align 2000000: expected 0, chosen by the widths, to 1048576": func(p *Pruning) { p.Align = 2_000_000 },
		"--refine 100000000000: expected 0, none, to 100000 steps":      func(p *Pruning) { p.Refine.Steps = 100_000_000_000 },
		"--refine 100000": func(p *Pruning) { p.Refine.Steps = 100_000 },
	} {
		p := Pruning{Calibration: Calibration{Random: true}}
		p.Method, p.MLP = pruning.OSSCAR, pruning.Cut{Count: 1}
		set(&p)
		err := errors.Join(p.check(), checkRefining(p.Refine, p.Calibration))
		if refused := strings.Contains(want, "expected"); (err != nil) != refused || refused && err.Error() != want {
			t.Errorf("%s: error %v", want, err)
		}
	}
}

// TestDampingIsAShare: no other damping reaches a solver.
func TestDampingIsAShare(t *testing.T) {
	for x, ok := range map[float64]bool{0: true, 0.01: true, 10: true, 10.1: false, 1e30: false, -1: false, math.Inf(1): false, math.Inf(-1): false, math.NaN(): false} {
		_, err := ParseWords(SchemeWords{Scheme: "w4a16", Damping: x}, func(flag string) bool { return flag == "damping" })
		var pruned Pruning
		pruned.Method, pruned.Damping = pruning.OSSCAR, x
		for verb, err := range map[string]error{"quantize": err, "prune": pruned.check()} {
			ok := ok && (x > 0 || verb == "prune") // whose flag has 0 for its default
			if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "expected a share of the mean diagonal") {
				t.Errorf("%s --damping %g: %v", verb, x, err)
			}
		}
	}
}
