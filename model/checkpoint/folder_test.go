package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/half"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// newFP8 replaces all linear weights by FP8 codes.
func newFP8(t *testing.T, m *model.Model, input float32) {
	t.Helper()
	for _, l := range m.Linears() {
		codes, scale := make([]byte, l.Out*l.In), make([]float32, l.Out)
		for i := range codes {
			codes[i] = byte(i * 7 % 0x7f)
		}
		for i := range scale {
			scale[i] = 0.1 + float32(i)/3
		}
		w, err := weight.NewFP8(codes, scale, input, l.Out, l.In)
		if err != nil {
			t.Fatal(err)
		}
		l.Weight = w
	}
}

func TestFP8RoundTrip(t *testing.T) {
	for _, input := range []float32{0, 0.5} {
		m := random(t, shapes()["qwen2"])
		newFP8(t, m, input)
		dir := t.TempDir()
		if err := Save(context.Background(), dir, m, nil, SaveOptions{DType: BF16, Verify: true}); err != nil {
			t.Fatal(err)
		}
		got, _, err := load(dir)
		if err != nil {
			t.Fatal(err)
		}
		sameLinears(t, got, m)
	}
}

// A model goes through GPTQ's form and comes back with its codes and scales; what that form has no
// place for is refused.
func TestGPTQRoundTrip(t *testing.T) {
	m := random(t, shapes()["qwen2"])
	quantize(m, func(string) (int, int) { return 4, 8 })
	options := SaveOptions{DType: F16, Packing: GPTQ, Verify: true}
	want := "model.layers.0.self_attn.q_proj: GPTQ files have F16 scales, and not all of these are exact in it: slimlab quantize MODEL FOLDER --dtype bf16 makes such scales"
	if err := Save(context.Background(), t.TempDir(), m, nil, options); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
	roundScales(m)
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, options); err != nil {
		t.Fatal(err)
	}
	got, _, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	sameLinears(t, got, m)
	s, err := safetensors.OpenFolder(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	zeros, err := s.Raw("model.layers.0.mlp.up_proj.qzeros")
	if err != nil || slices.ContainsFunc(zeros, func(b byte) bool { return b != 0x77 }) {
		t.Errorf("zero points %x, %v", zeros, err)
	}
	old, err := os.ReadFile(filepath.Join(dir, "quantize_config.json"))
	var config map[string]any
	if err := errors.Join(err, json.Unmarshal(old, &config)); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"quant_method": "gptq", "bits": 4.0, "group_size": 8.0, "desc_act": false, "sym": true, "checkpoint_format": "gptq",
		"lm_head": false, "pack_dtype": "int32", "meta": map[string]any{"quantizer": []any{"slimlab"}}}; !equalJSON(config, want) {
		t.Errorf("quantize_config.json holds %v", config)
	}

	activations := random(t, shapes()["tied"])
	quantize(activations, func(string) (int, int) { return 4, 8 })
	roundScales(activations)
	one := activations.Linears()[1]
	one.Weight = changed(one.Weight, func(e *weight.Encoding) { e.Format.Activations = weight.Token })
	mixed := random(t, shapes()["tied"])
	quantize(mixed, func(name string) (int, int) { return map[bool]int{true: 4}[!strings.Contains(name, "up_proj")], 8 })
	roundScales(mixed)
	odd := random(t, shapes()["pruned"])
	quantize(odd, func(name string) (int, int) {
		return 4, map[bool]int{true: 1, false: 4}[strings.Contains(name, "down_proj")]
	})
	roundScales(odd)
	for want, m := range map[string]*model.Model{
		"model.layers.0.self_attn.k_proj: GPTQ files have no 8-bit activations, expected W3A16, W4A16 or W8A16":                                                    activations,
		"model.layers.0.mlp.up_proj: its scheme differs from that of model.layers.0.self_attn.q_proj: GPTQ has one scheme for all linear layers, and a dense head": mixed,
		"model.layers.1.self_attn.k_proj: its 16 inputs and 4 outputs do not fill words of 8 codes, as GPTQ packs them":                                            odd,
	} {
		if err := Save(context.Background(), t.TempDir(), m, nil, options); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("found %v, expected %s", err, want)
		}
	}
}

