package scenario

import (
	"slices"
	"strings"
	"testing"
)

// TestParseWeights reads lists of names with weights, and says what is wrong with others.
func TestParseWeights(t *testing.T) {
	for text, want := range map[string][]Weight{
		"FM=1, other=0.5": {{"FM", 1}, {"other", 0.5}}, " a = 2 ,b=1e-3,c-1=3": {{"a", 2}, {"b", 0.001}, {"c-1", 3}},
	} {
		if got, err := ParseWeights(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "no weight of a name", "FM": `"FM" is no weight of a name`, "FM=1": "at least two names", "FM=1,": `"" is no weight`, "=1, b=2": "no weight of a name",
		"a=1, b=0": `the weight of b is "0": expected a number above 0`, "a=1, b=-1": "above 0", "a=1, b=x": "above 0", "a=1, b=NaN": "above 0", "a=1, b=Inf": "above 0", "a=1, b=1, a=2": "has a twice",
	} {
		if _, err := ParseWeights(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}
