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
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/quant"
)

// interrupted runs a conversion until its first layer is written.
func interrupted(t *testing.T, run func(ctx context.Context, from, text, to string, o Options) (*Result, error), from, text, to string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := func(int, int, string) {
		if shards, _ := filepath.Glob(filepath.Join(checkpoint.PartialFolder(to), "model", "*.safetensors")); len(shards) > 0 {
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
		}, "out.partial was begun by another version of slimlab, whose layers cannot be continued: remove the folder"},
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
				if left, _ := filepath.Glob(filepath.Join(checkpoint.PartialFolder(to), "model", "*.safetensors")); c.want != "" && len(left) == 0 {
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
		"--seed: begun with 1, now without it":                                                   {Field: "parameters.seed", Found: "1"},
		"--samples: begun with 8, now 9":                                                         {Field: "parameters.samples", Found: "8", Expected: "9"},
		"--mlp: begun with 20%, now 30%":                                                         {Field: "parameters.mlp", Found: `"20%"`, Expected: `"30%"`},
		"--clip: begun without it, now with it":                                                  {Field: "parameters.clip", Expected: "true"},
		"--clip: begun with it, now without it":                                                  {Field: "parameters.clip", Found: "true"},
		"--heads: begun without it, now with 1":                                                  {Field: "parameters.heads", Expected: `"1"`},
		"--dtype: begun with bf16, now f32":                                                      {Field: "parameters.dtype", Found: `"BF16"`, Expected: `"F32"`},
		"--as: begun with hf, now hf-gptq":                                                       {Field: "stage", Found: `"export"`, Expected: `"export hf-gptq"`},
		"kernels (SLIMLAB_KERNELS): begun with ref, now avx2":                                    {Field: "kernels", Found: `"ref"`, Expected: `"avx2"`},
	} {
		if got := changed([]recipe.Difference{d}); len(got) != 1 || got[0] != want {
			t.Errorf("%+v: got %q, want %q", d, got, want)
		}
	}
}

// TestDefaultsOfOthersAreNotChanges: a default that came with an option is not listed beside it.
func TestDefaultsOfOthersAreNotChanges(t *testing.T) {
	step, refine := recipe.Difference{Field: "parameters.step", Found: "1"}, recipe.Difference{Field: "parameters.refine", Expected: "5"}
	if got := changed([]recipe.Difference{step, refine}); !slices.Equal(got, []string{"--refine: begun without it, now with 5"}) {
		t.Errorf("%q", got)
	}
	if got := changed([]recipe.Difference{step}); !slices.Equal(got, []string{"--step: begun with 1, now without it"}) {
		t.Errorf("alone: %q", got)
	}
}

// TestEveryParameterIsAFlag: whatever of a command differs from the one that began, the refusal
// names the flag that gives it.
func TestEveryParameterIsAFlag(t *testing.T) {
	flags := strings.Fields("dtype samples length seed mode target refine refine-rate method mlp heads query-heads layers widths budget budget-rows align step local-search starts damping intercept " +
		"scheme group order range sweeps start outliers outliers-shape smooth rotate clip random-calibration")
	o := Options{Open: open, Content: recipe.Checkpoint}
	from, _ := source(t, checkpoint.BF16)
	o.watch = recipe.NewWatch(from)
	calibration := Calibration{Random: true, Samples: 1, Length: 8}
	p := Pruning{Calibration: calibration, widths: pruning.BudgetWidths, budget: "1ms"}
	p.Method, p.MLP, p.QueryHeads, p.Intercept, p.Refine.Steps = pruning.OSSCAR, pruning.Cut{Count: 1}, pruning.Cut{Count: 1}, true, 1
	q := Quantization{Calibration: calibration, Transformation: Transformation{Clip: true}, Refine: Refining{Steps: 1}}
	if err := q.Set("0.5", "residual"); err != nil {
		t.Fatal(err)
	}
	scheme, err := ParseWords(SchemeWords{Scheme: "w3a16", Method: "quantease", Outliers: "1%"}, func(flag string) bool { return flag == "method" || flag == "outliers" })
	if err != nil {
		t.Fatal(err)
	}
	q.fitted = []quant.Scheme{scheme}
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if q.frame, err = c.Skeleton(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []compression{&p, &q} {
		of, err := c.recipe(t.Context(), from, &o)
		if err != nil || len(of.Parameters) < 18 {
			t.Fatalf("%d parameters, %v", len(of.Parameters), err)
		}
		for key := range of.Parameters {
			if flag, ok := strings.CutPrefix(flagOf("parameters."+key), "--"); !ok || !slices.Contains(flags, flag) {
				t.Errorf("%s: the parameter %s is no flag's", of.Stage, key)
			}
		}
	}
}

// goesOn begins a conversion, and reports what the next one says of its finished layers.
func goesOn(t *testing.T, first, next func(ctx context.Context, from, text, to string, o Options) (*Result, error)) error {
	t.Helper()
	from, text := source(t, checkpoint.BF16)
	to := filepath.Join(t.TempDir(), "out")
	interrupted(t, first, from, text, to)
	var finished int
	_, err := next(t.Context(), from, text, to, Options{Open: open, Begin: func(e MemoryEstimate, _ []Compatibility) { finished = e.Finished }})
	if err == nil && finished == 0 {
		t.Error("nothing was continued")
	}
	return err
}

// verbOf is a conversion by words.
type verbOf = func(ctx context.Context, from, text, to string, o Options) (*Result, error)

func pruneBy(method string, cuts Cuts, set func(p *Pruning)) verbOf {
	return func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
		p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}}
		if err := p.Set(method, cuts); err != nil {
			return nil, err
		}
		if set != nil {
			set(&p)
		}
		return Prune(ctx, from, to, p, o)
	}
}