// Zero points go through a folder in each packing and come back with the codes and scales; they lie
// where the formats have them: pack-quantized along the outputs of their own matrix [outputs,
// groups], version 2 of GPTQ along the outputs of [groups, outputs], both as they are.
func TestZeroPointsRoundTrip(t *testing.T) {
	for _, c := range []struct {
		packing  Packing
		shape    string
		group    int
		zeros    string // the tensor of model.layers.0.mlp.up_proj
		nibble   func(out, group, groups, outs int) int
		expected map[string]any // of the quantization_config, or of its one group's weights
	}{
		{PackQuantized, "qwen2", 8, "weight_zero_point", func(o, g, groups, _ int) int { return 8*(o/8*groups+g) + o%8 }, map[string]any{"symmetric": false, "num_bits": 4.0, "group_size": 8.0}},
		{PackQuantized, "pruned", 4, "weight_zero_point", func(o, g, groups, _ int) int { return 8*(o/8*groups+g) + o%8 }, map[string]any{"symmetric": false}},
		{GPTQ, "qwen2", 8, "qzeros", func(o, g, _, outs int) int { return g*outs + o }, map[string]any{"sym": false, "checkpoint_format": "gptq_v2"}},
	} {
		m := random(t, shapes()[c.shape])
		quantize(m, func(name string) (int, int) {
			if c.shape == "pruned" && strings.Contains(name, "down_proj") { // 17 and 12 inputs
				return 4, 1
			}
			return 4, c.group
		})
		roundScales(m)
		addZeroPoints(m)
		dir := t.TempDir()
		if err := Save(context.Background(), dir, m, nil, SaveOptions{DType: BF16, Packing: c.packing, Verify: true}); err != nil {
			t.Fatalf("%s, %s: %v", c.packing, c.shape, err)
		}
		got, _, err := load(dir)
		if err != nil {
			t.Fatalf("%s, %s: %v", c.packing, c.shape, err)
		}
		sameLinears(t, got, m)
		s, err := safetensors.OpenFolder(os.DirFS(dir), ".")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stored, err := s.Raw("model.layers.0.mlp.up_proj." + c.zeros)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := m.Blocks[0].Up.Weight.Shape()
		e := m.Blocks[0].Up.Weight.(weight.Quantized).Encoding()
		groups := len(e.Zero) / out
		for i, z := range e.Zero {
			at := c.nibble(i/groups, i%groups, groups, out)
			if found := int(stored[at/2]>>(at%2*4)) & 15; found != int(z)+8 {
				t.Errorf("%s, %s: zero point [%d, %d] is stored as %d, expected %d", c.packing, c.shape, i/groups, i%groups, found, int(z)+8)
			}
		}
		config := quantizationSection(t, dir)
		if groups, ok := config["config_groups"].(map[string]any); ok {
			config = groups["group_0"].(map[string]any)["weights"].(map[string]any)
		}
		for key, want := range c.expected {
			if config[key] != want {
				t.Errorf("%s, %s: %s is %v, expected %v", c.packing, c.shape, key, config[key], want)
			}
		}
	}
}

