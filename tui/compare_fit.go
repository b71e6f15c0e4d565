package tui

import (
	"strings"

	"slimlab/tui/text"
)

// mostNotes is how many notes stand above the table; n shows the others.
const mostNotes = 3

// compareFit is how much of its texts the table of a comparison shows, so that three sides fit into
// the least window.
type compareFit struct {
	row, metric, value int  // cells of a step with its values, of a metric or a setting, of a value
	deltas             bool // beside the values
}

const (
	widestValue = 24 // of a setting
	deltaValue  = 16 // "0.7592 -2.32% ~*"
	plainValue  = 10 // "0.7592 ~*"
	leastRow    = 8
	leastMetric = 8
	widestKey   = 24 // of a setting
)

// fitIn shares a width: values beside their changes where they fit, else without; what is left
// belongs to the names.
func (c *compareScreen) fitIn(width int) compareFit {
	row, metric := len("setting"), 0
	for i := range c.shown {
		row, metric = max(row, text.Width(rowWords(c.shown[i].Row))), max(metric, text.Width(c.shown[i].Metric.Label))
	}
	for i := range c.settings {
		metric = max(metric, min(widestKey, text.Width(c.settings[i].Key)))
	}
	n := len(c.sides)
	if n == 2 || c.intervals {
		return compareFit{row, metric, widestValue, true}
	}
	room := width - 3 - 2 // before the step, and between it and the metric
	for _, f := range []compareFit{{row, metric, deltaValue, true}, {row, metric, plainValue, false}} {
		if spare := room - f.row - f.metric - n*(f.value+2); spare >= 0 {
			f.value = min(widestValue, f.value+spare/n)
			return f
		}
	}
	f := compareFit{row, metric, plainValue, false}
	over := -(room - row - metric - n*(plainValue+2))
	cut := min(over, max(0, metric-max(leastMetric, metric/2)))
	f.metric -= cut
	f.row = max(min(row, leastRow), row-(over-cut))
	return f
}

// rowWords is a row by its step and its values, without the keys of the axes: "w8a8 0.5".
func rowWords(label string) string {
	words := strings.Fields(text.Clean(label))
	for i, w := range words {
		if _, value, ok := strings.Cut(w, "="); ok && i > 0 && value != "" {
			words[i] = value
		}
	}
	return strings.Join(words, " ")
}
