package kd

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
)

// TestObjectiveAgainstDefinition: the chunked loss over packed passes is the objective as defined,
// within 1e-5; with labels that are not shifted it is not.
func TestObjectiveAgainstDefinition(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2)
	examples := tinyExamples(9, 13, 3)
	for _, o := range objectives() {
		total, err := gradientOf(newTestTrainer(t, o, student, teacher, 5, 40), examples)
		if err != nil {
			t.Fatal(err)
		}
		want := bruteObjective(o, student, teacher, examples, 1)
		if math.Abs(total.loss-want) > 1e-5*(1+want) {
			t.Errorf("%s: loss %v, by definition %v", o.Formula(), total.loss, want)
		}
		if unshifted := bruteObjective(o, student, teacher, examples, 0); math.Abs(total.loss-unshifted) < 1e-4 {
			t.Errorf("%s: loss %v does not distinguish shifted labels (%v) from unshifted (%v)", o.Formula(), total.loss, want, unshifted)
		}
	}
}

// TestWeightsAndOriginsAgainstDefinition: tokens of unlike weights, and answers of data, teacher
// and student in one batch. What the student wrote is no label: neither it nor its prompt is in the
// cross-entropy or in the loss over whole sequences.
func TestWeightsAndOriginsAgainstDefinition(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2)
	examples := mixedExamples(12, 13, 3)
	for _, o := range append(objectives(), Objective{Divergence: SkewPair, Parameter: 0.1, CE: 0.2, Sequence: 0.1}) {
		total, err := gradientOf(newTestTrainer(t, o, student, teacher, 5, 40), examples)
		if err != nil {
			t.Fatal(err)
		}
		want := bruteObjective(o, student, teacher, examples, 1)
		if math.Abs(total.loss-want) > 1e-5*(1+want) {
			t.Errorf("%s: loss %v, by definition %v", o.Formula(), total.loss, want)
		}
	}
	// A weight is a number of times that a token is counted.
	weighted, twice := tinyExamples(4, 13, 9), tinyExamples(4, 13, 9)
	twice = append(twice, twice[0])
	weighted[0].Weights = make([]float32, len(weighted[0].Tokens))
	for i := range weighted[0].Weights {
		weighted[0].Weights[i] = 2
	}
	o := Objective{Divergence: ForwardKL, CE: 0.1, Sequence: 0.05}
	a, b := newTestTrainer(t, o, student, teacher, 0, 0), newTestTrainer(t, o, student, teacher, 0, 0)
	if _, err := gradientOf(a, weighted); err != nil {
		t.Fatal(err)
	}
	if _, err := gradientOf(b, twice); err != nil {
		t.Fatal(err)
	}
	if diff := largestDifference(a.gradients.Flat, b.gradients.Flat); diff > 1e-5*largest(b.gradients.Flat) {
		t.Errorf("an example of weight 2 and one that stands twice have gradients that differ by %v of %v", diff, largest(b.gradients.Flat))
	}
}