func quantizeBy(words SchemeWords, given string, set func(q *Quantization)) verbOf {
	return func(ctx context.Context, from, text, to string, o Options) (*Result, error) {
		q := Quantization{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}}
		var err error
		if q.Scheme, err = ParseWords(words, func(flag string) bool { return slices.Contains(strings.Fields(given), flag) }); err != nil {
			return nil, err
		}
		if set != nil {
			set(&q)
		}
		return Quantize(ctx, from, to, q, o)
	}
}

// TestWrittenOutDefaultsGoOn: an interrupted command goes on where options are written out at what
// they were meant as, and other words say the same.
func TestWrittenOutDefaultsGoOn(t *testing.T) {
	mlp, set := Cuts{MLP: "25%"}, func(p *Pruning) {}
	for name, c := range map[string]struct{ first, next verbOf }{
		"search":  {pruneBy("osscar", mlp, nil), pruneBy("osscar", mlp, func(p *Pruning) { p.Batch, p.LocalSearch, p.Damping = 1, 30, 0.01 })},
		"align":   {pruneBy("osscar", mlp, nil), pruneBy("osscar", mlp, func(p *Pruning) { p.Align = 8 })},
		"share":   {pruneBy("osscar", mlp, nil), pruneBy("osscar", Cuts{MLP: "0.25", Widths: "uniform"}, nil)},
		"rate":    {pruneBy("osscar", mlp, func(p *Pruning) { p.Refine.Steps = 2 }), pruneBy("osscar", mlp, func(p *Pruning) { p.Refine = Refining{Steps: 2, Rate: 0.001} })},
		"budget":  {pruneBy("osscar", Cuts{Budget: "70%"}, nil), pruneBy("osscar", Cuts{Budget: "0.7", Widths: "budget"}, set)},
		"random":  {pruneBy("random", mlp, nil), pruneBy("random", mlp, func(p *Pruning) { p.Batch = 1 })},
		"group":   {quantizeBy(SchemeWords{Scheme: "w4a16"}, "", nil), quantizeBy(SchemeWords{Scheme: "w4a16", Group: "32", Method: "gptq", Order: "natural", Damping: 0.01, Range: "absmax"}, "group method order damping range", nil)},
		"name":    {quantizeBy(SchemeWords{Scheme: "w4a16"}, "", nil), quantizeBy(SchemeWords{Scheme: "w4a16-gptq-g32"}, "", nil)},
		"descent": {quantizeBy(SchemeWords{Scheme: "w3a16", Method: "quantease"}, "method", nil), quantizeBy(SchemeWords{Scheme: "w3a16-quantease", Sweeps: DefaultSweeps, Start: DefaultStart, Outliers: "0"}, "sweeps start outliers", nil)},
		"rotate":  {quantizeBy(SchemeWords{Scheme: "w8a8"}, "", nil), quantizeBy(SchemeWords{Scheme: "w8a8"}, "", func(q *Quantization) { q.Rotate = "none" })},
	} {
		t.Run(name, func(t *testing.T) {
			if err := goesOn(t, c.first, c.next); err != nil {
				t.Error(err)
			}
			if err := goesOn(t, c.next, c.first); err != nil {
				t.Errorf("the other way: %v", err)
			}
		})
	}
}

