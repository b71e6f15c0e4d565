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

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/weight"
)

// codes is a quantized weight as far as a file is concerned. It does not multiply.
type codes struct {
	q       []int8
	scale   []float32
	out, in int
	group   int
}

func (c *codes) Shape() (int, int)             { return c.out, c.in }
func (c *codes) MulT(y, x []float32, rows int) { panic("not multiplied here") }
func (c *codes) Begin(y, x []float32, rows int) kernels.Pending {
	panic("not multiplied here")
}
func (c *codes) Float32() []float32           { panic("not multiplied here") }
func (c *codes) Bytes() int64                 { return int64(len(c.q)) }
func (c *codes) Row([]float32, int)           { panic("not multiplied here") }
func (c *codes) Select([]int32) weight.Weight { panic("not multiplied here") }

type codes8 struct{ codes }

func (c *codes8) Format() string            { return "w8a8" }
func (c *codes8) Int8() ([]int8, []float32) { return c.q, c.scale }

type codesFP8 struct {
	codes
	bytes []byte
	input float32
}

func (c *codesFP8) Format() string                    { return "fp8" }
func (c *codesFP8) FP8() ([]byte, []float32, float32) { return c.bytes, c.scale, c.input }

type codes4 struct {
	codes
	int8Activations bool
}

func (c *codes4) Format() string {
	return map[bool]string{false: "w4a16", true: "w4a8"}[c.int8Activations]
}
func (c *codes4) Int4() ([]int8, []float32, int) { return c.q, c.scale, c.group }
func (c *codes4) Int8Activations() bool          { return c.int8Activations }

var constructors = LoadOptions{
	Int8: func(q []int8, scale []float32, out, in int) (weight.Weight, error) {
		return &codes8{codes{q, scale, out, in, 0}}, nil
	},
	Int4: func(q []int8, scale []float32, out, in, group int, int8Activations bool) (weight.Weight, error) {
		return &codes4{codes{q, scale, out, in, group}, int8Activations}, nil
	},
	FP8: func(q []byte, scale []float32, input float32, out, in int) (weight.Weight, error) {
		return &codesFP8{codes{nil, scale, out, in, 0}, q, input}, nil
	},
}

func newCodes(out, in, bits, group int) weight.Weight {
	c := codes{make([]int8, out*in), make([]float32, out*in/group), out, in, group}
	limit := 1 << (bits - 1)
	for i := range c.q {
		c.q[i] = int8(i*7%(2*limit-1) - limit + 1)
	}
	for i := range c.scale {
		c.scale[i] = 0.1 + float32(i)/3 // not exact in bfloat16
	}
	if bits == 8 {
		return &codes8{c}
	}
	return &codes4{codes: c}
}

// quantize replaces linear weights as choose says: bits 8, 4 or 0 for dense, and the group.
func quantize(m *model.Model, choose func(name string) (bits, group int)) {
	for _, l := range m.Linears() {
		switch bits, group := choose(l.Name); bits {
		case 8:
			l.Weight = newCodes(l.Out, l.In, 8, l.In)
		case 4:
			l.Weight = newCodes(l.Out, l.In, 4, group)
		}
	}
}

// sameWeight compares the formats of weights, and the codes of quantized ones.
func sameWeight(t *testing.T, name string, got, want weight.Weight) {
	t.Helper()
	a, okA := got.(interface{ content() codes })
	b, okB := want.(interface{ content() codes })
	if okA != okB || got.Format() != want.Format() {
		t.Errorf("%s: format %s, expected %s", name, got.Format(), want.Format())
	} else if okA && !equalCodes(a.content(), b.content()) {
		t.Errorf("%s: codes or scales differ", name)
	}
}

