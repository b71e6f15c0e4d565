package task

import (
	"math"
	"strings"
	"testing"
)

// A model is doubted from the loss of a uniform guess on, and never below it.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		loss       float64
		vocabulary int
		doubted    bool
	}{
		{7.9, 2048, true}, {math.Log(2048), 2048, true}, {7.62, 2048, false}, {0, 2048, false}, {11.9, 151936, false}, {11.94, 151936, true},
		{0, 1, false}, {3, 0, false},
	} {
		if got := Doubt(c.loss, c.vocabulary); (got != "") != c.doubted || c.doubted && !strings.Contains(got, "guess") {
			t.Errorf("Doubt(%v, %d) = %q, expected a doubt: %v", c.loss, c.vocabulary, got, c.doubted)
		}
	}
}
