package scenario_test

import (
	"os"
	"testing"

	"slimlab/lab/scenario"
)

// TestResolved: overrides are in the values, a swept key stands as its axis alone, what nobody
// wrote has its default, and every other key is the same.
func TestResolved(t *testing.T) {
	of := func(o scenario.Options) map[string]string {
		s, err := scenario.Load("figure1", os.DirFS("testdata"), o)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for _, one := range s.Resolved() {
			if _, twice := values[one.Key]; twice {
				t.Errorf("%s stands twice", one.Key)
			}
			values[one.Key] = one.Value
		}
		return values
	}
	plain, set := of(options()), of(options("steps=777"))
	for key, want := range map[string]string{
		"distilled.steps": "1500", "distilled.clip": "1", "distilled.kind": "distil", "models.FM.load": "pretrained:recsys-fm", "baseline": "FM",
	} {
		if plain[key] != want {
			t.Errorf("%s: found %q, expected %q", key, plain[key], want)
		}
	}
	if _, stands := plain["distilled.loss"]; stands || plain["sweep.loss"] == "" {
		t.Errorf("the swept key: %q, its axis %q", plain["distilled.loss"], plain["sweep.loss"])
	}
	if set["distilled.steps"] != "777" {
		t.Errorf("set: %q", set["distilled.steps"])
	}
	for key, value := range plain {
		if key != "distilled.steps" && set[key] != value {
			t.Errorf("%s: %q became %q", key, value, set[key])
		}
	}
}
