package checkpoint

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"slimlab/internal/atomicfile"
	"slimlab/internal/half"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
)

// WriteRandom writes a checkpoint of random weights in bfloat16, without a tokenizer, into a
// folder, which it creates if it is absent: a model of any shape to measure with. Weights have the
// deviations of a fresh model (model.Model.Init), biases one of 0.1, norms are constant. Tensors
// are drawn and written a few megabytes at a time. They follow from the shape and the seed alone.
func WriteRandom(ctx context.Context, dir string, c model.Config, seed uint64) error {
	if err := writeRandom(ctx, dir, c, seed); err != nil {
		return fmt.Errorf("write random checkpoint %s: %w", dir, err)
	}
	return nil
}

func writeRandom(ctx context.Context, dir string, c model.Config, seed uint64) error {
	config, err := newConfigFile(c, BF16)
	if err != nil {
		return err
	}
	tensors, err := randomTensors(c, seed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := safetensors.Write(ctx, filepath.Join(dir, "model.safetensors"), tensors); err != nil {
		return err
	}
	return atomicfile.WriteJSON(filepath.Join(dir, "config.json"), config)
}

// randomTensors lists the tensors of a model of shape c, which takes no memory for weights.
func randomTensors(c model.Config, seed uint64) ([]Tensor, error) {
	m, err := model.Skeleton(c)
	if err != nil {
		return nil, err
	}
	var list []Tensor
	add := func(name string, mean, deviation float64, shape ...int) {
		d := drawn{mean: mean, deviation: deviation, elements: 1, seed: seed, tensor: uint64(len(list))}
		for _, n := range shape {
			d.elements *= n
		}
		list = append(list, safetensors.NewTensor(name, BF16, shape, func() any { return d.write }))
	}
	embedding, head, finalNorm := m.FreshEnds()
	add(embeddingName, 0, embedding, m.Vocab, m.Hidden)
	for i := range m.Blocks {
		for _, l := range m.BlockLinears(i) {
			add(l.Name+".weight", 0, m.FreshLinear(l), l.Out, l.In)
		}
		m.Place(i)
		for _, p := range m.BlockTensors(i) {
			mean, deviation := 1.0, 0.0
			if isBias(p.Name) {
				mean, deviation = 0, 0.1
			}
			add(p.Name, mean, deviation, p.Shape...)
		}
	}
	add(finalNormName, finalNorm, 0, m.Hidden)
	if !m.TiedHead {
		add(headName, 0, head, m.Vocab, m.Hidden)
	}
	return list, nil
}

func isBias(name string) bool { return strings.HasSuffix(name, ".bias") }

// drawn is a tensor of normal numbers in bfloat16.
type drawn struct {
	mean, deviation float64
	elements        int
	seed, tensor    uint64
}

// write draws the elements in pieces, each with a stream of its own, some on each thread.
func (d drawn) write(w io.Writer) error {
	const piece, pieces = 1 << 16, 32
	buf := make([]byte, 2*min(d.elements, piece*pieces))
	for at := 0; at < d.elements; at += piece * pieces {
		n := min(piece*pieces, d.elements-at)
		parallel.Range(n, piece, func(lo, hi int) {
			rng := rand.New(rand.NewPCG(d.seed, d.tensor<<32|uint64((at+lo)/piece)))
			for i := lo; i < hi; i++ {
				binary.LittleEndian.PutUint16(buf[2*i:], half.ToBFloat16(float32(d.mean+d.deviation*rng.NormFloat64())))
			}
		})
		if _, err := w.Write(buf[:2*n]); err != nil {
			return err
		}
	}
	return nil
}
