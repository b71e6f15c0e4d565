package tokenview

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
)

const schema = "slimlab.tokens/1"

// Formats lists the formats of Row.Write.
func Formats() []string { return []string{"table", "json", "csv"} }

// Row is the views of one row of a run.
type Row struct {
	Run   string `json:"run"`
	Row   string `json:"row"` // its step and values of axes
	Seeds []Seed `json:"seeds"`
}

// Seed is one seed's view.
type Seed struct {
	Seed int `json:"seed"`
	*View
}

// Write writes the row in one of Formats. The table is the first seed's; JSON and CSV have all.
func (r *Row) Write(format string, w io.Writer) error {
	switch format {
	case "json":
		return jsondoc.Write(w, schema, r)
	case "csv":
		return r.csv(w)
	case "table":
		_, err := io.WriteString(w, r.table())
		return err
	}
	return nearest.Unknown("format of tokens", format, Formats())
}

func (r *Row) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"run", "row", "seed", "example", "token", "id", "text", "kl", "teacher", "student", "teacher_rank", "student_rank", "teacher_top", "student_top"})
	for _, s := range r.Seeds {
		for i := range s.Examples {
			for at, t := range s.Examples[i].Tokens {
				if t.At == nil {
					continue
				}
				p := t.At
				out.Write([]string{
					r.Run, r.Row, strconv.Itoa(s.Seed), strconv.Itoa(i + 1), strconv.Itoa(at), strconv.Itoa(int(t.ID)), visible.Line(string(t.Text)),
					plain(p.KL), plain(p.Teacher), plain(p.Student), strconv.Itoa(p.TeacherRank), strconv.Itoa(p.StudentRank),
					likeliest(p, false), likeliest(p, true),
				})
			}
		}
	}
	out.Flush()
	return out.Error()
}

func plain(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// promptShown is how many characters of a prompt a table shows: its end, which the answer follows.
const promptShown = 600

// readShown is how many characters of what is read before an answer a line of a table shows.
const readShown = 20

// sampleShown is how many characters of a sample a table shows: its beginning.
const sampleShown = 400

func (r *Row) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of run %s", visible.Line(r.Row), visible.Line(r.Run))
	if len(r.Seeds) > 1 {
		fmt.Fprintf(&b, ", seed %d (of %d; json and csv have all)", r.Seeds[0].Seed, len(r.Seeds))
	}
	b.WriteString("\n")
	v := r.Seeds[0].View
	b.WriteString(v.Sides() + "\n")
	for i := range v.Examples {
		fmt.Fprintf(&b, "\nexample %d of %d\n", i+1, len(v.Examples))
		v.Examples[i].write(&b)
	}
	return b.String()
}

// write writes an example for people.
func (e *Example) write(b *strings.Builder) {
	text, tokens := e.Before()
	fmt.Fprintf(b, "  prompt   %s\n", promptEnd(text, tokens))
	fmt.Fprintf(b, "  answer   %s\n", visible.Line(e.Answer()))
	for _, one := range []struct {
		name string
		of   *Sample
	}{{"teacher", e.Teacher}, {"student", e.Student}} {
		if one.of != nil {
			fmt.Fprintf(b, "  %s  %s\n", one.name, one.of.Line())
		}
	}
	if e.Cut > 0 {
		fmt.Fprintf(b, "  the first %s %s compared; %d more %s not\n", plural.Of(len(e.Tokens), "token"), plural.Verb(len(e.Tokens)), e.Cut, plural.Verb(e.Cut))
	}
	heads := []string{"token", "teacher's likeliest", "student's likeliest", "KL", "p", "q", "rank p", "rank q"}
	apart := e.Apart()
	if apart {
		heads = append([]string{"after"}, heads...)
	}
	t := texttable.New(len(heads)-5, heads...)
	t.Indent = "  "
	read := ""
	for i := range e.Tokens {
		one := &e.Tokens[i]
		p := one.At
		if p == nil {
			read += string(one.Text)
			continue
		}
		cells := []string{one.Text.Shown(), likeliest(p, false), likeliest(p, true),
			Nats(p.KL), Probability(p.Teacher), Probability(p.Student), strconv.Itoa(p.TeacherRank), strconv.Itoa(p.StudentRank)}
		if apart {
			cells = append([]string{Text(end(read, readShown)).shownIn("")}, cells...)
		}
		t.Add(cells...)
		read = ""
	}
	b.WriteString(t.Text())
}

// Shown is the text on a line, in quotes where white space at an end would not be seen.
func (t Text) Shown() string { return t.shownIn("''") }

// shownIn is Shown, with what stands for no text.
func (t Text) shownIn(nothing string) string {
	line := visible.Line(string(t))
	switch {
	case line == "":
		return nothing
	case strings.TrimSpace(line) != line:
		return "'" + line + "'"
	}
	return line
}

// end is the last n characters of a text, behind an ellipsis where there are more.
func end(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "…" + string(r[len(r)-n+1:])
}

// promptEnd is the end of a prompt, with a count of what is before.
func promptEnd(text string, tokens int) string {
	r := []rune(text)
	if len(r) <= promptShown {
		return visible.Line(text)
	}
	return fmt.Sprintf("(%d of %d characters, %s) … %s", promptShown, len(r), plural.Of(tokens, "token"), visible.Line(string(r[len(r)-promptShown:])))
}

// Line is the sample on one line.
func (s *Sample) Line() string {
	line := visible.Line(string(s.Text))
	if r := []rune(line); len(r) > sampleShown {
		line = fmt.Sprintf("%s … (%d of %d characters)", string(r[:sampleShown]), sampleShown, len(r))
	}
	switch {
	case len(s.Tokens) == 0:
		return "(nothing: it ends at once)"
	case !s.Ended:
		return line + fmt.Sprintf(" … (no end within %s)", plural.Of(len(s.Tokens), "token"))
	}
	return line
}

// inTable is how many of the likeliest tokens stand in a line of a table.
const inTable = 3

// likeliest writes the likeliest tokens: "yes 0.61, no 0.32".
func likeliest(p *Position, ofStudent bool) string {
	var parts []string
	for _, c := range p.Likeliest(inTable, ofStudent) {
		x := c.Teacher
		if ofStudent {
			x = c.Student
		}
		parts = append(parts, c.Text.Shown()+" "+Probability(x))
	}
	return strings.Join(parts, ", ")
}

// sortByStudent orders candidates by the student's probability, falling.
func sortByStudent(list []Candidate) {
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Student, a.Student), cmp.Compare(a.ID, b.ID))
	})
}

// Probability writes a probability with three decimals, or its power of ten.
func Probability(x float64) string { return small(x, "%.3f", 0.0005) }

// Nats writes a divergence with three decimals, or its power of ten.
func Nats(x float64) string { return small(x, "%.3f", 0.0005) }

func small(x float64, format string, least float64) string {
	if x > 0 && x < least {
		return strings.Replace(fmt.Sprintf("%.0e", x), "e-0", "e-", 1)
	}
	return fmt.Sprintf(format, x)
}
