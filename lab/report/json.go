package report

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// jsonSchema names the shape of the document; a change that could break a reader changes it.
const jsonSchema = "slimlab.report/3"

type jsonReport struct {
	Run     jsonRun    `json:"run"`
	State   string     `json:"state"`
	Error   string     `json:"error,omitempty"`
	Seconds lab.Number `json:"seconds"`
	Where   string     `json:"where,omitempty"` // the filter that rows met
	// the run that values are compared with, where one was named
	Baseline *jsonBaseline `json:"baseline,omitempty"`
	Axes     []jsonAxis    `json:"axes"`
	Rows     []jsonRow     `json:"rows"`
	Verdicts []jsonVerdict `json:"verdicts"`
	Notes    []jsonNote    `json:"notes"`
	Curves   []jsonCurve   `json:"curves"`
	// their values are in a document of their own: slimlab show RUN --matrix --format json
	Matrices []jsonMatrixName `json:"matrices"`
}

type jsonRun struct {
	ID       string   `json:"id"`
	Scenario string   `json:"scenario"`
	About    string   `json:"about"`
	Hash     string   `json:"hash"`
	Version  string   `json:"version"`
	Machine  string   `json:"machine"`
	Started  int64    `json:"started"`
	Quick    bool     `json:"quick"`
	Settings []string `json:"settings"`
	Columns  []string `json:"columns"`
}

// jsonAxis is an axis of the sweep with its values in the order of the plan.
type jsonAxis struct {
	Key    string            `json:"key"`
	Values []json.RawMessage `json:"values"`
}

type jsonRow struct {
	Row string `json:"row"`
	// the sweep's axes; numbers and booleans are written as such
	Params map[string]json.RawMessage `json:"params"`
	// the place in rows, from 0, of the row that this one repeats: they differ only in axes that
	// change nothing in their step
	Repeats *int `json:"repeats,omitempty"`
	// the axes that the step's values depend on
	Depends []string `json:"depends"`
	State   string   `json:"state"`
	// where the seeds were measured, each machine once
	Machines []string `json:"machines"`
	// how the timings were taken
	Timings []jsonTiming `json:"timings,omitempty"`
	KV      string       `json:"kv,omitempty"` // of the KV cache that the row was measured with, where it is not the usual one
	// what searches of the row's step have chosen
	Chosen []lab.SeedChosen       `json:"chosen,omitempty"`
	Values map[string]jsonSummary `json:"values"`
	// the changes against the baseline by metric, or why there are none
	Against    map[string]jsonAgainst `json:"against,omitempty"`
	NoBaseline string                 `json:"no_baseline,omitempty"`
}

type jsonTiming struct {
	Seed int `json:"seed"`
	lab.Timing
}

type jsonSummary struct {
	Value    lab.Number  `json:"value"`
	Low      *lab.Number `json:"low,omitempty"`
	High     *lab.Number `json:"high,omitempty"`
	Of       int         `json:"of"` // seeds of the plan
	Seeds    []jsonSeed  `json:"seeds"`
	Warnings []string    `json:"warnings"`
}

type jsonSeed struct {
	Seed  int        `json:"seed"`
	Value lab.Number `json:"value"`
	N     int        `json:"n,omitempty"`
}

type jsonVerdict struct {
	Text   string `json:"text"`
	Held   bool   `json:"held"`
	Judged bool   `json:"judged"` // false: failed cells left it without what it compares
	Reason string `json:"reason"`
	// of the values that are compared
	Warnings []string `json:"warnings"`
}

type jsonNote struct {
	Seconds lab.Number `json:"seconds"`
	Level   string     `json:"level"`
	Cell    string     `json:"cell,omitempty"`
	Text    string     `json:"text"`
	Count   int        `json:"count"`
}

// jsonListSchema names the shape of the document of several runs.
const jsonListSchema = "slimlab.reports/2"

// JSON writes everything that tables rest on, each seed by itself, in base units. Values that are
// not finite are null. No row is folded: one that repeats another names it. Where a selection chose
// columns, the values are those of its metrics. Several runs are the list reports of one document.
func JSON(w io.Writer, tables ...*sweep.Table) error {
	if len(tables) == 1 {
		return jsondoc.Write(w, jsonSchema, newJSONReport(tables[0]))
	}
	all := struct {
		Reports []jsonReport `json:"reports"`
	}{[]jsonReport{}}
	for _, t := range tables {
		all.Reports = append(all.Reports, newJSONReport(t))
	}
	return jsondoc.Write(w, jsonListSchema, all)
}

