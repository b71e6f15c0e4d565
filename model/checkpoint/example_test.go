package checkpoint_test

import (
	"context"
	"fmt"
	"os"

	"slimlab/model"
	"slimlab/model/checkpoint"
)

// A checkpoint is opened in milliseconds whatever its size: its files are mapped, and weights are
// read when they are asked for.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	shape := model.Config{Architecture: model.Llama, Vocab: 64, Hidden: 16, HeadDim: 8, Layers: model.Uniform(2, 2, 1, 32),
		MaxPositions: 64, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
	if err := checkpoint.WriteRandom(context.Background(), dir, shape, 1); err != nil {
		fmt.Println(err)
		return
	}

	c, err := checkpoint.Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(len(c.Tensors()), "tensors,", c.Bytes(), "bytes")
	first := c.Quantization()[0]
	fmt.Println(first.Layer, "is", first.Format)
	m, err := c.Model(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("in memory as", m.Blocks[0].Q.Weight.Format())
	// Output:
	// 20 tensors, 11424 bytes
	// model.layers.0.self_attn.q_proj is BF16
	// in memory as float32
}
