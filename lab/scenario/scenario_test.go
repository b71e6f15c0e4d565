package scenario_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

var vocabulary = run.Vocabulary()

func options(set ...string) scenario.Options {
	return scenario.Options{Vocabulary: vocabulary, Set: set}
}

func mustLoad(t *testing.T, o scenario.Options) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("figure1", os.DirFS("testdata"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoad(t *testing.T) {
	s := mustLoad(t, options())
	plan := s.Plan()
	if len(plan.Cells) != 6 || plan.Cells[4].ID != "loss=jsd:0.5 seed=2" || plan.Cells[4].Seed != 2 {
		t.Fatalf("cells %+v", plan.Cells)
	}
	if got := strings.Join(s.Rows, " "); got != "FM distilled mlp mlp-kd heads-6.4B heads-kd w8a8 w4a16" {
		t.Errorf("rows %s", got)
	}
	step, _ := plan.Cells[4].Point.Step("distilled")
	d := step.Work.(*run.Distil)
	if d.Loss != "jsd:0.5" || d.Steps != 1500 || d.Data != 20000 || d.LearningRate != 1e-3 || d.Into != "student" || step.From != "" || d.Clip != 1 {
		t.Errorf("distilled %+v from %q", d, step.From)
	}
	if step, _ := plan.Cells[0].Point.Step("mlp-kd"); step.From != "mlp" || !reflect.DeepEqual(step.Inputs(), []string{"mlp", "distilled"}) {
		t.Errorf("mlp-kd from %q, inputs %v", step.From, step.Inputs())
	}
	if step, _ := plan.Cells[0].Point.Step("w4a16"); step.From != "heads-kd" {
		t.Errorf("w4a16 from %q", step.From)
	}
	if s.Paper["distilled"] != -0.0015 {
		t.Errorf("paper %v", s.Paper)
	}
	if m, ok := plan.Cells[0].Point.Model("FM"); !ok || m.Fresh() || m.Load != "pretrained:recsys-fm" {
		t.Errorf("FM %+v", m)
	}
	begin := plan.Begin()
	if board := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &begin}}).Snapshot(); len(board.Rows) != 16 || len(board.Cells) != 6 || len(board.Notes) != 0 {
		t.Errorf("board of the plan: %d rows, %d cells, notes %v", len(board.Rows), len(board.Cells), board.Notes)
	}
	var text strings.Builder
	for _, p := range s.Points {
		fmt.Fprintln(&text, p.Params, "task", values(p.Task.Recsys), "tokenizer", values(p.Tokenizer))
		for _, m := range p.Models {
			fmt.Fprintln(&text, " model", m.Name, values(m))
		}
		for _, st := range p.Steps {
			fmt.Fprintln(&text, " step", st.Name, st.Inputs(), st.Kind, values(st.Work))
		}
	}
	golden.Equal(t, "figure1.plan.txt", text.String())
}

// values are the parameters that a part of a scenario has in a recipe.
func values(of any) string { return string(recipe.Recipe{Parameters: recipe.Of(of)}.Canonical()) }

