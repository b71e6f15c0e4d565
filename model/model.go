package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// Model is a shape and its weights. A Model that is not being trained is safe for concurrent use.
type Model struct {
	Config
	// [vocab, hidden]; nil where a tied head of another format holds it, see TieHead
	Embedding []float32
	Blocks    []Block
	FinalNorm []float32 // [hidden]
	// [vocab, hidden]; with TiedHead and a Dense head it multiplies Embedding's data
	Head weight.Weight

	// precision of Attention's products: with weights in bfloat16 they are rounded too
	attention   kernels.Precision
	kv          kernels.KVFormat // of keys and values that Attention reads, where cached
	cached      bool
	arena       []float32  // the memory of the float32 tensors
	workspace   sync.Pool  // of *workspace: buffers of Attention and MLP
	rotaryMutex sync.Mutex // held while rotary grows
	rotary      atomic.Pointer[kernels.RopeTable]
	labels      atomic.Pointer[selection] // of the last call of LabelLogits
	changes     atomic.Uint64             // calls of Changed
}

// Block is one layer's weights.
type Block struct {
	AttentionNorm []float32 // [hidden]
	// [heads·headDim, hidden], [kvHeads·headDim, hidden] twice, [hidden, heads·headDim]
	Q, K, V, O   Linear
	QNorm, KNorm []float32 // [headDim] where Config.QKNorm, else nil
	MLPNorm      []float32 // [hidden]
	Gate, Up     Linear    // [mlp, hidden]
	Down         Linear    // [hidden, mlp]
}

// New allocates a float32 model with all weights zero (norms one). All its parameters are in one
// slice, in the order of Parameters, so an optimizer may treat them as one vector.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := shell(c)
	for _, l := range m.Linears() {
		l.Weight = &weight.Dense{Out: l.Out, In: l.In}
	}
	if !c.TiedHead {
		m.Head = &weight.Dense{Out: c.Vocab, In: c.Hidden}
	}
	m.move(make([]float32, c.Parameters()))
	m.unitNorms()
	return m, nil
}

// Skeleton allocates a model without weights: its norms are one and its biases zero, each in memory
// of its own; it has no embedding and no head. It is for models whose weights have other formats,
// or whose layers come and go. Linears lists the places to set weights, TieHead sets a head that is
// the embedding, and Check says what is missing.
func Skeleton(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := shell(c)
	m.FinalNorm = make([]float32, m.Hidden)
	fill(m.FinalNorm, 1)
	for i := range m.Blocks {
		m.Place(i)
	}
	return m, nil
}

// Place replaces a layer by a new one without weights: norms of one and zero biases, in memory of
// its own.
func (m *Model) Place(layer int) {
	m.Blocks[layer] = Block{}
	for _, s := range m.blockSlots(layer) {
		*s.data = make([]float32, s.len())
	}
	m.Blocks[layer].unitNorms()
}

// shell is a model of shape c without any memory.
func shell(c Config) *Model {
	c.Layers = slices.Clone(c.Layers)
	return &Model{Config: c, Blocks: make([]Block, len(c.Layers))}
}

func (m *Model) unitNorms() {
	fill(m.FinalNorm, 1)
	for i := range m.Blocks {
		m.Blocks[i].unitNorms()
	}
}

func (b *Block) unitNorms() {
	for _, norm := range [...][]float32{b.AttentionNorm, b.QNorm, b.KNorm, b.MLPNorm} {
		fill(norm, 1)
	}
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}

// logitDeviation is the standard deviation that Init gives the logits.
const logitDeviation = 0.5

// Init draws the weights of a fresh model, from rng alone, in the order of Parameters.
//
// Linear weights are normal with standard deviation in^-½, so that a unit-variance input gives unit
// variance; o_proj and down_proj are (2·layers)^-½ smaller, so that the residual stream's variance
// does not grow with depth (Radford et al., 2019, 2.3). Embeddings have standard deviation ½. Small
// models with tied embeddings of 0.02 did not learn at all at usual rates: the stream began as
// noise of the layers. A tied head therefore has a final norm of hidden^-½, an untied head weights
// of deviation ½·hidden^-½: either way the first logits have deviation ½. Biases are zero, other
// norms one.
func (m *Model) Init(rng *rand.Rand) {
	if err := m.Trainable(); err != nil {
		panic("model: Init: " + err.Error())
	}
	m.unitNorms()
	embedding, head, finalNorm := m.FreshEnds()
	normal(m.Embedding, embedding, rng)
	for _, l := range m.Linears() {
		normal(l.Weight.Float32(), m.FreshLinear(l), rng)
		clear(l.Bias)
	}
	fill(m.FinalNorm, float32(finalNorm))
	if !m.TiedHead {
		normal(m.Head.Float32(), head, rng)
	}
	m.Changed()
}

// FreshLinear is the standard deviation of the weights that Init draws for a linear layer.
func (c *Config) FreshLinear(l LinearLayer) float64 {
	deviation := 1 / math.Sqrt(float64(l.In))
	if l.Site == SiteO || l.Site == SiteDown {
		deviation *= 1 / math.Sqrt(float64(2*len(c.Layers)))
	}
	return deviation
}

