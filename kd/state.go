package kd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"slimlab/internal/stamped"
)

// stateMark begins a saved state; its last byte is the version of the form.
const stateMark = "slimkd\x00\x01"

// stateHeader is what a state holds beside its vectors.
type stateHeader struct {
	Step, Total, Tokens           int64
	Loss, CE, Divergence          float64
	LearningRate, GradNorm        float64
	Validation                    float64
	BestStep                      int64
	BestValidation                float64
	Stopped                       uint8
	Parameters, From, To, HasBest int64
	OptimizerStep                 int64
}

// Save writes the trainer's state between two steps: the student's parameters, this rank's moments,
// the best parameters and what Result returns, and the projections of a hidden-state loss with
// their moments. A trainer of the same config that restores it goes on to the same bits. The state
// of what gives the batches is the caller's.
func (t *Trainer) Save(w io.Writer) error {
	from, to := t.shard()
	last := t.result.Last
	h := stateHeader{
		Step: int64(last.Step), Total: int64(last.Total), Tokens: int64(last.Tokens), Loss: last.Loss, CE: last.CE, Divergence: last.Divergence,
		LearningRate: last.LearningRate, GradNorm: last.GradNorm, Validation: last.Validation,
		BestStep: int64(t.result.BestStep), BestValidation: t.result.BestValidation,
		Parameters: int64(t.parameters()), From: int64(from), To: int64(to), OptimizerStep: int64(t.optimizer.step),
	}
	if t.result.Stopped {
		h.Stopped = 1
	}
	if t.best != nil {
		h.HasBest = 1
	}
	err := stamped.Write(w, stateMark, func(out io.Writer) error {
		if err := binary.Write(out, binary.LittleEndian, &h); err != nil {
			return err
		}
		if err := writeFloats(out, t.flat, t.optimizer.m, t.optimizer.v, t.best); err != nil {
			return err
		}
		// These follow where a training has them, so that a state of one without is what it was.
		if t.hidden != nil {
			if err := binary.Write(out, binary.LittleEndian, last.Hidden); err != nil {
				return err
			}
			if err := writeFloats(out, t.hidden.state()...); err != nil {
				return err
			}
		}
		if t.comparer != nil {
			return binary.Write(out, binary.LittleEndian, last.Compared)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	return nil
}

// Restore reads what Save has written. A state of other parameters or another share of them, or one
// that is damaged, is an error, and leaves the trainer as it was.
func (t *Trainer) Restore(r io.Reader) error {
	var h stateHeader
	var flat, m, v, best []float32
	var projections [3][]float32 // and their moments
	hidden, compared := math.NaN(), math.NaN()
	err := stamped.Read(r, stateMark, func(in io.Reader) error {
		if err := binary.Read(in, binary.LittleEndian, &h); err != nil {
			return err
		}
		if err := t.checkState(&h); err != nil {
			return err
		}
		shard := int(h.To - h.From)
		flat, m, v = make([]float32, len(t.flat)), make([]float32, shard), make([]float32, shard)
		if h.HasBest == 1 {
			best = make([]float32, len(t.flat))
		}
		if err := readFloats(in, flat, m, v, best); err != nil {
			return err
		}
		if t.hidden != nil {
			if err := binary.Read(in, binary.LittleEndian, &hidden); err != nil {
				return err
			}
			for i, x := range t.hidden.state() {
				projections[i] = make([]float32, len(x))
			}
			if err := readFloats(in, projections[:]...); err != nil {
				return err
			}
		}
		if t.comparer != nil {
			return binary.Read(in, binary.LittleEndian, &compared)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	copy(t.flat, flat)
	copy(t.optimizer.m, m)
	copy(t.optimizer.v, v)
	if t.hidden != nil {
		for i, x := range t.hidden.state() {
			copy(x, projections[i])
		}
		t.hidden.optimizer.step = int(h.OptimizerStep)
	}
	t.best, t.optimizer.step = best, int(h.OptimizerStep)
	t.result = Result{
		Last: StepReport{
			Step: int(h.Step), Total: int(h.Total), Tokens: int(h.Tokens), Loss: h.Loss, CE: h.CE, Divergence: h.Divergence,
			LearningRate: h.LearningRate, GradNorm: h.GradNorm, Validation: h.Validation, Hidden: hidden, Compared: compared,
		},
		BestStep: int(h.BestStep), BestValidation: h.BestValidation, Stopped: h.Stopped == 1,
	}
	t.changed()
	return nil
}

// parameters is how many numbers the training learns: the projections of a hidden-state loss are
// counted, so that a state without them is another training's.
func (t *Trainer) parameters() int {
	n := len(t.flat)
	if t.hidden != nil {
		n += len(t.hidden.flat)
	}
	return n
}

// checkState reports the state of another training, before memory is taken for it.
func (t *Trainer) checkState(h *stateHeader) error {
	from, to := t.shard()
	switch {
	case h.Parameters != int64(t.parameters()) || h.From != int64(from) || h.To != int64(to):
		return fmt.Errorf("it holds parameters %d to %d of %d, expected %d to %d of %d", h.From, h.To, h.Parameters, from, to, t.parameters())
	case h.Step < 0 || h.Step > int64(t.config.Steps) || h.Total != int64(t.config.Steps) && h.Step > 0:
		return fmt.Errorf("it is after step %d of %d, expected one of %d steps", h.Step, h.Total, t.config.Steps)
	case h.OptimizerStep != h.Step:
		return fmt.Errorf("its optimizer has made %d steps, and the training %d", h.OptimizerStep, h.Step)
	case h.HasBest == 1 && !t.config.KeepBest:
		return errors.New("it keeps the best parameters, and this training does not")
	}
	return nil
}

// floatsAtOnce is how many numbers are converted at a time.
const floatsAtOnce = 1 << 14

func writeFloats(w io.Writer, vectors ...[]float32) error {
	buffer := make([]byte, 0, 4*floatsAtOnce)
	for _, x := range vectors {
		for len(x) > 0 {
			n := min(len(x), floatsAtOnce)
			buffer = buffer[:0]
			for _, v := range x[:n] {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
			}
			if _, err := w.Write(buffer); err != nil {
				return err
			}
			x = x[n:]
		}
	}
	return nil
}

func readFloats(r io.Reader, vectors ...[]float32) error {
	buffer := make([]byte, 4*floatsAtOnce)
	for _, x := range vectors {
		for len(x) > 0 {
			n := min(len(x), floatsAtOnce)
			if _, err := io.ReadFull(r, buffer[:4*n]); err != nil {
				return err
			}
			for i := range x[:n] {
				x[i] = math.Float32frombits(binary.LittleEndian.Uint32(buffer[4*i:]))
			}
			x = x[n:]
		}
	}
	return nil
}