func TestOverlayAndSettings(t *testing.T) {
	o := options()
	o.Quick = true
	quick := mustLoad(t, o)
	step := func(s *scenario.Scenario, name string) *run.Distil {
		st, _ := s.Points[0].Step(name)
		return st.Work.(*run.Distil)
	}
	if len(quick.Seeds) != 1 || step(quick, "distilled").Steps != 200 || step(quick, "mlp-kd").Steps != 20 || quick.Points[0].Task.Recsys.Members != 100 || quick.Points[0].Task.Recsys.Candidates != 4 {
		t.Errorf("quick: %+v", quick)
	}
	seed := 7
	set := options("steps=50", "distilled.warmup=50", "loss=rkl", "task.members=5", "mlp-kd.learning_rate=0.5", "models.student.layers=1", "pipeline.heads-kd.steps=9",
		"heads-6.4B.calibration.samples=3", "distilled.batch=4", "seeds=2", "expect=[]")
	set.Seed = &seed
	s := mustLoad(t, set)
	if len(s.Points) != 1 || step(s, "distilled").Loss != "rkl" || step(s, "distilled").Steps != 50 || step(s, "mlp-kd").LearningRate != 0.5 || step(s, "heads-kd").Steps != 9 ||
		s.Points[0].Task.Recsys.Members != 5 || !reflect.DeepEqual(s.Seeds, []int{7, 8}) || step(s, "distilled").Batch != 4 || s.Points[0].Models[1].Layers != 1 {
		t.Errorf("settings: %+v", s)
	}
	if st, _ := s.Points[0].Step("heads-6.4B"); st.Work.(*run.Prune).Calibration.Samples != 3 {
		t.Errorf("heads-6.4B: %+v", st.Work)
	}
	a, b := mustLoad(t, options()), mustLoad(t, options("seeds=9", "about=else", "columns=[auc]"))
	if a.Hash() != b.Hash() || a.Hash() == s.Hash() || a.Hash() == quick.Hash() || len(a.Hash()) != 64 {
		t.Errorf("hashes %s %s %s %s", a.Hash(), b.Hash(), s.Hash(), quick.Hash())
	}
}

const small = `name: x
task: { kind: recsys }
models:
  FM: pretrained:recsys-fm
  s: { layers: 1, hidden: 8, heads: 2 }
pipeline:
  - baseline: { name: FM, model: FM }
  - distil: { name: kd, into: s, teacher: FM, steps: 10 }
  - quantize: { name: q, scheme: w8a8 }
`

// A step can start from one that was to quantize and left float weights.
func TestStepFromFloatWeights(t *testing.T) {
	text := strings.Replace(small, "scheme: w8a8 }", "scheme: none }\n  - prune: { mlp: 0.5 }", 1)
	if _, err := scenario.Parse("x.yaml", []byte(text), options()); err != nil {
		t.Error(err)
	}
}

