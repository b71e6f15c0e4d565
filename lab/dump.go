package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String writes all that the view holds as plain text, one line a thing: for goldens and for bug
// reports. It is no report.
func (v *View) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %q scenario %q %s %.3fs events %d", v.Begin.Run, v.Begin.Scenario, v.State, v.Time, v.Events)
	if v.Error != "" {
		fmt.Fprintf(&b, " error %q", v.Error)
	}
	fmt.Fprintf(&b, "\nwarnings %d errors %d dropped notes %d\n", v.Warnings, v.Errors, v.Dropped)
	for i := range v.Cells {
		v.Cells[i].dump(&b)
	}
	for i := range v.Rows {
		v.Rows[i].dump(&b)
	}
	for _, n := range v.Notes {
		fmt.Fprintf(&b, "note %.3f %s cell %q ×%d: %s\n", n.Time, n.Level, n.Cell, n.Count, n.Text)
	}
	for _, x := range v.Verdicts {
		fmt.Fprintf(&b, "verdict %.3f %s: %s: %s\n", x.Time, x.Word(), x.Text, x.Grounds())
	}
	return b.String()
}

func (c *CellView) dump(b *strings.Builder) {
	fmt.Fprintf(b, "cell %q %s stage %q %d/%d from %.3f to %.3f", c.ID, c.State, c.Stage, c.Step, c.Total, c.Started, c.Ended)
	if c.Error != "" {
		fmt.Fprintf(b, " error %q", c.Error)
	}
	b.WriteByte('\n')
	for _, s := range c.Stages {
		fmt.Fprintf(b, "  stage %q %s %d/%d from %.3f to %.3f %s\n", s.Name, s.State, s.Step, s.Total, s.Started, s.Ended, s.Text)
	}
	for i := range c.Series {
		s := &c.Series[i]
		fmt.Fprintf(b, "  series %q %d points, %d not finite, last %d:%.6g;", s.Name, s.Count, s.NotFinite, s.Last.Step, s.Last.Value)
		for _, p := range s.Points() {
			fmt.Fprintf(b, " %d:%.6g", p.Step, p.Value)
		}
		b.WriteByte('\n')
	}
	for _, m := range c.Matrices {
		fmt.Fprintf(b, "  matrix %q of stage %q at %.3f: %d×%d %q %q %.6g\n", m.Name, m.Stage, m.Time, m.Rows, m.Columns, m.RowLabels, m.ColumnLabels, m.Values)
	}
	for _, s := range c.Samples {
		fmt.Fprintf(b, "  sample of stage %q step %d at %.3f by %s: %q (%d cut) → %q (%d cut), %d tokens, ended %t\n", s.Stage, s.Step, s.Time, s.By, s.Prompt, s.PromptCut, s.Answer, s.AnswerCut, s.Tokens, s.Ended)
	}
	if c.Forgotten > 0 {
		fmt.Fprintf(b, "  %d earlier samples\n", c.Forgotten)
	}
}

func (r *TableRow) dump(b *strings.Builder) {
	fmt.Fprintf(b, "row %q %s %d of %d", r.Label(), r.State, r.Done, r.Of)
	for _, m := range r.Machines {
		fmt.Fprintf(b, " on %q", m)
	}
	b.WriteByte('\n')
	for _, t := range r.Timings {
		fmt.Fprintf(b, "  seed %d %s by run %q: machine %q %q, %d others, beside %t\n", t.Seed, t.Stage, t.Run, t.Machine, t.Findings, t.Others, t.Beside)
	}
	for _, c := range r.Chosen {
		fmt.Fprintf(b, "  seed %d chose %q\n", c.Seed, c.Settings)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Values)) {
		s := r.Values[key]
		fmt.Fprintf(b, "  %s %.6g", key, s.Value)
		if s.Interval {
			fmt.Fprintf(b, " [%.6g, %.6g]", s.Low, s.High)
		}
		for _, m := range s.Seeds {
			fmt.Fprintf(b, " seed %d: %.6g", m.Seed, m.Value)
		}
		for _, d := range s.Warnings {
			fmt.Fprintf(b, " (%s)", d)
		}
		b.WriteByte('\n')
	}
}

func (b Begin) clone() Begin {
	b.Cells = slices.Clone(b.Cells)
	for i := range b.Cells {
		b.Cells[i].Params = slices.Clone(b.Cells[i].Params)
		b.Cells[i].Reuses = slices.Clone(b.Cells[i].Reuses)
	}
	b.Rows, b.Columns, b.Settings = slices.Clone(b.Rows), slices.Clone(b.Columns), slices.Clone(b.Settings)
	b.Depends = slices.Clone(b.Depends)
	for i := range b.Depends {
		b.Depends[i] = slices.Clone(b.Depends[i])
	}
	return b
}

func (v *View) clone() *View {
	out := *v
	out.Begin = v.Begin.clone()
	out.measured = maps.Clone(v.measured)
	out.Notes, out.Verdicts = slices.Clone(v.Notes), slices.Clone(v.Verdicts)
	out.Cells = slices.Clone(v.Cells)
	for i := range out.Cells {
		c := &out.Cells[i]
		c.Stages, c.Series, c.Matrices, c.Samples = slices.Clone(c.Stages), slices.Clone(c.Series), slices.Clone(c.Matrices), slices.Clone(c.Samples)
		for j := range c.Series {
			c.Series[j].buckets = slices.Clone(c.Series[j].buckets)
		}
	}
	out.Rows = slices.Clone(v.Rows)
	for i := range out.Rows {
		r := &out.Rows[i]
		r.Cells, r.seeds = slices.Clone(r.Cells), slices.Clone(r.seeds)
		r.Values = maps.Clone(r.Values) // a Summary is replaced, never changed in place
		for j := range r.seeds {
			r.seeds[j].values = maps.Clone(r.seeds[j].values)
			// what they point to is never changed
			r.seeds[j].influence = maps.Clone(r.seeds[j].influence)
		}
	}
	return &out
}
