package hardware

import (
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
)

// deploy makes a deployment of names.
func deploy(t testing.TB, name string, weights, kv Format, devices, calibration string) (*Deployment, error) {
	t.Helper()
	m, err := FindModel(name)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = m.In(weights, kv); err != nil {
		t.Fatal(err)
	}
	d, count, err := ParseDevices(devices)
	if err != nil {
		t.Fatal(err)
	}
	c, err := FindCalibration(calibration)
	if err != nil {
		t.Fatal(err)
	}
	return NewDeployment(m, d, count, c)
}

func TestModels(t *testing.T) {
	billions := map[string]float64{
		"8b": 8.03, "6.8b": 6.82, "6.4b": 6.42, "6.0b": 6.02, "3b": 3.21, "2.4b": 2.42, "2.1b": 2.07, "fm": 140.6,
		"llama-3-70b": 70.6, "llama-3.2-1b": 1.24, "qwen2.5-0.5b": 0.494, "qwen2.5-7b": 7.62, "qwen3-0.6b": 0.596,
	}
	for _, m := range Models() {
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
		if got := m.Parameters() / 1e9; math.Abs(got/billions[m.Name]-1) > 0.005 {
			t.Errorf("%s has %.3fB parameters, expected %.3fB", m.Name, got, billions[m.Name])
		}
	}
	if _, err := FindModel("8bb"); err == nil || !strings.Contains(err.Error(), `did you mean "8b"`) {
		t.Errorf("8bb: %v", err)
	}
}

func TestModelOf(t *testing.T) {
	c := model.Config{
		Architecture: model.Llama, Vocab: 1000, Hidden: 256, HeadDim: 64, Layers: slices.Concat(model.Uniform(2, 4, 2, 512), model.Uniform(1, 2, 2, 256)),
		MaxPositions: 128, RopeTheta: 1e4, NormEps: 1e-5, BOS: -1, EOS: -1,
	}
	m, err := ModelOf("ours", c, INT4, FP8)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Parameters(); got != float64(c.Parameters()) {
		t.Errorf("%.0f parameters, the config counts %d", got, c.Parameters())
	}
	linear := 2.0*256*(4+2)*64*2 + 2*256*(2+2)*64 + 3*256*(512*2+256)
	if got, want := m.WeightBytes(1), linear*(4+0.125)/8+2*2*1000*256+2*256+3*4*256; got != want {
		t.Errorf("%.0f bytes of weights, expected %.0f", got, want)
	}
	if got := m.KVTokenBytes(1); got != 3*2*2*64 {
		t.Errorf("%.0f bytes a token, expected %d", got, 3*2*2*64)
	}
	if one, two := m.KVTokenBytes(2), m.KVTokenBytes(4); one != two {
		t.Errorf("a KV head on each device is %.0f bytes of 2 devices and %.0f of 4: a head cannot be divided", one, two)
	}
	if _, err := ModelOf("ours", c, BF16, INT4); err == nil {
		t.Error("a cache in INT4 is taken")
	}
	c.Hidden = 0
	if _, err := ModelOf("ours", c, BF16, BF16); err == nil {
		t.Error("a config of no width is taken")
	}
}

func TestDeploymentErrors(t *testing.T) {
	for _, c := range []struct {
		name, devices, calibration string
		weights                    Format
		err                        string
	}{
		{"llama-3-70b", "h100", "sglang-0.5", BF16, "more devices"},
		{"8b", "h100x3", "sglang-0.5", BF16, "32 heads"},
		{"8b", "a100", "sglang-0.5", FP8, "no products in fp8"},
		{"8b", "l40sx2", "vllm-0.24", BF16, "no link"},
		{"8b", "h100x64", "vllm-0.24", BF16, "heads"},
	} {
		if _, err := deploy(t, c.name, c.weights, BF16, c.devices, c.calibration); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := FindCalibration("sglang-0.4"); err == nil || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("sglang-0.4: %v", err)
	}
	if _, err := NewDeployment(Model{}, Device{}, 1, Calibration{}); err == nil {
		t.Error("nothing is deployed")
	}
	m, d := Models()[0], Devices()[0]
	if _, err := NewDeployment(m, d, 1, Calibration{Name: "empty"}); err == nil {
		t.Error("a calibration of nothing is used")
	}
	if _, err := NewDeployment(m, d, 0, Calibrations()[2]); err == nil {
		t.Error("no devices are used")
	}
}

// TestNotes: what was not measured is said, and its band is wide.
func TestNotes(t *testing.T) {
	band := func(p *Deployment) float64 {
		var b Batch
		b.Add(1000, 0, 1)
		return p.Step(&b).Relative
	}
	near, err := deploy(t, "8b", BF16, BF16, "h100", "vllm-0.24")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		devices     string
		weights, kv Format
		note        string
	}{
		{"h200", BF16, BF16, "h200 was not measured"}, {"l40s", FP8, BF16, "l40s was not measured"}, {"b200", BF16, FP8, "b200 was not measured"},
		{"h100", INT8, BF16, "no products in int8"}, {"h100", INT4, BF16, "no products in int4"}, {"a100", BF16, FP8, "no attention over a cache of 1 bytes"},
	} {
		p, err := deploy(t, "8b", c.weights, c.kv, c.devices, "vllm-0.24")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(p.Notes, "\n"), c.note) {
			t.Errorf("%+v: notes %q", c, p.Notes)
		}
		if band(p) <= band(near) {
			t.Errorf("%+v: a band of %.2f, that of what was measured is %.2f", c, band(p), band(near))
		}
	}
	old, err := deploy(t, "8b", BF16, BF16, "h100x4", "sglang-0.4.1")
	if err != nil {
		t.Fatal(err)
	}
	if paper := served(t, "8b", shippedCopy(t, "sglang-0.4.1")); band(old) <= band(paper) {
		t.Errorf("BF16 has a band of %.2f, the paper's FP8 %.2f", band(old), band(paper))
	}
	if strings.Contains(strings.Join(old.Notes, "\n"), "mixture") {
		t.Errorf("notes on mixtures, and the model is none: %q", old.Notes)
	}
	if strings.Contains(strings.Join(near.Notes, "\n"), "not measured with") {
		t.Errorf("h100 was measured, notes %q", near.Notes)
	}
}

// TestOwnDevice deploys on a machine that its caller describes.
func TestOwnDevice(t *testing.T) {
	cpu := Device{Name: "this machine", Memory: 64e9, Bandwidth: 50e9, Peaks: Peaks{BF16: 1e12}}
	m, err := FindModel("qwen2.5-0.5b")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewDeployment(m, cpu, 1, Calibrations()[3])
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	b.Add(1, 1000, 1)
	s := p.Step(&b)
	if floor := m.WeightBytes(1) / cpu.Bandwidth; s.Total() < 0.8*floor {
		t.Errorf("a token takes %.1f ms, its weights alone %.1f", 1e3*s.Total(), 1e3*floor)
	}
}

func TestKVTokens(t *testing.T) {
	p, err := deploy(t, "8b", BF16, BF16, "h100", "sglang-0.5")
	if err != nil {
		t.Fatal(err)
	}
	// 80 GB less a tenth less 16.06 GB, by 128 KiB a token
	if got, want := p.KVTokens(), int((72e9-p.Model.WeightBytes(1))/131072); got != want || got < 400000 || got > 450000 {
		t.Errorf("%d tokens, expected %d", got, want)
	}
	if p.Watts() != 700 {
		t.Errorf("%v watts, expected 700", p.Watts())
	}
}
