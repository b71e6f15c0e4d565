package sweep

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
)

// onePoint is the table of a sweep of three axes, of which the first point is measured.
func onePoint() *Table {
	b := lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM", "w8a8"}, Depends: [][]string{{}, {"loss", "ratio", "mixed"}}}
	for _, p := range [][3]string{{"fkl", "30%", "none"}, {"jsd:0.5", "0.5", "2"}, {"a b", "0.1", "3"}} {
		b.Cells = append(b.Cells, lab.Cell{ID: fmt.Sprint(p), Seed: 1, Params: []lab.Param{{Key: "loss", Value: p[0]}, {Key: "ratio", Value: p[1]}, {Key: "mixed", Value: p[2]}}})
	}
	return Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &b}, {Kind: lab.KindRow, Cell: b.Cells[0].ID, Row: "w8a8", Values: map[string]lab.Measure{
		"bytes": {Value: 251_000}, "ttft_cold_p50": {Value: 0.0003}, "auc_soft_delta": {Value: -0.012},
	}}}).Snapshot())
}

// TestFilterKeepsWhatItSays: each condition of the language, on the row w8a8 with the loss fkl and
// the ratio 30%.
func TestFilterKeepsWhatItSays(t *testing.T) {
	table := onePoint()
	row := &table.Rows[1]
	for line, want := range map[string]bool{
		"": true, "w8": true, "W8A": true, "w9": false, "not w9": true, "w8 not w9": true, "fkl": true,
		"bytes<300k": true, "bytes<250kB": false, "bytes>=251kB": true, "bytes=251000": true, "bytes!=251000": false, "bytes!=1": true,
		"ttft_cold_p50<1ms": true, "ttft_cold_p50<0.2ms": false, "auc_soft_delta>-2%": true, "auc_soft_delta>-1%": false,
		"has:bytes": true, "has:auc": false, "not has:auc": true, "auc<1": false, "auc!=1": false, "has:loss": true,
		"state=done": true, "state=running": false, "state!=running": true, "row=w8a8": true, "step=W8A8": true, "row=FM": false, "row!=FM": true,
		"loss=fkl": true, "loss=FKL": true, "loss=jsd:0.5": false, "loss!=jsd:0.5": true, `loss="a b"`: false,
		"ratio=0.3": true, "ratio=0.30": true, "ratio=30%": true, "ratio=0.5": false, "ratio<0.5": true, "ratio<0.3": false, "ratio<=30%": true, "ratio>0.1": true,
		"mixed<3": false, "not mixed<3": true, "mixed=none": true,
		"row=FM or bytes<300k": true, "row=FM or bytes>300k": false, "w8 ratio>0.5 or w8 fkl": true, "not w8 or not w9": true,
		"not not w8": true, `"or"`: false, `not "not"`: true, `"8a8 fk"`: true,
	} {
		f, err := table.Filter(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		} else if got := table.Keeps(f, row); got != want {
			t.Errorf("%q keeps the row: %t, expected %t", line, got, want)
		}
	}
}

// TestFilterOfRowsWithoutAValue: what does not depend on an axis has no value there.
func TestFilterOfRowsWithoutAValue(t *testing.T) {
	table := onePoint()
	for line, want := range map[string]string{
		"": "0 1 2 3", "ratio<0.4": "1 3", "ratio=0.5": "2", "ratio!=0.5": "1 3", "not ratio=0.5": "0 1 3", "not has:ratio": "0", "ratio<0.4 or row=FM": "0 1 3", "has:bytes": "1",
	} {
		f, err := table.Filter(line)
		if got := strings.Trim(fmt.Sprint(table.Keep(f)), "[]"); err != nil || got != want {
			t.Errorf("%q keeps %s (%v), expected %s", line, got, err, want)
		}
	}
}

