package sweep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
)

// Find returns the place in Rows of the one row that a text names: its label, with the keys of the
// axes ("w8a8 ratio=0.5") or without them, or words that no other row meets all of. A word is the
// step, a value of an axis, or key=value with step or an axis as key; words with spaces stand
// between double quotes. Its errors list the rows that there are, or that the words leave.
func (t *Table) Find(text string) (int, error) {
	if at := t.labelled(strings.TrimSpace(text)); at >= 0 {
		return at, nil
	}
	words, err := split(text)
	if err != nil {
		return 0, fmt.Errorf("row %w", err)
	}
	if len(words) == 0 {
		return 0, fmt.Errorf("found no name of a row, expected one of %s", t.list(t.all(nil)))
	}
	rows := t.all(nil)
	for _, w := range words {
		if err := t.known(w); err != nil {
			return 0, err
		}
		rows = slices.DeleteFunc(rows, func(i int) bool { return !t.meets(&t.Rows[i], w) })
	}
	switch {
	case len(rows) == 0:
		return 0, fmt.Errorf("row %q: no row meets all its words; expected one of %s", text, t.list(t.all(nil)))
	case len(rows) > 1:
		return 0, fmt.Errorf("row %q: %d rows meet its words, expected one: %s", text, len(rows), t.list(rows))
	}
	return rows[0], nil
}

// labelled is the row of a label; -1 where there is none, or several.
func (t *Table) labelled(text string) int {
	found := -1
	for i := range t.Rows {
		r := &t.Rows[i]
		is := t.Label(r) == text || t.FullLabel(r) == text
		for _, same := range r.Same { // the label of a row that it stands for names it too
			is = is || t.View.Rows[same].Label() == text
		}
		switch {
		case is && found >= 0:
			return -1
		case is:
			found = i
		}
	}
	return found
}

// FullLabel names a row among all by its step and the axes that it depends on: "w8a8 ratio=0.5".
func (t *Table) FullLabel(r *Row) string {
	words := []string{r.Name}
	for i := range t.Axes {
		if v := t.Value(r, i); v != "" {
			words = append(words, t.Axes[i].Key+"="+v)
		}
	}
	return strings.Join(words, " ")
}

// Identity names what a row measures across runs: its step and its values on the axes that it
// depends on, numbers as such, whatever the order of the axes. Equal rows of two runs have the
// same.
func (r *Row) Identity() string {
	var at []string
	for i, p := range r.Params {
		if i >= len(r.At) || r.At[i] == Any {
			continue
		}
		value := p.Value
		if x, ok := number(value); ok {
			value = strconv.FormatFloat(x, 'g', 12, 64) // 30% and 0.3 may differ in their last bit
		}
		at = append(at, p.Key+"="+value)
	}
	slices.Sort(at)
	return r.Name + "\x00" + strings.Join(at, "\x00")
}

// known refuses a word that no row meets, whatever the others are.
func (t *Table) known(w word) error {
	if slices.ContainsFunc(t.Rows, func(r Row) bool { return t.meets(&r, w) }) {
		return nil
	}
	if key, value, ok := strings.Cut(w.text, "="); ok && !w.quoted {
		if at := t.Axis(key); at >= 0 {
			return nearest.Unknown(key, value, t.Axes[at].Values)
		}
	}
	var names []string
	for i := range t.Rows {
		names = append(names, t.Rows[i].Name)
	}
	for i := range t.Axes {
		names = append(names, t.Axes[i].Values...)
	}
	return fmt.Errorf("row %q: expected one of %s%s", w.text, t.list(t.all(nil)), nearest.Suggest(w.text, names))
}

// meets reports whether a word is the row's step or one of its values on the axes.
func (t *Table) meets(r *Row, w word) bool {
	key, value, keyed := strings.Cut(w.text, "=")
	switch keyed = keyed && !w.quoted; {
	case strings.EqualFold(r.Name, w.text):
		return true
	case keyed && (key == "step" || key == "row") && t.Axis(key) < 0:
		return strings.EqualFold(r.Name, value)
	case !keyed:
		value = w.text
	}
	for i := range t.Axes {
		if own := t.Value(r, i); own != "" && (!keyed || t.Axes[i].Key == key) && sameValue(own, value) {
			return true
		}
	}
	return false
}

// sameValue reports whether two values of an axis are the same text, whatever the case, or the same
// number.
func sameValue(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	x, isX := number(a)
	y, isY := number(b)
	return isX && isY && equal(x, y)
}

// most is how many rows an error lists.
const most = 24

// list names rows for an error.
func (t *Table) list(rows []int) string {
	var labels []string
	for _, i := range rows[:min(most, len(rows))] {
		labels = append(labels, t.FullLabel(&t.Rows[i]))
	}
	if more := len(rows) - len(labels); more > 0 {
		labels = append(labels, fmt.Sprintf("… and %d more", more))
	}
	return strings.Join(labels, "; ")
}