// Every error names its place, what was found, and what would be right.
// says reports whether an error has the parts of want, in order; … stands for anything between.
func says(err error, want string) bool {
	rest := err.Error()
	for part := range strings.SplitSeq(want, " … ") {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return true
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"empty file", small, "", "x.yaml:1:1: the file is empty"},
		{"not a mapping", small, "- a", `x.yaml:1:1: the file is a list`},
		{"syntax", "task: { kind: recsys }", "task: { kind: recsys", "x.yaml:"},
		{"unquoted reference", "steps: 10", "steps: ${n}", `write "${…}" in quotes`},
		{"unknown section", "name: x", "nmae: x", `x.yaml:1:1: unknown key "nmae": … did you mean "name"?`},
		{"twice", "name: x", "name: x\nname: y", `x.yaml:2:1: `},
		{"missing task", "task: { kind: recsys }\n", "", `the key "task" is missing`},
		{"unknown key of a step", "steps: 10", "stesp: 10", `x.yaml:8:47: unknown key of step kd "stesp": … did you mean "steps"?`},
		{"missing key", ", steps: 10", "", `x.yaml:8:13: step kd lacks the key "steps": optimizer steps`},
		{"wrong type", "steps: 10", "steps: many", `x.yaml:8:54: step kd's steps is many, expected a whole number`},
		{"quoted number", "steps: 10", `steps: "10"`, `step kd's steps is the text "10", expected a whole number`},
		{"out of range", "steps: 10", "steps: 0", `x.yaml:8:54: step kd's steps is 0, expected at least 1 and at most 100000000`},
		{"ratio", "- quantize: { name: q, scheme: w8a8 }", "- prune: { mlp: 1.0 }", `x.yaml:9:19: step prune's mlp is 1.0, expected a share below 1 such as 20% or 0.2, or a whole number`},
		{"prunes nothing", "- quantize: { name: q, scheme: w8a8 }", "- prune: { }", `step prune removes nothing`},
		{"infinite", "steps: 10", "steps: 10, ce: .inf", `step kd's ce is .inf, expected a number`},
		{"unknown scheme", "w8a8", "w8a9", `x.yaml:9:34: step q's scheme is "w8a9": … did you mean "w8a8"?`},
		{"unknown loss", "steps: 10", "steps: 10, loss: fkk", `step kd's loss is "fkk": … did you mean "fkl"?`},
		{"loss without its number", "steps: 10", "steps: 10, loss: jsd", `is "jsd", expected jsd: and a number between 0 and 1, such as "jsd:0.5"`},
		{"unknown step", "- quantize", "- quantise", `x.yaml:9:5: unknown kind of step "quantise": … did you mean "quantize"?`},
		{"unknown task", "recsys }", "recsis }", `x.yaml:2:15: unknown kind of task "recsis": … did you mean "recsys"?`},
		{"unknown teacher", "teacher: FM", "teacher: FN", `x.yaml:8:43: unknown step or model "FN": … did you mean "FM"?`},
		{"later teacher", "teacher: FM", "teacher: q", `step "q" comes later`},
		{"own teacher", "teacher: FM", "teacher: kd", `step "kd" refers to itself`},
		{"shape as teacher", "teacher: FM", "teacher: s", `model "s" is a shape without weights`},
		{"unknown into", "into: s", "into: t", `x.yaml:8:31: unknown model "t": … did you mean "s"?`},
		{"from and into", "into: s,", "into: s, from: FM,", `has both from and into`},
		{"from quantized", "scheme: w8a8 }", "scheme: w8a8 }\n  - quantize: { scheme: w8a8 }", `starts from q, whose weights are quantized already, expected float32`},
		{"twice a step", "name: q", "name: kd", `a second step "kd"`},
		{"name of a model", "name: q", "name: s", `step "s" has the name of a model`},
		{"odd name", "name: q", `name: "a b"`, `"a b" cannot name a step`},
		{"two keys", "- quantize: { name: q, scheme: w8a8 }", "- { quantize: {}, prune: {} }", `expected one key, the kind of step`},
		{"starts from nothing", "- baseline: { name: FM, model: FM }", "- prune: { mlp: 0.5 }", `starts from nothing`},
		{"unknown pretrained", "pretrained:recsys-fm", "pretrained:recsys", `x.yaml:4:7: unknown pretrained model "recsys": … did you mean "recsys-fm"?`},
		{"bad run reference", "pretrained:recsys-fm", "run:last", `expected run:ID/ROW`},
		{"loaded with a shape", "FM: pretrained:recsys-fm", `FM: { load: "pretrained:recsys-fm", layers: 3 }`, `layers cannot be given`},
		{"kv heads", "heads: 2 }", "heads: 2, kv_heads: 3 }", `2 heads over 3 kv_heads, expected a divisor of 2`},
		{"odd head", "heads: 2 }", "heads: 2, head_dim: 3 }", `head_dim is 3, expected an even number`},
		{"missing width", "hidden: 8, ", "", `model s lacks the key "hidden"`},
		{"unused model", "pipeline:", "  u: pretrained:recsys-fm\npipeline:", `x.yaml:6:3: no step uses the model "u"`},
		{"unknown metric", "pipeline:", "columns: [acu]\npipeline:", `x.yaml:6:11: unknown metric "acu": … did you mean "auc"?`},
		{"column twice", "pipeline:", "columns: [auc, auc]\npipeline:", `column "auc" is listed twice`},
		{"unknown baseline", "pipeline:", "baseline: fm2\npipeline:", `unknown row "fm2": … did you mean "FM"?`},
		{"unknown paper row", "pipeline:", "paper: { kb: -1 }\npipeline:", `unknown row "kb": … did you mean "kd"?`},
		{"paper text", "pipeline:", "paper: { kd: low }\npipeline:", `expected a number, in per cent`},
		{"empty sweep", "pipeline:", "sweep: { }\npipeline:", `the sweep names no axis`},
		{"empty axis", "pipeline:", "sweep: { n: [] }\npipeline:", `x.yaml:6:13: axis "n" is an empty list`},
		{"axis of one", "pipeline:", "sweep: { n: 3 }\npipeline:", `axis "n" is 3, expected a list of values`},
		{"axis twice a value", "pipeline:", "sweep: { n: [1, 1] }\npipeline:", `axis "n" has the value "1" twice`},
		{"unused axis", "pipeline:", "sweep: { n: [1, 2] }\npipeline:", `x.yaml:6:10: axis "n" changes nothing`},
		{"unused param", "pipeline:", "params: { n: 1 }\npipeline:", `param "n" changes nothing`},
		{"unknown reference", "steps: 10", `steps: "${n}"`, `unknown param or axis "n": there is none here`},
		{"axis in a title", "name: x\n", "name: \"${n}\"\nsweep: { n: [1, 2] }\n", `${n} is an axis of the sweep`},
		{"names that change", "pipeline:", "sweep: { n: [a, b] }\npipeline:\n  - baseline: { name: \"${n}\", model: FM }", `the names of the steps change with the sweep`},
		{"anchor", "name: x", "name: &a x", `a YAML anchor, alias or merge`},
		{"second document", "name: x", "name: x\n---\nname: y", `a second document`},
		{"overlay", "pipeline:", "quick: { task: { membrs: 3 } }\npipeline:", `with the section quick: x.yaml:6:18: unknown key of task "membrs": … did you mean "members"?`},
		{"overlay's step", "pipeline:", "quick: { pipeline: { kb: { steps: 3 } } }\npipeline:", `unknown step "kb": … did you mean "kd"?`},
		{"seeds", "name: x", "name: x\nseeds: 0", `the scenario's seeds is 0, expected at least 1`},
		{"vocabulary size", "pipeline:", "tokenizer: { vocab: 100 }\npipeline:", `tokenizer's vocab is 100, expected at least 258`},
		{"jsonl without a path", "kind: recsys", "kind: jsonl", `task lacks the key "path"`},
		{"deep", "name: x", "name: " + strings.Repeat("[", 300), `nest more than`},
	} {
		text := strings.Replace(small, c.old, c.new, 1)
		if text == small {
			t.Errorf("%s: the case changes nothing", c.name)
		}
		_, err := scenario.Parse("x.yaml", []byte(text), options())
		if err == nil || !says(err, c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	for setting, want := range map[string]string{
		"steps":            "--set steps: expected key=value",
		"kb.steps=1":       `--set kb.steps=1: unknown key "kb"`,
		"kd.steps=0":       `--set kd.steps=0: step kd's steps is 0, expected at least 1`,
		"kd.stps=1":        `--set kd.stps=1: unknown key of step kd "stps": … did you mean "steps"?`,
		"pipeline.z.a=1":   `unknown step "z"`,
		"name.a=1":         `name is x, expected a mapping with the key "a"`,
		"task..members=1":  `an empty name`,
		"pipeline.kd=3":    `expected step.field`,
		"kd.steps.more=1":  `expected a mapping with the key "more"`,
		"task.members=3.5": `task's members is 3.5, expected a whole number`,
	} {
		if _, err := scenario.Parse("x.yaml", []byte(small), options(setting)); err == nil || !says(err, want) {
			t.Errorf("--set %s: got %v, want %s", setting, err, want)
		}
	}
	if _, err := scenario.Parse("x.yaml", []byte(small), options()); err != nil {
		t.Errorf("the file that all cases change: %v", err)
	}
}

func TestSweepIsBounded(t *testing.T) {
	text := strings.Replace(small, "steps: 10", `steps: "${a}${b}${c}"`, 1) + "sweep:\n"
	for _, axis := range []string{"a", "b", "c"} {
		text += "  " + axis + ": ["
		for i := range 40 {
			text += fmt.Sprint(i+1) + ","
		}
		text += "]\n"
	}
	if _, err := scenario.Parse("x.yaml", []byte(text), options()); err == nil || !strings.Contains(err.Error(), "more than 10000 cells") {
		t.Errorf("got %v", err)
	}
}

func TestNotFound(t *testing.T) {
	fsys := fstest.MapFS{"figure1.yaml": {Data: []byte(small)}, "paper/figure2.yaml": {Data: []byte("about: two\n" + small)}, "broken.yaml": {Data: []byte("{")}}
	for name, want := range map[string]string{"figure3": `did you mean "figure1"?`, "../figure1": `unknown scenario "../figure1": expected one of broken, figure1, paper/figure2, did you mean "figure1"?`, "paper/figur2": `did you mean "paper/figure2"?`} {
		if _, err := scenario.Load(name, fsys, options()); !errors.Is(err, scenario.ErrNotFound) || !says(err, want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, err := scenario.LoadFile(filepath.Join(t.TempDir(), "no.yaml"), options()); !errors.Is(err, scenario.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	entries, err := scenario.List(fsys)
	if err != nil || len(entries) != 3 || entries[0].Err == nil || entries[2].About != "two" || entries[2].Name != "paper/figure2" {
		t.Errorf("%+v, %v", entries, err)
	}
}

// A verdict holds only where every seed measured everything that the expectation names.
func TestVerdicts(t *testing.T) {
	o := options()
	o.Seeds = 2
	s := mustLoad(t, o)
	plan := s.Plan()
	begin := plan.Begin()
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &begin}}
	report := func(cell int, row string, values map[string]lab.Measure) {
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: plan.Cells[cell].ID, Row: row, Values: values})
	}
	for cell := range 2 { // loss=fkl
		report(cell, "FM", map[string]lab.Measure{"auc": {Value: 0.8}})
		report(cell, "mlp", map[string]lab.Measure{"auc_soft_delta": {Value: -0.010}})
		report(cell, "w8a8", map[string]lab.Measure{"smaller": {Value: 12}, "auc": {Value: 0.73}, "auc_soft_delta": {Value: -0.014}})
	}
	// loss=jsd:0.5, one seed of two
	report(2, "w8a8", map[string]lab.Measure{"smaller": {Value: 12}})
	report(3, "mlp", map[string]lab.Measure{"auc_soft_delta": {Value: 0}})
	var text strings.Builder
	for _, e := range s.Verdicts(lab.Fold(events).Snapshot()) {
		fmt.Fprintf(&text, "%t  %s  (%s)\n", e.Held, e.Name, e.Text)
	}
	golden.Equal(t, "verdicts.txt", text.String())
}

