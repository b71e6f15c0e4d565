package model

import (
	"math"
	"testing"
)

// llama31 is the scaling of Llama 3.1.
var llama31 = RopeScaling{Kind: RopeLlama3, Factor: 8, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192}

// The frequencies of published shapes, at pairs where they are kept, where they are divided and
// between. The numbers were computed apart, from the definitions, with 30 digits.
func TestScaledFrequencies(t *testing.T) {
	qwen := RopeScaling{Kind: RopeYarn, Factor: 4, OriginalMaxPositions: 32768}
	for _, c := range []struct {
		name  string
		scale RopeScaling
		dim   int
		theta float64
		gain  float64
		want  map[int]float64
	}{
		{"llama 3.1", llama31, 128, 5e5, 1, wantLlama31},
		{"llama 3.2", RopeScaling{Kind: RopeLlama3, Factor: 32, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192}, 64, 5e5, 1, wantLlama32},
		{"qwen2.5 with yarn", qwen, 128, 1e6, wantYarnGain, wantYarn},
		{"linear", RopeScaling{Kind: RopeLinear, Factor: 4}, 64, 1e4, 1, map[int]float64{0: 0.25, 16: 0.0025}},
	} {
		config := Config{HeadDim: c.dim, RopeTheta: c.theta, MaxPositions: 131072, Rope: c.scale}
		f, gain := config.frequencies()
		if math.Abs(gain-c.gain) > 1e-15 || len(f) != c.dim/2 {
			t.Errorf("%s: %d frequencies and gain %v, expected %d and %v", c.name, len(f), gain, c.dim/2, c.gain)
		}
		for i, want := range c.want {
			if math.Abs(f[i]-want) > 1e-13*want {
				t.Errorf("%s: frequency %d is %v, expected %v", c.name, i, f[i], want)
			}
		}
	}
}

// What a yarn config leaves out has the published values.
func TestYarnDefaults(t *testing.T) {
	short := Config{HeadDim: 64, RopeTheta: 1e4, MaxPositions: 4096, Rope: RopeScaling{Kind: RopeYarn, Factor: 16}}
	long := short
	long.Rope.OriginalMaxPositions, long.Rope.BetaFast, long.Rope.BetaSlow, long.Rope.AttentionFactor = 4096, 32, 1, 0.1*math.Log(16)+1
	a, gainA := short.frequencies()
	b, gainB := long.frequencies()
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("frequency %d is %v, expected %v", i, a[i], b[i])
		}
	}
	if gainA != gainB {
		t.Errorf("gain %v, expected %v", gainA, gainB)
	}
}

// Without a pair in between, yarn's slope is a step.
func TestYarnStep(t *testing.T) {
	c := Config{HeadDim: 8, RopeTheta: 1e4, MaxPositions: 2, Rope: RopeScaling{Kind: RopeYarn, Factor: 2}}
	f, _ := c.frequencies()
	for i, v := range f {
		if math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
			t.Errorf("frequency %d is %v", i, v)
		}
	}
}

var (
	wantLlama31  = map[int]float64{0: 1.0, 10: 0.128687373432650515, 28: 0.00321144599475259102, 30: 0.00137189356776113816, 32: 0.00052484616099295467, 35: 0.0000955621235396468302, 36: 0.0000778465527393244974, 50: 4.4115346745584041e-6, 63: 3.06892598891451109e-7}
	wantLlama32  = map[int]float64{0: 1.0, 10: 0.0165604400809944455, 14: 0.00321144599475259102, 15: 0.00129054792820926382, 16: 0.000429556796559368201, 17: 0.0000970828780262767226, 18: 0.0000194616381848311244, 31: 9.41830672543490984e-8}
	wantYarn     = map[int]float64{0: 1.0, 20: 0.0133352143216332403, 23: 0.00697830584859866338, 24: 0.0053753214907901015, 30: 0.00106436098124700182, 35: 0.000246258406908938677, 39: 0.0000649039432083702882, 40: 0.00004445698525097307, 41: 0.0000358253142559240685, 63: 3.10234440187929892e-7}
	wantYarnGain = 1.13862943611198906
)
