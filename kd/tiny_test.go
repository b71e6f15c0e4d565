package kd

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
)

func tinyConfig(vocab, hidden int) model.Config {
	return model.Config{
		Architecture: "LlamaForCausalLM", Vocab: vocab, Hidden: hidden, HeadDim: 4, Layers: model.Uniform(2, 2, 1, 37),
		MaxPositions: 64, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	}
}

// tinyModel draws weights large enough that its distributions are far from uniform.
func tinyModel(t testing.TB, c model.Config, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 77))
	m.Init(rng)
	for _, p := range m.Parameters() {
		for i := range p.Data {
			p.Data[i] += float32(0.2 * rng.NormFloat64())
		}
	}
	m.Changed()
	return m
}

// tinyExamples draws sequences of unlike lengths and shares of answer tokens.
func tinyExamples(n, vocab int, seed uint64) []Example {
	rng := rand.New(rand.NewPCG(seed, 5))
	examples := make([]Example, n)
	for i := range examples {
		length := 3 + rng.IntN(12)
		e := Example{Tokens: make([]int32, length), Answer: make([]bool, length)}
		for t := range e.Tokens {
			e.Tokens[t] = int32(rng.IntN(vocab))
			e.Answer[t] = t > 0 && rng.IntN(4) == 0
		}
		e.Answer[1+i%(length-1)] = true
		examples[i] = e
	}
	return examples
}

// mixedExamples are tinyExamples by all three writers, and of unlike weights, some of them 0.
func mixedExamples(n, vocab int, seed uint64) []Example {
	rng := rand.New(rand.NewPCG(seed, 6))
	examples := tinyExamples(n, vocab, seed)
	for i := range examples {
		e := &examples[i]
		e.Origin = Origin(i % 3)
		if i%2 == 0 {
			continue
		}
		for range e.Tokens {
			e.Weights = append(e.Weights, float32(rng.IntN(4))/2)
		}
	}
	return examples
}

// objectives is every divergence in every structure.
func objectives() []Objective {
	var list []Objective
	for _, base := range []Objective{
		{}, {Divergence: ForwardKL}, {Divergence: ReverseKL}, {Divergence: JSD, Parameter: 0.3},
		{Divergence: ForwardKL, Temperature: 2, TimesT2: true}, {Divergence: JSD, Parameter: 0.5, Temperature: 0.7},
		{Divergence: NormalizedJSD, Parameter: 0.2}, {Divergence: SkewForwardKL, Parameter: 0.1}, {Divergence: SkewReverseKL, Parameter: 0.1}, {Divergence: TotalVariation},
	} {
		for _, o := range []Objective{
			{CE: 0.1, Sequence: 0.05}, {CE: 0.1, Sequence: 0.3, SequenceLoss: SequenceMixture}, {}, {CE: 1}, {CE: 0.2, Sequence: 1},
		} {
			o.Divergence, o.Parameter, o.Temperature, o.TimesT2 = base.Divergence, base.Parameter, base.Temperature, base.TimesT2
			list = append(list, o)
		}
	}
	return list
}

