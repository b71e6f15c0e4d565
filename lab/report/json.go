package report

import (
	"io"

	"slimlab/internal/jsondoc"
	"slimlab/lab"
)

// jsonSchema names the shape of the document; a change that could break a reader changes it.
const jsonSchema = "slimlab.report/2"

type jsonReport struct {
	Run      jsonRun       `json:"run"`
	State    string        `json:"state"`
	Error    string        `json:"error,omitempty"`
	Seconds  lab.Number    `json:"seconds"`
	Rows     []jsonRow     `json:"rows"`
	Verdicts []jsonVerdict `json:"verdicts"`
	Notes    []jsonNote    `json:"notes"`
	Curves   []jsonCurve   `json:"curves"`
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

type jsonRow struct {
	Row    string            `json:"row"`
	Params map[string]string `json:"params"`
	State  string            `json:"state"`
	// where the seeds were measured, each machine once
	Machines []string `json:"machines"`
	// how the timings were taken
	Timings []jsonTiming           `json:"timings,omitempty"`
	Values  map[string]jsonSummary `json:"values"`
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
const jsonListSchema = "slimlab.reports/1"

// JSON writes everything that the table rests on, each seed by itself, in base units. Values that
// are not finite are null. Several runs are the list reports of one document.
func JSON(w io.Writer, views ...*lab.View) error {
	if len(views) == 1 {
		return jsondoc.Write(w, jsonSchema, newJSONReport(views[0]))
	}
	all := struct {
		Reports []jsonReport `json:"reports"`
	}{[]jsonReport{}}
	for _, v := range views {
		all.Reports = append(all.Reports, newJSONReport(v))
	}
	return jsondoc.Write(w, jsonListSchema, all)
}

func newJSONReport(v *lab.View) jsonReport {
	b := v.Begin
	out := jsonReport{
		State: v.State.String(), Error: v.Error, Seconds: lab.Number(v.Time),
		Run:  jsonRun{b.Run, b.Scenario, b.About, b.Hash, b.Version, b.Machine, b.Started, b.Quick, orEmpty(b.Settings), []string{}},
		Rows: []jsonRow{}, Verdicts: []jsonVerdict{}, Notes: []jsonNote{},
	}
	for _, m := range v.Columns() {
		out.Run.Columns = append(out.Run.Columns, m.Key)
	}
	out.Curves = newJSONCurves(v)
	for i := range v.Rows {
		out.Rows = append(out.Rows, newJSONRow(&v.Rows[i]))
	}
	for _, x := range v.Verdicts {
		out.Verdicts = append(out.Verdicts, jsonVerdict{x.Text, x.Held, !x.Unjudged, x.Reason, orEmpty(x.Warnings)})
	}
	for _, n := range v.Notes {
		out.Notes = append(out.Notes, jsonNote{lab.Number(n.Time), n.Level.String(), n.Cell, n.Text, n.Count})
	}
	return out
}

func newJSONRow(r *lab.TableRow) jsonRow {
	out := jsonRow{Row: r.Name, Params: map[string]string{}, State: r.State.String(), Machines: orEmpty(r.Machines), Values: map[string]jsonSummary{}}
	for _, p := range r.Params {
		out.Params[p.Key] = p.Value
	}
	for _, t := range r.Timings {
		out.Timings = append(out.Timings, jsonTiming(t))
	}
	for key, s := range r.Values {
		out.Values[key] = newJSONSummary(s)
	}
	return out
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
