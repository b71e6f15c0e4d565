package teachercache

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"slimlab/internal/half"
)

// logStep is the step of kept log-probabilities in nats: its half is their largest error.
const logStep = 1.0 / 2048

// noMass stands for the logarithm of 0; others go to one less at most.
const noMass = math.MaxUint16

// toSteps rounds a log-probability.
func toSteps(lp float64) uint16 {
	if math.IsInf(lp, -1) {
		return noMass
	}
	return uint16(max(0, min(math.Round(-lp/logStep), noMass-1)))
}

func fromSteps(u uint16) float64 {
	if u == noMass {
		return math.Inf(-1)
	}
	return -float64(u) * logStep
}

// encoder writes the records of examples. Its buffers are for one row.
type encoder struct {
	spec  Spec
	vocab int
	logP  []float64
	heap  []int32 // the most likely tokens so far, the least likely first
	draws []float64

	record        []byte
	entropy, kept float64 // of the record's rows, in nats
}

func newEncoder(spec Spec, vocab int) *encoder {
	return &encoder{spec: spec.filled(), vocab: vocab, logP: make([]float64, vocab)}
}

// entropyBytes is the size of a record's beginning: the entropy of its rows and the part of it in
// the tokens that are kept.
const entropyBytes = 4

// begin begins a record.
func (e *encoder) begin() {
	e.record = append(e.record[:0], make([]byte, entropyBytes)...)
	e.entropy, e.kept = 0, 0
}

// end returns the record, valid until the next begin.
func (e *encoder) end() []byte {
	binary.LittleEndian.PutUint16(e.record, half.ToBFloat16(float32(e.entropy)))
	binary.LittleEndian.PutUint16(e.record[2:], half.ToBFloat16(float32(e.kept)))
	return e.record
}

// row adds a row of logits at temperature 1. The draws of Sampled depend on the Spec's seed, the
// key and the row's number alone.
func (e *encoder) row(logits []float32, k key, number int) error {
	most := float32(math.Inf(-1))
	for i, z := range logits {
		if z != z || math.IsInf(float64(z), 1) {
			return fmt.Errorf("the teacher's logit of token %d is %v", i, z)
		}
		most = max(most, z)
	}
	if math.IsInf(float64(most), -1) {
		return fmt.Errorf("all of the teacher's logits are %v", most)
	}
	e.normalize(logits, most)
	switch e.spec.Codec {
	case Exact:
		for i, z := range logits {
			e.record = binary.LittleEndian.AppendUint32(e.record, math.Float32bits(z-most))
			e.kept += surprise(e.logP[i])
		}
	case TopK:
		e.topK()
	case Sampled:
		e.sampled(rand.New(rand.NewPCG(e.spec.Seed^binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:])+uint64(number)*0x9e3779b97f4a7c15)))
	}
	return nil
}

// normalize sets logP to the log-probabilities at the temperature.
func (e *encoder) normalize(logits []float32, most float32) {
	var sum float64
	for i, z := range logits {
		e.logP[i] = (float64(z) - float64(most)) / e.spec.Temperature
		sum += math.Exp(e.logP[i])
	}
	logSum := math.Log(sum)
	for i := range e.logP {
		e.logP[i] -= logSum
		e.entropy += surprise(e.logP[i])
	}
}

// surprise is −p·log p.
func surprise(logP float64) float64 {
	if math.IsInf(logP, -1) {
		return 0
	}
	return -math.Exp(logP) * logP
}

// topK adds a row's most likely tokens, of equal ones the first, and the tail.
func (e *encoder) topK() {
	k := min(e.spec.K, e.vocab)
	e.heap = e.heap[:0]
	for id := range int32(e.vocab) {
		switch {
		case len(e.heap) < k:
			e.heap = append(e.heap, id)
			if len(e.heap) == k {
				for i := k/2 - 1; i >= 0; i-- {
					e.sift(i)
				}
			}
		case e.logP[id] > e.logP[e.heap[0]]:
			e.heap[0] = id
			e.sift(0)
		}
	}
	slices.Sort(e.heap)
	e.record = binary.AppendUvarint(e.record, uint64(k))
	before, next, tail := int32(-1), 0, 0.0
	for id := range int32(e.vocab) {
		if next == k || e.heap[next] != id {
			tail += math.Exp(e.logP[id])
			continue
		}
		next++
		e.token(id, before)
		before = id
	}
	if !e.spec.DropTail {
		e.record = binary.LittleEndian.AppendUint16(e.record, toSteps(math.Log(tail)))
	}
}

// token adds a token's distance from the one before and its log-probability.
func (e *encoder) token(id, before int32) {
	e.record = binary.AppendUvarint(e.record, uint64(id-before))
	e.record = binary.LittleEndian.AppendUint16(e.record, min(toSteps(e.logP[id]), noMass-1))
	e.kept += surprise(e.logP[id])
}

// worse orders the heap: the token that leaves first is the least likely, of equal ones the last.
func (e *encoder) worse(a, b int32) bool {
	if pa, pb := e.logP[a], e.logP[b]; pa != pb {
		return pa < pb
	}
	return a > b
}

func (e *encoder) sift(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(e.heap) && e.worse(e.heap[child], e.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		e.heap[i], e.heap[least] = e.heap[least], e.heap[i]
		i = least
	}
}

// sampled adds the tokens of independent draws from p^t/Σp^t, each once with its count. A token's
// weight is count/draws · p/(p^t/Σp^t), whose expectation is p; the logarithm of Σp^t is kept
// where t is not 1.
func (e *encoder) sampled(rng *rand.Rand) {
	t := e.spec.Power
	var total float64
	for _, lp := range e.logP {
		total += math.Exp(t * lp)
	}
	e.draws = e.draws[:0]
	for range e.spec.Draws {
		e.draws = append(e.draws, rng.Float64()*total)
	}
	slices.Sort(e.draws)
	at := len(e.record)
	var listed, next int
	before, sum := int32(-1), 0.0 // the sums are those of total, so the last is above every draw
	for id := range int32(e.vocab) {
		p := math.Exp(t * e.logP[id])
		sum += p
		count := 0
		for ; next < len(e.draws) && e.draws[next] < sum; next++ {
			count++
		}
		if count > 0 {
			e.token(id, before)
			e.record = binary.AppendUvarint(e.record, uint64(count))
			before, listed = id, listed+1
		}
		if next == len(e.draws) {
			break
		}
	}
	e.record = slices.Insert(e.record, at, binary.AppendUvarint(nil, uint64(listed))...)
	if t != 1 {
		e.record = binary.LittleEndian.AppendUint32(e.record, math.Float32bits(float32(math.Log(total))))
	}
}
