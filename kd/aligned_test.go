package kd

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
)

// vocabularyOf has a token for each text; "" is a special token, and "</s>" ends a text.
func vocabularyOf(texts ...string) Vocabulary {
	var v Vocabulary
	for id, text := range texts {
		if text == "</s>" {
			v.Ends, text = append(v.Ends, int32(id)), ""
		}
		v.Bytes = append(v.Bytes, []byte(text))
	}
	return v
}

// longestFirst encodes a text by the longest token that it begins with, again and again.
func longestFirst(v Vocabulary) func([]byte) ([]int32, error) {
	return func(text []byte) (ids []int32, err error) {
		for len(text) > 0 {
			best := -1
			for id, b := range v.Bytes {
				if len(b) > 0 && bytes.HasPrefix(text, b) && (best < 0 || len(b) > len(v.Bytes[best])) {
					best = id
				}
			}
			if best < 0 {
				return nil, errors.New("no token")
			}
			ids, text = append(ids, int32(best)), text[len(v.Bytes[best]):]
		}
		return ids, nil
	}
}

// unlike is an alignment of two vocabularies that share some boundaries: with bytes that are no
// UTF-8, tokens that begin as none of the other's do, and special ones with and without a
// counterpart.
func unlike() Alignment {
	a := Alignment{
		Student: vocabularyOf("a", "b", "ab", "ba", "b\xff", "</s>", "", "c", ""),
		Teacher: vocabularyOf("", "a", "b", "aba", "bb", "\xff", "</s>", "c\x80", "c", "\xffb", "</s>", ""),
		Begin:   []int32{0}, Specials: map[int32]int32{8: 11},
	}
	a.Encode = longestFirst(a.Teacher)
	return a
}

