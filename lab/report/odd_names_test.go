package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"html"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"slimlab/internal/visible"
	"slimlab/lab"
)

// oddText draws a name or a note that is markup, a separator or a control of some format, but not
// what separates the reasons of a warning.
func oddText() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"a", "ä", "|", "||", `\`, `\|`, "`", "``", "<b>", "</td>", "&lt;", "&", ">", "[x](y)", "[x][y]", "[x]: y", "*", "**", "_", "~", "~~", "\n", "\r", "\r\n", "\t", "\x1b[31m", "\x00", "\x9b", "\u202e", "\u2028", `"`, "'", ",", "#", "- ", "1. ", "]]>", "=", " ", "\xff"})
	return rapid.Map(rapid.SliceOfN(piece, 1, 6), func(pieces []string) string {
		return "x" + strings.ReplaceAll(strings.Join(pieces, ""), "; ", ";") + "y"
	})
}

// oddRun is a run with an odd name in every place.
func oddRun(id, name, note string) *lab.View {
	v := run(id, 2, func(row string, seed int, m map[string]lab.Measure) {
		one := m["auc"]
		one.Warning = note
		m["auc"] = one
	}).Snapshot()
	v.Begin.Run, v.Begin.Scenario, v.Begin.About, v.Begin.Version = id+name, name, note, note
	v.Begin.Settings = []string{"key=" + name + id}
	for i := range v.Rows {
		v.Rows[i].Name += name
		v.Rows[i].Machines = []string{id + name}
	}
	for i := range v.Verdicts {
		v.Verdicts[i].Text, v.Verdicts[i].Reason = name, note
	}
	return v
}

// cellsOf splits a line of a Markdown table as GitHub does: at bars without a backslash before
// them.
func cellsOf(line string) []string {
	var cells []string
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && line[i+1] == '|':
			b.WriteString(`\|`)
			i++
		case line[i] == '|':
			cells = append(cells, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteByte(line[i])
		}
	}
	return cells[1:]
}

// shown is what a reader of Markdown sees of inline text; live is markup in it, "" where there is
// none.
func shown(text string) (plain, live string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && strings.IndexByte("\\|*_`()[]:~", text[i+1]) >= 0:
			i++
			b.WriteByte(text[i])
		case strings.IndexByte("*_`<>", c) >= 0, c == ']' && i+1 < len(text) && strings.IndexByte("([:", text[i+1]) >= 0, c == '~' && i+1 < len(text) && text[i+1] != ' ':
			return "", text[i:]
		default:
			b.WriteByte(c)
		}
	}
	return html.UnescapeString(b.String()), ""
}

// TestOddNamesInComparisons: whatever runs, rows, machines and notes are named, each format of a
// comparison has its lines and columns, and its texts read back as they are, but for controls,
// which are shown.
func TestOddNamesInComparisons(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name, note := oddText().Draw(t, "name"), oddText().Draw(t, "note")
		views := []*lab.View{oddRun("a", name, note), oddRun("b", name, note), oddRun("c", name, note)}[:rapid.IntRange(2, 3).Draw(t, "runs")]
		c := CompareRuns(views, 0, unresolved)
		written := map[string]string{}
		for _, format := range RunsFormats() {
			var b bytes.Buffer
			if err := c.Write(format, &b); err != nil {
				t.Fatal(err)
			}
			written[format] = b.String()
			if format != "csv" && format != "json" && visible.Text(b.String()) != b.String() {
				t.Fatalf("%s has controls: %q", format, b.String())
			}
		}
		checkMarkdown(t, written["md"], "FM"+name, note)
		if n := strings.Count(written["table"], "\n"); n != strings.Count(plainLines(t, len(views)), "\n") {
			t.Fatalf("the text has %d lines, with plain names as many as here:\n%s\n%s", n, plainLines(t, len(views)), written["table"])
		}
		lines, err := csv.NewReader(strings.NewReader(written["csv"])).ReadAll()
		if err != nil || len(lines) < 10 || lines[1][0] != strings.ReplaceAll("FM"+name, "\r\n", "\n") {
			t.Fatalf("csv: %v\n%q", err, lines)
		}
		checkJSON(t, written["json"], "FM"+name)
	})
}

