package kd

import (
	"math"
	"testing"

	"slimlab/model"
)

// TestSampledReverseKLInExpectation: over all next tokens y, each as often as the student draws it,
// the estimates add up to the value and the gradient of reverse KL; drawn from another distribution
// with importance weights too, unless they are bounded.
func TestSampledReverseKLInExpectation(t *testing.T) {
	const vocab = 13
	student, teacher := tinyModel(t, tinyConfig(vocab, 8), 1), tinyModel(t, tinyConfig(vocab, 12), 2)
	prompt := []int32{3, 1, 4}
	hidden := student.Forward(model.Batch{Tokens: prompt, Starts: []int{0, 3}}, nil)
	logQ := logProbabilities(student, hidden, 2, vocab, 1)
	flat := logProbabilities(student, hidden, 2, vocab, 2) // drawn at temperature 2
	// drawn is every continuation, as often as a distribution draws it.
	drawn := func(from []float64) (examples []Example) {
		for y := range int32(vocab) {
			examples = append(examples, Example{
				Tokens: []int32{3, 1, 4, y}, Answer: []bool{false, false, false, true}, Origin: OfStudent,
				Weights: []float32{1, 1, 1, float32(math.Exp(from[y]))}, SampledLogP: []float32{0, 0, 0, float32(from[y])},
			})
		}
		return examples
	}
	whole := newTestTrainer(t, Objective{Divergence: ReverseKL}, student, teacher, 0, 0)
	want, err := gradientOf(whole, drawn(logQ)[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		o    Objective
		from []float64
		same bool
	}{
		{"own samples", Objective{Divergence: SampledReverseKL}, logQ, true},
		{"own samples, weighted", Objective{Divergence: WeightedReverseKL, Parameter: 2}, logQ, true},
		{"samples at temperature 2, weighted", Objective{Divergence: WeightedReverseKL, Parameter: 1e6}, flat, true},
		{"samples at temperature 2, weights bounded", Objective{Divergence: WeightedReverseKL, Parameter: 0.5}, flat, false},
		{"samples at temperature 2, not weighted", Objective{Divergence: SampledReverseKL}, flat, false},
	} {
		tr := newTestTrainer(t, c.o, student, teacher, 5, 12)
		got, err := gradientOf(tr, drawn(c.from))
		if err != nil {
			t.Fatal(err)
		}
		diff := largestDifference(tr.gradients.Flat, whole.gradients.Flat) / largest(whole.gradients.Flat)
		if same := math.Abs(got.loss-want.loss) < 1e-5 && diff < 1e-4; same != c.same {
			t.Errorf("%s: loss %v, reverse KL %v; gradients differ by %v of the largest", c.what, got.loss, want.loss, diff)
		}
	}
}

// TestOnPolicyOfEqualModels: the loss on a student's own samples is 0 when its teacher is its
// equal, with every divergence.
func TestOnPolicyOfEqualModels(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(5, 13, 6)
	for i := range examples {
		examples[i].Origin, examples[i].SampledLogP = OfStudent, make([]float32, len(examples[i].Tokens))
	}
	for _, d := range divergences[1:] {
		o := Objective{Divergence: d.Divergence, Parameter: d.example, CE: 0.3, Sequence: 0.2}
		tr := newTestTrainer(t, o, teacher.Clone(), teacher, 0, 0)
		total, err := gradientOf(tr, examples)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(total.loss) > 1e-5 || d.Divergence != TotalVariation && largest(tr.gradients.Flat) > 1e-4 {
			t.Errorf("%s: loss %v, largest gradient %v", o, total.loss, largest(tr.gradients.Flat))
		}
	}
}
