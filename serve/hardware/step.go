package hardware

// Times is the seconds of one step by what they are spent on.
type Times struct {
	GEMM        float64 // products of the layers
	Attention   float64
	AllReduce   float64
	Elementwise float64 // norms, rotary positions, activations, sums
	Head        float64 // logits
	Overhead    float64 // what the device waits for
	Relative    float64 // error to expect of the total, as a share of it
}

// Total is the seconds of the step.
func (t Times) Total() float64 {
	return t.GEMM + t.Attention + t.AllReduce + t.Elementwise + t.Head + t.Overhead
}

// Band is the seconds within which the total is expected.
func (t Times) Band() (low, high float64) {
	total := t.Total()
	return total / (1 + t.Relative), total * (1 + t.Relative)
}

// Step is the time of one batch. It takes less than a microsecond and allocates nothing.
func (p *Deployment) Step(b *Batch) Times {
	if l := p.Calibration.Linear; l != nil {
		return l.step(b)
	}
	t := Times{
		GEMM: p.gemm.at(b.tokens), AllReduce: p.allReduce.at(b.tokens), Head: p.head.at(b.rows),
		Elementwise: p.perStep + p.perToken*float64(b.tokens), Relative: p.errors.Decode,
	}
	if b.prefills > 0 {
		t.Relative = p.errors.Prefill
		if b.decodes > 0 {
			t.Relative = max(t.Relative, p.errors.Decode)
		}
	}
	root := b.meanRoot()
	for i := range p.attention {
		k := &p.attention[i]
		if b.prefills > 0 {
			c := &k.context
			t.Attention += k.layers * (c.launch + p.contextMeets.of(c.pair*b.pairs+c.longest*float64(b.longest), c.token*float64(b.fresh)+c.key*float64(b.keys)))
		}
		if b.decodes > 0 {
			c := &k.decode
			t.Attention += k.layers * p.decodeMeets.of(c.launch+c.serial*root, c.sequence*float64(b.decodes)+c.key*float64(b.context))
		}
	}
	if b.prefills > 0 {
		t.Overhead = max(0, p.launches-t.Total())
	}
	t.Overhead += p.Calibration.StepOverhead
	return t
}
