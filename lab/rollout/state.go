package rollout

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"slimlab/internal/stamped"
	"slimlab/kd"
)

// stateMark begins a saved state; its last byte is the version of the form.
const stateMark = "slimro\x00\x02"

// stateHeader is what a state holds beside its samples.
type stateHeader struct {
	Phi, Loss         float64
	Step              int64
	Buffered, Pending uint32
	Validated         uint8
}

// storedSample begins a sample of a state.
type storedSample struct {
	Prompt, Tokens uint32
	Task           int32
	Weights, LogP  uint8
}

// Save writes what the samples of later steps depend on: the buffer and the threshold of Replay.
// Without Replay that is nothing, and the state is a few bytes.
func (s *Sampler) Save(w io.Writer) error {
	r := &s.replay
	h := stateHeader{Phi: r.phi, Loss: r.loss, Step: int64(r.step), Buffered: uint32(len(r.buffer)), Pending: uint32(len(r.pending))}
	if r.validated {
		h.Validated = 1
	}
	err := stamped.Write(w, stateMark, func(out io.Writer) error {
		if err := binary.Write(out, binary.LittleEndian, &h); err != nil {
			return err
		}
		for _, list := range [][]kd.Example{r.buffer, r.pending} {
			for i := range list {
				if err := writeSample(out, &list[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sampling state: %w", err)
	}
	return nil
}

func writeSample(w io.Writer, e *kd.Example) error {
	head := storedSample{Prompt: uint32(max(0, slices.Index(e.Answer, true))), Tokens: uint32(len(e.Tokens)), Task: int32(e.Task)}
	parts := []any{&head, e.Tokens}
	if e.Weights != nil {
		head.Weights = 1
		parts = append(parts, e.Weights)
	}
	if e.SampledLogP != nil {
		head.LogP = 1
		parts = append(parts, e.SampledLogP)
	}
	for _, part := range parts {
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			return err
		}
	}
	return nil
}

// Restore reads what Save has written for a sampler of the same options, which then gives the same
// examples at later steps. A state of another sampler, or one that is damaged, is an error, and
// leaves the sampler as it was.
func (s *Sampler) Restore(r io.Reader) error {
	var next replay
	err := stamped.Read(r, stateMark, func(in io.Reader) error {
		var h stateHeader
		if err := binary.Read(in, binary.LittleEndian, &h); err != nil {
			return err
		}
		if err := s.checkHeader(h); err != nil {
			return err
		}
		next = replay{Replay: s.replay.Replay, phi: h.Phi, loss: h.Loss, validated: h.Validated == 1, step: int(h.Step)}
		for i := range h.Buffered + h.Pending {
			e, err := s.readSample(in)
			if err != nil {
				return fmt.Errorf("sample %d of %d: %w", i+1, h.Buffered+h.Pending, err)
			}
			if i < h.Buffered {
				next.buffer = append(next.buffer, e)
			} else {
				next.pending = append(next.pending, e)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sampling state: %w", err)
	}
	s.replay, s.step = next, 0
	return nil
}

// mostPending bounds the samples of one step in a state.
const mostPending = 1 << 20

func (s *Sampler) checkHeader(h stateHeader) error {
	switch {
	case s.options.Replay == nil && (h.Buffered > 0 || h.Pending > 0 || h.Phi != 0):
		return fmt.Errorf("it holds %d samples to draw again, and this training has no replay", h.Buffered)
	case h.Buffered > uint32(min(s.replay.Capacity, math.MaxUint32)):
		return fmt.Errorf("it holds %d samples, expected at most the %d of the buffer", h.Buffered, s.replay.Capacity)
	case h.Pending > mostPending:
		return fmt.Errorf("it holds %d samples of one step, expected at most %d", h.Pending, mostPending)
	case !(h.Phi >= 0 && h.Phi <= 1):
		return fmt.Errorf("its threshold is %v, expected 0 to 1", h.Phi)
	case h.Step < 0 || h.Step > math.MaxInt32:
		return fmt.Errorf("it is after step %d, expected 0 or more", h.Step)
	case h.Validated > 1:
		return fmt.Errorf("byte %d stands for yes or no, expected 0 or 1", h.Validated)
	}
	return nil
}

func (s *Sampler) readSample(r io.Reader) (kd.Example, error) {
	var head storedSample
	if err := binary.Read(r, binary.LittleEndian, &head); err != nil {
		return kd.Example{}, err
	}
	if head.Prompt < 1 || head.Prompt >= head.Tokens || int64(head.Tokens) > int64(s.positions) || head.Task < 0 || head.Weights > 1 || head.LogP > 1 {
		return kd.Example{}, fmt.Errorf("a prompt of %d of %d tokens, expected a prompt, an answer and at most %d tokens", head.Prompt, head.Tokens, s.positions)
	}
	e := kd.Example{Origin: kd.OfStudent, Task: int(head.Task), Tokens: make([]int32, head.Tokens), Answer: make([]bool, head.Tokens)}
	parts := []any{e.Tokens}
	if head.Weights == 1 {
		e.Weights = make([]float32, head.Tokens)
		parts = append(parts, e.Weights)
	}
	if head.LogP == 1 {
		e.SampledLogP = make([]float32, head.Tokens)
		parts = append(parts, e.SampledLogP)
	}
	for _, part := range parts {
		if err := binary.Read(r, binary.LittleEndian, part); err != nil {
			return kd.Example{}, err
		}
	}
	for t := head.Prompt; t < head.Tokens; t++ {
		e.Answer[t] = true
	}
	return e, nil
}
