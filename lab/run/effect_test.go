package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

// combination is where a key has an effect, with, and where it has none: those steps are refused
// with a text, or taken where nothing is to be said because the key then holds what is so anyway.
type combination struct {
	with    string            // the keys of a step
	without map[string]string // the keys of steps → what is said
}

// effects are those of all keys of the steps that compress.
var effects = map[string]map[string]combination{
	"prune": {
		"name": {with: "name: a, mlp: 20%"},
		"from": {with: "from: base, mlp: 20%"},
		"method": {"method: random, mlp: 20%", map[string]string{
			"method: osscar, layers: 1": "layers is 1, and whole layers are removed in a step of their own: leave method out"}},
		"mlp": {"mlp: 20%", map[string]string{
			"mlp: 20%, mlp_layers: 20% 0 0": "mlp_layers says what goes from each layer, and mlp what goes from all",
			"mlp: 20%, layers: 1":           "leave mlp out",
			"mlp: 0":                        "mlp is 0, and the step removes nothing else",
			"mlp: 0%, heads: 0":             "mlp is 0%, and the step removes nothing else",
			"mlp: 20%, budget: 80%":         "budget is 80%: it stands beside a cut"}},
		"heads": {"heads: 50%", map[string]string{
			"heads: 50%, query_heads: 50%":    "query_heads is 50%: it stands beside a cut of KV groups",
			"heads: 50%, mlp_layers: 20% 0 0": "expected one of them",
			"heads: 50%, layers: 1":           "leave heads out",
			"heads: 50%, budget: 80%":         "budget is 80%: it stands beside a cut"}},
		"query_heads": {"query_heads: 1, mlp: 20%", map[string]string{
			"query_heads: 1, widths: budget":       "query_heads is 1: widths by a budget",
			"query_heads: 1, mlp_layers: 20% 0 0":  "expected one of them",
			"query_heads: 1, layers: 1, mlp: 20%":  "leave query_heads out",
			"query_heads: 1, budget: 80%, mlp: 0 ": "query_heads is 1: widths by a budget"}},
		"budget_rows": {"budget_rows: 512, budget: 1.5ms", map[string]string{
			"budget_rows: 512, budget: 80%": "budget_rows is 512, which is of a budget of time, and budget is 80%",
			"budget_rows: 512, mlp: 20%":    "budget_rows is 512, which is of a budget of time, and there is none"}},
		"widths": {"widths: budget, mlp: 20%", map[string]string{
			"widths: budget, mlp_layers: 20% 0 0": "expected one of them",
			"widths: uniform, budget: 80%":        "budget is 80%, and widths is uniform",
			"widths: budget, layers: 1":           "leave widths out"}},
		"budget": {"budget: 80%", map[string]string{
			"budget: 80%, mlp_layers: 20% 0 0": "expected one of them",
			"budget: 80%, layers: 1":           "leave budget out"}},
		"layers": {"layers: 1", map[string]string{
			"layers: 0": "layers is 0, and the step removes nothing else"}},
		"mlp_layers": {"mlp_layers: 20% 0 0", map[string]string{
			"mlp_layers: 20% 0 0, layers: 1": "leave mlp_layers out"}},
		"align": {"align: 8, mlp: 20%", map[string]string{
			"align: 8, heads: 50%":         "align is 8, and no neurons are removed",
			"align: 8, heads: 50%, mlp: 0": "align is 8, and no neurons are removed",
			"align: auto, query_heads: 1":  "align is auto, and no neurons are removed",
			"align: 8, layers: 1":          "leave align out"}},
		"refine": {"refine: 3, mlp: 20%, method: random", map[string]string{
			"refine: 3, layers: 1": "leave refine out"}},
		"refine_rate": {"refine_rate: 0.01, refine: 3, mlp: 20%", map[string]string{
			"refine_rate: 0.01, mlp: 20%":            "refine_rate is 0.01, which is of the steps of refine",
			"refine_rate: 0.01, refine: 0, mlp: 20%": "refine_rate is 0.01, which is of the steps of refine",
			"refine_rate: 0.01, layers: 1":           "leave refine_rate out"}},
		"intercept": {"intercept: true, heads: 50%", map[string]string{ // the model has no such bias
			"intercept: true, heads: 50%":                                 "intercept is true, and o_proj of this model has no bias",
			"intercept: true, mlp: 20%":                                   "intercept is true, and down_proj",
			"intercept: true, mlp_layers: 20% 0 0":                        "intercept is true, and down_proj",
			"intercept: true, budget: 80%":                                "intercept is true, and down_proj",
			"intercept: true, heads: 50%, method: flap":                   "intercept is true, and flap leaves the weights",
			"intercept: true, heads: 50%, calibration: { target: dense }": "intercept is true, and target is dense",
			"intercept: true, layers: 1":                                  "leave intercept out"}},
		"starts": {"starts: greedy, heads: 50%", map[string]string{
			"starts: greedy, mlp: 20%, method: random-ls": "starts is of osscar",
			"starts: both, layers: 1":                     "leave starts out"}},
		"step": {"step: 4, mlp: 20%", map[string]string{
			"step: 4, mlp: 20%, method: flap": "step is of osscar, and method is flap",
			"step: 1, mlp: 20%, method: flap": "",
			"step: 4, layers: 1":              "leave step out"}},
		"local_search": {"local_search: -1, mlp: 20%", map[string]string{
			"local_search: 5, mlp: 20%, method: random-ls":  "local_search is of osscar, and method is random-ls",
			"local_search: 30, mlp: 20%, method: random-ls": "",
			"local_search: 5, layers: 1":                    "leave local_search out"}},
		"damping": {"damping: 0.1, mlp: 20%, method: random-ls", map[string]string{
			"damping: 0.1, mlp: 20%, method: random":  "damping is 0.1, and random leaves the weights",
			"damping: 0.01, mlp: 20%, method: random": "",
			"damping: 0.1, layers: 1":                 "leave damping out"}},
		// of methods that need none, such as random, it is what the layers' errors are measured on
		"calibration.source":  {with: "calibration: { source: generic }, mlp: 20%, method: random"},
		"calibration.samples": {with: "calibration: { samples: 7 }, layers: 1"},
		"calibration.by_seed": {with: "calibration: { by_seed: true }, layers: 1"},
		"calibration.mode": {"calibration: { mode: parallel }, mlp: 20%, method: magnitude", map[string]string{
			"calibration: { mode: parallel }, layers: 1": "leave calibration.mode out"}},
		"calibration.target": {"calibration: { target: dense }, mlp: 20%, method: flap-ls", map[string]string{
			"calibration: { target: dense }, mlp: 20%, method: flap":   "target is dense, and flap leaves the weights",
			"calibration: { target: dense, mode: parallel }, mlp: 20%": "in mode parallel all inputs are the dense model's",
			"calibration: { target: 0.5 }, layers: 1":                  "leave calibration.target out"}},
	},
	"quantize": {
		"name": {with: "name: a, scheme: w8a8"},
		"from": {with: "from: base, scheme: w8a8"},
		"scheme": {"scheme: w8a8", map[string]string{
			"scheme: w8a8, layers: w8a8 none w8a8": "layers says each layer's scheme, and scheme is w8a8"}},
		"group": {"group: 32, scheme: w4a16-rtn", map[string]string{
			"group: 32, scheme: w8a8":                "group is 32, and its scheme is w8a8, which has no groups",
			"group: channel, scheme: w8a8":           "",
			"group: channel, scheme: none":           "group is channel, and its scheme is none",
			"group: 32, scheme: mxfp4":               "group is 32, and its scheme is mxfp4",
			"group: 32, scheme: w4a16-rtn-g64":       "has groups of 64",
			"group: 32, layers: w8a8 none w4a16-rtn": "and group is of scheme"}},
		"method": {"method: gptq, scheme: w8a8", map[string]string{
			"method: gptq, scheme: none":           "which rounds nothing",
			"method: gptq, scheme: fp8":            "which is rounded by rtn alone",
			"method: gptq, scheme: w4a16-rtn":      "is rounded by rtn",
			"method: gptq, layers: w8a8 none w8a8": "and method is of scheme"}},
		"order": {"order: act, scheme: w4a16", map[string]string{
			"order: act, scheme: w8a8":           "order is act, and its method is rtn, which has none",
			"order: natural, scheme: w8a8":       "",
			"order: act, layers: w8a8 none w8a8": "and order is of scheme"}},
		"damping": {"damping: 0.1, scheme: w4a16", map[string]string{
			"damping: 0.1, scheme: w8a8":                               "damping is 0.1, and its method is rtn",
			"damping: 0.1, scheme: w4a16, method: quantease, start: w": "damping is 0.1, and its start is w",
			"damping: 0.1, layers: w8a8 none w4a16":                    "and damping is of scheme"}},
		"range": {"range: mse, scheme: w8a8", map[string]string{
			"range: mse, scheme: fp8":             "range is mse, and its scheme is fp8",
			"range: mse, scheme: none":            "range is mse, and its scheme is none",
			"range: mse, layers: w8a8 none w4a16": "and range is of scheme"}},
		"sweeps": {"sweeps: 5, scheme: w4a16-quantease", map[string]string{
			"sweeps: 5, scheme: w4a16":                     "sweeps is 5, and its method is gptq",
			"sweeps: 5, layers: w8a8 none w4a16-quantease": "and sweeps is of scheme"}},
		"start": {"start: w, scheme: w4a16-quantease", map[string]string{
			"start: w, scheme: w4a16":                     "start is w, and its method is gptq",
			"start: w, layers: w8a8 none w4a16-quantease": "and start is of scheme"}},
		"outliers": {"outliers: 1%, scheme: w3a16-quantease", map[string]string{
			"outliers: 1%, scheme: w3a16":                      "outliers is 1%, and its method is gptq",
			"outliers: 1%, scheme: w3a16-quantease, refine: 3": "outliers is 1%, and refine is 3",
			"outliers: 1%, layers: w8a8 none w4a16-quantease":  "outliers is of scheme",
			"outliers: 0, scheme: w8a8":                        ""}},
		"outliers_shape": {"outliers_shape: columns, outliers: 1%, scheme: w3a16-quantease", map[string]string{
			"outliers_shape: columns, scheme: w3a16-quantease": "outliers_shape is columns, and its outliers are 0",
			"outliers_shape: entries, scheme: w3a16-quantease": ""}},
		"layers": {"layers: w8a8 none w8a8", nil},
		"refine_rate": {"refine_rate: 0.01, refine: 3, scheme: w8a8", map[string]string{
			"refine_rate: 0.01, scheme: w8a8": "refine_rate is 0.01, which is of the steps of refine"}},
		"refine": {"refine: 3, layers: w8a8 none w8a8", map[string]string{
			"refine: 3, scheme: none":           "refine is 3, and no weight is rounded",
			"refine: 3, layers: none none none": "refine is 3, and no weight is rounded"}},
		"smooth": {"smooth: 0.5, layers: w8a8 none w8a8", map[string]string{
			"smooth: auto, scheme: none":           "smooth is auto, and no weight is rounded",
			"smooth: auto, layers: none none none": "smooth is auto, and no weight is rounded"}},
		"rotate": {"rotate: heads, layers: w8a8 none w8a8", map[string]string{
			"rotate: heads, scheme: none": "rotate is heads, and no weight is rounded"}},
		"clip": {"clip: true, layers: w8a8 none w8a8", map[string]string{
			"clip: true, scheme: none":          "clip is true, and no weight is rounded",
			"clip: true, scheme: fp8":           "clip is true, and its scheme has floats",
			"clip: true, layers: w8a8 none fp8": "clip is true, and its layers has floats"}},
		"kv": {with: "kv: int8, scheme: none"},
		"calibration.source": {"calibration: { source: generic }, scheme: w4a16", map[string]string{
			"calibration: { source: generic }, scheme: w8a8": "calibration is of methods but rtn, of smooth, clip and refine, and the step has none of them"}},
		"calibration.samples": {"calibration: { samples: 7 }, scheme: w8a8, smooth: auto", map[string]string{
			"calibration: { samples: 7 }, scheme: w4a16-rtn":           "calibration is of methods but rtn",
			"calibration: { samples: 7 }, scheme: none, kv: int8":      "calibration is of methods but rtn",
			"calibration: { samples: 7 }, layers: w8a8 none w4a16-rtn": "calibration is of methods but rtn"}},
		"calibration.by_seed": {"calibration: { by_seed: true }, scheme: w8a8, clip: true", map[string]string{
			"calibration: { by_seed: true }, scheme: w4a16, method: rtn": "calibration is of methods but rtn"}},
		"calibration.mode": {"calibration: { mode: parallel }, scheme: w8a8, refine: 2", map[string]string{
			"calibration: { mode: parallel }, scheme: fp8": "calibration is of methods but rtn"}},
		"calibration.target": {"calibration: { target: dense }, layers: w8a8 none w4a16", map[string]string{
			"calibration: { target: dense }, scheme: w8a8, smooth: auto":           "target is dense, and w8a8-rtn rounds each weight on its own",
			"calibration: { target: dense }, layers: w8a8 none w8a8, smooth: auto": "target is dense, and all layers' schemes round each weight on its own",
			"calibration: { target: 0.5, mode: parallel }, scheme: w4a16":          "in mode parallel all inputs are the dense model's"}},
	},
}