func TestExpectationErrors(t *testing.T) {
	for text, want := range map[string]string{
		"acu(row=FM) > 0":                `x.yaml:10:12: expectation "acu(row=FM) > 0": unknown metric "acu": … did you mean "auc"?`,
		"auc(row=FN) > 0":                `x.yaml:10:20: expectation "auc(row=FN) > 0": unknown row "FN": … did you mean "FM"?`,
		"auc(row=FM)":                    `found the end, expected one of < <= > >= ==`,
		"auc > 1":                        `auc has no row, expected auc(row=…)`,
		"auc() > 1":                      `auc has no row`,
		"auc(row=FM, loss=fkl) > 1":      `unknown axis "loss"`,
		"auc(row=FM, n=30) > 1":          `unknown value of n "30"`,
		"auc(row=FM, n=3) > auc(row=kd)": `auc(row=kd) leaves the axis n open`,
		"1 > 2":                          `compares no metric`,
		"auc(row=FM) > 1 2":              `found "2" after the end`,
		"auc(row=FM > 1":                 `expected , or )`,
		"auc(row=FM) > 1e999":            `"1e999" is no number`,
		"auc(row=FM) > ":                 `found the end, expected a number or metric(row=…)`,
		"auc(row=FM) > " + strings.Repeat("1+", 99) + "1": `more than 64 terms`,
	} {
		file := strings.Replace(small, "steps: 10", `steps: "${n}"`, 1) + "expect: [ \"" + text + "\" ]\nsweep: { n: [3, 4] }\n"
		_, err := scenario.Parse("x.yaml", []byte(file), options())
		if err == nil || !says(err, want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestSchema(t *testing.T) { golden.Equal(t, "schema.json", string(scenario.Schema(vocabulary))) }

func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/figure1.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(full), small, "", "a: [", "? a", "{{{", "a: &x [*x]", "- - - -", "task: ${", "name: \"${\"", "sweep: {a: [1]}\nexpect: ['auc(row=a']"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := scenario.Parse("x.yaml", text, options("kd.steps=3", "name=z"))
		if err != nil {
			if !strings.Contains(err.Error(), "x.yaml") && !strings.Contains(err.Error(), "--set") {
				t.Errorf("an error without its place: %v", err)
			}
			return
		}
		if len(s.Plan().Cells) == 0 || len(s.Rows) == 0 {
			t.Errorf("a scenario without work: %+v", s)
		}
		s.Verdicts(lab.NewBoard().Snapshot())
	})
}

