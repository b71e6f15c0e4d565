package kd

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// reference is a Llama in float64 from the definitions, without tied or scaled parts: the oracle of
// whole losses.
type reference struct {
	c    model.Config
	flat []float64
	p    map[string][]float64 // views of flat by name
}

func newReference(m *model.Model) *reference {
	r := &reference{c: m.Config, p: map[string][]float64{}}
	for _, x := range m.Flat() {
		r.flat = append(r.flat, float64(x))
	}
	rest := r.flat
	for _, p := range m.Parameters() {
		r.p[p.Name], rest = rest[:len(p.Data)], rest[len(p.Data):]
	}
	return r
}

func times(w, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	for o := range y {
		for i, v := range x {
			y[o] += v * w[o*len(x)+i]
		}
	}
	return y
}

func (r *reference) norm(name string, x []float64) []float64 {
	w, sum, y := r.p[name], 0.0, make([]float64, len(x))
	for _, v := range x {
		sum += v * v
	}
	for i, v := range x {
		y[i] = v * w[i] / math.Sqrt(sum/float64(len(x))+float64(r.c.NormEps))
	}
	return y
}

func (r *reference) rotate(x []float64, position int) {
	half := r.c.HeadDim / 2
	for h := 0; h < len(x); h += r.c.HeadDim {
		for i := range half {
			sin, cos := math.Sincos(float64(position) / math.Pow(r.c.RopeTheta, float64(i)/float64(half)))
			a, b := x[h+i], x[h+i+half]
			x[h+i], x[h+i+half] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

// states are those of one sequence: [state][token][hidden], as HiddenLoss counts them.
func (r *reference) states(tokens []int32) [][][]float64 {
	d, hd := r.c.Hidden, r.c.HeadDim
	x := make([][]float64, len(tokens))
	for i, token := range tokens {
		x[i] = slices.Clone(r.p["model.embed_tokens.weight"][int(token)*d : (int(token)+1)*d])
	}
	var all [][][]float64
	keep := func() {
		var copied [][]float64
		for _, row := range x {
			copied = append(copied, slices.Clone(row))
		}
		all = append(all, copied)
	}
	for layer, c := range r.c.Layers {
		keep()
		of := "model.layers." + string(rune('0'+layer)) + "."
		weights := func(name string) []float64 { return r.p[of+name+".weight"] }
		var keys, values [][]float64
		for i := range x {
			n := r.norm(of+"input_layernorm.weight", x[i])
			q, k := times(weights("self_attn.q_proj"), n), times(weights("self_attn.k_proj"), n)
			r.rotate(q, i)
			r.rotate(k, i)
			keys, values = append(keys, k), append(values, times(weights("self_attn.v_proj"), n))
			heads := make([]float64, len(q))
			for h := range c.Heads {
				g := h / (c.Heads / c.KVHeads) * hd
				p, sum := make([]float64, i+1), 0.0
				for u := range p {
					for j := range hd {
						p[u] += q[h*hd+j] * keys[u][g+j]
					}
					p[u] = math.Exp(p[u] / math.Sqrt(float64(hd)))
					sum += p[u]
				}
				for u := range p {
					for j := range hd {
						heads[h*hd+j] += p[u] / sum * values[u][g+j]
					}
				}
			}
			for j, v := range times(weights("self_attn.o_proj"), heads) {
				x[i][j] += v
			}
		}
		for i := range x {
			n := r.norm(of+"post_attention_layernorm.weight", x[i])
			gate, up := times(weights("mlp.gate_proj"), n), times(weights("mlp.up_proj"), n)
			for j, a := range gate {
				up[j] *= a / (1 + math.Exp(-a))
			}
			for j, v := range times(weights("mlp.down_proj"), up) {
				x[i][j] += v
			}
		}
	}
	for i := range x {
		x[i] = r.norm("model.norm.weight", x[i])
	}
	keep()
	return all
}

// logP are the log-probabilities that a last state gives.
func (r *reference) logP(hidden []float64) []float64 {
	head := r.p["lm_head.weight"]
	if r.c.TiedHead {
		head = r.p["model.embed_tokens.weight"]
	}
	z, sum := times(head, hidden), 0.0
	for _, v := range z {
		sum += math.Exp(v)
	}
	for i := range z {
		z[i] -= math.Log(sum)
	}
	return z
}

// hiddenDefinition is the hidden-state loss from its definition.
func hiddenDefinition(o Objective, student, teacher *reference, projections []float64, examples []Example) float64 {
	pairs, _ := o.Hidden.pairs(len(student.c.Layers), len(teacher.c.Layers))
	size := student.c.Hidden * teacher.c.Hidden
	var sum, answers float64
	for _, e := range examples {
		ofStudent, ofTeacher := student.states(e.Tokens), teacher.states(e.Tokens)
		for t := range e.Tokens {
			if !e.Answer[t] {
				continue
			}
			w := float64(e.weight(t))
			answers += w
			for i, p := range pairs {
				at, square, norm := ofTeacher[p.Teacher][t-1], 0.0, 0.0
				for j, v := range times(projections[i*size:(i+1)*size], ofStudent[p.Student][t-1]) {
					square += (v - at[j]) * (v - at[j])
					norm += at[j] * at[j]
				}
				sum += w * square / norm / float64(len(pairs))
			}
		}
	}
	return sum / answers
}

func float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// hiddenLosses are the loss with each choice of layers, of a student of two and a teacher of three.
func hiddenLosses() []HiddenLoss {
	return []HiddenLoss{
		{Weight: 0.7, Seed: 3}, {Weight: 1.5, Even: true},
		{Weight: 0.4, Pairs: []LayerPair{{0, 0}, {1, 1}, {1, 3}, {2, 3}, {2, 2}}, Seed: 9},
	}
}

func deepTeacher(t testing.TB, hidden int) *model.Model {
	c := tinyConfig(13, hidden)
	c.Layers = model.Uniform(3, 2, 2, 21)
	return tinyModel(t, c, 2)
}

// TestHiddenLossAgainstDefinition: beside any other terms, with weights and answers of all origins,
// also where no other term has a weight.
func TestHiddenLossAgainstDefinition(t *testing.T) {
	student := tinyModel(t, tinyConfig(13, 8), 1)
	for _, width := range []int{8, 12} {
		teacher := deepTeacher(t, width)
		for _, h := range hiddenLosses() {
			for _, o := range []Objective{{}, {CE: 1, Sequence: 0.2}, {Divergence: ForwardKL, CE: 0.1, Sequence: 0.05}, {Divergence: JSD, Parameter: 0.3, SequenceLoss: SequenceMixture, Sequence: 0.3}} {
				o.Hidden = h
				examples := mixedExamples(12, 13, 3)
				if o.Divergence == None && o.Sequence == 0 {
					examples = []Example{examples[2], examples[5]} // the student's own: no other loss
				}
				tr := newTestTrainer(t, o, student, teacher, 5, 40)
				total, err := gradientOf(tr, examples)
				if err != nil {
					t.Fatal(err)
				}
				hidden := hiddenDefinition(o, newReference(student), newReference(teacher), float64s(tr.hidden.flat), examples)
				want := bruteObjective(o, student, teacher, examples, 1) + h.Weight*hidden
				if math.Abs(total.loss-want) > 1e-5*(1+want) || math.Abs(total.hidden/countAll(examples).answers-hidden) > 1e-5*(1+hidden) {
					t.Errorf("%s: loss %v of which %v a token is of hidden states; by definition %v, %v", o.Formula(), total.loss, total.hidden/countAll(examples).answers, want, hidden)
				}
			}
		}
	}
}

// TestHiddenGradientAgainstCentralDifferences: the whole loss in float64, with respect to each
// weight of the student and of the projections.
func TestHiddenGradientAgainstCentralDifferences(t *testing.T) {
	c := tinyConfig(7, 4)
	c.Layers = model.Uniform(2, 2, 1, 5)
	student, teacher := tinyModel(t, c, 1), tinyModel(t, tinyConfig(7, 6), 2)
	examples := mixedExamples(4, 7, 3)
	ofTeacher := newReference(teacher)
	for _, h := range []HiddenLoss{{Weight: 0.7}, {Weight: 1.3, Pairs: []LayerPair{{0, 1}, {1, 1}, {1, 0}, {2, 2}}, Seed: 4}} {
		o := Objective{Divergence: ForwardKL, CE: 0.3, Hidden: h}
		tr := newTestTrainer(t, o, student, teacher, 3, 20)
		of, projections := newReference(student), float64s(tr.hidden.flat)
		loss := func() float64 {
			n, sum := countAll(examples), h.Weight*hiddenDefinition(o, of, ofTeacher, projections, examples)
			for _, e := range examples {
				q, p := of.states(e.Tokens), ofTeacher.states(e.Tokens)
				for t := range e.Tokens {
					if !e.Answer[t] {
						continue
					}
					lq := of.logP(q[len(q)-1][t-1])
					sum += (1 - o.CE) * float64(e.weight(t)) * kl(ofTeacher.logP(p[len(p)-1][t-1]), lq) / n.answers
					if e.Origin != OfStudent {
						sum -= o.CE * float64(e.weight(t)) * lq[e.Tokens[t]] / n.labels
					}
				}
			}
			return sum
		}
		differences := func(x []float64) []float64 {
			const step = 1e-5
			d := make([]float64, len(x))
			for i, v := range x {
				x[i] = v + step
				up := loss()
				x[i] = v - step
				d[i] = (up - loss()) / (2 * step)
				x[i] = v
			}
			return d
		}
		ofWeights, ofProjections := differences(of.flat), differences(projections)
		for _, recompute := range []bool{false, true} {
			tr.trace = model.NewTrace(student, 0, model.TraceOptions{Recompute: recompute})
			total, err := gradientOf(tr, examples)
			if want := loss(); err != nil || math.Abs(total.loss-want) > 1e-5*(1+want) {
				t.Fatalf("%s: loss %v, by definition %v, %v", o.Formula(), total.loss, want, err)
			}
			compare := func(name string, got []float32, want []float64) {
				worst, most := 0.0, 0.0
				for i, v := range got {
					worst, most = max(worst, math.Abs(float64(v)-want[i])), max(most, math.Abs(want[i]))
				}
				if !(worst <= 2e-5*most+1e-6) || most == 0 {
					t.Errorf("%s, recompute %t: the gradient of %s differs by %.3g of %.3g", o.Formula(), recompute, name, worst, most)
				}
			}
			at := 0
			for _, p := range student.Parameters() {
				compare(p.Name, tr.gradients.Flat[at:at+len(p.Data)], ofWeights[at:])
				at += len(p.Data)
			}
			for i := range tr.hidden.pairs {
				size := len(tr.hidden.flat) / len(tr.hidden.pairs)
				compare("projection "+tr.hidden.pairs[i].String(), tr.hidden.projection(tr.hidden.gradient, i), ofProjections[i*size:])
			}
		}
	}
}

// TestHiddenLossIsZeroAtTheTeacher: a student that is its teacher has no loss and no gradient,
// exactly; nor has one of another width whose projected states are the teacher's.
func TestHiddenLossIsZeroAtTheTeacher(t *testing.T) {
	teacher, examples := tinyModel(t, tinyConfig(13, 8), 1), tinyExamples(5, 13, 6)
	for _, h := range []HiddenLoss{{Weight: 0.7}, {Weight: 2, Even: true}, {Weight: 1, Pairs: []LayerPair{{0, 0}}}} {
		tr := newTestTrainer(t, Objective{Divergence: ForwardKL, Hidden: h}, teacher.Clone(), teacher, 0, 0)
		total, err := gradientOf(tr, examples)
		if err != nil || total != (sums{ce: total.ce}) || largest(tr.gradients.Flat) != 0 || largest(tr.hidden.gradient) != 0 {
			t.Errorf("%s: %+v, largest gradients %v and %v, %v", tr.config.Objective.Formula(), total, largest(tr.gradients.Flat), largest(tr.hidden.gradient), err)
		}
	}
	student, wide := tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2)
	l := newTestTrainer(t, Objective{Divergence: ForwardKL, Hidden: HiddenLoss{Weight: 1}}, student, wide, 0, 0).hidden
	p := pass{targets: [kinds][]Target{labels: {{Row: 0, weight: 1}, {Row: 1, weight: 1}, {Row: 2, weight: 0.5}}}}
	hidden, dHidden := make([]float32, 3*8), make([]float32, 3*8)
	for i := range hidden {
		hidden[i] = float32(i*i%7) - 3.1
	}
	l.pack()
	l.teacher.hidden = make([]float32, 3*12)
	l.input.Pack(hidden, 3, 8, kernels.Float32, kernels.Rows)
	kernels.Run(l.packed[0].Begin(l.teacher.hidden, &l.input))
	add := func() (total sums) {
		if err := l.add(&total, hiddenPass{pass: &p, answers: 2.5, hidden: hidden, dHidden: dHidden}); err != nil {
			t.Fatal(err)
		}
		return total
	}
	if total := add(); total != (sums{}) || largest(dHidden) != 0 || largest(l.gradient) != 0 {
		t.Errorf("at the projected states: %+v, largest gradients %v and %v", total, largest(dHidden), largest(l.gradient))
	}
	l.teacher.hidden[3]++
	if total := add(); !(total.hidden > 0) || largest(dHidden) == 0 || largest(l.gradient) == 0 {
		t.Error("beside them there is no loss or gradient")
	}
	clear(l.teacher.hidden[12:24])
	var total sums
	if err := l.add(&total, hiddenPass{pass: &p, answers: 2.5, hidden: hidden, dHidden: dHidden}); err == nil || !strings.Contains(err.Error(), "is 0 at token") {
		t.Errorf("a state of zeros: error %v", err)
	}
}

// TestHiddenBatchSplitAndOrder: passes, chunks and the order of the examples change nothing but
// rounding.
func TestHiddenBatchSplitAndOrder(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), deepTeacher(t, 12)
	examples := mixedExamples(11, 13, 5)
	reversed := slices.Clone(examples)
	slices.Reverse(reversed)
	for _, h := range hiddenLosses() {
		o := Objective{Divergence: ForwardKL, CE: 0.1, Hidden: h}
		one := newTestTrainer(t, o, student, teacher, 0, 0)
		want, err := gradientOf(one, examples)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			chunk, passTokens int
			batch             []Example
		}{{0, 1, examples}, {1, 25, examples}, {7, 0, reversed}, {3, 33, reversed}} {
			tr := newTestTrainer(t, o, student, teacher, c.chunk, c.passTokens)
			got, err := gradientOf(tr, c.batch)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got.loss-want.loss) > 1e-6*(1+want.loss) || math.Abs(got.hidden-want.hidden) > 1e-6*(1+want.hidden) {
				t.Errorf("%s: passes of %d, chunks of %d: %+v, want %+v", o.Formula(), c.passTokens, c.chunk, got, want)
			}
			if a, b := largestDifference(tr.gradients.Flat, one.gradients.Flat), largestDifference(tr.hidden.gradient, one.hidden.gradient); a > 1e-5*largest(one.gradients.Flat) || b > 1e-5*largest(one.hidden.gradient) {
				t.Errorf("%s: passes of %d, chunks of %d: gradients differ by %v and %v", o.Formula(), c.passTokens, c.chunk, a, b)
			}
		}
	}
}