func newTestTrainer(t testing.TB, o Objective, student, teacher *model.Model, chunk, passTokens int) *Trainer {
	t.Helper()
	tr, err := NewTrainer(TrainConfig{
		Student: student, Teacher: inMemory(teacher), Objective: o, Next: fixed(),
		Steps: 1, LearningRate: 1e-3, chunkRows: chunk, passTokens: passTokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// inMemory is a model as a teacher; nil is none.
func inMemory(m *model.Model) Teacher {
	if m == nil {
		return nil
	}
	return NewModelTeacher(m, kernels.Float32)
}

// gradientOf computes the gradient of a batch, without an update.
func gradientOf(tr *Trainer, batch []Example) (sums, error) {
	n, err := tr.count(context.Background(), batch, checkExamples(batch, tr.config.vocab(), tr.config.positions()))
	if err != nil {
		return sums{}, err
	}
	return tr.gradient(context.Background(), batch, n)
}

// logProbabilities are float64 log-probabilities of rows [rows, hidden] over the first vocab
// tokens, at a temperature.
func logProbabilities(m *model.Model, hidden []float32, row, vocab int, temperature float64) []float64 {
	head := m.Head.Float32()
	out := make([]float64, vocab)
	for v := range out {
		for i := range m.Hidden {
			out[v] += float64(head[v*m.Hidden+i]) * float64(hidden[row*m.Hidden+i])
		}
		out[v] /= temperature
	}
	most, total := math.Inf(-1), 0.0
	for _, z := range out {
		most = max(most, z)
	}
	for _, z := range out {
		total += math.Exp(z - most)
	}
	for v := range out {
		out[v] -= most + math.Log(total)
	}
	return out
}

func kl(lp, lq []float64) (d float64) {
	for i := range lp {
		d += math.Exp(lp[i]) * (lp[i] - lq[i])
	}
	return d
}

// bruteObjective is the objective from its definition in float64: each example forward by itself,
// all tokens, no chunks, the label of position t read at the logits of t−shift.
func bruteObjective(o Objective, student, teacher *model.Model, examples []Example, shift int) float64 {
	vocab := commonVocab(student, inMemory(teacher))
	temperature := o.Temperature
	if temperature == 0 {
		temperature = 1
	}
	var divergenceSum, ceSum, sequenceD, sequenceCE, answers, labels, sequence float64
	for _, e := range examples {
		b := model.Batch{Tokens: e.Tokens, Starts: []int{0, len(e.Tokens)}}
		qHidden := student.Forward(b, nil)
		var pHidden []float32
		if teacher != nil {
			pHidden = teacher.Forward(b, nil)
		}
		for t := 1; t < len(e.Tokens); t++ {
			ce := -logProbabilities(student, qHidden, t-shift, vocab, 1)[e.Tokens[t]]
			var d float64
			if o.Divergence != None {
				lp := logProbabilities(teacher, pHidden, t-shift, vocab, temperature)
				lq := logProbabilities(student, qHidden, t-shift, vocab, temperature)
				if d = bruteDivergence(o, e.Origin, lp, lq); o.TimesT2 {
					d *= temperature * temperature
				}
			}
			w := float64(e.weight(t))
			if e.Answer[t] {
				answers, divergenceSum = answers+w, divergenceSum+w*d
			}
			if e.Origin == OfStudent {
				continue
			}
			if e.Answer[t] {
				labels, ceSum = labels+w, ceSum+w*ce
			}
			sequence, sequenceD, sequenceCE = sequence+w, sequenceD+w*d, sequenceCE+w*ce
		}
	}
	mean := func(sum, n float64) float64 {
		if n == 0 {
			return 0
		}
		return sum / n
	}
	share := o.ceShare()
	ofAnswers := (1-share)*mean(divergenceSum, answers) + share*mean(ceSum, labels)
	ofSequence := mean(sequenceCE, sequence)
	if o.SequenceLoss == SequenceMixture {
		ofSequence = (1-share)*mean(sequenceD, sequence) + share*mean(sequenceCE, sequence)
	}
	return (1-o.Sequence)*ofAnswers + o.Sequence*ofSequence
}

// bruteDivergence is a divergence from its definition.
func bruteDivergence(o Objective, by Origin, lp, lq []float64) float64 {
	mixed := func(share float64, a, b []float64) []float64 {
		m := make([]float64, len(a))
		for i := range m {
			m[i] = math.Log(share*math.Exp(a[i]) + (1-share)*math.Exp(b[i]))
		}
		return m
	}
	b := o.Parameter
	switch divergence := o.Divergence; divergence {
	case ForwardKL:
		return kl(lp, lq)
	case ReverseKL:
		return kl(lq, lp)
	case JSD, NormalizedJSD:
		m := mixed(b, lp, lq)
		d := b*kl(lp, m) + (1-b)*kl(lq, m)
		if divergence == NormalizedJSD {
			d /= b * (1 - b)
		}
		return d
	case TotalVariation:
		var d float64
		for i := range lp {
			d += math.Abs(math.Exp(lp[i])-math.Exp(lq[i])) / 2
		}
		return d
	case SkewForwardKL, SkewReverseKL, SkewPair:
		if divergence == SkewForwardKL || divergence == SkewPair && by != OfStudent {
			return kl(lp, mixed(b, lp, lq))
		}
		return kl(lq, mixed(b, lq, lp))
	}
	panic("no such divergence")
}

func largest(x []float32) (m float64) {
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

func largestDifference(a, b []float32) (m float64) {
	for i := range a {
		m = max(m, math.Abs(float64(a[i])-float64(b[i])))
	}
	return m
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}
