package hardware

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Request is a measured request of one new token on devices that did nothing else.
type Request struct {
	Model   Model
	Device  Device
	Count   int
	Prompt  int     // tokens
	Seconds float64 // to its first token
}

// Free says which constants FitRequests may change.
type Free struct {
	HostFixed, HostToken bool
	GEMM                 bool // Compute of the products in the requests' format
	Context              bool // Compute of attention over the requests' cache
}

// FirstToken is the seconds to the first token of a request that has the devices to itself: what it
// takes outside the steps, and a step for each chunk of its prompt. chunk 0 is the whole prompt.
func (p *Deployment) FirstToken(prompt, chunk int) float64 {
	t := p.prefill(prompt, chunk)
	return p.Host(prompt) + t.Total()
}

// prefill sums the steps of one prompt.
func (p *Deployment) prefill(prompt, chunk int) (sum Times) {
	if chunk <= 0 {
		chunk = prompt
	}
	for at := 0; at < prompt; at += chunk {
		var b Batch
		n := min(chunk, prompt-at)
		rows := 0
		if at+n == prompt {
			rows = 1
		}
		b.Add(n, at, rows)
		t := p.Step(&b)
		sum.GEMM += t.GEMM
		sum.Attention += t.Attention
		sum.AllReduce += t.AllReduce
		sum.Elementwise += t.Elementwise
		sum.Head += t.Head
		sum.Overhead += t.Overhead
		sum.Relative = max(sum.Relative, t.Relative)
	}
	return sum
}

// FitRequests changes the free constants of a calibration so that it predicts measured requests,
// and returns it with the root mean square of the relative errors. All requests are on one device
// that the calibration has, with weights in one format and a cache in one. The rest of the
// calibration stays as it is. It solves non-negative least squares of the relative errors, in which
// the two times are scaled, until the scales are 1.
func FitRequests(base Calibration, free Free, requests []Request) (Calibration, float64, error) {
	c, k, err := own(base, requests)
	if err != nil {
		return Calibration{}, 0, fmt.Errorf("fit requests: %w", err)
	}
	format, cache := requests[0].Model.Weights, cacheFormat(requests[0].Model.KVBytes)
	if free.HostFixed {
		c.Host.Fixed = 0
	}
	if free.HostToken {
		c.Host.Token = 0
	}
	const rounds, settled = 60, 1e-6
	for range rounds {
		x, err := scales(c, free, requests)
		if err != nil {
			return Calibration{}, 0, fmt.Errorf("fit requests: %w", err)
		}
		change := max(math.Abs(x[2]-1), math.Abs(x[3]-1), math.Abs(x[0]-c.Host.Fixed)*1e3, math.Abs(x[1]-c.Host.Token)*1e6)
		c.Host = Host{x[0], x[1]}
		k.GEMM[format].Compute /= x[2]
		k.Context[cache].Compute /= x[3]
		if change < settled {
			break
		}
	}
	squares := 0.0
	for _, r := range requests {
		p, err := NewDeployment(r.Model, r.Device, r.Count, c)
		if err != nil {
			return Calibration{}, 0, fmt.Errorf("fit requests: %w", err)
		}
		e := p.FirstToken(r.Prompt, c.Chunk)/r.Seconds - 1
		squares += e * e
	}
	c.RMS = math.Sqrt(squares / float64(len(requests)))
	return c, c.RMS, nil
}

// own checks the requests and copies the calibration, with its kernels of their device.
func own(base Calibration, requests []Request) (Calibration, *Kernels, error) {
	if len(requests) == 0 {
		return Calibration{}, nil, fmt.Errorf("found no requests")
	}
	first := requests[0]
	for i, r := range requests {
		switch {
		case r.Device.Name != first.Device.Name:
			return Calibration{}, nil, fmt.Errorf("request %d is on %s, expected %s as the first", i, r.Device.Name, first.Device.Name)
		case r.Model.Weights != first.Model.Weights || r.Model.KVBytes != first.Model.KVBytes:
			return Calibration{}, nil, fmt.Errorf("request %d is of weights in %v, cache of %g bytes, expected %v and %g as the first",
				i, r.Model.Weights, r.Model.KVBytes, first.Model.Weights, first.Model.KVBytes)
		case !(r.Seconds > 0) || r.Prompt < 1:
			return Calibration{}, nil, fmt.Errorf("request %d of %d tokens took %v seconds, expected more than 0", i, r.Prompt, r.Seconds)
		}
	}
	base.Kernels = append([]Kernels(nil), base.Kernels...)
	for i := range base.Kernels {
		if base.Kernels[i].Device == first.Device.Name {
			return base, &base.Kernels[i], nil
		}
	}
	return Calibration{}, nil, fmt.Errorf("calibration %s has no kernels of %s", base.Name, first.Device.Name)
}

// scales solves for the host's two constants and the factors of the two times.
func scales(c Calibration, free Free, requests []Request) ([4]float64, error) {
	x := [4]float64{c.Host.Fixed, c.Host.Token, 1, 1}
	var unknown []int
	for i, is := range []bool{free.HostFixed, free.HostToken, free.GEMM, free.Context} {
		if is {
			unknown = append(unknown, i)
		}
	}
	if len(unknown) == 0 || len(unknown) > len(requests) {
		return x, fmt.Errorf("%d free constants of %d requests, expected at least one, and a request for each", len(unknown), len(requests))
	}
	a, b := mat.NewDense(len(requests), len(unknown), nil), mat.NewVecDense(len(requests), nil)
	for i, r := range requests {
		p, err := NewDeployment(r.Model, r.Device, r.Count, c)
		if err != nil {
			return x, err
		}
		t := p.prefill(r.Prompt, c.Chunk)
		parts := [4]float64{1, float64(r.Prompt), t.GEMM, t.Attention}
		rest := r.Seconds - (t.Total() - t.GEMM - t.Attention)
		for part, value := range parts {
			rest -= x[part] * value
		}
		for j, part := range unknown {
			a.Set(i, j, parts[part]/r.Seconds)
			rest += x[part] * parts[part]
		}
		b.SetVec(i, rest/r.Seconds)
	}
	solved, err := nonNegative(a, b)
	if err != nil {
		return x, err
	}
	for j, part := range unknown {
		if part >= 2 && solved[j] == 0 {
			return x, fmt.Errorf("the requests leave no time for %s", []string{"products", "attention"}[part-2])
		}
		x[part] = solved[j]
	}
	return x, nil
}