// TestMaskedTokensHaveNoHiddenLoss: answer tokens of weight 0 leave every bit as if they were none.
func TestMaskedTokensHaveNoHiddenLoss(t *testing.T) {
	student, teacher := tinyModel(t, tinyConfig(13, 8), 1), deepTeacher(t, 12)
	masked := Example{Tokens: []int32{1, 2, 3, 4, 5, 6}, Answer: []bool{false, true, false, true, true, true}, Weights: []float32{1, 0, 1, 0.5, 2, 0}}
	without := masked
	without.Answer = []bool{false, false, false, true, true, false}
	without.Tokens = []int32{1, 2, 3, 4, 5, 12}
	for _, h := range hiddenLosses() {
		o := Objective{Divergence: ReverseKL, Hidden: h}
		a, b := newTestTrainer(t, o, student, teacher, 0, 0), newTestTrainer(t, o, student, teacher, 0, 0)
		want, err := gradientOf(a, []Example{masked})
		if err != nil {
			t.Fatal(err)
		}
		got, err := gradientOf(b, []Example{without})
		if err != nil || got != want || !sameBits(a.gradients.Flat, b.gradients.Flat) || !sameBits(a.hidden.gradient, b.hidden.gradient) {
			t.Errorf("%s: masked tokens change the loss from %+v to %+v, or a gradient; %v", o.Formula(), got, want, err)
		}
	}
}

