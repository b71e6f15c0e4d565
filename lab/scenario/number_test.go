package scenario_test

import (
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

type tuning struct {
	Name  string  `key:"name" default:"x"`
	Rate  float64 `key:"rate" default:"1e-3" above:"0" max:"1"`
	Inner struct {
		Size int  `key:"size" default:"4" min:"1" max:"8"`
		Last bool `key:"last" default:"false"`
	} `key:"inner"`
}

func (*tuning) Describe(string) string { return "tune" }

// TestNumbers: the numbers of a work are listed with those of its sections, take what their keys
// can have, and refuse the rest unchanged.
func TestNumbers(t *testing.T) {
	work := &tuning{Rate: 1e-3}
	work.Inner.Size = 3
	numbers := scenario.Numbers(work)
	if len(numbers) != 2 || numbers[0].Key != "rate" || numbers[0].Whole || numbers[1].Key != "inner.size" || !numbers[1].Whole {
		t.Fatalf("found %+v, expected rate and inner.size", numbers)
	}
	if !numbers[0].Default() || numbers[1].Default() || numbers[1].Value() != 3 {
		t.Errorf("defaults %t and %t, size %v; expected true, false and 3", numbers[0].Default(), numbers[1].Default(), numbers[1].Value())
	}
	for _, c := range []struct {
		of   int
		x    float64
		want string // "" is taken
		last bool
	}{
		{0, 0.5, "", false}, {0, 1, "", true}, {0, 0, "is 0, expected above 0 and at most 1", false}, {0, 1.5, "is 1.5, expected above 0", false},
		{1, 8, "", true}, {1, 1, "", true}, {1, 2, "", false}, {1, 2.5, "is 2.5, expected a whole number", false}, {1, 9, "is 9, expected at least 1 and at most 8", false},
		{1, 1e300, "expected a whole number", false},
	} {
		n := numbers[c.of]
		before := n.Value()
		err := n.Set(c.x)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%v: error %v, expected %q", n.Key, c.x, err, c.want)
		}
		if want := map[bool]float64{true: c.x, false: before}[err == nil]; n.Value() != want {
			t.Errorf("%s=%v: it is %v, expected %v", n.Key, c.x, n.Value(), want)
		}
		if n.Last(c.x) != c.last {
			t.Errorf("%s=%v is at the end of its range: %t", n.Key, c.x, n.Last(c.x))
		}
	}
}
