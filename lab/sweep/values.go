package sweep

import "slimlab/lab"

// values is a metric of all rows of a table: what is made of many rows reads them one behind the
// other, without a search in each row.
type values struct {
	summaries []lab.Summary
	has       []bool
}

// values returns a metric of all rows, searched for once.
func (t *Table) values(key string) *values {
	if known, ok := t.metrics[key]; ok {
		return known
	}
	v := &values{make([]lab.Summary, len(t.Rows)), make([]bool, len(t.Rows))}
	for i := range t.Rows {
		v.summaries[i], v.has[i] = t.Rows[i].Values[key]
	}
	if t.metrics == nil {
		t.metrics = map[string]*values{}
	}
	t.metrics[key] = v
	return v
}

// Measured calls f with each row that has a metric, by its place in Rows. f must not change what it
// is given, nor keep it beyond Renew.
func (t *Table) Measured(key string, f func(row int, s *lab.Summary)) {
	v := t.values(key)
	for i, has := range v.has {
		if has {
			f(i, &v.summaries[i])
		}
	}
}

// renew brings a row's values up to the row.
func (t *Table) renew(row int) {
	for key, v := range t.metrics {
		v.summaries[row], v.has[row] = t.Rows[row].Values[key]
	}
}

// only keeps the values of rows at these places, in their order.
func (v *values) only(rows []int) *values {
	out := &values{make([]lab.Summary, len(rows)), make([]bool, len(rows))}
	for i, at := range rows {
		out.summaries[i], out.has[i] = v.summaries[at], v.has[at]
	}
	return out
}