// hiddenConfig is stateConfig with a hidden-state loss.
func hiddenConfig(t testing.TB) TrainConfig {
	c := stateConfig(t)
	c.Objective.Hidden = HiddenLoss{Weight: 0.5, Even: true, Seed: 7}
	return c
}

func newTrainer(t testing.TB, c TrainConfig) *Trainer {
	t.Helper()
	tr, err := NewTrainer(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestRestoredProjectionsHaveTheSameBits: saved after any step and restored in a new trainer, the
// projections and the rest go on as if nothing had been.
func TestRestoredProjectionsHaveTheSameBits(t *testing.T) {
	whole := newTrainer(t, hiddenConfig(t))
	first := slices.Clone(whole.hidden.flat)
	advance(t, whole, 10)
	if sameBits(first, whole.hidden.flat) {
		t.Error("the projections learn nothing")
	}
	for at := range 11 {
		half, tr := newTrainer(t, hiddenConfig(t)), newTrainer(t, hiddenConfig(t))
		advance(t, half, at)
		state := saved(t, half)
		if err := tr.Restore(bytes.NewReader(state)); err != nil {
			t.Fatalf("after step %d: %v", at, err)
		}
		if !bytes.Equal(saved(t, tr), state) || tr.Result().Last.Hidden != half.Result().Last.Hidden {
			t.Errorf("after step %d: a state that is restored and saved is another", at)
		}
		advance(t, tr, 10-at)
		if !bytes.Equal(saved(t, tr), saved(t, whole)) {
			t.Errorf("restored after step %d the training ends otherwise", at)
		}
	}
	plain := newTrainer(t, stateConfig(t))
	for _, c := range []struct {
		of, to *Trainer
	}{{whole, plain}, {plain, whole}} {
		before := saved(t, c.to)
		if err := c.to.Restore(bytes.NewReader(saved(t, c.of))); err == nil || !strings.Contains(err.Error(), "it holds parameters") || !bytes.Equal(saved(t, c.to), before) {
			t.Errorf("a state with the projections of another training: error %v, or it is changed", err)
		}
	}
	kept := slices.Clone(whole.hidden.flat)
	whole.RestoreBest()
	if !sameBits(kept, whole.hidden.flat) || !sameBits(whole.config.Student.Flat(), whole.best) {
		t.Error("RestoreBest changes the projections, or not the student")
	}
}

// TestHiddenTrainingBits: gradient checkpointing and threads change no bit in either precision, and
// bfloat16 is near float32.
func TestHiddenTrainingBits(t *testing.T) {
	run := func(precision kernels.Precision, recompute bool, threads int) ([]float32, StepReport) {
		defer parallel.SetThreads(threads)()
		c := hiddenConfig(t)
		c.Teacher = NewModelTeacher(deepTeacher(t, 12), precision)
		c.Precision, c.Recompute = precision, recompute
		tr := newTrainer(t, c)
		advance(t, tr, 1)
		first := tr.Result().Last
		advance(t, tr, 5)
		return append(slices.Clone(c.Student.Flat()), tr.hidden.flat...), first
	}
	var first [2]StepReport
	for i, precision := range []kernels.Precision{kernels.Float32, kernels.BFloat16} {
		want, report := run(precision, false, 1)
		first[i] = report
		for _, threads := range []int{1, 2, 5} {
			if got, _ := run(precision, threads > 1, threads); !sameBits(got, want) {
				t.Errorf("%v: Recompute %t with %d threads changes the weights", precision, threads > 1, threads)
			}
		}
	}
	if a, b := first[0].Hidden, first[1].Hidden; a == b || math.Abs(a-b) > 0.02*a {
		t.Errorf("hidden-state loss %v in float32, %v in bfloat16", a, b)
	}
}

// TestHiddenTermLearns: with the loss alone, on a student's own answers, the student's states come
// near the teacher's, and through a rounding too.
func TestHiddenTermLearns(t *testing.T) {
	examples := tinyExamples(6, 13, 22)
	for i := range examples {
		examples[i].Origin = OfStudent
	}
	for _, rounding := range []Rounding{nil, steps{float32(math.Log(0.02))}} {
		_, reports := trainTiny(t, TrainConfig{
			Student: tinyModel(t, tinyConfig(13, 16), 1), Teacher: inMemory(deepTeacher(t, 8)), Objective: Objective{Hidden: HiddenLoss{Weight: 1, Even: true}},
			Next: fixed(examples...), Steps: 200, LearningRate: 1e-2, WarmUp: 10, Floor: 0.02, Rounding: rounding,
		})
		last := reports[len(reports)-1]
		if first := reports[0].Hidden; last.Hidden > 1e-3*first || math.Abs(last.Loss-last.Hidden) > 1e-9 || !math.IsNaN(last.CE) || !math.IsNaN(last.Divergence) {
			t.Errorf("rounding %v: hidden-state loss from %v to %+v", rounding, first, last)
		}
	}
}

// TestRanksShareProjections: ranks with uneven parts have one rank's losses, and end with equal
// bits.
func TestRanksShareProjections(t *testing.T) {
	examples := mixedExamples(9, 13, 3)
	o := Objective{Divergence: ForwardKL, CE: 0.1, Hidden: HiddenLoss{Weight: 0.5, Even: true}}
	whole := newTrainer(t, groupConfig(t, o, fixed(examples...)))
	var reports []StepReport
	for !whole.Done() {
		advance(t, whole, 1)
		reports = append(reports, whole.Result().Last)
	}
	for _, size := range []int{2, 3} {
		parts, trainers := unevenParts(examples, size), make([]*Trainer, size)
		for rank, err := range onRanks(size, func(g Group) error {
			c := groupConfig(t, o, fixed(parts[g.Rank()]...))
			c.Group = g
			tr, err := NewTrainer(c)
			if err != nil {
				return err
			}
			trainers[g.Rank()] = tr
			for i := 0; !tr.Done(); i++ {
				got, err := tr.Step(context.Background())
				if err != nil {
					return err
				}
				for _, pair := range [][2]float64{{got.Loss, reports[i].Loss}, {got.Hidden, reports[i].Hidden}, {got.GradNorm, reports[i].GradNorm}} {
					if math.Abs(pair[0]-pair[1]) > 1e-4*(1+pair[1]) {
						t.Errorf("rank %d of %d: %+v, one rank has %+v", g.Rank(), size, got, reports[i])
					}
				}
			}
			return nil
		}) {
			if err != nil {
				t.Fatalf("rank %d of %d: %v", rank, size, err)
			}
		}
		for _, tr := range trainers {
			if !sameBits(tr.flat, trainers[0].flat) || !sameBits(tr.hidden.flat, trainers[0].hidden.flat) {
				t.Errorf("the %d ranks end with different weights or projections", size)
			}
		}
		if diff := largestDifference(trainers[0].hidden.flat, whole.hidden.flat); diff > 1e-3 {
			t.Errorf("%d ranks: the projections differ by %v from one rank's", size, diff)
		}
	}
}

// TestHiddenPairs: what "evenly" means, and what is refused.
func TestHiddenPairs(t *testing.T) {
	for _, c := range []struct {
		student, teacher int
		want             []LayerPair
	}{
		{2, 6, []LayerPair{{1, 3}, {2, 6}}}, {3, 4, []LayerPair{{1, 2}, {2, 3}, {3, 4}}}, {4, 2, []LayerPair{{1, 1}, {2, 1}, {3, 2}, {4, 2}}},
	} {
		if got, err := (HiddenLoss{Weight: 1, Even: true}).pairs(c.student, c.teacher); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%d layers over %d: %v, %v, want %v", c.student, c.teacher, got, err, c.want)
		}
	}
	teacher := tinyModel(t, tinyConfig(13, 12), 2)
	mixture, err := NewMixture([]Teacher{inMemory(teacher)}, [][]float64{{1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h       HiddenLoss
		teacher Teacher
		want    string
	}{
		{HiddenLoss{Weight: -1}, inMemory(teacher), "weight -1"},
		{HiddenLoss{Weight: math.Inf(1)}, inMemory(teacher), "weight +Inf"},
		{HiddenLoss{Even: true}, inMemory(teacher), "but a weight of 0"},
		{HiddenLoss{Weight: 1, Even: true, Pairs: []LayerPair{{1, 1}}}, inMemory(teacher), "expected one of both"},
		{HiddenLoss{Weight: 1, Pairs: []LayerPair{{1, 1}, {1, 1}}}, inMemory(teacher), "1→1 twice"},
		{HiddenLoss{Weight: 1, Pairs: []LayerPair{{1, 3}}}, inMemory(teacher), "1→3, expected 0 to the student's 2 and 0 to the teacher's 2"},
		{HiddenLoss{Weight: 1, Pairs: []LayerPair{{-1, 1}}}, inMemory(teacher), "-1→1"},
		{HiddenLoss{Weight: 1}, mixture, "a model in memory"},
		{HiddenLoss{Weight: 1}, nil, "needs a teacher"},
	} {
		config := TrainConfig{
			Student: tinyModel(t, tinyConfig(13, 8), 1), Teacher: c.teacher, Objective: Objective{Hidden: c.h}, Next: fixed(), Steps: 1, LearningRate: 1,
		}
		if _, err := NewTrainer(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one that says %q", c.h, err, c.want)
		}
	}
	for _, c := range []struct {
		o    Objective
		want string
	}{
		{Objective{Hidden: HiddenLoss{Weight: 0.5}}, "mean_A[CE] + 0.5·mean_A[‖P·h_S − h_T‖²/‖h_T‖²; last states]"},
		{Objective{Divergence: ForwardKL, Sequence: 1, Hidden: HiddenLoss{Weight: 2, Even: true}}, "mean_S[CE] + 2·mean_A[‖P·h_S − h_T‖²/‖h_T‖²; layers evenly]"},
		{Objective{Hidden: HiddenLoss{Weight: 1, Pairs: []LayerPair{{1, 2}, {2, 4}}}}, "mean_A[CE] + 1·mean_A[‖P·h_S − h_T‖²/‖h_T‖²; layers 1→2, 2→4]"},
	} {
		if got := c.o.Formula(); got != c.want {
			t.Errorf("formula %s, want %s", got, c.want)
		}
	}
}

// TestHiddenNotFinite: the model that is at fault is named.
func TestHiddenNotFinite(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 12), 2)
	teacher.FinalNorm[3] = float32(math.Inf(1))
	tr := newTrainer(t, TrainConfig{
		Student: tinyModel(t, tinyConfig(13, 8), 1), Teacher: inMemory(teacher), Objective: Objective{Hidden: HiddenLoss{Weight: 1}},
		Next: fixed(tinyExamples(3, 13, 1)...), Steps: 2, LearningRate: 1e-3,
	})
	if _, err := tr.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "the teacher's numbers are too large") {
		t.Errorf("error %v", err)
	}
}

