package report

import (
	"fmt"
	"math"

	"slimlab/internal/plural"
	"slimlab/lab"
)

// Clock writes a time that runs, in whole seconds: "48s", "3m 10s", "2h 05m".
func Clock(seconds float64) string {
	switch whole := int(max(0, min(seconds, 1e9))); {
	case whole < 60:
		return fmt.Sprintf("%ds", whole)
	case whole < 3600:
		return fmt.Sprintf("%dm %02ds", whole/60, whole%60)
	}
	return Duration(seconds)
}

// Left says how long a run still needs: "~3m 10s left" by the like of its steps, "at least 40s
// left, from 3 earlier runs" where there are more, "perhaps 40s left" by what other steps took.
func Left(l lab.Left) string {
	seconds := Clock(math.Ceil(l.Seconds))
	from := ""
	if l.Earlier > 0 {
		from = ", from " + plural.Of(l.Earlier, "earlier run")
	}
	switch {
	case l.Longer && l.Seconds < 1:
		return "time left not known: longer than the steps before"
	case l.AtLeast && l.Seconds < 1:
		return "time left not known yet"
	case l.Guessed:
		return "perhaps " + seconds + " left" + from
	case l.AtLeast:
		return "at least " + seconds + " left" + from
	}
	return "~" + seconds + " left" + from
}

// Progress counts the cells of a plan that are over: "3/24 cells"; of a plan of one cell the steps
// that were measured: "2/8 steps".
func Progress(v *lab.View) string {
	if len(v.Cells) == 1 && len(v.Rows) > 0 {
		measured := 0
		for i := range v.Rows {
			measured += v.Rows[i].Done
		}
		return fmt.Sprintf("%d/%s", measured, plural.Of(len(v.Rows), "step"))
	}
	over := len(v.Cells)
	for _, s := range []lab.State{lab.Waiting, lab.Running, lab.NotRun, lab.Unknown} {
		over -= v.Count(s)
	}
	return fmt.Sprintf("%d/%s", over, plural.Of(len(v.Cells), "cell"))
}

// HowFar says how far a running run is: "3/24 cells, ~3m 10s left".
func HowFar(v *lab.View, l lab.Left) string {
	return Progress(v) + ", " + Left(l)
}
