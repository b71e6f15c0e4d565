package hardware

import (
	"fmt"
	"math"

	"slimlab/model"
)

// Model is the shape of a model as a device sees it: what it multiplies, streams and keeps.
type Model struct {
	Name     string
	About    string
	Hidden   int
	HeadDim  int
	Vocab    int
	TiedHead bool
	Gated    bool // the MLP has three matrices, not two
	Layers   []Layer
	// Experts is the number of MLPs of each layer of a mixture, of which a token uses Active; 0 is
	// no mixture.
	Experts, Active int
	Weights         Format  // of the linear layers
	ScaleBits       float64 // of the groups of INT4, by weight
	KVBytes         float64 // of an element of the cache: 2 is BF16, 1 is FP8
}

// Layer is the widths of one layer.
type Layer struct{ Heads, KVHeads, MLP int }

// ModelOf is the shape of a model of slimlab with weights of a format and a cache of one, BF16 or
// FP8.
func ModelOf(name string, c model.Config, weights, kv Format) (Model, error) {
	if err := c.Validate(); err != nil {
		return Model{}, err
	}
	m := Model{
		Name: name, Hidden: c.Hidden, HeadDim: c.HeadDim, Vocab: c.Vocab, TiedHead: c.TiedHead, Gated: true,
		Layers: make([]Layer, len(c.Layers)),
	}
	for i, l := range c.Layers {
		m.Layers[i] = Layer{l.Heads, l.KVHeads, l.MLP}
	}
	return m.In(weights, kv)
}

// In returns the model with weights of a format and a cache of one, BF16 or FP8.
func (m Model) In(weights, kv Format) (Model, error) {
	if weights < 0 || weights >= formats {
		return Model{}, fmt.Errorf("model %s: weights in format %d, expected one of %v", m.Name, weights, formatNames)
	}
	switch kv {
	case BF16:
		m.KVBytes = 2
	case FP8:
		m.KVBytes = 1
	default:
		return Model{}, fmt.Errorf("model %s: cache in %v, expected bf16 or fp8", m.Name, kv)
	}
	m.Weights, m.ScaleBits = weights, weights.groupBits()
	return m, m.Validate()
}

// Validate reports the first size that makes the shape impossible.
func (m Model) Validate() error {
	check := func(what string, value, limit int) error {
		if value < 1 || value > limit {
			return fmt.Errorf("model %s: %s is %d, expected 1 to %d", m.Name, what, value, limit)
		}
		return nil
	}
	for _, size := range []struct {
		what         string
		value, limit int
	}{
		{"hidden size", m.Hidden, model.MaxWidth}, {"head dim", m.HeadDim, model.MaxHeadDim},
		{"vocabulary", m.Vocab, model.MaxWidth}, {"number of layers", len(m.Layers), model.MaxLayers},
	} {
		if err := check(size.what, size.value, size.limit); err != nil {
			return err
		}
	}
	for i, l := range m.Layers {
		for _, size := range []struct {
			what         string
			value, limit int
		}{{"heads", l.Heads, model.MaxHeads}, {"kv heads", l.KVHeads, model.MaxHeads}, {"mlp", l.MLP, model.MaxWidth}} {
			if err := check(fmt.Sprintf("layer %d: %s", i, size.what), size.value, size.limit); err != nil {
				return err
			}
		}
		if l.Heads%l.KVHeads != 0 {
			return fmt.Errorf("model %s: layer %d: %d heads over %d kv heads, expected a multiple", m.Name, i, l.Heads, l.KVHeads)
		}
	}
	const maxExperts = 1 << 14
	if m.Experts < 0 || m.Experts > maxExperts || m.Active < 0 || m.Active > m.Experts || m.Experts > 0 && m.Active == 0 {
		return fmt.Errorf("model %s: %d of %d experts are active, expected at most all of at most %d", m.Name, m.Active, m.Experts, maxExperts)
	}
	if m.Weights < 0 || m.Weights >= formats {
		return fmt.Errorf("model %s: weights in format %d, expected one of %v", m.Name, m.Weights, formatNames)
	}
	if !(m.KVBytes > 0) || m.KVBytes > 8 {
		return fmt.Errorf("model %s: an element of the cache is %v bytes, expected 1 or 2", m.Name, m.KVBytes)
	}
	if !(m.ScaleBits >= 0) || math.IsInf(m.ScaleBits, 0) {
		return fmt.Errorf("model %s: scales of %v bits by weight, expected 0 or more", m.Name, m.ScaleBits)
	}
	return nil
}

// matrices is how many an MLP has.
func (m Model) matrices() float64 {
	if m.Gated {
		return 3
	}
	return 2
}

// linear counts the weights of a layer's linear layers: attention's, and one MLP's.
func (m Model) linear(l Layer) (attention, mlp float64) {
	d, head := float64(m.Hidden), float64(m.HeadDim)
	attention = 2*d*float64(l.Heads)*head + 2*d*float64(l.KVHeads)*head
	return attention, m.matrices() * d * float64(l.MLP)
}

// Parameters counts the weights, all experts and a tied head once.
func (m Model) Parameters() float64 { return m.count(float64(max(m.Experts, 1))) }

// ActiveParameters counts those that one token uses.
func (m Model) ActiveParameters() float64 { return m.count(float64(max(m.Active, 1))) }

func (m Model) count(experts float64) float64 {
	d := float64(m.Hidden)
	total := float64(m.Vocab)*d + d
	if !m.TiedHead {
		total += float64(m.Vocab) * d
	}
	for _, l := range m.Layers {
		attention, mlp := m.linear(l)
		total += attention + mlp*experts + 2*d
		if m.Experts > 0 {
			total += d * float64(m.Experts)
		}
	}
	return total
}

// weightBytes is the size of a weight of a linear layer with its part of the scales.
func (m Model) weightBytes() float64 { return (m.Weights.bits() + m.ScaleBits) / 8 }

// WeightBytes is what each of a number of devices holds of the weights. Linear layers and the
// vocabulary are divided among them.
func (m Model) WeightBytes(devices int) float64 {
	t, d := float64(devices), float64(m.Hidden)
	tables := 2.0
	if m.TiedHead {
		tables = 1
	}
	total := tables*float64(m.Vocab)*d*2/t + 2*d
	for _, l := range m.Layers {
		attention, mlp := m.linear(l)
		if l.KVHeads < devices { // each device has a whole KV head, which others have too
			attention += 2 * d * float64(m.HeadDim) * float64(devices-l.KVHeads)
		}
		total += (attention+mlp*float64(max(m.Experts, 1)))*m.weightBytes()/t + 4*d
	}
	return total
}

// KVTokenBytes is what each of a number of devices keeps of one token.
func (m Model) KVTokenBytes(devices int) float64 {
	total := 0.0
	for _, l := range m.Layers {
		total += 2 * float64(max(1, l.KVHeads/devices)) * float64(m.HeadDim) * m.KVBytes
	}
	return total
}
