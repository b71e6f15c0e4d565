package doctor

import (
	"strings"
	"testing"

	"slimlab/lab/home"
)

// TestHomeText: kept statistics are listed where there are any.
func TestHomeText(t *testing.T) {
	for want, d := range map[string]home.Disk{
		"1 evaluation of 3.00kB; free 4.00kB": {Evaluations: 1, EvaluationBytes: 3000, Free: 4000},
		", statistics of 12 inputs (2 pairs of a model and a calibration text) of 5.00MB; free unknown": {Statistics: 12, StatisticsSets: 2, StatisticsBytes: 5_000_000, Free: -1},
	} {
		if got := homeText(&d); !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}