func sameWeights(t *testing.T, got, want *model.Model) {
	t.Helper()
	wants := want.Linears()
	for i, l := range got.Linears() {
		sameWeight(t, l.Name, l.Weight, wants[i].Weight)
	}
	sameWeight(t, "lm_head", got.Head, want.Head)
	dense := want.Tensors()
	for i, p := range got.Tensors() {
		if p.Name != dense[i].Name || !slices.Equal(p.Data, dense[i].Data) {
			t.Errorf("%s differs from %s", p.Name, dense[i].Name)
		}
	}
}

func (c *codes) content() codes { return *c }

func equalCodes(a, b codes) bool {
	return a.out == b.out && a.in == b.in && (a.group == b.group || a.group == 0) && slices.Equal(a.q, b.q) && slices.Equal(a.scale, b.scale)
}

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
			dense, err := Bytes(m, BF16)
			if err != nil {
				t.Fatal(err)
			}
			quantize(m, c.choose)
			dir := t.TempDir()
			if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			got, _, err := Load(dir, constructors)
			if err != nil {
				t.Fatal(err)
			}
			sameWeights(t, got, m)
			if !sameConfig(got.Config, m.Config) {
				t.Errorf("config %+v, expected %+v", got.Config, m.Config)
			}
			stored, err := storedBytes(dir)
			if planned, e := Bytes(m, F32); err != nil || e != nil || stored != planned {
				t.Errorf("%d bytes stored, %d planned: %v, %v", stored, planned, err, e)
			}
			if half, err := Bytes(m, BF16); err != nil || half >= dense {
				t.Errorf("%d bytes quantized, %d dense: %v", half, dense, err)
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
			s, err := openShards(os.DirFS(dir), ".")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, tensor := range s.tensors() {
				if strings.HasPrefix(tensor.Name, "model.layers.1.mlp.down_proj.") {
					bytes += tensor.Bytes()
				}
			}
			if bytes != c.bytes {
				t.Errorf("down_proj takes %d bytes, expected %d", bytes, c.bytes)
			}
			if _, _, err := Load(dir, LoadOptions{}); err == nil || !strings.Contains(err.Error(), "bits, expected float weights here") {
				t.Errorf("without constructors: %v", err)
			}
		})
	}
}

// The same 4-bit codes with and without 8-bit activations are told apart by config.json alone,
// whole models and layers.
func TestInt8ActivationsRoundTrip(t *testing.T) {
	for name, int8Activations := range map[string]func(layer string) bool{
		"all":  func(string) bool { return true },
		"some": func(layer string) bool { return strings.Contains(layer, "mlp") },
	} {
		m := random(t, shapes()["tied"])
		quantize(m, func(string) (int, int) { return 4, 8 })
		for _, l := range m.Linears() {
			l.Weight.(*codes4).int8Activations = int8Activations(l.Name)
		}
		dir := t.TempDir()
		if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		got, _, err := Load(dir, constructors)
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
	m.Head = newCodes(m.Vocab, m.Hidden, 8, m.Hidden)
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	got, _, err := Load(dir, constructors)
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
	q, err := parseQuantization(json.RawMessage(w4Config))
	if err != nil {
		t.Fatal(err)
	}
	for layer, want := range map[string]Scheme{
		"lm_head":                         {},
		"model.layers.0.self_attn.k_proj": {},
		"model.layers.0.self_attn.q_proj": {Format: PackQuantized, Bits: 4, Group: 128},
		"model.layers.0.mlp.down_proj":    {Format: PackQuantized, Bits: 4, Activations: Token},
	} {
		if got := q.of(layer); got != want {
			t.Errorf("%s: %+v, expected %+v", layer, got, want)
		}
	}
}

func TestUnknownFormatIsNotSaved(t *testing.T) {
	m := random(t, shapes()["tied"])
	m.Linears()[2].Weight = &odd{codes{out: 8, in: 16}}
	err := Save(context.Background(), t.TempDir(), m, nil, SaveOptions{})
	if want := "model.layers.0.self_attn.v_proj: weights of format odd cannot be saved, expected float32, int8, int4 or fp8"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}

type odd struct{ codes }

func (*odd) Format() string { return "odd" }