// TestChangedOptionsAreNamedOnce: each option that differs is named by its flag, once, with the
// values that users give it; another verb is one sentence.
func TestChangedOptionsAreNamedOnce(t *testing.T) {
	mlp := Cuts{MLP: "25%"}
	for name, c := range map[string]struct {
		first, next verbOf
		want        string // in parentheses; or the whole behind the folder
	}{
		"cut":     {pruneBy("osscar", mlp, nil), pruneBy("osscar", Cuts{MLP: "30%"}, nil), "--mlp: begun with 25%, now 30%"},
		"auto":    {pruneBy("osscar", mlp, nil), pruneBy("osscar", Cuts{MLP: "70%"}, func(p *Pruning) { p.Align = 4 }), "--mlp: begun with 25%, now 70%"},
		"number":  {pruneBy("osscar", mlp, nil), pruneBy("osscar", Cuts{MLP: "24"}, nil), "--mlp: begun with 25%, now 24"},
		"seed":    {pruneBy("random", mlp, nil), pruneBy("random", mlp, func(p *Pruning) { p.Calibration.Seed = 4 }), "--seed: begun with 3, now 4"},
		"search":  {pruneBy("osscar", mlp, nil), pruneBy("osscar", mlp, func(p *Pruning) { p.Batch, p.LocalSearch = 2, -1 }), "--local-search: begun with 30, now -1; --step: begun with 1, now 2"},
		"method":  {pruneBy("osscar", mlp, nil), pruneBy("random", mlp, nil), "--method: begun with osscar, now random"},
		"layers":  {pruneBy("osscar", mlp, nil), pruneBy("osscar", Cuts{Layers: "1"}, nil), "--layers: begun without it, now with 1; --mlp: begun with 25%, now without it"},
		"refine":  {pruneBy("osscar", mlp, nil), pruneBy("osscar", mlp, func(p *Pruning) { p.Refine.Steps = 3 }), "--refine: begun without it, now with 3"},
		"target":  {pruneBy("osscar", mlp, nil), pruneBy("osscar", mlp, func(p *Pruning) { p.Gathering.Target = 1 }), "--target: begun with own, now dense"},
		"mode":    {pruneBy("osscar", mlp, nil), pruneBy("osscar", mlp, func(p *Pruning) { p.Gathering.Parallel = true }), "--mode: begun with sequential, now parallel"},
		"group":   {quantizeBy(SchemeWords{Scheme: "w4a16"}, "", nil), quantizeBy(SchemeWords{Scheme: "w4a16", Group: "16"}, "group", nil), "--group: begun with 32, now 16"},
		"format":  {quantizeBy(SchemeWords{Scheme: "w4a16"}, "", nil), quantizeBy(SchemeWords{Scheme: "w3a16"}, "", nil), "--scheme: begun with w4a16, now w3a16"},
		"clip":    {quantizeBy(SchemeWords{Scheme: "w4a16"}, "", nil), quantizeBy(SchemeWords{Scheme: "w4a16"}, "", func(q *Quantization) { q.Clip = true }), "--clip: begun without it, now with it"},
		"a verb":  {pruneBy("osscar", mlp, nil), quantizeBy(SchemeWords{Scheme: "w4a16"}, "", nil), "holds the unfinished work of `slimlab prune`: repeat that command to finish it, or remove the folder to begin `slimlab quantize` anew"},
		"another": {quantizeBy(SchemeWords{Scheme: "w4a16"}, "", nil), conversions(t)["import"], "holds the unfinished work of `slimlab quantize`: repeat that command to finish it, or remove the folder to begin `slimlab import` anew"},
		"distil":  {pruneBy("osscar", mlp, nil), everyVerb(t)["distil"], "holds the unfinished work of `slimlab prune`: repeat that command to finish it, or remove the folder to begin `slimlab distil` anew"},
	} {
		t.Run(name, func(t *testing.T) {
			want := "out.partial " + c.want
			if strings.HasPrefix(c.want, "--") {
				want = "out.partial holds the unfinished work of another command (" + c.want + "): give what it was begun with to finish it, or remove the folder to begin anew"
			}
			if err := goesOn(t, c.first, c.next); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error %v, expected %q", err, want)
			}
		})
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

// TestRefineRateWrittenOut: the default rate of steps, written out, goes on; where there are two,
// the error says them.
func TestRefineRateWrittenOut(t *testing.T) {
	at := func(rate float64) verbOf {
		return quantizeBy(SchemeWords{Scheme: "w4a16"}, "", func(q *Quantization) { q.Refine.Steps, q.Refine.Rate = 2, rate })
	}
	// of a model with biases
	if err := goesOn(t, at(0), at(1)); err == nil || !strings.Contains(err.Error(), "begun with the default, which is 2 / the number of steps for weights on a grid and 0.001 for biases, now 1)") {
		t.Error(err)
	}
	for steps, want := range map[int]string{20: "0.1", 3: "0.6666666666666666"} {
		q := Quantization{frame: &model.Model{}, Refine: Refining{Steps: steps}}
		if implied, written := refining(q.Refine, q.defaultRate()), refining(Refining{Steps: steps, Rate: 2 / float64(steps)}, ""); implied["refine_rate"] != want || written["refine_rate"] != want {
			t.Errorf("%d steps: %v, and written out %v", steps, implied, written)
		}
	}
	lines := changed([]recipe.Difference{{Field: "parameters.refine_rate", Found: `"default"`, Expected: `"0.1"`}})
	if want := "--refine-rate: begun with the default, which is 2 / the number of steps for weights on a grid and 0.001 for biases, now 0.1"; !slices.Equal(lines, []string{want}) {
		t.Errorf("%q", lines)
	}
}