// TestKeysHaveEffects: each key of prune and quantize is refused where it would do nothing, naming
// itself and what it found, and is taken where it does something.
func TestKeysHaveEffects(t *testing.T) {
	const text = `
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: base, model: FM }
  - %s: { %s }
`
	h := newHome(t)
	for _, kind := range Vocabulary().Steps() {
		keys := effects[kind.Name]
		if keys == nil {
			continue
		}
		for _, k := range kind.Keys {
			if keys[k.Key].with == "" {
				t.Errorf("%s: nothing says where %s has an effect", kind.Name, k.Key)
			}
		}
		for key, c := range keys {
			steps := map[string]string{}
			for step, want := range c.without {
				steps[step] = want
			}
			if _, ok := steps[c.with]; !ok {
				steps[c.with] = ""
			}
			for step, want := range steps {
				whole := fmt.Sprintf(text, kind.Name, step)
				_, err := scenario.Parse("x.yaml", []byte(whole), scenario.Options{Vocabulary: Vocabulary()})
				if err == nil {
					_, _, err = Check(t.Context(), h, parse(t, whole, scenario.Options{}))
				}
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%s of %s: %s: error %v, expected %q", key, kind.Name, step, err, want)
				}
			}
		}
	}
}

// TestIdleInASweep: what has no effect with a value that a param, an axis or an override brings may
// stand there, since it has one with others.
func TestIdleInASweep(t *testing.T) {
	const text = `
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-student" } }
params: { mlp: 0 }
sweep: { scheme: [w8a8, w4a16] }
pipeline:
  - baseline: { name: base, model: FM }
  - prune: { mlp: "${mlp}", heads: 50%, align: 8 }
  - quantize: { scheme: "${scheme}", group: 32, calibration: { samples: 7 } }
  - quantize: { name: other, from: prune, scheme: w4a16, group: 32, calibration: { samples: 7 } }
`
	for _, set := range [][]string{nil, {"scheme=w8a8"}, {"other.scheme=fp8"}, {"mlp=0"}} {
		if _, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary(), Set: set}); err != nil {
			t.Errorf("%v: %v", set, err)
		}
	}
	for set, want := range map[string]string{"other.calibration.samples=8": "", "prune.align=16": ""} {
		if _, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary(), Set: []string{set}}); (err != nil) != (want != "") {
			t.Errorf("%s: %v", set, err)
		}
	}
}