// TestSignalLeavesTheHiddenLoss: the signal is the distributions', and a training after it has the
// bits of one without.
func TestSignalLeavesTheHiddenLoss(t *testing.T) {
	with, without, plain := newTrainer(t, hiddenConfig(t)), newTrainer(t, hiddenConfig(t)), newTrainer(t, stateConfig(t))
	s, err := with.Signal(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	want, err := plain.Signal(t.Context(), -1)
	if err != nil || s != want {
		t.Errorf("signal %+v, without a hidden-state loss %+v, %v", s, want, err)
	}
	advance(t, with, 3)
	advance(t, without, 3)
	if !bytes.Equal(saved(t, with), saved(t, without)) {
		t.Error("a training after Signal ends otherwise")
	}
	c := hiddenConfig(t)
	c.Objective = Objective{Hidden: c.Objective.Hidden}
	if s, err := newTrainer(t, c).Signal(t.Context(), -1); err != nil || s.GradNorm != 0 {
		t.Errorf("an objective without a divergence: %+v, %v", s, err)
	}
}

// TestHiddenStatesOfChunks: a teacher that reads a long batch in parts keeps the states of all.
func TestHiddenStatesOfChunks(t *testing.T) {
	m := tinyModel(t, tinyConfig(61, 16), 1)
	rng := rand.New(rand.NewPCG(1, 1))
	b := model.Batch{Starts: []int{0}}
	for range 50 {
		for range 1 + rng.IntN(60) {
			b.Tokens = append(b.Tokens, int32(rng.IntN(61)))
		}
		b.Starts = append(b.Starts, len(b.Tokens))
	}
	teacher := NewModelTeacher(m, kernels.Float32)
	if err := teacher.Read(t.Context(), Reading{Batch: b, States: []int{1, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	trace := model.NewTrace(m, 0, model.TraceOptions{})
	last := trace.Forward(t.Context(), m, b)
	for i, want := range [][]float32{trace.Stream(0), trace.Stream(1), last} {
		if got := teacher.state(i); len(got) != len(want) || largestDifference(got, want) > 1e-5 {
			t.Errorf("state %d differs from that of a training pass by %v", i, largestDifference(got, want))
		}
	}
}
