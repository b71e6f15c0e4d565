package hardware

import (
	"fmt"
	"slices"
)

// cacheFormat is 0 where an element of the cache is larger than a byte, and 1 else.
func cacheFormat(kvBytes float64) int {
	if kvBytes > 1 {
		return 0
	}
	return 1
}

// choose takes the kernels of the deployment's device from its calibration, or of the nearest one,
// and notes what is assumed.
func (p *Deployment) choose() error {
	c, d, m := &p.Calibration, &p.Device, &p.Model
	kernels, own, err := c.kernels(d)
	if err != nil {
		return err
	}
	p.kernels, p.errors = kernels, kernels.Errors
	p.Notes = append(p.Notes, c.Notes...)
	if !own {
		p.errors = c.Far
		p.note("%s was not measured with %s: its times follow from its figures and from the efficiencies of %s, within a factor of %.2f for prefills and %.2f for decodes",
			d.Name, c.Name, kernels.Device, 1+c.Far.Prefill, 1+c.Far.Decode)
	}
	if p.kernels.GEMM[m.Weights].Compute == 0 {
		stand := BF16
		if m.Weights == INT8 && p.kernels.GEMM[FP8].Compute > 0 {
			stand = FP8
		}
		if p.kernels.GEMM[stand].Compute == 0 {
			return fmt.Errorf("calibration %s has no products in %v on %s", c.Name, m.Weights, kernels.Device)
		}
		p.kernels.GEMM[m.Weights] = p.kernels.GEMM[stand]
		if m.Weights.rounds() && !stand.rounds() {
			p.kernels.GEMM[m.Weights].RoundStream = p.kernels.GEMM[stand].Stream
		}
		p.errors = c.widest(p.errors)
		p.note("%s has no products in %v on %s: those in %v give the efficiency", c.Name, m.Weights, kernels.Device, stand)
	}
	if len(c.Formats) > 0 && !slices.Contains(c.Formats, m.Weights) {
		p.errors = c.widest(p.errors)
		p.note("%s was fitted to requests of weights in %v, not in %v, whose kernels were measured elsewhere", c.Name, c.Formats, m.Weights)
	}
	if p.kernels.GEMM[BF16].Compute == 0 {
		return fmt.Errorf("calibration %s has no products in bf16 on %s, in which the output head is", c.Name, kernels.Device)
	}
	if cache := cacheFormat(m.KVBytes); p.kernels.Context[cache].Compute == 0 || p.kernels.Decode[cache].Stream == 0 {
		if p.kernels.Context[0].Compute == 0 || p.kernels.Decode[0].Stream == 0 {
			return fmt.Errorf("calibration %s has no attention on %s", c.Name, kernels.Device)
		}
		p.kernels.Context[cache], p.kernels.Decode[cache] = p.kernels.Context[0], p.kernels.Decode[0]
		p.errors = c.widest(p.errors)
		p.note("%s has no attention over a cache of %g bytes an element on %s: that over BF16 gives the efficiency", c.Name, m.KVBytes, kernels.Device)
	}
	if m.Experts > 0 && c.Experts == 0 {
		return fmt.Errorf("calibration %s has no products of mixtures of experts", c.Name)
	}
	if m.Experts > 0 && c.MixtureNote != "" {
		p.Notes = append(p.Notes, c.MixtureNote)
	}
	if p.Count > 1 && p.kernels.AllReduce.Link == 0 {
		return fmt.Errorf("calibration %s has no all-reduce on %s", c.Name, kernels.Device)
	}
	return nil
}

func (p *Deployment) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// widest is the larger of each error and that on devices that were not measured.
func (c *Calibration) widest(e Errors) Errors {
	return Errors{max(e.Prefill, c.Far.Prefill), max(e.Decode, c.Far.Decode)}
}
