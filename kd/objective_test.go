package kd

import (
	"math"
	"strings"
	"testing"
)

func TestParseObjective(t *testing.T) {
	cases := []struct{ text, name, formula, problem string }{
		{text: "sft", name: "sft", formula: "0.95·mean_A[CE] + 0.05·mean_S[CE]"},
		{text: "fkl", name: "fkl", formula: "0.95·mean_A[0.9·KL(p‖q) + 0.1·CE] + 0.05·mean_S[CE]"},
		{text: "rkl", name: "rkl", formula: "0.95·mean_A[0.9·KL(q‖p) + 0.1·CE] + 0.05·mean_S[CE]"},
		{text: "jsd:0.5", name: "jsd:0.5", formula: "0.95·mean_A[0.9·(0.5·KL(p‖m) + 0.5·KL(q‖m); m = 0.5p + 0.5q) + 0.1·CE] + 0.05·mean_S[CE]"},
		{text: "jsd:0.1", name: "jsd:0.1", formula: "0.95·mean_A[0.9·(0.1·KL(p‖m) + 0.9·KL(q‖m); m = 0.1p + 0.9q) + 0.1·CE] + 0.05·mean_S[CE]"},
		{text: "flk", problem: `did you mean "fkl"?`},
		{text: "RKL", problem: `did you mean "rkl"?`},
		{text: "js:0.5", problem: `did you mean "jsd"?`},
		{text: "", problem: "expected one of"},
		{text: "jsd", problem: "needs its β"},
		{text: "jsd:", problem: "β is \"\""},
		{text: "jsd:half", problem: "β is \"half\""},
		{text: "jsd:0", problem: "its normalised limit is fkl"},
		{text: "jsd:1", problem: "its normalised limit is rkl"},
		{text: "jsd:1.5", problem: "between 0 and 1"},
		{text: "jsd:NaN", problem: "between 0 and 1"},
		{text: "njsd:0.1", name: "njsd:0.1", formula: "0.95·mean_A[0.9·(0.1·KL(p‖m) + 0.9·KL(q‖m); m = 0.1p + 0.9q)/0.09 + 0.1·CE] + 0.05·mean_S[CE]"},
		{text: "skl:0.1", name: "skl:0.1", formula: "0.95·mean_A[0.9·KL(p‖0.1p + 0.9q) + 0.1·CE] + 0.05·mean_S[CE]"},
		{text: "srkl", problem: "needs its α, such as srkl:0.1"},
		{text: "srkl:2", problem: "expected a number between 0 and 1"},
		{text: "weighted-rkl:0", problem: "expected a finite number above 0"},
		{text: "njsd:0", problem: "its normalised limit is fkl"},
		{text: "tvd:1", problem: "takes no parameter"},
		{text: "skew-pear:1", problem: `did you mean "skew-pair"?`},
		{text: "fkl:2", problem: "takes no parameter"},
	}
	for _, c := range cases {
		o, err := ParseObjective(c.text)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("ParseObjective(%q): error %v, want one that says %q", c.text, err, c.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseObjective(%q): %v", c.text, err)
			continue
		}
		if o.String() != c.name || o.Formula() != c.formula {
			t.Errorf("ParseObjective(%q) is %s: %s\nwant %s: %s", c.text, o, o.Formula(), c.name, c.formula)
		}
	}
}

func TestObjectiveFormula(t *testing.T) {
	cases := []struct {
		o    Objective
		want string
	}{
		{Objective{}, "mean_A[CE]"},
		{Objective{Divergence: ForwardKL}, "mean_A[KL(p‖q)]"},
		{Objective{Divergence: ForwardKL, Sequence: 1}, "mean_S[CE]"},
		{Objective{Divergence: ForwardKL, Sequence: 0.5, SequenceLoss: SequenceMixture}, "0.5·mean_A[KL(p‖q)] + 0.5·mean_S[KL(p‖q)]"},
		{Objective{Divergence: NormalizedJSD, Parameter: 0.2}, "mean_A[(0.2·KL(p‖m) + 0.8·KL(q‖m); m = 0.2p + 0.8q)/0.16]"},
		{Objective{Divergence: SkewForwardKL, Parameter: 0.1}, "mean_A[KL(p‖0.1p + 0.9q)]"},
		{Objective{Divergence: SkewReverseKL, Parameter: 0.1}, "mean_A[KL(q‖0.9p + 0.1q)]"},
		{Objective{Divergence: TotalVariation, CE: 0.5}, "mean_A[0.5·Σ|p − q|/2 + 0.5·CE]"},
		{Objective{Divergence: SkewPair, Parameter: 0.1}, "mean_A[(KL(p‖0.1p + 0.9q), on the student's answers KL(q‖0.9p + 0.1q))]"},
		{Objective{Divergence: SampledReverseKL}, "mean_A[(log q(y) − log p(y), y ~ q)]"},
		{Objective{Divergence: WeightedReverseKL, Parameter: 2}, "mean_A[min(q(y)/q₀(y), 2)·(log q(y) − log p(y), y ~ q₀)]"},
		{Objective{Divergence: ReverseKL, CE: 0.25, Temperature: 2, TimesT2: true}, "mean_A[0.75·4·KL(q^(1/2)‖p^(1/2)) + 0.25·CE]"},
	}
	for _, c := range cases {
		if err := c.o.Validate(); err != nil {
			t.Errorf("%+v: %v", c.o, err)
		}
		if got := c.o.Formula(); got != c.want {
			t.Errorf("%+v: formula %s, want %s", c.o, got, c.want)
		}
	}
}

