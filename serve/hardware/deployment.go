package hardware

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Deployment is a model divided among devices under a calibration. It is safe for concurrent use.
type Deployment struct {
	Model       Model
	Device      Device
	Count       int
	Calibration Calibration
	Notes       []string // what is assumed of it beyond what was measured

	attention                 []attentionKind
	gemm                      curve   // of all layers by tokens
	head                      curve   // by rows of logits
	allReduce                 curve   // by tokens
	perToken, perStep         float64 // elementwise seconds
	launches                  float64 // seconds in which the kernels of a prefill are launched
	kernels                   Kernels
	contextMeets, decodeMeets *meeting
	errors                    Errors
	kvTokens                  int
	variation                 *Variation // of an observed machine; nil is none
}

// attentionKind is layers of equal heads, as one device holds them.
type attentionKind struct {
	layers  float64
	heads   heads
	context contextCosts
	decode  decodeCosts
}

// reserve is the share of the memory that is kept for activations and graphs: the default of vLLM's
// gpu_memory_utilization.
const reserve = 0.1

// NewDeployment divides a model among devices.
func NewDeployment(m Model, d Device, count int, c Calibration) (*Deployment, error) {
	if err := errors.Join(m.Validate(), d.Validate()); err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	if count < 1 {
		return nil, fmt.Errorf("deploy %s: found %d devices, expected 1 or more", m.Name, count)
	}
	if err := divides(m, count); err != nil {
		return nil, fmt.Errorf("deploy %s on %d devices: %w", m.Name, count, err)
	}
	if d.Peaks.Of(m.Weights) == 0 {
		return nil, fmt.Errorf("deploy %s: %s has no products in %v", m.Name, d.Name, m.Weights)
	}
	p := &Deployment{Model: m, Device: d, Count: count, Calibration: c}
	free := float64(d.Memory)*(1-reserve) - m.WeightBytes(count)
	if free < m.KVTokenBytes(count) {
		return nil, fmt.Errorf("deploy %s on %d %s: weights of %.1f GB on each, expected at most %.1f GB of its %.1f GB: take more devices or a smaller format",
			m.Name, count, d.Name, m.WeightBytes(count)/gigabyte, float64(d.Memory)*(1-reserve)/gigabyte, float64(d.Memory)/gigabyte)
	}
	p.kvTokens = int(free / m.KVTokenBytes(count))
	if c.Linear != nil {
		p.errors = Errors{c.Linear.Error, c.Linear.Error}
		return p, nil
	}
	if count > 1 && d.Link == 0 {
		return nil, fmt.Errorf("deploy %s: %s has no link to others: take one device, or give its link in a device file", m.Name, d.Name)
	}
	if err := p.choose(); err != nil {
		return nil, fmt.Errorf("deploy %s: %w", m.Name, err)
	}
	p.prepare()
	return p, nil
}

// divides reports the first width that cannot be divided.
func divides(m Model, count int) error {
	for i, l := range m.Layers {
		switch {
		case l.Heads%count != 0:
			return fmt.Errorf("layer %d has %d heads, expected a multiple of %d", i, l.Heads, count)
		case l.KVHeads%count != 0 && count%l.KVHeads != 0:
			return fmt.Errorf("layer %d has %d kv heads, expected a multiple or a divisor of %d", i, l.KVHeads, count)
		case l.MLP%count != 0:
			return fmt.Errorf("layer %d has an MLP of %d, expected a multiple of %d", i, l.MLP, count)
		}
	}
	return nil
}

// prepare computes the times that do not depend on what a batch holds.
func (p *Deployment) prepare() {
	m, t := &p.Model, float64(p.Count)
	hidden, layers := float64(m.Hidden), float64(len(m.Layers))
	cache := cacheFormat(m.KVBytes)
	context, decode := &p.kernels.Context[cache], &p.kernels.Decode[cache]
	p.contextMeets, p.decodeMeets = newMeeting(context.Power), newMeeting(decode.Power)
	var order []Layer
	counts := map[Layer]float64{}
	bytes := 0.0 // elementwise, of a token
	for _, l := range m.Layers {
		if counts[l]++; counts[l] == 1 {
			order = append(order, l)
		}
		h := p.heads(l)
		bytes += elementwiseBytes(hidden, h.dim, h.heads, h.kv, float64(l.MLP)/t*float64(max(m.Active, 1)))
		if i := slices.IndexFunc(p.attention, func(k attentionKind) bool { return k.heads == h }); i >= 0 {
			p.attention[i].layers++
			continue
		}
		p.attention = append(p.attention, attentionKind{1, h, context.prepare(&p.Device, h), decode.prepare(&p.Device, h)})
	}
	p.perToken = bytes / (p.Device.Bandwidth * p.kernels.Elementwise.Stream)
	p.perStep = layers * p.kernels.Elementwise.Launch
	p.launches = layers * p.Calibration.LayerLaunch
	p.gemm = newCurve(func(rows int) float64 {
		total := 0.0
		for _, l := range order {
			total += counts[l] * p.layerGEMM(float64(rows), l)
		}
		return total
	})
	p.head = newCurve(func(rows int) float64 {
		return p.kernels.GEMM[BF16].seconds(&p.Device, BF16, 2, float64(rows), float64(m.Vocab)/t, hidden)
	})
	p.allReduce = newCurve(func(rows int) float64 {
		return 2 * layers * p.kernels.AllReduce.seconds(&p.Device, p.Count, float64(rows)*hidden*2)
	})
}

// heads is the sizes of a layer's attention on one device. A KV head is not divided: devices beyond
// their number have copies.
func (p *Deployment) heads(l Layer) heads {
	return heads{float64(l.Heads) / float64(p.Count), float64(max(1, l.KVHeads/p.Count)), float64(p.Model.HeadDim), p.Model.KVBytes}
}

// layerGEMM is the seconds of the products of one layer on one device.
func (p *Deployment) layerGEMM(rows float64, l Layer) float64 {
	m, h := &p.Model, p.heads(l)
	hidden, mlp := float64(m.Hidden), float64(l.MLP)/float64(p.Count)
	gemm := &p.kernels.GEMM[m.Weights]
	product := func(rows, n, k float64) float64 {
		return gemm.seconds(&p.Device, m.Weights, m.weightBytes(), rows, n, k)
	}
	attention := product(rows, (h.heads+2*h.kv)*h.dim, hidden) + product(rows, hidden, h.heads*h.dim)
	up := (m.matrices() - 1) * mlp
	if m.Experts == 0 {
		return attention + product(rows, up, hidden) + product(rows, hidden, mlp)
	}
	// The tokens are spread evenly over the experts that at least one of them uses.
	experts, active := float64(m.Experts), float64(m.Active)
	touched := experts * (1 - math.Pow(1-active/experts, rows))
	each := rows * active / touched
	return attention + touched*(product(each, up, hidden)+product(each, hidden, mlp))/p.Calibration.Experts
}

// KVTokens is how many tokens the caches hold beside the weights, when a tenth of the memory is
// kept for activations.
func (p *Deployment) KVTokens() int { return p.kvTokens }

// Watts is the power of all devices at full load; 0 where it is unknown.
func (p *Deployment) Watts() float64 { return p.Device.Power * float64(p.Count) }

// Host is the seconds that a request of so many prompt tokens takes outside the steps.
func (p *Deployment) Host(promptTokens int) float64 {
	return p.Calibration.Host.Fixed + p.Calibration.Host.Token*float64(promptTokens)
}
