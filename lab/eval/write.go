package eval

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/report"
)

// Formats lists the formats that Write knows.
func Formats() []string { return []string{"table", "json", "markdown"} }

// Write writes the evaluation in one of Formats.
func (e *Evaluation) Write(format string, w io.Writer) error {
	switch format {
	case "table":
		return e.table(w)
	case "json":
		return jsondoc.Write(w, schema, e)
	case "markdown":
		return e.markdown(w)
	}
	return nearest.Check("format", format, Formats())
}

// intervalNote says what the intervals of all figures are.
const intervalNote = "intervals of 95%: Wilson's for accuracies and for shares of decisions, Bonett and Price's for paired differences of accuracies; for perplexities, their paired differences and KL the percentiles of a bootstrap over runs of tokens"

// roles name the models in a table.
func (e *Evaluation) roles() []string {
	if len(e.Models) == 2 {
		return []string{"before", "after"}
	}
	return []string{"value"}
}

// line describes a model.
func (m ModelInfo) line() string {
	begin := "no BOS"
	if m.AddsBOS {
		begin = m.BOS + " before every text"
	}
	cache := m.Cache
	if m.CacheBytes > 0 { // figures that were kept by an earlier version have none
		cache += fmt.Sprintf(" (%s a token)", report.Format(lab.Bytes, float64(m.CacheBytes)))
	}
	return fmt.Sprintf("%s: %s parameters, %s stored; multiplied as %s, keys and values in %s; %s", m.Name,
		report.Format(lab.Count, float64(m.Parameters)), report.Format(lab.Bytes, float64(m.Stored)), strings.Join(m.Formats, " and "), cache, begin)
}

// head is the header of the figures' columns.
func (e *Evaluation) head() []string {
	if len(e.Models) == 2 {
		return []string{"metric", "before", "after", "difference", "p"}
	}
	return []string{"metric", "value"}
}

// cells are a result's columns.
func (e *Evaluation) cells(x Figure) []string {
	decimals := decimalsOf(x)
	cells := []string{x.Metric}
	for _, v := range x.Values {
		text := v.text(decimals, false)
		if v.AtChance {
			text += " at chance"
		}
		cells = append(cells, text)
	}
	if len(e.Models) < 2 {
		return cells
	}
	difference, p := "–", "–"
	if x.Difference != nil {
		difference = x.Difference.text(x.Difference.decimals(), true)
	}
	if x.P != nil {
		p = strconv.FormatFloat(*x.P, 'g', 2, 64)
	}
	return append(cells, difference, p)
}

// decimalsOf gives five digits to the largest value, four decimals at most.
func decimalsOf(x Figure) int {
	large := 0.0
	for _, v := range x.Values {
		large = max(large, math.Abs(v.Value))
	}
	return max(0, min(4, 4-int(math.Floor(math.Log10(max(large, 1))))))
}

// decimals gives three digits to the largest number of a difference and its interval, six decimals
// at most.
func (e Estimate) decimals() int {
	large := math.Abs(e.Value)
	if e.Low != nil {
		large = max(large, math.Abs(*e.Low), math.Abs(*e.High))
	}
	if large == 0 {
		return 0
	}
	return max(0, min(6, 2-int(math.Floor(math.Log10(large)))))
}

// text writes an estimate with its interval, "0.2512 [0.2342, 0.2690]".
func (e Estimate) text(decimals int, signed bool) string {
	number := func(x float64) string {
		s := strconv.FormatFloat(x, 'f', decimals, 64)
		if math.Abs(x) >= 1e7 {
			s = strconv.FormatFloat(x, 'g', 5, 64)
		}
		if strings.Trim(s, "-0.") == "" {
			return strings.TrimPrefix(s, "-") // −0.00 is 0.00
		}
		if signed && x > 0 {
			s = "+" + s
		}
		return s
	}
	s := number(e.Value)
	if e.Low != nil {
		s += " [" + number(*e.Low) + ", " + number(*e.High) + "]"
	}
	return s
}

// behaviourHead is the header of the columns of Behaviour.
var behaviourHead = []string{"file", "mean KL", "KL P99", "top-1 agreement", "flips", "right to wrong", "wrong to right", "p"}

