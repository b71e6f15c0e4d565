package task

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestMatch: the values are those of the normalisation and the F1 of SQuAD's script, computed by
// hand.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		answer, right string
		exact         bool
		f1            float64
	}{
		{"Denver Broncos", "The Denver Broncos!", true, 1},
		{"it's  a\tcat", "its cat", true, 1},
		{"theory of an ant", "theory of ant", true, 1}, // articles are words of their own
		{"in Paris, France", "Paris", false, 0.5},      // 1 of 3 and 1 of 1
		{"cat dog", "dog cat", false, 1},
		{"cat cat", "cat", false, 2.0 / 3},
		{"cat", "dog", false, 0},
		{"", "dog", false, 0},
		{"the", "...", true, 1}, // nothing is left of either
		{"ÉTÉ", "été", true, 1},
		{"one two three", "two three four five", false, 4.0 / 7},
	} {
		if m := NewMatch(c.answer, c.right); m.Exact != c.exact || math.Abs(m.F1-c.f1) > 1e-12 {
			t.Errorf("%q for %q: %+v, expected exact %v and F1 %v", c.answer, c.right, m, c.exact, c.f1)
		}
	}
}

// TestMatchIsSymmetric: F1 lies between 0 and 1, is 1 of what is the same, and does not depend on
// which of the two is right.
func TestMatchIsSymmetric(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`([abc]|the|, | ){0,9}`)
		x, y := text.Draw(rt, "x"), text.Draw(rt, "y")
		one, other := NewMatch(x, y), NewMatch(y, x)
		if one != other || one.F1 < 0 || one.F1 > 1 || one.Exact && one.F1 != 1 || !NewMatch(x, x).Exact {
			rt.Fatalf("%q and %q: %+v, %+v", x, y, one, other)
		}
	})
}

// TestMatches: the shares and means are of all answers, their intervals hold them, and the
// influences sum to nothing.
func TestMatches(t *testing.T) {
	var all []Match
	for i := range 80 {
		all = append(all, Match{Exact: i%4 == 0, F1: float64(i%4) / 4})
	}
	f := Matches(all, "test records")
	for _, c := range []struct {
		of   Figure
		want float64
	}{{f.Exact, 0.25}, {f.F1, 0.375}} {
		sum := 0.0
		for _, x := range c.of.Influence {
			sum += x
		}
		m := c.of.Measure
		if math.Abs(m.Value-c.want) > 1e-12 || !(m.Low < m.Value && m.Value < m.High && m.High-m.Low < 0.25) || m.N != 80 || m.Warning != "" || math.Abs(sum) > 1e-12 || len(c.of.Influence) != 80 {
			t.Errorf("%+v, expected %v", c.of, c.want)
		}
	}
	if f := Matches(all[:8], "test records"); f.F1.Warning != "8 test records" || f.Exact.Warning != "8 test records" {
		t.Errorf("few answers say %q and %q", f.F1.Warning, f.Exact.Warning)
	}
}

// TestAccuracy: a prompt is right where its answer has the higher score; a tie is not.
func TestAccuracy(t *testing.T) {
	a := &Answers{Yes: []bool{true, true, true, false, false}, Group: []int{0, 1, 2, 3, 4}, Groups: 5, Unit: "prompts"}
	f, err := a.Accuracy([]float64{2, -1, 0, -3, 0})
	if err != nil || f.Value != 0.4 || f.N != 5 || !(f.Low < 0.4 && f.High > 0.4) || f.Warning != "5 test prompts" {
		t.Errorf("%+v, %v", f, err)
	}
	if got := a.Commoner(); got != 0.6 {
		t.Errorf("a guess has %v, expected 0.6", got)
	}
	if _, err := a.Accuracy([]float64{math.NaN(), 1, 1, 1, 1}); err == nil {
		t.Error("a score that is not a number is taken")
	}
}

// TestTurn: a prompt goes up to the last answer, and what a template writes after it belongs to
// neither.
func TestTurn(t *testing.T) {
	for _, c := range []struct {
		answer          string
		prompt, answer2 int
	}{{"..xx", 2, 2}, {"..x.xx.", 4, 2}, {".xxx", 1, 3}, {"..", 0, 0}} {
		e := Example{}
		for i, of := range c.answer {
			e.Tokens, e.Answer = append(e.Tokens, int32(i)), append(e.Answer, of == 'x')
		}
		if prompt, answer := e.Turn(); len(prompt) != c.prompt || len(answer) != c.answer2 || len(answer) > 0 && answer[0] != int32(c.prompt) {
			t.Errorf("%s: prompt %v and answer %v", c.answer, prompt, answer)
		}
	}
}