// quantizationSection is the quantization_config of a folder.
func quantizationSection(t *testing.T, dir string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	var config struct {
		Quantization map[string]any `json:"quantization_config"`
	}
	if err := errors.Join(err, json.Unmarshal(data, &config)); err != nil {
		t.Fatal(err)
	}
	return config.Quantization
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// Scales are written in 16 bits exactly where that loses nothing.
func TestScaleTypes(t *testing.T) {
	m := random(t, shapes()["tied"])
	quantize(m, func(string) (int, int) { return 4, 8 })
	exact := m.Linears()[1]
	exact.Weight = changed(exact.Weight, func(e *weight.Encoding) {
		for i, v := range e.Scale {
			e.Scale[i] = half.FromBFloat16(half.ToBFloat16(v))
		}
	})
	tensors, _, err := plan(m, SaveOptions{DType: BF16})
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range tensors {
		if layer, ok := strings.CutSuffix(tensor.Name, ".weight_scale"); ok {
			if want := map[bool]DType{true: BF16, false: F32}[layer == m.Linears()[1].Name]; tensor.DType != want {
				t.Errorf("%s is %s, want %s", tensor.Name, tensor.DType, want)
			}
		}
	}
}

// A model is written in files of limited size, whose index counts them, in place of one of another
// layout, and the other way.
func TestWriteShards(t *testing.T) {
	m := random(t, shapes()["untied"])
	dir := t.TempDir()
	weightFiles := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), "safetensors") {
				names = append(names, e.Name())
			}
		}
		return names
	}
	for _, c := range []struct {
		limit int64
		files int
	}{{0, 1}, {20_000, 4}, {1, 22}, {0, 1}} { // of two layers: 9 tensors each, and 3
		if err := Save(context.Background(), dir, m, nil, SaveOptions{ShardBytes: c.limit, Verify: true}); err != nil {
			t.Fatal(err)
		}
		names := weightFiles()
		if sharded := c.files > 1; sharded != slices.Contains(names, "model.safetensors.index.json") || sharded == slices.Contains(names, "model.safetensors") || len(names) != c.files {
			t.Errorf("limit %d: files %q, expected %d", c.limit, names, c.files)
		}
		for _, name := range names {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || c.limit > 1 && !strings.HasSuffix(name, ".json") && info.Size() > c.limit+4096 {
				t.Errorf("limit %d: %s has %d bytes (%v)", c.limit, name, info.Size(), err)
			}
		}
		got, _, err := load(dir)
		if err != nil || !slices.Equal(got.Flat(), m.Flat()) {
			t.Errorf("limit %d: other weights (%v)", c.limit, err)
		}
	}
}

// A model goes through F16 and its numbers are those rounded; what does not fit is refused.
func TestRoundTripF16(t *testing.T) {
	m := random(t, shapes()["tied"])
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{DType: F16, Verify: true}); err != nil {
		t.Fatal(err)
	}
	got, _, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range m.Flat() {
		if want := half.FromFloat16(half.ToFloat16(v)); got.Flat()[i] != want {
			t.Fatalf("parameter %d: %g, expected %g", i, got.Flat()[i], want)
		}
	}
	m.FinalNorm[1] = 65520
	err = Save(context.Background(), dir, m, nil, SaveOptions{DType: F16})
	if want := `tensor "model.norm.weight": element 1 is 65520, which F16 does not hold: its largest number is 65504`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}

// A Writer's folder of GPTQ goes on after an interruption, and comes to what Save writes.
func TestWriterGPTQ(t *testing.T) {
	m := random(t, shapes()["untied"])
	quantize(m, func(string) (int, int) { return 4, 8 })
	roundScales(m)
	t.Run("symmetric", func(t *testing.T) { writeGPTQ(t, m) })
	addZeroPoints(m)
	t.Run("zero points", func(t *testing.T) { writeGPTQ(t, m) })
}

func writeGPTQ(t *testing.T, m *model.Model) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	for layer := range m.Blocks {
		w, err := NewWriter(context.Background(), dir, []byte("a recipe"), m.Config, F32)
		if err != nil {
			t.Fatal(err)
		}
		w.Packing = GPTQ
		for finished := range layer {
			if err := w.LoadBlock(context.Background(), m, finished); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Block(context.Background(), m, layer); err != nil {
			t.Fatal(err)
		}
		if layer+1 == len(m.Blocks) {
			if err := errors.Join(w.Rest(context.Background(), rest(m)), w.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	saved := t.TempDir()
	if err := Save(context.Background(), saved, m, nil, SaveOptions{Packing: GPTQ}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "quantize_config.json"} {
		a, errA := os.ReadFile(filepath.Join(dir, name))
		b, errB := os.ReadFile(filepath.Join(saved, name))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s: found %s, expected %s (%v, %v)", name, a, b, errA, errB)
		}
	}
	got, _, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	sameWeights(t, got, m)
}