// TestGradientAgainstFiniteDifferences: the gradient of the whole objective through head and all
// layers, along random directions of every tensor.
func TestGradientAgainstFiniteDifferences(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 12), 2)
	examples := tinyExamples(6, 13, 3)
	for _, tied := range []bool{true, false} {
		c := tinyConfig(13, 8)
		c.TiedHead, c.QKVBias = tied, !tied
		if c.QKVBias {
			c.Architecture = "Qwen2ForCausalLM"
		}
		student := tinyModel(t, c, 1)
		for _, o := range objectives() {
			if o.Divergence == TotalVariation { // has kinks within the steps of float32
				continue
			}
			tr := newTestTrainer(t, o, student, teacher, 7, 30)
			if _, err := gradientOf(tr, examples); err != nil {
				t.Fatal(err)
			}
			gradient := append([]float32(nil), tr.gradients.Flat...)
			rng := rand.New(rand.NewPCG(8, 9))
			at := 0
			for _, p := range student.Parameters() {
				g := gradient[at : at+len(p.Data)]
				at += len(p.Data)
				direction, slope := make([]float32, len(g)), 0.0
				norm := math.Sqrt(float64(len(g)))
				for i := range direction {
					direction[i] = float32(rng.NormFloat64() / norm)
					slope += float64(direction[i]) * float64(g[i])
				}
				value := func(h float32) float64 {
					saved := append([]float32(nil), p.Data...)
					for i := range p.Data {
						p.Data[i] += h * direction[i]
					}
					student.Changed()
					total, err := gradientOf(tr, examples)
					if err != nil {
						t.Fatal(err)
					}
					copy(p.Data, saved)
					student.Changed()
					return total.loss
				}
				const h = 1e-2 // fourth order, so that h may be large against float32's rounding
				measured := (8*(value(h)-value(-h)) - (value(2*h) - value(-2*h))) / (12 * h)
				if math.Abs(measured-slope) > 2e-4+2e-3*math.Abs(slope) {
					t.Errorf("%s, tied %v: %s: slope %v, finite difference %v", o.Formula(), tied, p.Name, slope, measured)
				}
			}
		}
	}
}

// TestChunksChangeNothing: chunks of 1, 7 and all rows give one loss, gradient and hidden gradient,
// to rounding (2e-6 of the largest).
func TestChunksChangeNothing(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2)
	examples := tinyExamples(9, 13, 4)
	for _, o := range objectives() {
		whole := newTestTrainer(t, o, student, teacher, 1000, 0)
		want, err := gradientOf(whole, examples)
		if err != nil {
			t.Fatal(err)
		}
		for _, chunk := range []int{1, 7} {
			tr := newTestTrainer(t, o, student, teacher, chunk, 0)
			got, err := gradientOf(tr, examples)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got.loss-want.loss) > 1e-9 {
				t.Errorf("%s: chunk %d: loss %v, unchunked %v", o.Formula(), chunk, got.loss, want.loss)
			}
			if diff := largestDifference(tr.gradients.Flat, whole.gradients.Flat); diff > 2e-6*largest(whole.gradients.Flat) {
				t.Errorf("%s: chunk %d: gradient differs by %v", o.Formula(), chunk, diff)
			}
		}
	}
}

// TestBatchSplitAndOrder: how a batch is split into passes and in which order its examples come
// changes nothing but rounding. Means of means would fail here: the examples have unlike numbers of
// answer tokens.
func TestBatchSplitAndOrder(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2)
	examples := tinyExamples(11, 13, 5)
	reversed := append([]Example(nil), examples...)
	for i := range reversed {
		reversed[i] = examples[len(examples)-1-i]
	}
	for _, o := range objectives() {
		one := newTestTrainer(t, o, student, teacher, 0, 0)
		want, err := gradientOf(one, examples)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			passTokens int
			batch      []Example
		}{{1, examples}, {25, examples}, {0, reversed}, {33, reversed}} {
			tr := newTestTrainer(t, o, student, teacher, 0, c.passTokens)
			got, err := gradientOf(tr, c.batch)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got.loss-want.loss) > 1e-6 {
				t.Errorf("%s: passes of %d tokens: loss %v, want %v", o.Formula(), c.passTokens, got.loss, want.loss)
			}
			if diff := largestDifference(tr.gradients.Flat, one.gradients.Flat); diff > 1e-5*largest(one.gradients.Flat) {
				t.Errorf("%s: passes of %d tokens: gradient differs by %v of %v", o.Formula(), c.passTokens, diff, largest(one.gradients.Flat))
			}
		}
	}
}