func newJSONReport(t *sweep.Table) jsonReport {
	v := t.View
	b := v.Begin
	out := jsonReport{
		State: v.State.String(), Error: v.Error, Seconds: lab.Number(v.Time), Where: t.Where,
		Run:  jsonRun{b.Run, b.Scenario, b.About, b.Hash, b.Version, b.Machine, b.Started, b.Quick, orEmpty(b.Settings), []string{}},
		Axes: newJSONAxes(t), Rows: newJSONRows(t), Verdicts: []jsonVerdict{}, Notes: []jsonNote{},
	}
	for _, c := range t.Columns() {
		if c.Kind == sweep.Metric {
			out.Run.Columns = append(out.Run.Columns, c.Key)
		}
	}
	out.Curves, out.Matrices = newJSONCurves(v), newJSONMatrixNames(v)
	for _, x := range v.Verdicts {
		out.Verdicts = append(out.Verdicts, jsonVerdict{x.Text, x.Held, !x.Unjudged, x.Reason, orEmpty(x.Warnings)})
	}
	for _, n := range v.Notes {
		out.Notes = append(out.Notes, jsonNote{lab.Number(n.Time), n.Level.String(), n.Cell, n.Text, n.Count})
	}
	return out
}

func newJSONAxes(t *sweep.Table) []jsonAxis {
	axes := []jsonAxis{}
	for _, a := range t.Axes {
		one := jsonAxis{Key: a.Key, Values: []json.RawMessage{}}
		for _, value := range a.Values {
			one.Values = append(one.Values, typed(value))
		}
		axes = append(axes, one)
	}
	return axes
}

// newJSONRows lists every row of the run that the table stands for.
func newJSONRows(t *sweep.Table) []jsonRow {
	rows, each := []jsonRow{}, t.Each()
	places := make(map[int]int, len(each))
	for at, i := range each {
		places[i] = at
	}
	shown := make(map[int]*sweep.Row, len(each))
	for i := range t.Rows {
		for _, same := range t.Rows[i].Same {
			shown[same] = &t.Rows[i]
		}
	}
	for _, i := range each {
		row := newJSONRow(&t.View.Rows[i], t.Chosen())
		for axis, at := range shown[i].At {
			if at != sweep.Any {
				row.Depends = append(row.Depends, t.Axes[axis].Key)
			}
		}
		if shown[i].Index != i {
			place := places[shown[i].Index]
			row.Repeats = &place
		}
		rows = append(rows, row)
	}
	return rows
}

func newJSONRow(r *lab.TableRow, chosen []sweep.Column) jsonRow {
	out := jsonRow{Row: r.Name, KV: r.KV, Chosen: r.Chosen, Params: map[string]json.RawMessage{}, Depends: []string{}, State: r.State.String(), Machines: orEmpty(r.Machines), Values: map[string]jsonSummary{}}
	for _, p := range r.Params {
		out.Params[p.Key] = typed(p.Value)
	}
	for _, t := range r.Timings {
		out.Timings = append(out.Timings, jsonTiming(t))
	}
	for key, s := range r.Values {
		if chosen == nil || slices.ContainsFunc(chosen, func(c sweep.Column) bool { return c.Kind == sweep.Metric && c.Key == key }) {
			out.Values[key] = newJSONSummary(s)
		}
	}
	return out
}

// typed writes a value of an axis: a number or a boolean as it stands, anything else as a string.
func typed(value string) json.RawMessage {
	if value == "true" || value == "false" || value != "" && strings.ContainsRune("-0123456789", rune(value[0])) && json.Valid([]byte(value)) {
		return json.RawMessage(value)
	}
	text, _ := json.Marshal(value) // a string is always written
	return text
}

func newJSONSummary(s lab.Summary) jsonSummary {
	one := jsonSummary{Value: lab.Number(s.Value), Of: s.Of, Seeds: []jsonSeed{}, Warnings: orEmpty(s.Warnings)}
	if s.Interval {
		low, high := lab.Number(s.Low), lab.Number(s.High)
		one.Low, one.High = &low, &high
	}
	for _, m := range s.Seeds {
		one.Seeds = append(one.Seeds, jsonSeed{m.Seed, lab.Number(m.Value), m.N})
	}
	return one
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