// TestFormulaOfAnswers has the terms of these answers alone, with the weights of the loss.
func TestFormulaOfAnswers(t *testing.T) {
	mixed := Objective{Divergence: ForwardKL, CE: 0.1, Sequence: 0.05}
	pair := Objective{Divergence: SkewPair, Parameter: 0.1}
	own, given := []Origin{OfStudent}, []Origin{OfData, OfTeacher}
	for _, c := range []struct {
		o       Objective
		answers []Origin
		want    string
	}{
		{mixed, own, "0.855·mean_A[KL(p‖q)]"},
		{mixed, given, "0.95·mean_A[0.9·KL(p‖q) + 0.1·CE] + 0.05·mean_S[CE]"},
		{mixed, []Origin{OfTeacher, OfStudent}, "0.95·mean_A[0.9·KL(p‖q) + 0.1·CE] + 0.05·mean_S[CE]"},
		{Objective{Divergence: ReverseKL, CE: 0.25, Sequence: 0.2, SequenceLoss: SequenceMixture, Temperature: 2, TimesT2: true}, own, "0.6·mean_A[4·KL(q^(1/2)‖p^(1/2))]"},
		{Objective{Divergence: ForwardKL}, own, "mean_A[KL(p‖q)]"},
		{Objective{Divergence: ForwardKL, Sequence: 1}, own, "0"},
		{Objective{Divergence: ForwardKL, CE: 1, Hidden: HiddenLoss{Weight: 2}}, own, "2·mean_A[‖P·h_S − h_T‖²/‖h_T‖²; last states]"},
		{pair, own, "mean_A[KL(q‖0.9p + 0.1q)]"},
		{pair, given, "mean_A[KL(p‖0.1p + 0.9q)]"},
		{pair, []Origin{OfData, OfStudent}, pair.Formula()},
	} {
		if got := c.o.FormulaOf(c.answers...); got != c.want {
			t.Errorf("%+v on %v: formula %s, want %s", c.o, c.answers, got, c.want)
		}
		if got, want := c.o.weights(samples, counts{answers: 8, tokens: 20}), (weights{c.o.SampleShare() / 8, 0}); math.Abs(got.divergence-want.divergence) > 1e-15 || got.ce != 0 {
			t.Errorf("%+v: weights of a sample's tokens %v, by its share %v", c.o, got, want)
		}
	}
}

func TestObjectiveValidate(t *testing.T) {
	for _, o := range []Objective{
		{Divergence: 99}, {Divergence: -1}, {Divergence: JSD}, {Divergence: SkewPair}, {Divergence: SkewForwardKL, Parameter: 1},
		{Divergence: WeightedReverseKL}, {Divergence: WeightedReverseKL, Parameter: math.Inf(1)}, {Divergence: SampledReverseKL, Temperature: 2},
		{Divergence: SampledReverseKL, SequenceLoss: SequenceMixture}, {CE: -0.1}, {CE: 1.1}, {Sequence: 2}, {SequenceLoss: 7}, {Temperature: -1},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// TestNotesOfObjectives: a JSD near its ends says how small it is.
func TestNotesOfObjectives(t *testing.T) {
	for _, c := range []struct {
		o    Objective
		want string
	}{
		{Objective{Divergence: JSD, Parameter: 0.005}, "at most 0.0315 nats"},
		{Objective{Divergence: JSD, Parameter: 0.999}, "njsd:0.999"},
		{Objective{Divergence: JSD, Parameter: 0.01}, ""},
		{Objective{Divergence: NormalizedJSD, Parameter: 0.001}, ""},
		{Objective{Divergence: ForwardKL}, ""},
	} {
		if got := strings.Join(c.o.Notes(), "\n"); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: notes %q, want %q", c.o, got, c.want)
		}
	}
}

func FuzzParseObjective(f *testing.F) {
	for _, text := range []string{"sft", "fkl", "rkl", "jsd:0.5", "jsd:0", "jsd:1e-300", "jsd:", ":", "jsd:0x1p-2", "ΚΛ", "skew-pair:0.1", "weighted-rkl:1e9"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseObjective(text)
		if err != nil {
			return
		}
		again, err := ParseObjective(o.String())
		if err != nil || again.String() != o.String() {
			t.Errorf("%q parses to %s, which parses to %s, %v", text, o, again, err)
		}
	})
}