func newAligned(t testing.TB, teacher *model.Model, a Alignment) *Aligned {
	t.Helper()
	of, err := NewAligned(NewModelTeacher(teacher, kernels.Float32), a)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

func alignedTrainer(t testing.TB, o Objective, student *model.Model, teacher Teacher, chunk, passTokens int) *Trainer {
	t.Helper()
	return newTrainer(t, TrainConfig{
		Student: student, Teacher: teacher, Objective: o, Next: fixed(), Steps: 1, LearningRate: 1e-3, chunkRows: chunk, passTokens: passTokens,
	})
}

// preparedGradient is gradientOf behind Prepare.
func preparedGradient(tr *Trainer, batch []Example) (sums, error) {
	if err := tr.config.Teacher.Prepare(context.Background(), batch); err != nil {
		return sums{}, err
	}
	return gradientOf(tr, batch)
}

// boundary is a place in a text: the number of special tokens before it that the teacher reads, and
// of bytes behind the last of them.
type boundary struct{ segment, offset int }

// sharedBoundaries are by definition the numbers of the teacher's tokens that are read where a
// token of the student begins, 0 where none of them ends there. Encode gives a text's own bytes.
func sharedBoundaries(a Alignment, tokens []int32) (own []int32, read []int) {
	counterpart := func(id int32) (int32, bool) {
		if of, ok := a.Specials[id]; ok {
			return of, true
		}
		return a.Teacher.Ends[0], slices.Contains(a.Student.Ends, id)
	}
	own = slices.Clone(a.Begin)
	ends, at := map[boundary]int{{}: len(own)}, boundary{}
	var begins []boundary
	var text []byte
	spell := func() {
		ids, _ := a.Encode(text)
		from := at.offset - len(text)
		for _, id := range ids {
			own, from = append(own, id), from+len(a.Teacher.Bytes[id])
			ends[boundary{at.segment, from}] = len(own)
		}
		text = nil
	}
	for _, id := range tokens {
		begins = append(begins, at)
		if b := a.Student.Bytes[id]; len(b) > 0 {
			text, at.offset = append(text, b...), at.offset+len(b)
			continue
		}
		spell()
		if of, ok := counterpart(id); ok {
			own, at = append(own, of), boundary{at.segment + 1, 0}
			ends[at] = len(own)
		} else {
			begins[len(begins)-1] = boundary{-1, 0}
		}
	}
	spell()
	for _, b := range begins {
		read = append(read, ends[b])
	}
	return own, read
}

// outcomesOf adds probabilities up over what their tokens begin with.
func outcomesOf(v Vocabulary, logP []float64) map[string]float64 {
	of := map[string]float64{}
	for id, b := range v.Bytes {
		name := "special"
		if slices.Contains(v.Ends, int32(id)) {
			name = "end"
		} else if len(b) > 0 {
			name = string(b[:1])
		}
		of[name] += math.Exp(logP[id])
	}
	return of
}

// nextLogs are the log-probabilities of the outcomes that both vocabularies have.
func nextLogs(a Alignment, teacher, student []float64) (lp, lq []float64) {
	p, q := outcomesOf(a.Teacher, teacher), outcomesOf(a.Student, student)
	var sumP, sumQ float64
	for name := range p {
		if q[name] > 0 {
			sumP, sumQ = sumP+p[name], sumQ+q[name]
		}
	}
	for name := range p {
		if q[name] > 0 {
			lp, lq = append(lp, math.Log(p[name]/sumP)), append(lq, math.Log(q[name]/sumQ))
		}
	}
	return lp, lq
}

// alignedDefinition is an objective with a teacher of another vocabulary from its definition, in
// float64, and the share of the answer tokens that are compared.
func alignedDefinition(o Objective, a Alignment, student, teacher *reference, examples []Example) (loss, share float64) {
	var answerD, answers, compared, labelCE, labels, sequenceD, sequenceCE, sequence, sequenceCompared float64
	for _, e := range examples {
		own, read := sharedBoundaries(a, e.Tokens)
		q, p := student.states(e.Tokens), teacher.states(own)
		for t := 1; t < len(e.Tokens); t++ {
			w, lq := float64(e.weight(t)), student.logP(q[len(q)-1][t-1])
			d, known := 0.0, 0.0
			if read[t] > 0 {
				lp, lq := nextLogs(a, teacher.logP(p[len(p)-1][read[t]-1]), lq)
				d, known = bruteDivergence(o, e.Origin, lp, lq), w
			}
			if e.Answer[t] {
				answerD, answers, compared = answerD+w*d, answers+w, compared+known
			}
			if e.Origin == OfStudent {
				continue
			}
			ce := -lq[e.Tokens[t]]
			sequenceD, sequenceCE, sequence, sequenceCompared = sequenceD+w*d, sequenceCE+w*ce, sequence+w, sequenceCompared+known
			if e.Answer[t] {
				labelCE, labels = labelCE+w*ce, labels+w
			}
		}
	}
	whole := sequenceCE / sequence
	if o.SequenceLoss == SequenceMixture {
		whole = (1-o.CE)*sequenceD/sequenceCompared + o.CE*whole
	}
	return (1-o.Sequence)*((1-o.CE)*answerD/compared+o.CE*labelCE/labels) + o.Sequence*whole, compared / answers
}

// alignedExamples are mixedExamples of the student's tokens.
func alignedExamples(n int, seed uint64) []Example {
	examples := mixedExamples(n, 9, seed)
	for i := range examples {
		for t := range examples[i].Tokens { // fewer special tokens
			if id := &examples[i].Tokens[t]; *id >= 5 && (t+i)%3 > 0 {
				*id -= 5
			}
		}
	}
	return examples
}

func alignedObjectives() []Objective {
	var list []Objective
	for _, base := range []Objective{
		{Divergence: ForwardKL}, {Divergence: ReverseKL}, {Divergence: JSD, Parameter: 0.3}, {Divergence: NormalizedJSD, Parameter: 0.2},
		{Divergence: SkewForwardKL, Parameter: 0.1}, {Divergence: SkewReverseKL, Parameter: 0.1}, {Divergence: SkewPair, Parameter: 0.1}, {Divergence: TotalVariation},
	} {
		plain, mixed := base, base
		plain.CE, plain.Sequence = 0.1, 0.05
		mixed.CE, mixed.Sequence, mixed.SequenceLoss = 0.2, 0.3, SequenceMixture
		list = append(list, plain, mixed, base)
	}
	return list
}

// TestAlignedAgainstDefinition: every divergence, weights and origins, in passes and chunks of any
// size.
func TestAlignedAgainstDefinition(t *testing.T) {
	a, examples := unlike(), alignedExamples(14, 3)
	// a head of the student's is padded, and one of the teacher's
	student, teacher := tinyModel(t, tinyConfig(9, 8), 1), tinyModel(t, tinyConfig(12, 12), 2)
	for _, o := range alignedObjectives() {
		want, share := alignedDefinition(o, a, newReference(student), newReference(teacher), examples)
		if share < 0.3 || share > 0.9 {
			t.Fatalf("%.2f of the tokens are compared: expected some and not all", share)
		}
		for _, c := range [][2]int{{0, 0}, {1, 1}, {3, 30}} {
			tr := alignedTrainer(t, o, student, newAligned(t, teacher, a), c[0], c[1])
			total, err := preparedGradient(tr, examples)
			if err != nil || math.Abs(total.loss-want) > 1e-5*(1+want) {
				t.Errorf("%s, chunks of %d in passes of %d: loss %v, by definition %v, %v", o.Formula(), c[0], c[1], total.loss, want, err)
			}
			if n := tr.countOwn(examples); math.Abs(n.compared()/n.answers-share) > 1e-12 {
				t.Errorf("%.3f of the answer tokens are compared, by definition %.3f", n.compared()/n.answers, share)
			}
		}
	}
}

// TestAlignedGradientAgainstCentralDifferences: the whole loss in float64 with respect to each
// weight of the student.
func TestAlignedGradientAgainstCentralDifferences(t *testing.T) {
	a, examples := unlike(), alignedExamples(5, 4)
	c := tinyConfig(9, 4)
	c.Layers = model.Uniform(1, 2, 1, 5)
	student, teacher := tinyModel(t, c, 1), tinyModel(t, tinyConfig(12, 6), 2)
	ofTeacher := newReference(teacher)
	for _, o := range []Objective{
		{Divergence: ForwardKL, CE: 0.2}, {Divergence: ReverseKL, Sequence: 0.3, SequenceLoss: SequenceMixture}, {Divergence: JSD, Parameter: 0.3}, {Divergence: SkewPair, Parameter: 0.1, CE: 0.1},
	} {
		tr := alignedTrainer(t, o, student, newAligned(t, teacher, a), 3, 20)
		if _, err := preparedGradient(tr, examples); err != nil {
			t.Fatal(err)
		}
		of, at := newReference(student), 0
		for _, p := range student.Parameters() {
			worst, most := 0.0, 0.0
			for i := at; i < at+len(p.Data); i++ {
				const step = 1e-5
				v := of.flat[i]
				of.flat[i] = v + step
				up, _ := alignedDefinition(o, a, of, ofTeacher, examples)
				of.flat[i] = v - step
				down, _ := alignedDefinition(o, a, of, ofTeacher, examples)
				of.flat[i] = v
				want := (up - down) / (2 * step)
				worst, most = max(worst, math.Abs(float64(tr.gradients.Flat[i])-want)), max(most, math.Abs(want))
			}
			if !(worst <= 2e-5*most+1e-6) || most == 0 {
				t.Errorf("%s: the gradient of %s differs by %.3g of %.3g", o.Formula(), p.Name, worst, most)
			}
			at += len(p.Data)
		}
	}
}

// singleBytes is the alignment of a vocabulary of n single bytes with itself.
func singleBytes(n int) Alignment {
	var texts []string
	for i := range n {
		texts = append(texts, string([]byte{byte(250 - 7*i)}))
	}
	v := vocabularyOf(texts...)
	return Alignment{Student: v, Teacher: v, Encode: longestFirst(v)}
}

// TestAlignedSingleBytesAreTokens: with equal vocabularies of single bytes the loss and its
// gradient are those of the model as an ordinary teacher, within 1e-6; heads may be padded.
func TestAlignedSingleBytesAreTokens(t *testing.T) {
	examples := mixedExamples(9, 13, 3)
	for _, padding := range [][2]int{{0, 0}, {3, 0}, {0, 4}} {
		student, teacher := tinyModel(t, tinyConfig(13+padding[0], 8), 1), tinyModel(t, tinyConfig(13+padding[1], 12), 2)
		for _, o := range alignedObjectives() {
			plain := alignedTrainer(t, o, student, inMemory(teacher), 5, 40)
			aligned := alignedTrainer(t, o, student, newAligned(t, teacher, singleBytes(13)), 5, 40)
			want, err := preparedGradient(plain, examples)
			if err != nil {
				t.Fatal(err)
			}
			got, err := preparedGradient(aligned, examples)
			if err != nil || math.Abs(got.loss-want.loss) > 1e-6*(1+want.loss) || math.Abs(got.divergence-want.divergence) > 1e-6*(1+want.divergence) {
				t.Errorf("%s, padded by %v: %+v, as an ordinary teacher %+v, %v", o.Formula(), padding, got, want, err)
			}
			if diff := largestDifference(aligned.gradients.Flat, plain.gradients.Flat); diff > 1e-6*(1+largest(plain.gradients.Flat)) {
				t.Errorf("%s, padded by %v: gradients differ by %v of %v", o.Formula(), padding, diff, largest(plain.gradients.Flat))
			}
		}
	}
}

// TestAlignedIsALowerBound: for equal vocabularies whose tokens have several bytes, over random
// models, the divergence is at most that over tokens, token by token and for each divergence
// (data-processing inequality), and often less.
func TestAlignedIsALowerBound(t *testing.T) {
	// no token begins another: a text is one sequence of tokens
	v := vocabularyOf("a1", "a2", "a3\xc3", "b1", "b2", "c", "</s>", "", "")
	a := Alignment{Student: v, Teacher: v, Encode: longestFirst(v), Specials: map[int32]int32{7: 7, 8: 8}}
	less := 0
	for trial := range 40 {
		student, teacher := tinyModel(t, tinyConfig(9, 8), uint64(trial)), tinyModel(t, tinyConfig(9, 12), uint64(trial+100))
		for _, e := range mixedExamples(3, 9, uint64(trial)) {
			for at := 1; at < len(e.Tokens); at++ {
				e.Answer, e.Weights = make([]bool, len(e.Tokens)), nil
				e.Answer[at] = true
				o := alignedObjectives()[3*(trial%8)+2] // the divergence alone
				want, err := preparedGradient(alignedTrainer(t, o, student, inMemory(teacher), 0, 0), []Example{e})
				if err != nil {
					t.Fatal(err)
				}
				got, err := preparedGradient(alignedTrainer(t, o, student, newAligned(t, teacher, a), 0, 0), []Example{e})
				if err != nil || got.loss > want.loss+1e-6*(1+want.loss) || got.loss < -1e-6 {
					t.Fatalf("trial %d, %s: %v, over tokens %v, %v", trial, o, got.loss, want.loss, err)
				}
				if got.loss < 0.9*want.loss {
					less++
				}
			}
		}
	}
	if less < 100 {
		t.Errorf("%d divergences are less by a tenth: the bound was not tested", less)
	}
}

// tableModel is a model whose distribution after each token is a row of logP [token][next].
func tableModel(t testing.TB, logP [][]float64) *model.Model {
	t.Helper()
	n := len(logP)
	c := tinyConfig(n, n)
	c.TiedHead, c.Layers = false, model.Uniform(1, 1, 1, 2)
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	root := math.Sqrt(float64(n))
	head := m.Head.Float32()
	for i := range n {
		m.Embedding[i*n+i] = float32(root) // the norm makes it √n/√(1 + ε)
		for v := range n {
			head[v*n+i] = float32(logP[i][v] / root * math.Sqrt(1+float64(c.NormEps)))
		}
	}
	m.Changed()
	return m
}

// chain is a Markov chain over bytes: the distribution after each, and at first in the last row.
type chain [][]float64

func drawChain(n int, seed uint64) chain {
	rng := rand.New(rand.NewPCG(seed, 3))
	c := make(chain, n+1)
	for i := range c {
		sum := 0.0
		for range n {
			c[i] = append(c[i], math.Exp(rng.NormFloat64()))
			sum += c[i][len(c[i])-1]
		}
		for j := range c[i] {
			c[i][j] /= sum
		}
	}
	return c
}

// never is the log-probability of what a chain does not do.
const never = -60

// byBytes is the chain as a model of single bytes and, last, a BOS.
func (c chain) byBytes(t testing.TB) *model.Model {
	var rows [][]float64
	for _, p := range c {
		row := make([]float64, len(c))
		for i := range row {
			if row[i] = never; i < len(p) {
				row[i] = math.Log(p[i])
			}
		}
		rows = append(rows, row)
	}
	return tableModel(t, rows)
}

// byPairs is the chain as a model whose tokens are single bytes, all pairs of bytes, and a BOS: of
// the share merged the next two bytes are a token.
func (c chain) byPairs(t testing.TB, merged float64) *model.Model {
	n := len(c) - 1
	var rows [][]float64
	for id := range n + n*n + 1 {
		last := id // the byte that a token ends with
		if id >= n {
			last = (id - n) % n
		}
		if id == n+n*n {
			last = n
		}
		row := make([]float64, n+n*n+1)
		for x, p := range c[last] {
			row[x] = math.Log(p * (1 - merged))
			for y, next := range c[x] {
				row[n+x*n+y] = math.Log(p * merged * next)
			}
		}
		row[n+n*n] = never
		rows = append(rows, row)
	}
	return tableModel(t, rows)
}

// chainAlignment is that of byBytes and byPairs; a text is divided into tokens as it comes.
func chainAlignment(n int) Alignment {
	var student, teacher []string
	letter := func(i int) string { return string([]byte{byte('a' + i)}) }
	for i := range n {
		student = append(student, letter(i))
	}
	teacher = slices.Clone(student)
	for i := range n {
		for j := range n {
			teacher = append(teacher, letter(i)+letter(j))
		}
	}
	encode := func(text []byte) (ids []int32, err error) {
		for i := 0; i < len(text); {
			x := int32(text[i] - 'a')
			if (i*i+len(text))%3 == 0 || i+1 == len(text) {
				ids, i = append(ids, x), i+1
			} else {
				ids, i = append(ids, int32(n)+x*int32(n)+int32(text[i+1]-'a')), i+2
			}
		}
		return ids, nil
	}
	return Alignment{
		Student: vocabularyOf(append(student, "")...), Teacher: vocabularyOf(append(teacher, "")...), Encode: encode,
		Specials: map[int32]int32{int32(n): int32(n + n*n)},
	}
}

// chainExamples are texts of a chain behind a BOS.
func chainExamples(c chain, count int) []Example {
	rng := rand.New(rand.NewPCG(8, 8))
	n := len(c) - 1
	var examples []Example
	for range count {
		e := Example{Tokens: []int32{int32(n)}, Answer: []bool{false}}
		for range 5 + rng.IntN(30) {
			u, next := rng.Float64(), 0
			for p := c[e.Tokens[len(e.Tokens)-1]]; next < n-1 && u > p[next]; next++ {
				u -= p[next]
			}
			e.Tokens, e.Answer = append(e.Tokens, int32(next)), append(e.Answer, true)
		}
		examples = append(examples, e)
	}
	return examples
}

// TestAlignedMarkovChain: a teacher of merged tokens and a student of bytes that are one Markov
// chain have divergence 0 where both begin a token; another chain as the student has the KL of the
// chains' rows there.
func TestAlignedMarkovChain(t *testing.T) {
	const n = 4
	c, other, a := drawChain(n, 1), drawChain(n, 2), chainAlignment(n)
	teacher, examples := c.byPairs(t, 0.6), chainExamples(c, 12)
	var sum, compared, answers float64
	for _, e := range examples {
		_, read := sharedBoundaries(a, e.Tokens)
		for at, answer := range e.Answer {
			if !answer {
				continue
			}
			answers++
			if read[at] == 0 {
				continue
			}
			compared++
			for x, p := range c[e.Tokens[at-1]] {
				sum += p * math.Log(p/other[e.Tokens[at-1]][x])
			}
		}
	}
	o := Objective{Divergence: ForwardKL}
	tr := alignedTrainer(t, o, c.byBytes(t), newAligned(t, teacher, a), 0, 0)
	total, err := preparedGradient(tr, examples)
	if err != nil || math.Abs(total.loss) > 1e-6 || largest(tr.gradients.Flat) > 1e-6 {
		t.Errorf("the chain itself: divergence %v, largest gradient %v, %v", total.loss, largest(tr.gradients.Flat), err)
	}
	if own := tr.countOwn(examples); own.compared() != compared || own.answers != answers || compared > 0.8*answers {
		t.Errorf("%v of %v answer tokens are compared, expected %v of %v", own.compared(), own.answers, compared, answers)
	}
	tr = alignedTrainer(t, o, other.byBytes(t), newAligned(t, teacher, a), 0, 0)
	if total, err := preparedGradient(tr, examples); err != nil || math.Abs(total.loss-sum/compared) > 1e-5*sum/compared {
		t.Errorf("another chain: divergence %v, of its rows %v, %v", total.loss, sum/compared, err)
	}
}

// TestAlignedTeaches: a student of bytes learns from a teacher of pairs, and each step says which
// share of the tokens was compared; restored, it goes on with the same bits.
func TestAlignedTeaches(t *testing.T) {
	c := drawChain(4, 1)
	config := func() TrainConfig {
		return TrainConfig{
			Student: tinyModel(t, tinyConfig(5, 16), 3), Teacher: newAligned(t, c.byPairs(t, 0.6), chainAlignment(4)), Objective: Objective{Divergence: ForwardKL},
			Next: Shuffle(chainExamples(c, 40), 8, 1), Steps: 120, LearningRate: 1e-2, WarmUp: 5, Floor: 0.05,
		}
	}
	tr := newTrainer(t, config())
	advance(t, tr, 1)
	first := tr.Result().Last
	advance(t, tr, 59)
	half := saved(t, tr)
	advance(t, tr, 60)
	last := tr.Result().Last
	if last.Divergence > 0.02*first.Divergence || !(last.Compared > 0.4 && last.Compared < 0.8) {
		t.Errorf("from %+v to %+v", first, last)
	}
	again := newTrainer(t, config())
	if err := again.Restore(bytes.NewReader(half)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(saved(t, again), half) || !(again.Result().Last.Compared > 0) {
		t.Error("a state that is restored and saved is another")
	}
	advance(t, again, 60)
	if !bytes.Equal(saved(t, again), saved(t, tr)) {
		t.Error("a restored training ends otherwise")
	}
	s, err := newTrainer(t, config()).Signal(t.Context(), -1)
	if err != nil || math.Abs(s.Divergence-first.Divergence) > 1e-6 || s.Compared == 0 || s.Compared >= s.Answers {
		t.Errorf("signal %+v, %v, the first step's divergence is %v", s, err, first.Divergence)
	}
}

// TestApartTokensChangeNothing: answer tokens that do not begin where a token of the teacher does
// leave every bit of the divergence as if they were masked, whatever the teacher says around them.
func TestApartTokensChangeNothing(t *testing.T) {
	a, examples := unlike(), alignedExamples(14, 3)
	student, teacher := tinyModel(t, tinyConfig(9, 8), 1), tinyModel(t, tinyConfig(12, 12), 2)
	for _, o := range []Objective{{Divergence: ForwardKL}, {Divergence: JSD, Parameter: 0.4}} {
		plain := alignedTrainer(t, o, student, newAligned(t, teacher, a), 0, 0)
		want, err := preparedGradient(plain, examples)
		if err != nil {
			t.Fatal(err)
		}
		masked, apart := slices.Clone(examples), 0
		for i := range masked {
			e := &masked[i]
			weights := make([]float32, len(e.Tokens))
			for at, compared := range plain.comparer.Compared(e) {
				if weights[at] = e.weight(at); !compared && e.Answer[at] {
					weights[at] = 0
					apart++
				}
			}
			e.Weights = weights
		}
		tr := alignedTrainer(t, o, student, newAligned(t, teacher, a), 0, 0)
		got, err := preparedGradient(tr, masked)
		if err != nil || apart == 0 {
			t.Fatalf("%d tokens are masked, %v", apart, err)
		}
		if math.Abs(got.loss-want.loss) > 1e-12 || largestDifference(tr.gradients.Flat, plain.gradients.Flat) > 1e-7*largest(plain.gradients.Flat) {
			t.Errorf("%s: %d tokens that are not compared change the loss from %v to %v, or the gradient by %v", o, apart, got.loss, want.loss, largestDifference(tr.gradients.Flat, plain.gradients.Flat))
		}
	}
}

// TestAlignedBoundaries: which tokens are compared, where texts end within a character, special
// tokens stand, the teacher's tokenizer changes the text, or its positions end.
func TestAlignedBoundaries(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(12, 6), 2)
	a := unlike()
	lower := a
	lower.Encode = func(text []byte) ([]int32, error) { return a.Encode(bytes.ReplaceAll(text, []byte("c"), []byte("b"))) }
	surrounded := a
	surrounded.Encode = func(text []byte) ([]int32, error) {
		ids, err := a.Encode(text)
		return append([]int32{0}, ids...), err
	}
	longer := a
	longer.Encode = func(text []byte) ([]int32, error) { return a.Encode(append(bytes.Clone(text), 'b')) }
	bare := a
	bare.Begin = nil
	for _, c := range []struct {
		name      string
		alignment Alignment
		tokens    []int32
		own, read []int32
	}{
		{"one text", a, []int32{0, 1, 0, 1}, []int32{0, 3, 2}, []int32{1, 0, 0, 2}},
		{"merged by the student", a, []int32{2, 3, 1}, []int32{0, 1, 4, 1, 2}, []int32{1, 0, 4}},
		{"no character", a, []int32{4, 4, 0}, []int32{0, 2, 9, 5, 1}, []int32{1, 0, 4}},
		{"an end within", a, []int32{0, 5, 0}, []int32{0, 1, 6, 1}, []int32{1, 2, 3}},
		{"two ends", a, []int32{5, 5}, []int32{0, 6, 6}, []int32{1, 2}},
		{"special with a counterpart", a, []int32{0, 8, 1}, []int32{0, 1, 11, 2}, []int32{1, 2, 3}},
		{"special without", a, []int32{0, 6, 1}, []int32{0, 1, 2}, []int32{1, 0, 2}},
		{"no first token", bare, []int32{0, 7, 5}, []int32{1, 8, 6}, []int32{0, 1, 2}},
		{"a changed text", lower, []int32{0, 0, 7, 1, 5, 1}, []int32{0, 1, 1, 4, 6, 2}, []int32{1, 2, 3, 0, 0, 5}},
		{"two ends behind a changed text", lower, []int32{0, 7, 5, 5}, []int32{0, 1, 2, 6, 6}, []int32{1, 2, 0, 4}},
		{"tokens around the text", surrounded, []int32{0, 1}, []int32{0, 0, 1, 2}, []int32{1, 0}},
		{"a longer text", longer, []int32{0, 5, 0}, []int32{0, 1, 2, 6, 1, 2}, []int32{1, 0, 4}},
	} {
		of, err := newAligned(t, teacher, c.alignment).align(c.tokens)
		if err != nil || !slices.Equal(of.tokens, c.own) || !slices.Equal(of.read, c.read) {
			t.Errorf("%s: the teacher reads %v, boundaries %v, expected %v and %v, %v", c.name, of.tokens, of.read, c.own, c.read, err)
		}
	}
	rng, of := rand.New(rand.NewPCG(4, 4)), newAligned(t, teacher, a)
	for range 500 {
		tokens := make([]int32, rng.IntN(20))
		for i := range tokens {
			tokens[i] = int32(rng.IntN(9))
		}
		own, read := sharedBoundaries(a, tokens)
		got, err := of.align(tokens)
		if err != nil || !slices.Equal(got.tokens, own) {
			t.Fatalf("%v: the teacher reads %v, by definition %v, %v", tokens, got.tokens, own, err)
		}
		for i, n := range got.read {
			if int(n) != read[i] || got.compared[i] != (n > 0) {
				t.Fatalf("%v: boundaries %v, by definition %v", tokens, got.read, read)
			}
		}
	}
	short := tinyConfig(12, 6)
	short.MaxPositions = 3
	if got, err := newAligned(t, tinyModel(t, short, 2), a).align([]int32{0, 7, 7, 7, 7}); err != nil || !slices.Equal(got.read, []int32{1, 2, 3, 0, 0}) {
		t.Errorf("three positions: boundaries %v, %v", got.read, err)
	}
	examples := []Example{{Tokens: []int32{0, 7, 7, 7, 7}, Answer: []bool{false, true, true, true, true}}}
	tr := alignedTrainer(t, Objective{Divergence: ForwardKL}, tinyModel(t, tinyConfig(9, 8), 1), newAligned(t, tinyModel(t, short, 2), a), 0, 0)
	if _, err := preparedGradient(tr, examples); err != nil || tr.countOwn(examples).compared() != 2 {
		t.Errorf("three positions: %v answer tokens are compared, %v", tr.countOwn(examples).compared(), err)
	}
}

// TestAlignedRows: rows of more targets than a chunk of the teacher's has are those of each alone,
// and logits exist for a chunk only.
func TestAlignedRows(t *testing.T) {
	const vocab = 1 << 14
	chunk := chunkRows(vocab)
	v := Vocabulary{Bytes: make([][]byte, vocab), Ends: []int32{0}}
	for id := range v.Bytes {
		v.Bytes[id] = []byte{byte(id), byte(id >> 8)}
	}
	encode := func(text []byte) (ids []int32, err error) {
		for ; len(text) > 0; text = text[2:] {
			ids = append(ids, int32(text[0])|int32(text[1])<<8)
		}
		return ids, nil
	}
	teacher := newAligned(t, tinyModel(t, tinyConfig(vocab, 4), 2), Alignment{Student: v, Teacher: v, Encode: encode})
	e := Example{Tokens: []int32{5}, Answer: []bool{false}}
	var examples []Example
	var reading Reading
	var targets []Target
	reading.Batch.Starts = []int{0}
	for i := 1; i < 60; i++ {
		e.Tokens, e.Answer = append(e.Tokens, int32(300+i)), append(e.Answer, true)
	}
	for range 2*chunk/59 + 1 {
		examples = append(examples, e)
		for at := 1; at < len(e.Tokens); at++ {
			targets = append(targets, Target{Example: len(examples) - 1, Token: at})
		}
		reading.Batch.Tokens = append(reading.Batch.Tokens, e.Tokens[:59]...)
		reading.Batch.Starts = append(reading.Batch.Starts, len(reading.Batch.Tokens))
	}
	reading.Examples = examples
	if err := teacher.Prepare(t.Context(), examples); err != nil {
		t.Fatal(err)
	}
	if err := teacher.Read(t.Context(), reading); err != nil {
		t.Fatal(err)
	}
	of, err := teacher.Rows(targets, vocab)
	if err != nil {
		t.Fatal(err)
	}
	all, count := slices.Clone(of.Groups.LogP), of.Groups.Count
	if len(targets) < 2*chunk || cap(teacher.teacher.rows.logits) > chunk*vocab {
		t.Errorf("%d targets, and memory for %d logits, expected more than %d and at most %d", len(targets), cap(teacher.teacher.rows.logits), 2*chunk, chunk*vocab)
	}
	for i := 0; i < len(targets); i += 97 {
		of, err := teacher.Rows(targets[i:i+1], vocab)
		if err != nil || !sameBits(of.Groups.LogP, all[i*count:(i+1)*count]) {
			t.Errorf("row %d alone is another, %v", i, err)
		}
	}
}

// TestRanksOfAligned: ranks whose parts have unlike shares of compared tokens have one rank's loss.
func TestRanksOfAligned(t *testing.T) {
	examples, a := alignedExamples(9, 3), unlike()
	config := func(g Group, batch []Example) TrainConfig {
		return TrainConfig{
			Student: tinyModel(t, tinyConfig(9, 8), 1), Teacher: newAligned(t, tinyModel(t, tinyConfig(12, 12), 2), a),
			Objective: Objective{Divergence: ForwardKL, CE: 0.1, Sequence: 0.2, SequenceLoss: SequenceMixture}, Next: fixed(batch...), Steps: 2, LearningRate: 1e-3, Group: g,
		}
	}
	whole := newTrainer(t, config(nil, examples))
	advance(t, whole, 1)
	want := whole.Result().Last
	parts := unevenParts(examples, 3)
	for rank, err := range onRanks(3, func(g Group) error {
		tr, err := NewTrainer(config(g, parts[g.Rank()]))
		if err != nil {
			return err
		}
		got, err := tr.Step(context.Background())
		if err == nil && (math.Abs(got.Loss-want.Loss) > 1e-6 || math.Abs(got.Divergence-want.Divergence) > 1e-6 || math.Abs(got.Compared-want.Compared) > 1e-9 || math.Abs(got.GradNorm-want.GradNorm) > 1e-5) {
			t.Errorf("rank %d: %+v, one rank has %+v", g.Rank(), got, want)
		}
		return err
	}) {
		if err != nil {
			t.Fatalf("rank %d: %v", rank, err)
		}
	}
}

// TestAlignedRefuses: what makes no sense says why.
func TestAlignedRefuses(t *testing.T) {
	teacher, student := tinyModel(t, tinyConfig(12, 6), 2), tinyModel(t, tinyConfig(9, 8), 1)
	for _, c := range []struct {
		change func(*Alignment)
		want   string
	}{
		{func(a *Alignment) { a.Encode = nil }, "no function that encodes"},
		{func(a *Alignment) { a.Student.Ends = []int32{9} }, "the student's vocabulary: end token 9 of a vocabulary of 9"},
		{func(a *Alignment) { a.Teacher.Ends = []int32{-1} }, "the teacher's vocabulary: end token -1"},
		{func(a *Alignment) { a.Begin = []int32{12} }, "token 12 is outside the teacher's vocabulary of 12"},
		{func(a *Alignment) { a.Specials = map[int32]int32{0: 0} }, "token 0 has a counterpart, and is no special token"},
		{func(a *Alignment) { a.Specials = map[int32]int32{6: 99} }, "counterpart of the student's token 6: token 99 is outside"},
		{func(a *Alignment) { a.Student, a.Specials = vocabularyOf("x", "y"), nil }, "no token of the student begins as"},
	} {
		a := unlike()
		c.change(&a)
		if _, err := NewAligned(NewModelTeacher(teacher, kernels.Float32), a); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
	for _, c := range []struct {
		o    Objective
		want string
	}{
		{Objective{Divergence: SampledReverseKL}, "loss sampled-rkl needs the teacher's probability of the token"},
		{Objective{Divergence: WeightedReverseKL, Parameter: 2}, "choose rkl"},
		{Objective{Divergence: ForwardKL, Temperature: 2}, "at temperature 2, expected 1"},
		{Objective{Divergence: ForwardKL, Hidden: HiddenLoss{Weight: 1}}, "a model in memory with the student's tokens"},
	} {
		_, err := NewTrainer(TrainConfig{Student: student, Teacher: newAligned(t, teacher, unlike()), Objective: c.o, Next: fixed(), Steps: 1, LearningRate: 1})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.o, err, c.want)
		}
	}
	own := unlike()
	own.Student, own.Specials = own.Teacher, nil
	if _, err := NewTrainer(TrainConfig{Student: teacher, Teacher: newAligned(t, teacher, own), Objective: Objective{Divergence: ForwardKL}, Next: fixed(), Steps: 1, LearningRate: 1}); err == nil || !strings.Contains(err.Error(), "the student itself") {
		t.Errorf("a student that is its own teacher: error %v", err)
	}
	broken := unlike()
	for want, encode := range map[string]func([]byte) ([]int32, error){
		"example 1: the teacher's tokens of its text: no token":                      func([]byte) ([]int32, error) { return nil, errors.New("no token") },
		"example 1: the teacher's tokens of its text: token 12 is outside the teach": func([]byte) ([]int32, error) { return []int32{12}, nil },
	} {
		broken.Encode = encode
		err := newAligned(t, teacher, broken).Prepare(t.Context(), []Example{{}, {Tokens: []int32{1}, Answer: []bool{false}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	if err := newAligned(t, teacher, unlike()).Prepare(t.Context(), []Example{{Tokens: []int32{0, 9}}}); err == nil || !strings.Contains(err.Error(), "token 9 at position 1") {
		t.Errorf("a token that the student lacks: error %v", err)
	}
	if err := newAligned(t, teacher, unlike()).Read(t.Context(), Reading{Examples: []Example{{Tokens: []int32{0, 1}}}, Batch: model.Batch{Starts: []int{0, 1}}}); err == nil || !strings.Contains(err.Error(), "not prepared") {
		t.Errorf("an example that was not prepared: error %v", err)
	}

	// nothing to compare: "ab|a" is one token to the teacher
	apart := []Example{{Tokens: []int32{0, 1, 0}, Answer: []bool{false, true, true}}}
	tr := newTrainer(t, TrainConfig{Student: student, Teacher: newAligned(t, teacher, unlike()), Objective: Objective{Divergence: ForwardKL}, Next: fixed(apart...), Steps: 1, LearningRate: 1})
	if _, err := tr.Signal(t.Context(), -1); !errors.Is(err, ErrNoSignal) || !strings.Contains(err.Error(), "none of the 2 answer tokens begins where") {
		t.Errorf("nothing to compare: error of Signal %v", err)
	}
	if _, err := tr.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "none of its answer tokens begins where") {
		t.Errorf("nothing to compare: error of a step %v", err)
	}
	tr = newTrainer(t, TrainConfig{Student: student.Clone(), Teacher: newAligned(t, teacher, unlike()), Objective: Objective{Divergence: ForwardKL, CE: 0.5}, Next: fixed(apart...), Steps: 1, LearningRate: 1e-3})
	if s, err := tr.Step(t.Context()); err != nil || s.Compared != 0 || !math.IsNaN(s.Divergence) || !(s.CE > 0) {
		t.Errorf("nothing to compare beside a cross-entropy: %+v, %v", s, err)
	}

	mixture, err := NewMixture([]Teacher{newAligned(t, teacher, unlike())}, [][]float64{{1}})
	if err != nil {
		t.Fatal(err)
	}
	tr = newTrainer(t, TrainConfig{Student: student, Teacher: mixture, Objective: Objective{Divergence: ForwardKL}, Next: fixed(alignedExamples(3, 1)...), Steps: 1, LearningRate: 1})
	if _, err := tr.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "groups of tokens") {
		t.Errorf("in a mixture: error %v", err)
	}
}

// TestNotesOfAligned: tokens that are not compared are said.
func TestNotesOfAligned(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(12, 6), 2)
	if got := newAligned(t, teacher, unlike()).Notes(); len(got) != 1 || got[0] != "0 of the student's 9 tokens and 2 of the teacher's 12 begin as none of the other's do: their probabilities are not compared" {
		t.Errorf("notes %q", got)
	}
	a := unlike()
	a.Student.Ends = nil
	if got := newAligned(t, teacher, a).Notes(); len(got) != 1 || !strings.Contains(got[0], "does not teach where to end") {
		t.Errorf("notes %q", got)
	}
	if got := newAligned(t, tinyModel(t, tinyConfig(13, 6), 2), singleBytes(13)).Notes(); got != nil {
		t.Errorf("notes %q of equal vocabularies", got)
	}
}
