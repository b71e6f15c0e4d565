package sensitivity

import (
	"context"
	"fmt"
	"math"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/model"
)

// Cache is what a format of the KV cache costs a whole model.
type Cache struct {
	Name  string  `json:"name"`
	KL    float64 `json:"kl"`    // nats a prediction
	Bytes int64   `json:"bytes"` // of a token's keys and values in all layers
}

// MeasureCaches measures what a model loses by each format of the KV cache in all of its layers,
// with its weights as they are: predictions attend to what the cache keeps, and KL is from those of
// the model without a cache. bfloat16 costs nothing by definition: rows are measured without a
// cache where they name none.
func MeasureCaches(ctx context.Context, m *model.Model, examples []kd.Example, formats []kernels.KVFormat, progress func(done, total int, text string)) ([]Cache, error) {
	p, err := newProbe(ctx, m, examples)
	if err != nil {
		return nil, err
	}
	var list []Cache
	for i, format := range formats {
		c := Cache{Name: format.String(), Bytes: model.PositionBytes(m.Config, format)}
		if progress != nil {
			progress(i, len(formats), "KV cache in "+c.Name)
		}
		if format != kernels.KVBFloat16 {
			cached, err := m.WithKV(format)
			if err != nil {
				return nil, err
			}
			if c.KL, err = p.whole(ctx, cached); err != nil {
				return nil, fmt.Errorf("KV cache in %s: %w", c.Name, err)
			}
		}
		list = append(list, c)
	}
	return list, nil
}

// whole is the mean KL of another model's predictions from the dense one's.
func (p *probe) whole(ctx context.Context, other *model.Model) (kl float64, err error) {
	for i := range p.passes {
		of := &p.passes[i]
		x := append(of.scratch[:0], of.into[0]...)
		of.scratch = x
		for layer := range other.Blocks {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			through(other, layer, x, of.batch)
		}
		kl += of.divergence(other, x)
	}
	kl /= float64(p.targets)
	if math.IsNaN(kl) || math.IsInf(kl, 0) {
		return 0, fmt.Errorf("KL is %v, expected a finite number", kl)
	}
	return kl, nil
}
