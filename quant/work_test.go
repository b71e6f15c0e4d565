package quant

import (
	"math"
	"testing"
)

func TestWork(t *testing.T) {
	const in, out = 64, 48
	const energy, factor = in * in * out / 2., in * in * in / 6.
	for name, test := range map[string]struct {
		clip   bool
		change func(s *Scheme)
		want   float64
	}{
		"none":                {want: 0},
		"w8a8":                {want: 2 * energy},
		"w4a16-gptq-g16":      {want: factor + 2*energy},
		"w4a16-rtn-g16":       {clip: true, want: 2*energy + clipSteps*in*out*16},
		"w8a8-rtn":            {clip: true, want: 2*energy + clipSteps*in*out*in},
		"w4a16-quantease":     {want: factor + 2*energy + 2*energy*0.7*2*defaultSweeps},
		"w3a16-quantease":     {change: func(s *Scheme) { s.Rounder = QuantEase{Sweeps: 10, Start: FromGPTQ} }, want: factor + 2*energy + 2*energy*0.7*10},
		"w4a16-gptq-act":      {want: factor + 2*energy},
		"w3a16-rtn-g16":       {want: 2 * energy},
		"w4a16-gptq-g8":       {clip: true, want: factor + 2*energy + clipSteps*in*out*8},
		"fp8-block":           {want: 2 * energy},
		"w8a16-gchannel":      {want: 2 * energy},
		"w4a8-gptq-g32":       {want: factor + 2*energy},
		"w4a16-asym-g16":      {want: factor + 2*energy},
		"w3a16-gptq-g64":      {want: factor + 2*energy},
		"w3a16-gptq-act":      {want: factor + 2*energy},
		"fp8-tensor":          {want: 2 * energy},
		"w4a16-quantease-g32": {change: func(s *Scheme) { s.Rounder = QuantEase{Sweeps: 1} }, want: factor + 2*energy + 2*energy*0.7*2},
	} {
		s, err := ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		if test.change != nil {
			test.change(&s)
		}
		if work := s.Work(in, out, test.clip); math.Abs(work-test.want) > 1e-9*test.want {
			t.Errorf("%s: %g, expected %g", name, work, test.want)
		}
	}
}