// TestComparisonsAreJudged: each comparison holds on the right side of its bound alone, and none of
// a value that is not a number.
func TestComparisonsAreJudged(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		auc  float64
		held string // of < <= == >= >, in this order, against 0.5
	}{
		{0.25, "< <="}, {0.5, "<= == >="}, {0.75, ">= >"}, {math.Nextafter(0.5, 1), ">= >"}, {math.Nextafter(0.5, 0), "< <="},
		{nan, ""},
	} {
		for _, side := range []string{"auc(row=FM) %s 0.5", "auc(row=FM) - 0.5 %s 0", "1 * auc(row=FM) %s 50%%"} {
			var held []string
			for _, op := range []string{"<", "<=", "==", ">=", ">"} {
				s, err := scenario.Parse("x.yaml", []byte(small+fmt.Sprintf("expect: [ %q ]\n", fmt.Sprintf(side, op))), options())
				if err != nil {
					t.Fatal(err)
				}
				plan := s.Plan()
				begin := plan.Begin()
				verdicts := s.Verdicts(lab.Fold([]lab.Event{
					{Kind: lab.KindBegin, Begin: &begin},
					{Kind: lab.KindRow, Cell: plan.Cells[0].ID, Row: "FM", Values: map[string]lab.Measure{"auc": {Value: c.auc}}},
				}).Snapshot())
				if len(verdicts) != 1 || verdicts[0].Unjudged {
					t.Fatalf("%v: verdicts %+v", c.auc, verdicts)
				}
				if verdicts[0].Held {
					held = append(held, op)
				}
				if math.IsNaN(c.auc) != strings.Contains(verdicts[0].Text, "not a number") {
					t.Errorf("%s of %v says %q", op, c.auc, verdicts[0].Text)
				}
			}
			if got := strings.Join(held, " "); got != c.held {
				t.Errorf("%s with %v holds for %q, expected %q", side, c.auc, got, c.held)
			}
		}
	}
}

