package optimize

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"slimlab/quant"
)

// Setting is what a search works on, as sections of a scenario.
type Setting struct {
	Model string // what is loaded
	// the sections of the scenario that says what the model is for: task, tokenizer, evaluate,
	// serve
	Sections map[string]any
	Schemes  []string
	MLP      []string // shares
	KV       []string // formats of the KV cache; none where the search is not about them
	Samples  int      // calibration sequences
	Examples int      // whose predictions sensitivity is measured on
	Recover  int      // steps of distillation after pruning, 0 for none
	Align    int      // what numbers of neurons are rounded up to a multiple of; 0: automatic
	Goals    []Goal
}

// kept are the sections that a Setting takes from a scenario.
var kept = []string{"task", "tokenizer", "evaluate", "serve"}

// SectionsOf takes what a search needs from a scenario's text.
func SectionsOf(text []byte) (map[string]any, error) {
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	sections := map[string]any{}
	for _, key := range kept {
		if v, ok := all[key]; ok {
			sections[key] = v
		}
	}
	if sections["task"] == nil {
		return nil, fmt.Errorf("it has no section task, expected a scenario that says what the model is for")
	}
	return sections, nil
}

// Base is the name of the row that everything is compared with.
const Base = "model"

// step is one entry of a pipeline.
type step map[string]map[string]any

func (s Setting) text(name, about string, steps []step, columns []string) []byte {
	all := yaml.MapSlice{{Key: "name", Value: name}, {Key: "about", Value: about}}
	for _, key := range slices.Sorted(maps.Keys(s.Sections)) {
		if key == "serve" && !s.serves() {
			continue
		}
		all = append(all, yaml.MapItem{Key: key, Value: s.Sections[key]})
	}
	all = append(all, yaml.MapItem{Key: "models", Value: map[string]any{"source": map[string]any{"load": s.Model}}}, yaml.MapItem{Key: "pipeline", Value: steps},
		yaml.MapItem{Key: "baseline", Value: Base}, yaml.MapItem{Key: "columns", Value: columns}, yaml.MapItem{Key: "seeds", Value: 1})
	text, err := yaml.Marshal(all)
	if err != nil { // of maps, lists, texts and numbers
		panic("optimize: " + err.Error())
	}
	return text
}

// serves reports whether a goal is a time.
func (s Setting) serves() bool {
	return slices.ContainsFunc(s.Goals, func(g Goal) bool { return g.Metrics[0] == "ttft_cold_p50" })
}

func (s Setting) calibration() map[string]any { return map[string]any{"samples": s.Samples} }

// Sensitivity is the scenario that measures each layer alone.
func (s Setting) Sensitivity() []byte {
	layers := map[string]any{"name": "layers", "from": Base, "schemes": strings.Join(s.Schemes, " "), "mlp": strings.Join(s.MLP, " "), "examples": s.Examples, "calibration": s.calibration()}
	if len(s.KV) > 0 {
		layers["kv"] = strings.Join(s.KV, " ")
	}
	return s.text("optimize/sensitivity", "what each layer of "+s.Model+" loses by each way to make it smaller", []step{
		{"baseline": {"name": Base, "model": "source"}},
		{"sensitivity": layers},
	}, []string{"params", "bytes"})
}

// Build is the scenario that makes the candidates and measures them, in their order. metrics are
// the columns beside the sizes.
func (s Setting) Build(candidates []Candidate, metrics []string) []byte {
	steps := []step{{"baseline": {"name": Base, "model": "source"}}}
	pruned := map[string]bool{}
	for _, c := range candidates {
		from := Base
		if c.Prunes() {
			if from = c.row("pruned"); !pruned[from] {
				prune := map[string]any{"name": from, "from": Base, "mlp_layers": strings.Join(c.MLP, " "), "calibration": s.calibration()}
				if s.Align > 0 {
					prune["align"] = s.Align
				}
				steps = append(steps, step{"prune": prune})
				if s.Recover > 0 {
					steps = append(steps, step{"distil": {"name": c.row("recovered"), "from": from, "teacher": Base, "loss": "fkl", "ce": 0, "sequence": 0, "steps": s.Recover, "learning_rate": 3e-4, "warmup": s.Recover / 10}})
				}
				pruned[from] = true
			}
			if s.Recover > 0 {
				from = c.row("recovered")
			}
		}
		if !c.Quantizes() && !c.namesCache() {
			continue
		}
		quantize := map[string]any{"name": c.Name, "from": from, "scheme": c.Schemes[0]}
		if c.calibrated() {
			quantize["calibration"] = s.calibration()
		}
		if !c.uniform() {
			delete(quantize, "scheme")
			quantize["layers"] = strings.Join(c.Schemes, " ")
		}
		if c.namesCache() {
			quantize["kv"] = c.Cache.Name
		}
		steps = append(steps, step{"quantize": quantize})
	}
	if slices.ContainsFunc(candidates, Candidate.namesCache) {
		metrics = append([]string{"kv_bytes_per_token"}, metrics...)
	}
	return s.text("optimize", "candidates for "+s.Model+", by what each layer loses alone", steps, append([]string{"params", "bytes", "smaller", "effective_bits"}, metrics...))
}

// uniform reports whether all layers have one scheme.
func (c Candidate) uniform() bool {
	return !slices.ContainsFunc(c.Schemes, func(s string) bool { return s != c.Schemes[0] })
}

// calibrated reports whether any scheme reads a calibration text; a step of others has none.
func (c Candidate) calibrated() bool {
	return slices.ContainsFunc(c.Schemes, func(name string) bool {
		s, err := quant.ParseScheme(name)
		return err != nil || s.Calibrated()
	})
}

// namesCache reports whether a step of the candidate's says with which KV cache it is measured. A
// pruned row has the usual one without a step, a copy of it.
func (c Candidate) namesCache() bool {
	return c.Cache.Name != "" && (c.Quantizes() || c.Cache.Name != plainCache)
}

// row is the name of a candidate's row before its last, which candidates with the same shares have
// in common.
func (c Candidate) row(part string) string { return cmp.Or(c.Pruned, c.Name) + "-" + part }

// before are the candidate's rows before its last, with what they are: neurons have gone, and the
// cache is the usual one.
func (c Candidate) before() map[string]Candidate {
	rows := map[string]Candidate{}
	if !c.Prunes() {
		return rows
	}
	of := c
	of.Schemes = slices.Repeat([]string{"none"}, len(c.Schemes))
	if c.Cache.Name != "" {
		of.Cache = Cache{Name: plainCache}
	}
	for _, part := range []string{"pruned", "recovered"} {
		of.Name = c.row(part)
		rows[of.Name] = of
	}
	return rows
}

// Last is the name of the candidate's last row.
func (c Candidate) Last(recovered bool) string {
	switch {
	case c.Quantizes() || c.namesCache():
		return c.Name
	case recovered:
		return c.row("recovered")
	}
	return c.row("pruned")
}
