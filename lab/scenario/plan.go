package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"slimlab/lab"
)

// Scenario is a loaded scenario: checked, with its sweep expanded and all names resolved.
type Scenario struct {
	File     string // as opened
	Name     string
	About    string
	Source   string // the file's text
	Settings []string
	Quick    bool
	Seeds    []int
	Axes     []Axis   // of the sweep, the first varies slowest
	Rows     []string // names of the steps, in order: a row of the table each
	Columns  []string // metric keys; empty for all measured ones
	Baseline string   // the row that differences refer to
	Paper    map[string]float64
	Expect   []Expectation
	// the file has expectations, and the quick version none
	Unjudged bool
	Points   []Point // one for each point of the sweep, at least one

	params []string         // names of the section params
	places map[string]place // of the file's values, by path
}

// Axis is one dimension of a sweep.
type Axis struct {
	Key    string
	Values []string
}

// Point is the scenario at one point of its sweep, with all names resolved.
type Point struct {
	Params    []lab.Param
	Task      Task
	Tokenizer Tokenizer
	Models    []Model // in the file's order
	Steps     []Step
	Evaluate  Evaluate
	Serve     *Serve // nil: serving is not measured
}

// Step is one step of a pipeline. Each builds a model under its Name, unless it is Alone.
type Step struct {
	Name string
	Kind string // a Kind's name
	// From is the step or model whose weights the step starts from: the step before where the file
	// names none. It is empty where the work loads a model or names the model to start from itself.
	From  string
	Alone bool `json:",omitempty"` // it makes no model
	Work  Work
}

// alone reports whether no step makes a model, so that there is nothing for a task to measure.
func (p *Point) alone() bool {
	return len(p.Steps) > 0 && p.last() == ""
}

// last is the last step that makes a model, "" for none.
func (p *Point) last() string {
	for _, s := range slices.Backward(p.Steps) {
		if !s.Alone {
			return s.Name
		}
	}
	return ""
}

// firstModel is the first step that makes a model, or the first of all where none does.
func (p *Point) firstModel() string {
	for _, s := range p.Steps {
		if !s.Alone {
			return s.Name
		}
	}
	return p.Steps[0].Name
}

// Model finds a model of the point by its name.
func (p *Point) Model(name string) (m Model, ok bool) {
	for _, m := range p.Models {
		if m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}

// Step finds a step of the point by its name.
func (p *Point) Step(name string) (s Step, ok bool) {
	for _, s := range p.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return Step{}, false
}

// Inputs lists the names of the models and steps whose weights or shape the step needs. The one
// that it starts from is the first.
func (s Step) Inputs() []string {
	var names []string
	if s.From != "" {
		names = append(names, s.From)
	}
	for _, r := range references(s.Work) {
		if r.name != "" {
			names = append(names, r.name)
		}
	}
	return names
}

// Canonical is the text of everything that determines the figures: all points with their task,
// models, steps and measurements, without seeds, the file's name, columns, expectations and the
// paper's figures. Runs with equal texts are comparable.
func (s *Scenario) Canonical() string {
	text, err := json.Marshal(struct {
		Baseline string
		Points   []Point
	}{s.Baseline, s.Points})
	if err != nil {
		panic("scenario: " + err.Error()) // plain structs of finite numbers
	}
	return string(text)
}

// Hash is the SHA-256 of Canonical in hexadecimal.
func (s *Scenario) Hash() string {
	sum := sha256.Sum256([]byte(s.Canonical()))
	return hex.EncodeToString(sum[:])
}

// Plan is the work of a scenario.
type Plan struct {
	Scenario *Scenario
	Cells    []Cell // sweep points × seeds, seeds varying fastest
}

// Cell is one unit of work.
type Cell struct {
	lab.Cell
	Point *Point
}

// Plan expands the scenario into cells.
func (s *Scenario) Plan() *Plan {
	p := &Plan{Scenario: s}
	for i := range s.Points {
		for _, seed := range s.Seeds {
			point := &s.Points[i]
			p.Cells = append(p.Cells, Cell{lab.Cell{ID: cellID(point.Params, seed), Params: point.Params, Seed: seed}, point})
		}
	}
	return p
}

func cellID(params []lab.Param, seed int) string {
	var b strings.Builder
	for _, p := range params {
		b.WriteString(p.Key + "=" + p.Value + " ")
	}
	return b.String() + "seed=" + strconv.Itoa(seed)
}

// Begin is the payload of the run's first event. The runner adds Run, Version, Machine and Started.
func (p *Plan) Begin() lab.Begin {
	s := p.Scenario
	begin := lab.Begin{
		Scenario: s.Name, About: s.About, Hash: s.Hash(), Quick: s.Quick,
		Rows: s.Rows, Depends: s.depends(), Columns: s.Columns, Settings: s.Settings, Source: s.Source,
	}
	for _, c := range p.Cells {
		begin.Cells = append(begin.Cells, c.Cell)
	}
	return begin
}