// cells are a Behaviour's columns.
func (b *Behaviour) cells() []string {
	number := func(e Estimate) string { return e.text(max(4, e.decimals()), false) }
	count := func(e Estimate, n int) string { return fmt.Sprintf("%s (%d)", number(e), n) }
	return []string{
		short(b.File), number(b.KL), number(b.P99), number(b.Agreement), number(b.Flips),
		count(b.Lost, b.LostCount), count(b.Won, b.WonCount), strconv.FormatFloat(b.P, 'g', 2, 64),
	}
}

// behaviourNotes say what was compared, of what.
func (e *Evaluation) behaviourNotes() (notes []string) {
	for _, b := range e.Behaviour {
		what := "KL(before‖after) of each predicted token's distribution, in nats; a decision is the likeliest token, right where it is the text's; p is McNemar's, exact, as if tokens were independent"
		if b.Unit == "questions" {
			what = "KL(before‖after) of the distributions over choices that Σ log P gives, in nats; a decision is the choice by acc_norm; p is McNemar's, exact"
		}
		if b.Compared < b.Of {
			what += fmt.Sprintf("; only the first %d of %d %s are compared, to keep the memory below %s", b.Compared, b.Of, b.Unit, report.Format(lab.Bytes, mostStates))
		}
		notes = append(notes, short(b.File)+": "+what)
		if b.KL.Warning != "" {
			notes = append(notes, fmt.Sprintf("%s: KL and decisions are from only %s", short(b.File), b.KL.Warning))
		}
		if b.Compared < 100 {
			notes = append(notes, fmt.Sprintf("%s: KL P99 of %d %s lies between the two largest", short(b.File), b.Compared, b.Unit))
		}
	}
	return notes
}