// TestVerdictsCarryWarnings: an expectation has the warnings of all values that it compares, each
// once, and of no others.
func TestVerdictsCarryWarnings(t *testing.T) {
	for expectation, want := range map[string]string{
		`auc(row=FM) > auc(row=kd)`:     "timing of run r0|n=7",
		`auc(row=kd) > 0.1`:             "timing of run r0",
		`bytes(row=kd) > 1`:             "",
		`bytes(row=kd) > auc(row=kd)`:   "timing of run r0",
		`auc(row=FM) + auc(row=kd) > 0`: "timing of run r0|n=7",
	} {
		s, err := scenario.Parse("x.yaml", []byte(small+"expect: [ \""+expectation+"\" ]\n"), options())
		if err != nil {
			t.Fatal(err)
		}
		plan := s.Plan()
		begin := plan.Begin()
		events := []lab.Event{{Kind: lab.KindBegin, Begin: &begin}}
		for _, c := range plan.Cells {
			events = append(events,
				lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: "FM", Values: map[string]lab.Measure{"auc": {Value: 0.5, Warning: "timing of run r0; n=7"}, "bytes": {Value: 9}}},
				lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: "kd", Values: map[string]lab.Measure{"auc": {Value: 0.25, Warning: "timing of run r0"}, "bytes": {Value: 9}}})
		}
		if got := s.Verdicts(lab.Fold(events).Snapshot()); len(got) == 0 || strings.Join(got[0].Warnings, "|") != want {
			t.Errorf("%s: found %+v, expected the warnings %q", expectation, got, want)
		}
	}
}