// TestFilterErrorsSayWhatWouldDo: the error names what was found and what was expected.
func TestFilterErrorsSayWhatWouldDo(t *testing.T) {
	table := onePoint()
	for line, want := range map[string]string{
		"bytes<":       `bytes: found "", expected a number such as 0.5, 20ms or 1.5MB`,
		"bytes<3ms":    `bytes: found "3ms", expected a number whose unit is bytes, with one of the suffixes TB, GB, MB, kB, B, T, G, M, k, KB, KiB, MiB, GiB, TiB, %, or none`,
		"bytes<many":   `found "many", expected a number`,
		"aux=1":        `key "aux": expected one of step, loss, ratio, mixed, state`,
		"raio<1":       `did you mean "ratio"?`,
		"has:aux":      `has: key "aux"`,
		"state<done":   "words have no order; expected state=",
		"state=ready":  `state "ready": expected one of waiting, running, done, failed, stopped`,
		"row=w8":       `step "w8": expected one of FM, w8a8`,
		"loss<3":       "its values have no order; expected loss=… with one of fkl, jsd:0.5, a b",
		"loss=rkl":     `loss "rkl": expected one of fkl, jsd:0.5, a b`,
		"ratio<some":   `ratio: found "some", expected a number`,
		"ratio=0.4":    `ratio "0.4": expected one of 30%, 0.5, 0.1`,
		"not":          "expected a condition behind it",
		"or w8":        "found none before it",
		"w8 or":        "found none behind it",
		"w8 not or w9": "found none before it",
		`loss="a`:      `expected a closing "`,
	} {
		if _, err := table.Filter(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q in it", line, err, want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, line := range []string{"", "w8 not kd", "bytes<300k", "has:auc state=done", "ttft_cold_p50>=1.5ms", "not not x", "=<>", "auc_soft_delta>-1%", `loss="a b" or ratio<0.3`, `"`, "!=", "a!b=3", "\v", "a\u00a0b"} {
		f.Add(line)
	}
	table := onePoint()
	f.Fuzz(func(t *testing.T, line string) {
		one, err := table.Filter(line)
		if err != nil {
			if strings.TrimSpace(line) == "" {
				t.Errorf("the empty filter is refused: %v", err)
			}
			return
		}
		again, err := table.Filter(one.String())
		if err != nil || fmt.Sprint(table.Keep(again)) != fmt.Sprint(table.Keep(one)) {
			t.Errorf("%q does not read back as itself: %v", line, err)
		}
	})
}

// TestQuotesWithinAWord: a condition may have its value in quotes; a word that begins with them is
// a text.
func TestQuotesWithinAWord(t *testing.T) {
	table := onePoint()
	for line, want := range map[string]string{`loss="a b"`: "3", `lo"ss"="a b"`: "3", `row=w8a8 loss!="a b"`: "1 2", `"loss=fkl"`: "", `"fkl" loss=fkl`: "1"} {
		f, err := table.Filter(line)
		if got := strings.Trim(fmt.Sprint(table.Keep(f)), "[]"); err != nil || got != want {
			t.Errorf("%s keeps %q (%v), expected %q", line, got, err, want)
		}
	}
}

// TestEdgesOfConditions: a word without a key is a text, numbers are equal to their last bits only,
// and a text is the number 0 nowhere.
func TestEdgesOfConditions(t *testing.T) {
	table := onePoint()
	for line, want := range map[string]string{"=fkl": "", "!=fkl": "", "<3": "", "bytes=250kB": "", "bytes!=250kB": "1", "bytes=251.0000000001kB": "1"} {
		f, err := table.Filter(line)
		if got := strings.Trim(fmt.Sprint(table.Keep(f)), "[]"); err != nil || got != want {
			t.Errorf("%q keeps %q (%v), expected %q", line, got, err, want)
		}
	}
	axis := Axis{Key: "ratio", Values: []string{"0", "0.5"}}
	for value, known := range map[string]bool{"0": true, "0%": true, "50%": true, "none": false, "": false} {
		c := condition{op: "=", column: Column{Kind: Value}}
		c.text = value
		if err := (&Table{Axes: []Axis{axis}}).compare(&c, value); (err == nil) != known {
			t.Errorf("ratio=%s: %v", value, err)
		}
	}
}
