package transform

import (
	"math/rand/v2"
	"slices"

	"slimlab/internal/nearest"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// Rotations lists what can be turned: nothing, the values of each head, or these and the residual
// stream.
func Rotations() []string { return []string{"none", "heads", "residual"} }

// Rotation turns the residual stream and the values of each head of a model by random orthogonal
// matrices. nil turns nothing.
type Rotation struct {
	stream, heads *orthogonal
}

// NewRotation draws the rotation of a name for models of a shape, always the same one; nil is that
// of "none".
func NewRotation(name string, c model.Config) (*Rotation, error) {
	if err := nearest.Check("rotate", name, Rotations()); err != nil || name == "none" {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 0x726f74)) // any constants
	r := new(Rotation)
	var err error
	if r.heads, err = newOrthogonal(c.HeadDim, rng); err == nil && name == "residual" {
		r.stream, err = newOrthogonal(c.Hidden, rng)
	}
	return r, err
}

// Config is the shape of the turned model: a tied head becomes a tensor of its own where the
// residual stream is turned, since the weight of the final norm moves into it.
func (r *Rotation) Config(c model.Config) model.Config {
	if r != nil && r.stream != nil {
		c.TiedHead = false
	}
	return c
}

// Layers are those of inner, turned as they are read. Layers that were finished before come as they
// were left.
func (r *Rotation) Layers(inner calibrate.Layers) calibrate.Layers {
	if r == nil {
		return inner
	}
	return &changing{Layers: inner, change: r.change, embed: r.Embedding}
}

func (r *Rotation) change(b *block[float32], _ int) {
	if r != nil {
		b.rotate(r.stream, r.heads)
	}
}

// Embedding turns rows of the embedding [rows, hidden].
func (r *Rotation) Embedding(x []float32) { r.rows(x, nil) }

// Head turns rows of the head [rows, hidden], into which the weight of the final norm moves.
func (r *Rotation) Head(x, finalNorm []float32) { r.rows(x, finalNorm) }

// Stream reports whether the residual stream is turned: embedding, head and final norm change then.
func (r *Rotation) Stream() bool { return r != nil && r.stream != nil }

func (r *Rotation) rows(x, norm []float32) {
	if !r.Stream() {
		return
	}
	n := r.stream.size
	parallel.Range(len(x)/n, rowsOfTask, func(lo, hi int) {
		t := r.stream.turner()
		for i := lo; i < hi; i++ {
			turnRow(t, x[i*n:(i+1)*n], norm)
		}
	})
}

// Ends returns a model whose embedding, final norm and head are those of m turned, in memory of
// their own; its layers are m's, which Layers turns.
func (r *Rotation) Ends(m *model.Model) *model.Model {
	if !r.Stream() {
		return m
	}
	c := &model.Model{Config: r.Config(m.Config), Blocks: m.Blocks, FinalNorm: make([]float32, m.Hidden)}
	ones(c.FinalNorm)
	head := slices.Clone(m.Head.Float32())
	if c.Embedding = slices.Clone(m.Embedding); c.Embedding == nil { // the head holds it
		c.Embedding = slices.Clone(head)
	}
	r.Embedding(c.Embedding)
	r.Head(head, m.FinalNorm)
	c.Head = weight.NewDense(head, m.Vocab, m.Hidden)
	return c
}

// InMemory is the layers of m turned.
func (r *Rotation) InMemory(m *model.Model) (layers calibrate.Layers, compressed func() *model.Model, err error) {
	inner, err := calibrate.NewInMemory(r.Ends(m))
	if err != nil {
		return nil, nil, err
	}
	turned := &changing{Layers: inner, change: r.change}
	return turned, inner.Compressed, nil
}