// FreshEnds are the standard deviations of the embedding and of an untied head that Init draws, and
// the value of the final norm.
func (c *Config) FreshEnds() (embedding, head, finalNorm float64) {
	gain := 1 / math.Sqrt(float64(c.Hidden))
	if c.TiedHead {
		return logitDeviation, logitDeviation, gain
	}
	return logitDeviation, logitDeviation * gain, 1
}

func normal(x []float32, deviation float64, rng *rand.Rand) {
	for i := range x {
		x[i] = float32(rng.NormFloat64() * deviation)
	}
}

// Clone copies a model; quantized weights are shared, float32 weights are copied into a fresh
// arena.
func (m *Model) Clone() *Model {
	c := shell(m.Config)
	c.Embedding, c.FinalNorm, c.Head = m.Embedding, m.FinalNorm, cloneWeight(m.Head)
	copy(c.Blocks, m.Blocks)
	for _, l := range c.Linears() {
		l.Weight = cloneWeight(l.Weight)
	}
	c.Gather()
	return c
}

// cloneWeight returns a Dense of its own over the same data, which Gather then copies.
func cloneWeight(w weight.Weight) weight.Weight {
	if d, ok := w.(*weight.Dense); ok {
		return weight.NewDense(d.Data, d.Out, d.In)
	}
	return w
}

// Trainable reports whether all weights are Dense and the biases those of the family; the error
// names the first that is not.
func (m *Model) Trainable() error {
	for i := range m.Blocks {
		b := &m.Blocks[i]
		for j, l := range [...]*Linear{&b.Q, &b.K, &b.V, &b.O, &b.Gate, &b.Up, &b.Down} {
			if _, ok := l.Weight.(*weight.Dense); !ok {
				return fmt.Errorf("model.layers.%d.%s is %s, training expects float32", i, linearNames[j], formatOf(l.Weight))
			}
			if biased := m.biased(linearSites[j]); biased != (l.Bias != nil) {
				return fmt.Errorf("model.layers.%d.%s has a bias of %d elements, the config says bias %t", i, linearNames[j], len(l.Bias), biased)
			}
		}
	}
	if _, ok := m.Head.(*weight.Dense); !ok {
		return fmt.Errorf("lm_head is %s, training expects float32", formatOf(m.Head))
	}
	return nil
}

func formatOf(w weight.Weight) string {
	if w == nil {
		return "not set"
	}
	return w.Format()
}

// Changed must be called after float32 weights were written: it drops what was packed of them.
func (m *Model) Changed() {
	for i := range m.Blocks {
		b := &m.Blocks[i]
		for _, l := range [...]*Linear{&b.Q, &b.K, &b.V, &b.O, &b.Gate, &b.Up, &b.Down} {
			if d, ok := l.Weight.(*weight.Dense); ok {
				d.Changed()
			}
		}
	}
	if d, ok := m.Head.(*weight.Dense); ok {
		d.Changed()
	}
	m.labels.Store(nil)
	m.changes.Add(1)
}

// Bytes is what the weights take in their formats (a tied head once).
func (m *Model) Bytes() int64 {
	n := 4 * int64(len(m.Embedding)+len(m.FinalNorm))
	for i := range m.Blocks {
		b := &m.Blocks[i]
		n += 4 * int64(len(b.AttentionNorm)+len(b.QNorm)+len(b.KNorm)+len(b.MLPNorm))
	}
	for _, l := range m.Linears() {
		n += l.Weight.Bytes() + 4*int64(len(l.Bias))
	}
	if !m.headIsEmbedding() {
		n += m.Head.Bytes()
	}
	return n
}

// TieHead makes w, [vocab, hidden] and not Dense, the head and the embedding of a model whose
// config ties them: tokens are then embedded by rows of w, and no float32 embedding is kept.
func (m *Model) TieHead(w weight.Weight) {
	m.Head, m.Embedding = w, nil
	m.Gather()
}

// embedsByHead reports whether the head holds the embedding in another format than float32.
func (m *Model) embedsByHead() bool { return m.TiedHead && m.Embedding == nil && m.Head != nil }

// headIsEmbedding reports whether the head shares the memory of the embedding. A tied head that was
// quantized does not.
func (m *Model) headIsEmbedding() bool {
	_, dense := m.Head.(*weight.Dense)
	return m.TiedHead && (dense || m.Head == nil)
}

// rope returns the rotation table for at least the given number of positions. It grows by doubling;
// a row does not depend on the table's length.
func (m *Model) rope(positions int) *kernels.RopeTable {
	enough := func(t *kernels.RopeTable) bool { return t != nil && len(t.Cos) >= positions*m.HeadDim/2 }
	if t := m.rotary.Load(); enough(t) {
		return t
	}
	m.rotaryMutex.Lock()
	defer m.rotaryMutex.Unlock()
	t := m.rotary.Load()
	if !enough(t) {
		size := 256
		for size < positions {
			size *= 2
		}
		frequencies, gain := m.frequencies()
		t = kernels.NewRopeTable(min(size, max(positions, m.MaxPositions)), frequencies, gain)
		m.rotary.Store(t)
	}
	return t
}