// TestUnweightedTokensChangeNothing: without a sequence loss, tokens after the last answer and the
// hidden states of prompt positions leave every bit as it was.
func TestUnweightedTokensChangeNothing(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2)
	example := Example{Tokens: []int32{1, 2, 3, 4, 5, 6, 7}, Answer: []bool{false, false, false, true, false, false, false}}
	changed := Example{Tokens: []int32{1, 2, 3, 4, 12, 11}, Answer: make([]bool, 6)}
	changed.Answer[3] = true
	o := Objective{Divergence: JSD, Parameter: 0.5, CE: 0.1}
	a, b := newTestTrainer(t, o, student, teacher, 0, 0), newTestTrainer(t, o, student, teacher, 0, 0)
	want, err := gradientOf(a, []Example{example})
	if err != nil {
		t.Fatal(err)
	}
	got, err := gradientOf(b, []Example{changed})
	if err != nil {
		t.Fatal(err)
	}
	if got != want || !sameBits(a.gradients.Flat, b.gradients.Flat) {
		t.Errorf("tokens after the last answer change the loss from %v to %v, or the gradient", want, got)
	}

	of := NewModelTeacher(teacher, kernels.Float32)
	l := newHeadLoss(o, student, of, 0, kernels.Float32)
	l.pack(student)
	targets := pass{targets: [kinds][]Target{labels: {{Row: 2, Label: 4, weight: 1}, {Row: 5, Label: 1, weight: 1}}}}
	hidden, teacherHidden := make([]float32, 7*8), make([]float32, 7*12)
	for i := range hidden {
		hidden[i] = float32(i%5) - 2
	}
	run := func() (sums, []float32, []float32) {
		var total sums
		dHidden, head := make([]float32, 7*8), make([]float32, 13*8)
		of.hidden = teacherHidden
		if err := l.add(t.Context(), &total, headPass{pass: &targets, counts: counts{answers: 2, labels: 2, sequence: 6}, student: states{student, hidden}, dHidden: dHidden, head: head}); err != nil {
			t.Fatal(err)
		}
		return total, dHidden, head
	}
	total, dHidden, head := run()
	for i := range 2 * 8 {
		hidden[i] = float32(math.NaN())
	}
	for i := range 2 * 12 {
		teacherHidden[i] = float32(math.NaN())
	}
	again, dAgain, headAgain := run()
	if total != again || !sameBits(dHidden, dAgain) || !sameBits(head, headAgain) {
		t.Error("hidden states without a loss change the loss or its gradient")
	}
	for r := range 7 {
		if zero := largest(dHidden[r*8:(r+1)*8]) == 0; zero != (r != 2 && r != 5) {
			t.Errorf("row %d: gradient is zero: %v", r, zero)
		}
	}
}

// TestEndTokenIsLearned: the last token of a sequence, the end-of-sequence token, is predicted like
// any other.
func TestEndTokenIsLearned(t *testing.T) {
	student := tinyModel(t, tinyConfig(13, 8), 1)
	examples := []Example{{Tokens: []int32{3, 4, 0}, Answer: []bool{false, false, true}}}
	total, err := gradientOf(newTestTrainer(t, Objective{}, student, nil, 0, 0), examples)
	if err != nil {
		t.Fatal(err)
	}
	want := -logProbabilities(student, student.Forward(model.Batch{Tokens: []int32{3, 4}, Starts: []int{0, 2}}, nil), 1, 13, 1)[0]
	if math.Abs(total.loss-want) > 1e-5 {
		t.Errorf("loss %v, want %v", total.loss, want)
	}
}

