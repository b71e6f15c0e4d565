package loadtest

import (
	"fmt"
	"io"

	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/report"
)

// Text writes the constants and the errors.
func (c *Calibrated) Text(w io.Writer) error {
	seconds := func(x float64) string { return report.Format(lab.Seconds, x) }
	l := c.Linear
	fmt.Fprintf(w, "fitted to %d steps of %d requests: a step %s, a token %s, a pair of a prompt's tokens %.3g s, a token in a cache %.3g s, logits of a row %s, a request outside the steps %s\n",
		c.Steps, c.Fitted, seconds(l.Step), seconds(l.Token), l.Pair, l.Context, seconds(l.Row), seconds(c.Host.Fixed))
	fmt.Fprintf(w, "steps vary: of ten measured ones, one took less than %.2f times that and one more than %.2f times; a simulated step takes what one most like it took, drawn at random\n",
		c.Variation.Share(0.1), c.Variation.Share(0.9))
	fmt.Fprintf(w, "error of the others, of %d replays; bias and MAPE are of each request\n", replays)
	fmt.Fprintln(w)
	heads := []string{"latency", "n", "bias", "MAPE", "P50 real", "again", "simulated", "error", "P99 real", "again", "simulated", "error"}
	t := texttable.New(1, heads...)
	again := func(x float64) string {
		if c.Runs < 2 {
			return "–"
		}
		return seconds(x)
	}
	for _, e := range c.Errors {
		t.Add(e.Metric, fmt.Sprint(e.N), percent(e.Bias), percent(e.MAPE),
			seconds(e.Real50), again(e.Again50), seconds(e.Sim50), percent(e.Sim50/e.Real50-1)+mark(e.Within50),
			seconds(e.Real99), again(e.Again99), seconds(e.Sim99), percent(e.Sim99/e.Real99-1)+mark(e.Within99))
	}
	if _, err := io.WriteString(w, t.Text()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\n! more than 5% (P50) or 10% (P99) from each real run, and not between them")
	return err
}

func percent(x float64) string { return fmt.Sprintf("%+.1f%%", 100*x) }

func mark(within bool) string {
	if within {
		return " "
	}
	return "!"
}
