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

	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// quantize replaces linear weights as choose says: bits 8, 4 or 0 for dense, and the group.
func quantize(m *model.Model, choose func(name string) (bits, group int)) {
	for _, l := range m.Linears() {
		switch bits, group := choose(l.Name); bits {
		case 8:
			l.Weight = newInt(l.Out, l.In, 8, l.In)
		case 4:
			l.Weight = newInt(l.Out, l.In, 4, group)
		}
	}
}

// Every format of inference goes through a folder and comes back with its codes, scales, zero
// points and groups; it takes the bytes that its tensors take.
func TestQuantizedRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name   string
		shape  string
		choose func(name string) (bits, group int)
		format string
		bytes  int64 // of the quantized form of model.layers.1.mlp.down_proj
	}{
		{"w8a8", "qwen2", func(string) (int, int) { return 8, 0 }, "int-quantized", 16*24 + 4*16},
		{"w4a16", "tied", func(string) (int, int) { return 4, 8 }, "pack-quantized", 16*24/2 + 4*16*24/8 + 16},
		{"ragged", "pruned", func(name string) (int, int) {
			if strings.Contains(name, "down_proj") {
				// a row of 17 codes fills 3 words
				return 4, map[bool]int{true: 17, false: 12}[strings.Contains(name, "layers.1")]
			}
			return 8, 0
		}, "mixed-precision", 16*3*4 + 4*16 + 16},
		{"some dense", "untied", func(name string) (int, int) {
			if strings.Contains(name, "q_proj") {
				return 0, 0
			}
			return 8, 0
		}, "int-quantized", 16*24 + 4*16},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := random(t, shapes()[c.shape])
			dense := plannedBytes(t, m, BF16)
			quantize(m, c.choose)
			dir := t.TempDir()
			if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			got, _, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			sameWeights(t, got, m)
			if !sameConfig(got.Config, m.Config) {
				t.Errorf("config %+v, expected %+v", got.Config, m.Config)
			}
			stored, err := storedBytes(dir)
			if planned := plannedBytes(t, m, F32); err != nil || stored != planned {
				t.Errorf("%d bytes stored, %d planned: %v", stored, planned, err)
			}
			if half := plannedBytes(t, m, BF16); half >= dense {
				t.Errorf("%d bytes quantized, %d dense", half, dense)
			}
			data, err := os.ReadFile(filepath.Join(dir, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			var config configFile
			var written compressedTensors
			if err := errors.Join(json.Unmarshal(data, &config), json.Unmarshal(*config.Quantization, &written)); err != nil || written.Format != c.format {
				t.Errorf("format %q, expected %q (%v)", written.Format, c.format, err)
			}
			if !slices.Contains(written.Ignore, "lm_head") {
				t.Errorf("ignore %q lacks the head", written.Ignore)
			}
			var bytes int64
			s, err := safetensors.OpenFolder(os.DirFS(dir), ".")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, tensor := range s.Tensors() {
				if strings.HasPrefix(tensor.Name, "model.layers.1.mlp.down_proj.") {
					bytes += tensor.Bytes()
				}
			}
			if bytes != c.bytes {
				t.Errorf("down_proj takes %d bytes, expected %d", bytes, c.bytes)
			}
		})
	}
}

// Only config.json distinguishes 4-bit codes with 8-bit activations from the same codes without,
// for whole models and for layers.
func TestInt8ActivationsRoundTrip(t *testing.T) {
	for name, int8Activations := range map[string]func(layer string) bool{
		"all":  func(string) bool { return true },
		"some": func(layer string) bool { return strings.Contains(layer, "mlp") },
	} {
		m := random(t, shapes()["tied"])
		quantize(m, func(string) (int, int) { return 4, 8 })
		for _, l := range m.Linears() {
			if int8Activations(l.Name) {
				l.Weight = changed(l.Weight, func(e *weight.Encoding) { e.Format.Activations = weight.Token })
			}
		}
		dir := t.TempDir()
		if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		got, _, err := load(dir)
		if err != nil {
			t.Fatal(err)
		}
		sameWeights(t, got, m)
		data, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Quantization struct {
				Format string
				Groups map[string]struct {
					Targets []string
					Weights map[string]any
					Inputs  map[string]any `json:"input_activations"`
				} `json:"config_groups"`
			} `json:"quantization_config"`
		}
		if err := json.Unmarshal(data, &config); err != nil || config.Quantization.Format != "pack-quantized" {
			t.Errorf("%s: format %q (%v)", name, config.Quantization.Format, err)
		}
		for _, g := range config.Quantization.Groups {
			if g.Weights["num_bits"] != 4.0 || g.Weights["strategy"] != "group" || g.Weights["group_size"] != 8.0 {
				t.Errorf("%s: weights %v", name, g.Weights)
			}
			if in := g.Inputs; (in != nil) != int8Activations(g.Targets[0]) ||
				in != nil && (in["num_bits"] != 8.0 || in["type"] != "int" || in["symmetric"] != true || in["dynamic"] != true || in["strategy"] != "token") {
				t.Errorf("%s: %s: input_activations %v", name, g.Targets[0], in)
			}
		}
	}
}

func TestQuantizedHeadIsNotTied(t *testing.T) {
	m := random(t, shapes()["tied"])
	m.Head = newInt(m.Vocab, m.Hidden, 8, m.Hidden)
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	got, _, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.TiedHead {
		t.Error("the head is still tied")
	}
	sameWeights(t, got, m)
}

const w4Config = `{"quant_method":"compressed-tensors","format":"pack-quantized","quantization_status":"compressed","ignore":["lm_head","re:.*k_proj"],
	"config_groups":{"group_0":{"targets":["Linear"],"weights":{"num_bits":4,"type":"int","symmetric":true,"strategy":"group","group_size":128,"actorder":null,"dynamic":false},"input_activations":null},
	"group_1":{"targets":["re:.*down_proj$"],"weights":{"num_bits":4,"type":"int","symmetric":true,"strategy":"channel","group_size":null,"actorder":"static"},
		"input_activations":{"num_bits":8,"type":"int","symmetric":true,"strategy":"token","dynamic":true}}}}`

func TestQuantizationTargets(t *testing.T) {
	q, err := parseQuantization("quantization_config", json.RawMessage(w4Config), nil)
	if err != nil {
		t.Fatal(err)
	}
	for layer, want := range map[string]Storage{
		"lm_head":                         {},
		"model.layers.0.self_attn.k_proj": {},
		"model.layers.0.self_attn.q_proj": {Packing: PackQuantized, Format: weight.Format{Bits: 4, Group: 128}},
		"model.layers.0.mlp.down_proj":    {Packing: PackQuantized, Format: weight.Format{Bits: 4, Activations: weight.Token}},
	} {
		if got := q.of(layer); got != want {
			t.Errorf("%s: %+v, expected %+v", layer, got, want)
		}
	}
}

func TestUnknownFormatIsNotSaved(t *testing.T) {
	m := random(t, shapes()["tied"])
	m.Linears()[2].Weight = odd{newInt(8, 16, 8, 16)}
	err := Save(context.Background(), t.TempDir(), m, nil, SaveOptions{})
	if want := "model.layers.0.self_attn.v_proj: weights of format odd cannot be saved, expected float32 or one of codes"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}

// odd is a weight without codes.
type odd struct{ weight.Weight }

func (odd) Format() string { return "odd" }
