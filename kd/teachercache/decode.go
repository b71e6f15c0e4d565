package teachercache

import (
	"encoding/binary"
	"fmt"
	"math"

	"slimlab/internal/half"
	"slimlab/kd"
	"slimlab/kernels"
)

// reading is a place in a record.
type reading struct {
	data []byte
	bad  bool // it ended early, or a number has more than 64 bits
}

func (r *reading) take(n int) []byte {
	if n > len(r.data) {
		r.data, r.bad = nil, true
		return make([]byte, n)
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

func (r *reading) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.data, r.bad = nil, true
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reading) steps() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }

// record is the rows of an example.
type record struct {
	rows []([]byte) // each row's bytes
}

// entropies are those at a record's beginning.
func entropies(data []byte) (entropy, kept float64) {
	return float64(half.FromBFloat16(binary.LittleEndian.Uint16(data))), float64(half.FromBFloat16(binary.LittleEndian.Uint16(data[2:])))
}

// open finds the rows of a record. It checks every number, so that rows can be read without errors.
func (s Spec) open(data []byte, rows, vocab int) (record, error) {
	r := reading{data: data}
	r.take(entropyBytes)
	rec := record{}
	for i := 0; i < rows && !r.bad; i++ {
		before := r.data
		switch s.Codec {
		case Exact:
			if err := checkLogits(r.take(4 * min(vocab, len(r.data)/4+1))); err != nil {
				return rec, fmt.Errorf("%w: row %d: %w", ErrDamaged, i, err)
			}
		default:
			if err := s.checkList(&r, vocab); err != nil {
				return rec, fmt.Errorf("%w: row %d: %w", ErrDamaged, i, err)
			}
		}
		rec.rows = append(rec.rows, before[:len(before)-len(r.data)])
	}
	if r.bad || len(r.data) > 0 {
		return rec, fmt.Errorf("%w: a record of %d bytes does not hold the %d rows of its example", ErrDamaged, len(data), rows)
	}
	return rec, nil
}

func checkLogits(data []byte) error {
	zero := false
	for ; len(data) >= 4; data = data[4:] {
		z := math.Float32frombits(binary.LittleEndian.Uint32(data))
		if !(z <= 0) {
			return fmt.Errorf("a logit of %v, expected at most 0", z)
		}
		zero = zero || z == 0
	}
	if !zero {
		return fmt.Errorf("no logit is 0, as the largest is")
	}
	return nil
}

// checkList reads one row of tokens.
func (s Spec) checkList(r *reading, vocab int) error {
	n := r.uvarint()
	if n < 1 || n > uint64(vocab) {
		return fmt.Errorf("%d tokens of %d", n, vocab)
	}
	id, draws := uint64(0), uint64(0)
	for i := range n {
		step := r.uvarint()
		if i == 0 {
			step-- // the first is one more than its id
		}
		if step > uint64(vocab) || i > 0 && step == 0 || id+step >= uint64(vocab) {
			return fmt.Errorf("a token outside the vocabulary of %d, or out of order", vocab)
		}
		id += step
		if r.steps() == noMass {
			return fmt.Errorf("token %d has no mass", id)
		}
		if s.Codec == Sampled {
			count := r.uvarint()
			if count < 1 || count > uint64(s.Draws) {
				return fmt.Errorf("token %d was drawn %d times of %d", id, count, s.Draws)
			}
			draws += count
		}
		if r.bad {
			return fmt.Errorf("it ends early")
		}
	}
	switch {
	case s.Codec == Sampled && draws != uint64(s.Draws):
		return fmt.Errorf("%d draws, expected %d", draws, s.Draws)
	case s.Codec == Sampled && s.Power != 1:
		if z := math.Float32frombits(binary.LittleEndian.Uint32(r.take(4))); !(math.Abs(float64(z)) <= 64) {
			return fmt.Errorf("a logarithm of the proposal's sum of %v", z)
		}
	case s.Codec == TopK && !s.DropTail:
		r.steps()
	}
	return nil
}

// logits reads an Exact row's first tokens.
func logits(row []byte, into []float32) {
	for i := range into {
		into[i] = math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:]))
	}
}

// appendTo adds a row of TopK or Sampled to lists.
func (s Spec) appendTo(l *kd.Lists, row []byte) {
	r := reading{data: row}
	from := len(l.IDs)
	id := int32(-1)
	for range r.uvarint() {
		id += int32(r.uvarint())
		lp := fromSteps(r.steps())
		l.IDs = append(l.IDs, id)
		l.TokenLogP = append(l.TokenLogP, float32(lp))
		if s.Codec == Sampled {
			l.Weight = append(l.Weight, float32(float64(r.uvarint())/float64(s.Draws)))
		}
	}
	switch {
	case s.Codec == Sampled && s.Power != 1:
		logSum := float64(math.Float32frombits(binary.LittleEndian.Uint32(r.take(4))))
		for i := from; i < len(l.IDs); i++ {
			l.Weight[i] = float32(float64(l.Weight[i]) * math.Exp(logSum+(1-s.Power)*float64(l.TokenLogP[i])))
		}
	case s.Codec == TopK && !s.DropTail:
		l.LogRest = append(l.LogRest, float32(fromSteps(r.steps())))
	}
	l.Starts = append(l.Starts, int32(len(l.IDs)))
}

// rest is what the loss makes of the tokens that are not listed.
func (s Spec) rest() kernels.Rest {
	switch {
	case s.Codec == Sampled:
		return kernels.RestSampled
	case s.DropTail:
		return kernels.RestDropped
	}
	return kernels.RestBucket
}