// margin says what measuring a part leaves open: half the widest interval of the first figure of
// each file.
func (e *Evaluation) margin() string {
	var parts []string
	for _, group := range e.groups() {
		x, half := group[0], 0.0
		for _, v := range x.Values {
			if v.Low != nil {
				of := (*v.High - *v.Low) / 2
				if x.Better == "lower" {
					of /= v.Value
				}
				half = max(half, of)
			}
		}
		if half == 0 {
			continue
		}
		what := "points of " + x.Metric
		if x.Better == "lower" {
			what = "% of the " + x.Metric
		}
		parts = append(parts, fmt.Sprintf("±%.2g %s for %s", 100*half, what, short(x.File)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; margin of error: " + strings.ReplaceAll(strings.Join(parts, ", "), " %", "%")
}

// groups are the results of each file, in order.
func (e *Evaluation) groups() [][]Figure {
	var groups [][]Figure
	for i, x := range e.Results {
		if i == 0 || x.File != e.Results[i-1].File || x.Size != e.Results[i-1].Size {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], x)
	}
	return groups
}

// notes are the lines below the figures: definitions, warnings, changes of answers.
func (e *Evaluation) notes() []string {
	var notes []string
	add := func(note string) {
		if !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	for _, c := range e.Changes {
		if c.Metric == "acc_norm" {
			add(fmt.Sprintf("%s: by acc_norm %d of %s changed, %d from right to wrong and %d from wrong to right; p is McNemar's, exact", short(c.File), c.Changed, plural.Of(c.Questions, "answer"), c.Lost, c.Gained))
		}
	}
	for _, group := range e.groups() {
		if warning := group[0].Values[0].Warning; warning != "" {
			add(fmt.Sprintf("%s: %s", short(group[0].File), warning))
		}
		for _, x := range group {
			if slices.ContainsFunc(x.Values, func(v Estimate) bool { return v.AtChance }) {
				add(fmt.Sprintf("%s: a guess is right in %.4f of the questions; at chance: the interval includes it", short(x.File), x.Guess))
			}
		}
	}
	for _, note := range e.behaviourNotes() {
		add(note)
	}
	for _, note := range e.Notes {
		add(note)
	}
	if len(e.Results) > 0 {
		add(intervalNote)
	}
	for _, definition := range e.definitions() {
		add(definition)
	}
	if e.Settings.Limit > 0 {
		add(fmt.Sprintf("only the first %s of each file and %s of each text%s", plural.Of(e.Settings.Limit, "question"), plural.Words(e.Settings.Limit, "line", "lines"), e.margin()))
	}
	return notes
}

// definitions say how the metrics are computed, those of one method in one line.
func (e *Evaluation) definitions() []string {
	type group struct {
		method  string
		metrics []string
	}
	var groups []group
	for _, x := range e.Results {
		i := slices.IndexFunc(groups, func(g group) bool { return g.method == x.Method })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{method: x.Method})
		}
		if metric := x.Metric + ": " + x.Definition; !slices.Contains(groups[i].metrics, metric) {
			groups[i].metrics = append(groups[i].metrics, metric)
		}
	}
	var lines []string
	for _, g := range groups {
		lines = append(lines, strings.Join(g.metrics, "; ")+"; "+g.method)
	}
	return lines
}

func (e *Evaluation) table(w io.Writer) error {
	var b strings.Builder
	for i, m := range e.Models {
		if len(e.Models) == 2 {
			b.WriteString(e.roles()[i] + " ")
		}
		b.WriteString(m.line() + "\n")
	}
	for _, group := range e.groups() {
		fmt.Fprintf(&b, "\n%s · %s\n", short(group[0].File), group[0].Size)
		t := texttable.New(len(e.head()), e.head()...)
		t.Indent = "  "
		for _, x := range group {
			t.Add(e.cells(x)...)
		}
		b.WriteString(t.Text())
	}
	if len(e.Behaviour) > 0 {
		b.WriteString("\nafter beside before\n")
		t := texttable.New(len(behaviourHead), behaviourHead...)
		t.Indent = "  "
		for i := range e.Behaviour {
			t.Add(e.Behaviour[i].cells()...)
		}
		b.WriteString(t.Text())
	}
	for i, text := range e.Continuations {
		role := ""
		if len(e.Models) == 2 {
			role = e.roles()[i] + ", "
			if i == 1 {
				role += fmt.Sprintf("the same for %s, ", plural.Of(text.Same, "token"))
			}
		}
		fmt.Fprintf(&b, "\ngeneration · %s%s after %d of prompt, greedy\n  %s\n", role, plural.Of(len(text.Tokens)-text.Prompt, "token"), text.Prompt, strings.ReplaceAll(text.Text, "\n", "\n  "))
	}
	if notes := e.notes(); len(notes) > 0 {
		b.WriteString("\n")
		for _, note := range notes {
			b.WriteString("- " + note + "\n")
		}
	}
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

func (e *Evaluation) markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("## eval\n\n")
	for i, m := range e.Models {
		role := ""
		if len(e.Models) == 2 {
			role = "**" + e.roles()[i] + "** "
		}
		b.WriteString("- " + role + texttable.Escape(m.line()) + "\n")
	}
	if len(e.Results) > 0 {
		t := texttable.New(2, append([]string{"file"}, e.head()...)...)
		for _, x := range e.Results {
			cells := append([]string{short(x.File)}, e.cells(x)...)
			for i := range cells {
				cells[i] = texttable.Escape(cells[i])
			}
			t.Add(cells...)
		}
		b.WriteString("\n" + t.Markdown())
	}
	if len(e.Behaviour) > 0 {
		t := texttable.New(1, behaviourHead...)
		for i := range e.Behaviour {
			cells := e.Behaviour[i].cells()
			for k := range cells {
				cells[k] = texttable.Escape(cells[k])
			}
			t.Add(cells...)
		}
		b.WriteString("\n**after** beside **before**:\n\n" + t.Markdown())
	}
	for i, text := range e.Continuations {
		role := ""
		if len(e.Models) == 2 {
			role = ", " + e.roles()[i]
		}
		fmt.Fprintf(&b, "\nGeneration%s:\n\n> %s\n", role, strings.ReplaceAll(texttable.Escape(text.Text), "\n", "\n> "))
	}
	if notes := e.notes(); len(notes) > 0 {
		b.WriteString("\n")
		for _, note := range notes {
			b.WriteString("- " + texttable.Escape(note) + "\n")
		}
	}
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}