// plainLines is the text of a comparison of runs with plain names.
func plainLines(t *rapid.T, runs int) string {
	views := []*lab.View{oddRun("a", "xy", "yx"), oddRun("b", "xy", "yx"), oddRun("c", "xy", "yx")}[:runs]
	c := CompareRuns(views, 0, unresolved)
	var b bytes.Buffer
	if err := c.Write("table", &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// checkMarkdown checks that all lines of a table have its columns and no line has live markup but
// that of the report, and that a row and a note stand in it.
func checkMarkdown(t *rapid.T, text, row, note string) {
	columns, rows, notes := 0, 0, 0
	for line := range strings.SplitSeq(text, "\n") {
		cells := []string{strings.TrimPrefix(strings.TrimPrefix(line, "## "), "- ")}
		if strings.HasPrefix(line, "|") {
			cells = cellsOf(line)
			if columns == 0 {
				columns = len(cells)
			}
			if len(cells) != columns {
				t.Fatalf("%d cells, expected %d: %q", len(cells), columns, line)
			}
		} else {
			columns = 0
		}
		for _, cell := range cells {
			plain, live := shown(cell)
			if live != "" {
				t.Fatalf("markup %q in %q", live, line)
			}
			if plain == onOneLine(row) {
				rows++
			}
			if strings.HasSuffix(plain, " "+onOneLine(note)) {
				notes++
			}
		}
	}
	if rows < 3 || notes < 1 {
		t.Fatalf("found %q %d times and %q %d times in\n%s", onOneLine(row), rows, onOneLine(note), notes, text)
	}
}

// onOneLine is what a report shows of a text on one line: table cells without spaces at their ends.
func onOneLine(text string) string {
	return visible.Line(strings.ReplaceAll(text, "\n", " "))
}

func checkJSON(t *rapid.T, text, row string) {
	var doc struct {
		Changes     []struct{ Row string }
		Comparisons []struct{ Changes []struct{ Row string } }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	changes := doc.Changes
	for _, c := range doc.Comparisons {
		changes = append(changes, c.Changes...)
	}
	if len(changes) == 0 || utf8.ValidString(row) && changes[0].Row != row {
		t.Fatalf("rows %q, expected %q first", changes, row)
	}
}

// TestOddNamesInReports: the same of the reports of one run, JUnit included.
func TestOddNamesInReports(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name, note := oddText().Draw(t, "name"), oddText().Draw(t, "note")
		v, plain := oddRun("a", name, note), oddRun("a", "xy", "yx")
		for _, format := range Formats() {
			var b, of bytes.Buffer
			if err := Write(format, &b, v); err != nil {
				t.Fatal(err)
			}
			if err := Write(format, &of, plain); err != nil {
				t.Fatal(err)
			}
			switch format {
			case "csv":
				if lines, err := csv.NewReader(&b).ReadAll(); err != nil || len(lines) != 4 || lines[1][0] != strings.ReplaceAll("FM"+name, "\r\n", "\n") {
					t.Fatalf("csv: %v\n%q", err, lines)
				}
			case "json":
				if !json.Valid(b.Bytes()) {
					t.Fatalf("json: %q", b.String())
				}
			case "junit":
				var suites junitSuites
				if err := xml.Unmarshal(b.Bytes(), &suites); err != nil || len(suites.Suites) != 1 || len(suites.Suites[0].Cases) != 2 {
					t.Fatalf("junit: %v\n%q", err, b.String())
				}
			default:
				if visible.Text(b.String()) != b.String() || strings.Count(b.String(), "\n") != strings.Count(of.String(), "\n") {
					t.Fatalf("%s: other lines than with plain names, or controls:\n%q\n%s", format, b.String(), of.String())
				}
			}
		}
	})
}
