package sweep

import (
	"slices"
	"strings"
)

// Equals is a condition of the filter language: the key is the value.
func Equals(key, value string) string {
	if strings.ContainsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' }) {
		return key + `="` + value + `"`
	}
	return key + "=" + value
}

// Lacks is a condition of the filter language: rows do not depend on the axis.
func Lacks(key string) string { return "not has:" + key }

// LineOf is a filter line that keeps exactly these rows, of Table.Rows. ok is false where the
// language cannot tell them from others, such as two values of an axis that are one number.
func (t *Table) LineOf(rows []int) (line string, ok bool) {
	var lines []string
	for _, i := range rows {
		r := &t.Rows[i]
		conditions := []string{Equals("row", r.Name)}
		for axis := range t.Axes {
			if value := t.Value(r, axis); value != "" {
				conditions = append(conditions, Equals(t.Axes[axis].Key, value))
			} else {
				conditions = append(conditions, Lacks(t.Axes[axis].Key))
			}
		}
		lines = append(lines, strings.Join(conditions, " "))
	}
	line = strings.Join(lines, " or ")
	f, err := t.Filter(line)
	if err != nil || len(rows) == 0 {
		return "", false
	}
	kept := t.Keep(f)
	rows = slices.Clone(rows)
	slices.Sort(rows)
	return line, slices.Equal(kept, rows)
}
