package run

import (
	"math"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/stat"
)

// TestOutliers: a P99 that rests on an outlier says so, one that an outlier does not move does not,
// and neither does the P50.
func TestOutliers(t *testing.T) {
	of := func(n int, largest ...float64) []float64 { // n samples, some of them given
		samples := append([]float64{}, largest...)
		for i := range n - len(largest) {
			samples = append(samples, 1+0.001*float64(i))
		}
		return samples
	}
	for _, c := range []struct {
		name    string
		samples []float64
		want    string
	}{
		{"one sample", of(1), "P99 of 1 samples"},
		{"few, all alike", of(6), "P99 of 6 samples"},
		{"few, one twice the next", []float64{1, 1.1, 2.2}, "P99 of 3 samples"},
		{"few, one beyond twice the next", []float64{1, 1.1, 2.3}, "P99 of 3 samples|P99 beside an outlier"},
		{"few, two that are large", []float64{1, 1, 1, 1, 1, 3.5, 3.6}, "P99 of 7 samples|P99 beside an outlier"},
		{"few, two of three times the median", []float64{1, 1, 1, 1, 1, 2.9, 3}, "P99 of 7 samples"},
		{"99 with an outlier", of(99, 20), "P99 of 99 samples|P99 beside an outlier"},
		{"100 with an outlier", of(100, 20), "P99 beside an outlier"},
		{"100 alike", of(100), ""},
		{"one outlier of 150 does not reach the P99", of(150, 20), ""},
		{"two outliers of 150", of(150, 20, 21), "P99 beside an outlier"},
		{"one outlier of 1000", of(1000, 20), ""},
		{"a tail of 1000", of(1000, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5), "P99 beside an outlier"},
	} {
		values := map[string]lab.Measure{}
		(&serving{Cold: c.samples, Tokens: 1, Seconds: 1}).measures(values, "")
		if got := strings.ReplaceAll(values["ttft_cold_p99"].Warning, "; ", "|"); got != c.want {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
		if w := values["ttft_cold_p50"].Warning; w != "" {
			t.Errorf("%s: the P50 says %q", c.name, w)
		}
		// What is not moved by its outlier is what it is without.
		if c.want == "" && len(c.samples) >= fewForP99 {
			calm := append([]float64{}, c.samples...)
			calm[0] = math.Min(calm[0], 1.2)
			if a, b := stat.Percentile(c.samples, 99), stat.Percentile(calm, 99); a > 1.5*b {
				t.Errorf("%s: the P99 is %v, without an outlier %v", c.name, a, b)
			}
		}
	}
	values := map[string]lab.Measure{}
	(&serving{Hot: []float64{1, 1, 9}, Tokens: 1, Seconds: 1}).measures(values, "timing of run r0")
	if w := values["ttft_hot_p99"].Warning; w != "timing of run r0; P99 of 3 samples; P99 beside an outlier" {
		t.Errorf("the warning is %q", w)
	}
}
