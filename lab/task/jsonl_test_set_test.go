package task

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// opinions are records of two responses by 5 users, the i-th of user i mod 5.
func opinions(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"prompt\": \"item %d?\", \"response\": %q, \"user\": %d}\n", i, []string{"like", "leave"}[i*i%3%2], i%5)
	}
	return b.String()
}

// TestTestShare: the test share is a split of its own, and the prompts of the other splits stay
// where they are but for those that went to it.
func TestTestShare(t *testing.T) {
	read := func(share float64) *Records {
		cfg := DefaultJSONL(writeFile(t, opinions(300)))
		cfg.TestShare = share
		d, err := ReadJSONL(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	whole, d := read(0), read(0.25)
	if n := len(d.test); n < 50 || n > 100 || n+len(d.train)+len(d.validation)+len(d.calibration) != 300 {
		t.Errorf("%d of 300 records are the test set, expected about 75", n)
	}
	if len(d.validation) != len(whole.validation) || len(d.calibration) != len(whole.calibration) {
		t.Error("the test share takes records of other splits than training")
	}
	if !strings.Contains(strings.Join(d.Notes(), "\n"), fmt.Sprintf("%d test", len(d.test))) {
		t.Errorf("notes: %q", d.Notes())
	}
}

// TestTwoAnswers: a file with two responses is ranked by the first token in which they differ, over
// all test records and within the groups of a field.
func TestTwoAnswers(t *testing.T) {
	cfg := DefaultJSONL(writeFile(t, opinions(60)))
	cfg.TestPath, cfg.GroupField = writeFile(t, opinions(20)), "user"
	j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := j.Answers()
	if a == nil || len(a.Yes) != 20 || a.Groups != 5 || len(j.Test()) != 20 {
		t.Fatalf("answers %+v, %d test examples", a, len(j.Test()))
	}
	// "leave" and "like" begin alike
	if string(runes(a.Prompts[7])) != "item 7?\nl" || a.Labels != [2]int32{'e', 'i'} || a.Group[7] != 2 {
		t.Errorf("a prompt is %q of group %d, the labels are %q", runes(a.Prompts[7]), a.Group[7], a.Labels)
	}
	if notes := strings.Join(j.Notes(), "\n"); !strings.Contains(notes, `the responses are "leave" or "like": AUC is of 20 test records in 5 groups by user`) ||
		!strings.Contains(notes, "the prompts of 1") {
		t.Errorf("notes:\n%s", notes)
	}
	score := make([]float64, 20)
	for i, yes := range a.Yes {
		score[i] = float64(number(yes)) + float64(i%4)/2
	}
	f, err := a.Figures(score)
	if err != nil {
		t.Fatal(err)
	}
	// against all pairs one by one
	var won, pairs, wonIn, pairsIn float64
	for i := range score {
		for k := range score {
			if !a.Yes[i] || a.Yes[k] {
				continue
			}
			w := 0.0
			switch {
			case score[i] > score[k]:
				w = 1
			case score[i] == score[k]:
				w = 0.5
			}
			won, pairs = won+w, pairs+1
			if a.Group[i] == a.Group[k] {
				wonIn, pairsIn = wonIn+w, pairsIn+1
			}
		}
	}
	if math.Abs(f.AUC.Value-won/pairs) > 1e-12 || math.Abs(f.Within.Value-wonIn/pairsIn) > 1e-12 {
		t.Errorf("AUC %v, within %v; expected %v, %v", f.AUC.Value, f.Within.Value, won/pairs, wonIn/pairsIn)
	}
	for name, figure := range map[string]Figure{"AUC": f.AUC, "within": f.Within, "mean": f.Mean} {
		sum := 0.0
		for _, x := range figure.Influence {
			sum += x
		}
		if math.Abs(sum) > 1e-9 || !(figure.Low <= figure.Value && figure.Value <= figure.High) {
			t.Errorf("%s: %+v, its influences sum to %v", name, figure.Measure, sum)
		}
	}
}

// TestNoAnswers: a file with other responses ranks nothing, and a group that is no name is refused
// with its line.
func TestNoAnswers(t *testing.T) {
	cfg := DefaultJSONL(writeFile(t, opinions(60)+"{\"prompt\": \"a\", \"response\": \"b\", \"user\": 1}\n"))
	cfg.GroupField = "user"
	j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, nil)
	if err != nil || j.Answers() != nil || !slices.ContainsFunc(j.Notes(), func(n string) bool { return strings.Contains(n, "group_field user is not used") }) {
		t.Errorf("three responses: %v, %v", j, err)
	}
	cfg.Path = writeFile(t, opinions(3)+"{\"prompt\": \"a\", \"response\": \"like\", \"user\": [1]}\n")
	if _, err := ReadJSONL(t.Context(), cfg); err == nil || !strings.HasSuffix(err.Error(), `:4: field "user" is [1], expected a text or a number that names a group`) {
		t.Errorf("a list as group: %v", err)
	}
	cfg.TestShare = 0.95
	if _, err := ReadJSONL(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "expected a sum below 1") {
		t.Errorf("shares above 1: %v", err)
	}
}

func runes(ids []int32) []rune {
	all := make([]rune, len(ids))
	copy(all, ids)
	return all
}