// TestVerdictsTellTheDifference: a verdict on quality tells the mean difference of its sides,
// paired by seed, with Student's interval; of timings, of one seed and of seeds that agree there is
// none.
func TestVerdictsTellTheDifference(t *testing.T) {
	for _, c := range []struct {
		expectation string
		values      [][3]float64 // of each seed: auc of FM, auc of kd, ttft_cold_p50 of both
		want        string       // the end of the verdict's text
	}{
		// differences 0.1, 0.2, 0.3: t(0.975, 2) = 4.303, 0.1/√3 = 0.0577
		{`auc(row=FM) > auc(row=kd)`, [][3]float64{{0.5, 0.4, 1}, {0.7, 0.5, 2}, {0.8, 0.5, 3}}, "; difference 0.2 [-0.0484, 0.448] over 3 seeds, which 0 lies in"},
		// 2·kd − FM = 0.3, 0.3, 0.2, 0.2: mean 0.25, t(0.975, 3) = 3.182, 0.0577/2
		{`2*auc(row=kd) > auc(row=FM)`, [][3]float64{{0.5, 0.4, 1}, {0.5, 0.4, 1}, {0.6, 0.4, 1}, {0.6, 0.4, 1}}, "; difference 0.25 [0.158, 0.342] over 4 seeds"},
		{`auc(row=FM) > auc(row=kd)`, [][3]float64{{0.5, 0.4, 1}}, "auc(row=kd) = 0.4"},
		{`auc(row=FM) > auc(row=kd)`, [][3]float64{{0.5, 0.4, 1}, {0.5, 0.4, 2}}, "auc(row=kd) = 0.4"},
		{`ttft_cold_p50(row=FM) > 1ms`, [][3]float64{{0.5, 0.4, 1}, {0.5, 0.4, 3}}, "ttft_cold_p50(row=FM) = 2"},
	} {
		o := options()
		o.Seeds = len(c.values)
		s, err := scenario.Parse("x.yaml", []byte(small+"serve: { workload: ranking, members: 4 }\nexpect: [ \""+c.expectation+"\" ]\n"), o)
		if err != nil {
			t.Fatal(err)
		}
		plan := s.Plan()
		begin := plan.Begin()
		events := []lab.Event{{Kind: lab.KindBegin, Begin: &begin}}
		for i, cell := range plan.Cells {
			of := c.values[i]
			for k, row := range []string{"FM", "kd"} {
				events = append(events, lab.Event{Kind: lab.KindRow, Cell: cell.ID, Row: row, Values: map[string]lab.Measure{"auc": {Value: of[k]}, "ttft_cold_p50": {Value: of[2]}}})
			}
		}
		if got := s.Verdicts(lab.Fold(events).Snapshot()); len(got) != 1 || !strings.HasSuffix(got[0].Text, c.want) {
			t.Errorf("%s of %v: found %+v, expected the end %q", c.expectation, c.values, got, c.want)
		}
	}
}