// TestPaddedVocabulary: rows of a head beyond the common vocabulary get no probability, on either
// side.
func TestPaddedVocabulary(t *testing.T) {
	examples := tinyExamples(5, 13, 6)
	small, large := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(17, 8), 2)
	for i := 13 * 8; i < 17*8; i++ {
		large.Embedding[i] = 3 // would win the softmax
	}
	large.Changed()
	o := Objective{Divergence: ForwardKL, CE: 0.1, Sequence: 0.05}
	for _, c := range []struct{ student, teacher *model.Model }{{small, large}, {large, small}} {
		tr := newTestTrainer(t, o, c.student, c.teacher, 3, 0)
		total, err := gradientOf(tr, examples)
		if err != nil {
			t.Fatal(err)
		}
		if want := bruteObjective(o, c.student, c.teacher, examples, 1); math.Abs(total.loss-want) > 1e-5*(1+want) {
			t.Errorf("student of %d, teacher of %d tokens: loss %v, want %v", c.student.Vocab, c.teacher.Vocab, total.loss, want)
		}
		if largest(tr.gradients.Head[13*8:]) != 0 {
			t.Error("padding rows of the head have a gradient")
		}
		if _, err := gradientOf(tr, []Example{{Tokens: []int32{1, 14}, Answer: []bool{false, true}}}); err == nil {
			t.Error("a token that one model lacks is accepted")
		}
	}
}

// TestTeacherAsStudent: a student equal to its teacher has divergence 0 and no gradient, exactly.
func TestTeacherAsStudent(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(5, 13, 6)
	for _, o := range []Objective{
		{Divergence: ForwardKL}, {Divergence: ReverseKL}, {Divergence: JSD, Parameter: 0.5}, {Divergence: SkewForwardKL, Parameter: 0.1}, {Divergence: SkewReverseKL, Parameter: 0.1},
	} {
		tr := newTestTrainer(t, o, teacher.Clone(), teacher, 0, 0)
		total, err := gradientOf(tr, examples)
		if err != nil {
			t.Fatal(err)
		}
		if total.loss != 0 || largest(tr.gradients.Flat) != 0 {
			t.Errorf("%s: loss %v, largest gradient %v", o, total.loss, largest(tr.gradients.Flat))
		}
	}
}

// TestHeadLossMemory: logits of all rows would take rows·vocabulary; the loss takes
// chunk·(2·vocabulary + widths).
func TestHeadLossMemory(t *testing.T) {
	const rows, vocab, hidden, teacherHidden, chunk = 1024, 2048, 8, 12, 16
	student, teacher := tinyModel(t, tinyConfig(vocab, hidden), 1), tinyModel(t, tinyConfig(vocab, teacherHidden), 2)
	of := NewModelTeacher(teacher, kernels.Float32)
	l := newHeadLoss(Objective{Divergence: ForwardKL, CE: 0.1}, student, of, chunk, kernels.Float32)
	l.pack(student)
	var p pass
	for r := range rows {
		p.targets[labels] = append(p.targets[labels], Target{Row: r, Label: int32(r % vocab), weight: 1})
	}
	x, tx, dx, head := make([]float32, rows*hidden), make([]float32, rows*teacherHidden), make([]float32, rows*hidden), make([]float32, vocab*hidden)
	student.Logits(make([]float32, vocab), x, 1) // packs the heads
	teacher.Logits(make([]float32, vocab), tx, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var total sums
	of.hidden = tx
	if err := l.add(t.Context(), &total, headPass{pass: &p, counts: counts{answers: rows, labels: rows, sequence: rows}, student: states{student, x}, dHidden: dx, head: head}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	formula := 4 * chunk * (2*vocab + 2*hidden + teacherHidden + 5)
	floats := cap(l.student.hidden) + cap(l.student.logits) + cap(of.rows.hidden) + cap(of.rows.logits) + cap(l.dHidden)
	held := 4 * (floats + cap(l.divergence) + cap(l.ce) + cap(l.weightD) + cap(l.weightCE) + cap(l.labels))
	if held > formula {
		t.Errorf("the loss holds %d bytes, more than chunk·(2·vocab + 2·hidden + teacher hidden + 5)·4 = %d", held, formula)
	}
	if got, naive := after.TotalAlloc-before.TotalAlloc, uint64(4*rows*vocab); got > naive/2 {
		t.Errorf("the loss allocated %d bytes on the way; logits of all rows take %d", got, naive)
	}
}
