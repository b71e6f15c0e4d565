package scenario

import (
	"reflect"
	"strings"
	"testing"
)

// TestParseWeightings reads lists of names with weights, for all tasks and for each, and says what
// is wrong with others.
func TestParseWeightings(t *testing.T) {
	for text, want := range map[string][]Weighting{
		"FM=1, other=0.5":               {{"*", []Weight{{"FM", 1}, {"other", 0.5}}}},
		" a = 2 ,b=1e-3,c-1=3":          {{"*", []Weight{{"a", 2}, {"b", 0.001}, {"c-1", 3}}}},
		"like feed: a=1; *: b=2":        {{"like feed", []Weight{{"a", 1}}}, {"*", []Weight{{"b", 2}}}},
		`"a:1; =" : a=1, b=2 ;it's:b=1`: {{"a:1; =", []Weight{{"a", 1}, {"b", 2}}}, {"it's", []Weight{{"b", 1}}}},
		"*: a=1, b=1":                   {{"*", []Weight{{"a", 1}, {"b", 1}}}},
	} {
		if got, err := ParseWeightings(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "no weight of a name", "FM": `"FM" is no weight of a name`, "FM=1": "at least two names", "FM=1,": `"" is no weight`, "=1, b=2": "no weight of a name",
		"a=1, b=0": `the weight of b is "0": expected a number above 0`, "a=1, b=-1": "above 0", "a=1, b=x": "above 0", "a=1, b=NaN": "above 0", "a=1, b=Inf": "above 0", "a=1, b=1, a=2": "has a twice",
		"x: a=1": "at least two names", "x: a=1; y: a=2": "at least two names", "x: a=1; x: b=1": `has task "x" twice`, "x:": `of task "x" is "", and "" is no weight`,
		"x: a=1; b=1": `"b=1" is no list of a task`, "x: a=1;": `"" is no list of a task`, "a=1, x: b=1": "is no list of a task", ": a=1, b=1": "is no list of a task",
		"x: a=1, a=2": `of task "x" is "a=1, a=2", and has a twice`, "x: a=0; y: b=1": "above 0", `"x" a=1; y: b=1`: "begins no list of a task", `"x: a=1, b=1`: "is no list of a task", `"": a=1, b=1`: "begins no list",
		"{x: a=1, *: b=1}": "which is no mapping: expected \"*\" and lists with commas in quotes",
	} {
		if _, err := ParseWeightings(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}

// FuzzWeightings: a text is read or refused, and what was read is read again from how the decoder
// writes it.
func FuzzWeightings(f *testing.F) {
	for _, seed := range []string{"FM=1, other=0.5", "like feed: a=1; *: b=2", `"a:1; =" : a=1, b=2`, `" x ": a=1; "x": b=1`, `"`, ":", ";", "x:a=1;;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lists, err := ParseWeightings(text)
		if err != nil {
			return
		}
		var again []string
		for _, list := range lists {
			var weights []string
			for _, w := range list.Weights {
				if !validName.MatchString(w.Name) {
					return // no model has it
				}
				weights = append(weights, w.Name+"="+formatNumber(w.Value))
			}
			again = append(again, plainTask(list.Task)+": "+strings.Join(weights, ", "))
		}
		same, err := ParseWeightings(strings.Join(again, "; "))
		if err != nil || !reflect.DeepEqual(same, lists) {
			t.Fatalf("%q is %v, and written as %q %v, %v", text, lists, again, same, err)
		}
	})
}
