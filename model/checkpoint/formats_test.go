package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// The words of the formats, by hand.
func TestGoldenWords(t *testing.T) {
	words := func(list ...uint32) []byte {
		var b []byte
		for _, w := range list {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	eight := []byte{0, 1, 2, 3, 4, 5, 6, 7}
	awq := slices.Clone(eight)
	reorderAWQ(awq, false)
	for name, c := range map[string]struct{ got, want []byte }{
		"eight codes of 4 bits":                 {packRows(eight, 1, 8, 4, 0), words(0x76543210)},
		"a row that ends within a word":         {packRows([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 15}, 1, 10, 4, 0), words(0x76543210, 0xf8)},
		"two rows":                              {packRows([]byte{1, 2, 3, 4, 5, 6}, 2, 3, 4, 0), words(0x321, 0x654)},
		"codes of 8 bits":                       {packRows([]byte{0x80, 0x7f, 1, 0, 0xff}, 1, 5, 8, 0), words(0x00017f80, 0xff)},
		"GPTQ: along the inputs":                {packColumns([]byte{0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15}, 8, 2, 4, 0), words(0x76543210, 0xfedcba98)},
		"GPTQ: codes of 8 bits":                 {packColumns([]byte{1, 5, 2, 6, 3, 7, 4, 8}, 4, 2, 8, 0), words(0x04030201, 0x08070605)},
		"zero points along outputs, 3 of 8":     {packColumns([]byte{1, 9, 2, 10, 3, 11}, 3, 2, 4, 0), words(0x321, 0xba9)},
		"AWQ: even columns before odd ones":     {packRows(awq, 1, 8, 4, 0), words(0x75316420)},
		"GPTQ: 32 codes of 3 bits":              {packColumns(slices.Repeat(eight, 4), 32, 1, 3, 0), words(0x88fac688, 0xc688fac6, 0xfac688fa)},
		"E2M1: two codes a byte":                {packHalves(eight), []byte{0x10, 0x32, 0x54, 0x76}},
		"GPTQ version 1: zero point 8 as seven": {packRows(slices.Repeat([]byte{7}, 8), 1, 8, 4, 0), words(0x77777777)},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %x, want %x", name, c.got, c.want)
		}
	}
}

// Packing and unpacking are inverse to each other, and packed words come back bit by bit.
func TestPackingIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, columns := rapid.IntRange(1, 20).Draw(t, "rows"), rapid.IntRange(1, 20).Draw(t, "columns")
		bits := rapid.SampledFrom([]int{3, 4, 8}).Draw(t, "bits")
		codes := rapid.SliceOfN(rapid.ByteMax(byte(1<<bits-1)), rows*columns, rows*columns).Draw(t, "codes")
		words := packRows(codes, rows, columns, bits, 0)
		if got := unpackRows(words, rows, columns, bits, 0); !slices.Equal(got, codes) || !slices.Equal(packRows(got, rows, columns, bits, 0), words) {
			t.Fatalf("rows: %v became %v", codes, got)
		}
		words = packColumns(codes, rows, columns, bits, 0)
		if got := unpackColumns(words, rows, columns, bits, 0); !slices.Equal(got, codes) || !slices.Equal(packColumns(got, rows, columns, bits, 0), words) {
			t.Fatalf("columns: %v became %v", codes, got)
		}
		if got := transpose(transpose(codes, rows, columns), columns, rows); !slices.Equal(got, codes) {
			t.Fatalf("transposed twice: %v became %v", codes, got)
		}
		moved := slices.Clone(codes)
		reorderAWQ(moved, false)
		if reorderAWQ(moved, true); !slices.Equal(moved, codes) {
			t.Fatalf("AWQ's order: %v became %v", codes, moved)
		}
	})
}

// TestPublishedFormats reads every form, each weight to the very number, at once and layer by
// layer, and says what it is.
func TestPublishedFormats(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			dir := t.TempDir()
			_, weights := sampleFolder(t, dir, s)
			m, _, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range m.Linears() {
				_, uint4 := l.Weight.(*weight.Uint4)
				if got := l.Weight.Format(); !strings.HasPrefix(got, strings.Replace(s.kind, "uint4", "w4a16", 1)) || uint4 != (s.kind == "uint4" || strings.HasSuffix(s.kind, "-zero")) {
					t.Fatalf("%s: format %s (%T), want %s", l.Name, got, l.Weight, s.kind)
				}
				got, want := l.Weight.Float32(), weights[l.Name]
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%s: weight %d is %v, want %v", l.Name, i, got[i], want[i])
					}
				}
			}
			if fp8, ok := m.Linears()[0].Weight.(*weight.FP8); ok && (fp8.Encoding().Input == 0.25) != strings.Contains(s.name, "static") {
				t.Errorf("scale of activations %v", fp8.Encoding().Input)
			}
			checkSavedAgain(t, m)
			checkBlocks(t, dir, m)
		})
	}
}

// checkSavedAgain saves a model and reads it back: the same weights, bit by bit, whose Bytes are
// those of their tensors but for words that codes do not fill, and the shape that pack-quantized
// stores beside them.
func checkSavedAgain(t *testing.T, m *model.Model) {
	t.Helper()
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{Verify: true}); err != nil {
		t.Fatal(err)
	}
	read, _, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	sameWeights(t, read, m)
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, l := range m.Linears() {
		q, ok := l.Weight.(weight.Quantized)
		if !ok {
			continue
		}
		var stored int64
		for _, tensor := range c.Tensors() {
			if strings.HasPrefix(tensor.Name, l.Name+".") && !strings.HasSuffix(tensor.Name, ".weight_shape") && !strings.HasSuffix(tensor.Name, ".g_idx") && !strings.HasSuffix(tensor.Name, ".input_scale") {
				stored += tensor.Bytes()
			}
		}
		padding := int64(0)
		switch e := q.Encoding(); {
		case e.Format.Bits == 3: // GPTQ's scales have two bytes, and its zero points are always there
			padding = -int64(2 * len(e.Scale))
			if e.Zero == nil {
				padding += int64(3 * len(e.Scale) / 8)
			}
		case e.Format.Bits == 4 && !e.Format.Float:
			padding = int64(4*e.Out*wordsOf(e.In, 4)) - int64(e.Out*e.In/2)
			if e.Zero != nil {
				padding += int64(4*wordsOf(e.Out, 4)*len(e.Zero)/e.Out) - int64(len(e.Zero)/2)
			}
		}
		if stored != l.Weight.Bytes()+padding {
			t.Errorf("%s in %s takes %d bytes in the file, and Bytes says %d, with %d of padding", l.Name, l.Weight.Format(), stored, l.Weight.Bytes(), padding)
		}
	}
}

// checkBlocks reads a folder layer by layer, and through a Writer's folder, and compares with the
// whole model.
func checkBlocks(t *testing.T, dir string, want *model.Model) {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	frame, err := c.Skeleton()
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(context.Background(), filepath.Join(t.TempDir(), "out"), nil, c.Config(), BF16)
	if err != nil {
		t.Fatal(err)
	}
	same := func(layer int) {
		t.Helper()
		all := want.Linears()
		for _, l := range frame.BlockLinears(layer) {
			i := slices.IndexFunc(all, func(other model.LinearLayer) bool { return other.Name == l.Name })
			if !slices.Equal(l.Weight.Float32(), all[i].Weight.Float32()) || l.Weight.Format() != all[i].Weight.Format() {
				t.Fatalf("%s: other numbers, %s", l.Name, l.Weight.Format())
			}
		}
	}
	for layer := range frame.Blocks {
		if err := c.LoadBlock(context.Background(), frame, layer); err != nil {
			t.Fatal(err)
		}
		same(layer)
		if frame.Blocks[0].Q.Weight.Format() == "float32" {
			continue // and would be rounded
		}
		if err := errors.Join(w.Block(context.Background(), frame, layer), w.LoadBlock(context.Background(), frame, layer)); err != nil {
			t.Fatal(err)
		}
		same(layer)
	}
	for _, l := range c.Quantization() {
		if l.Layer != "lm_head" && (l.Format == "" || l.Format == "F32") {
			t.Errorf("%s: format %q", l.Layer, l.Format)
		}
	}
}

// TestBrokenFormats: an error in the tensors of a form names the tensor.
func TestBrokenFormats(t *testing.T) {
	const q = "model.layers.1.self_attn.q_proj"
	replace := func(name string, dtype DType, data any, shape ...int) func(list []Tensor) []Tensor {
		return func(list []Tensor) []Tensor {
			for i := range list {
				if list[i].Name == q+name {
					list[i] = safetensors.NewTensor(q+name, dtype, shape, func() any { return data })
				}
			}
			return list
		}
	}
	remove := func(name string) func(list []Tensor) []Tensor {
		return func(list []Tensor) []Tensor {
			return slices.DeleteFunc(list, func(t Tensor) bool { return t.Name == q+name })
		}
	}
	groupOf := func(v int32) []int32 { return slices.Repeat([]int32{v}, 16) }
	nan := float32(math.NaN())
	for _, c := range []struct {
		sample string
		change func(list []Tensor) []Tensor
		want   string
	}{
		{"GPTQ", replace(".g_idx", safetensors.I32, groupOf(2), 16), `tensor "` + q + `.weight": ` + q + `.g_idx: input 0 is in group 2, expected 0 to 1`},
		{"GPTQ", replace(".g_idx", safetensors.I32, groupOf(-1), 16), `tensor "` + q + `.weight": ` + q + `.g_idx: input 0 is in group -1, expected 0 to 1`},
		{"GPTQ", replace(".g_idx", safetensors.I64, make([]int64, 16), 16), `tensor "` + q + `.weight": tensor "` + q + `.g_idx": dtype is I64, expected I32`},
		{"GPTQ", remove(".g_idx"), ``},
		{"GPTQ ordered", remove(".g_idx"), `tensor "` + q + `.g_idx" is missing, expected shape [16]`},
		{"GPTQ", replace(".qweight", safetensors.I32, make([]int32, 16), 1, 16), `tensor "` + q + `.qweight": shape is [1 16], expected [2 16] by the config`},
		{"GPTQ", replace(".qzeros", safetensors.I32, slices.Repeat([]int32{-1}, 4), 2, 2), `tensor "` + q + `.weight": qzeros [0, 0] is 15: with one added engines take it for 0 or for 16; expected checkpoint_format gptq_v2 for such zero points`},
		{"GPTQ", replace(".scales", F16, slices.Repeat([]float32{nan}, 32), 2, 16), `tensor "` + q + `.weight": ` + q + `.scales: scale 0 is NaN, expected a finite number`},
		{"GPTQ", replace(".bias", F16, slices.Repeat([]float32{1}, 16), 16), `tensor "` + q + `.bias": element 0 is 1, expected 0: the model has no bias there`},
		{"AWQ", replace(".qweight", safetensors.I32, make([]int32, 32), 8, 4), `tensor "` + q + `.qweight": shape is [8 4], expected [16 2] by the config`},
		{"pack-quantized", replace(".weight_shape", safetensors.I64, []int64{16, 15}, 2), `tensor "` + q + `.weight": weight_shape holds [16 15], expected [16 16] by config.json`},
		{"pack-quantized", replace(".weight_packed", F32, make([]float32, 32), 16, 2), `tensor "` + q + `.weight": tensor "` + q + `.weight_packed": dtype is F32, expected I32`},
		{"pack-quantized asymmetric", remove(".weight_zero_point"), `tensor "` + q + `.weight_zero_point" is missing, expected shape [2 2]`},
		{"float-quantized", replace(".weight", safetensors.F8E4M3, slices.Repeat([]byte{0xff}, 256), 16, 16), `tensor "` + q + `.weight": fp8-dynamic weight [16, 16]: code [0, 0] is 0xff, which is no number`},
		{"float-quantized static", replace(".input_scale", F32, []float32{-1}, 1), `tensor "` + q + `.weight": ` + q + `.input_scale is -1, expected a positive number`},
		{"int-quantized", replace(".weight", safetensors.F8E4M3, make([]byte, 256), 16, 16), `tensor "` + q + `.weight": tensor "` + q + `.weight": dtype is F8_E4M3, expected I8`},
	} {
		dir := t.TempDir()
		all := samples()
		tensors, _ := sampleFolder(t, dir, all[slices.IndexFunc(all, func(s sample) bool { return s.name == c.sample })])
		if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), c.change(tensors)); err != nil {
			t.Fatal(err)
		}
		_, _, err := load(dir)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != "checkpoint "+dir+": "+c.want) {
			t.Errorf("%s:\nfound    %v\nexpected %s", c.sample, err, c.want)
		}
	}
}

// Layers that a config leaves out are dense, by each method's own key.
func TestIgnoredLayers(t *testing.T) {
	for config, want := range map[string]string{
		w4Config:   "model.layers.0.self_attn.k_proj",
		awqSample:  "model.layers.0.self_attn.k_proj",
		fp8Sample:  "model.layers.0.mlp.up_proj",
		gptqSample: "lm_head",
	} {
		q, err := parseQuantization("quantization_config", json.RawMessage(config), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range []string{"model.layers.0.self_attn.k_proj", "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"} {
			if got := q.of(layer).Dense(); got != (layer == want) {
				t.Errorf("%s: %s is dense: %t", config, layer, got)
			}
		}
		if !q.of("lm_head").Dense() {
			t.Errorf("%s: the head is quantized", config)
		}
	}
}

func TestQuantizationRefusals(t *testing.T) {
	const group = `quantization_config.config_groups.group_%d.`
	const inputs = `, expected null, or for symmetric 4-bit weights without act-order 8-bit integers, symmetric, dynamic, strategy token`
	for _, c := range []struct{ config, old, new, want string }{
		{w4Config, `"quantization_status":"compressed"`, `"quantization_status":"melted"`, `quantization_config.quantization_status: "melted" is not supported, expected compressed, frozen, calibration or initialized`},
		{w4Config, `"ignore"`, `"sparsity_config":{"format":"sparse-24"},"ignore"`, `quantization_config.sparsity_config.format: "sparse-24" is not supported (2:4 sparse weights), expected pack-quantized, int-quantized, float-quantized, nvfp4-pack-quantized or mxfp4-pack-quantized: take the model before it was compressed, or one in these forms`},
		{w4Config, `"ignore"`, `"transform_config":{"a":1},"ignore"`, `quantization_config.transform_config: found {"a":1}: rotated weights are not supported, expected null`},
		{w4Config, `"actorder":null`, `"actorder":"odd"`, fmt.Sprintf(group, 0) + `weights.actorder: "odd" is not known, expected null, "static" or "group"`},
		{w4Config, `"actorder":"static"`, `"actorder":"group"`, fmt.Sprintf(group, 1) + `weights.actorder: "group" is not supported with strategy "channel", expected null`},
		{w4Config, `"group_size":128`, `"group_size":0`, fmt.Sprintf(group, 0) + `weights.group_size: expected a positive number for strategy group`},
		{w4Config, `"dynamic":false`, `"dynamic":true`, fmt.Sprintf(group, 0) + `weights.dynamic: true is not supported, expected false`},
		{w4Config, `re:.*down_proj$`, `re:(`, fmt.Sprintf(group, 1) + `targets: target "re:(": found "(", expected a regular expression with a ) for each (`},
		{w4Config, `"num_bits":4`, `"num_bits":3`, fmt.Sprintf(group, 0) + `weights: 3-bit int is not supported for pack-quantized, whose versions pack 3 bits in two ways that nothing in the file tells apart; expected int of 4 8 bits, or GPTQ`},
		{w4Config, `"strategy":"group"`, `"strategy":"tensor"`, fmt.Sprintf(group, 0) + `weights.strategy: "tensor" is not supported for pack-quantized, expected group, channel`},
		{w4Config, `"format":"pack-quantized"`, `"format":"nvfp4-pack-quantized"`, fmt.Sprintf(group, 0) + `weights: 4-bit int is not supported for nvfp4-pack-quantized, expected float of 4 bits`},
		{w4Config, `"format":"pack-quantized"`, `"format":"int-quantized"`, fmt.Sprintf(group, 0) + `weights: 4-bit int is not supported for int-quantized, expected int of 8 bits`},
		{w4Config, `"dynamic":true`, `"dynamic":false`, fmt.Sprintf(group, 1) + `input_activations: 8-bit int, symmetric true, dynamic false, strategy "token" is not supported` + inputs},
		{w4Config, `"input_activations":null`, `"input_activations":{"num_bits":4}`, fmt.Sprintf(group, 0) + `input_activations: 4-bit int, symmetric true, dynamic false, strategy "tensor" is not supported` + inputs},
		{gptqSample, `"bits":4`, `"bits":5`, `quantization_config.bits: 5 is not supported, expected 3, 4 or 8`},
		{gptqSample, `"checkpoint_format":"gptq"`, `"checkpoint_format":"marlin"`, `quantization_config.checkpoint_format: "marlin" (is_marlin_format false) is not supported, expected gptq or gptq_v2`},
		{gptqSample, `"dynamic":{}`, `"dynamic":{"+:.*k_proj":{"bits":5}}`, `quantization_config.dynamic.bits: 5 is not supported, expected 3, 4 or 8`},
		{gptqSample, `"dynamic":{}`, `"dynamic":[1]`, `quantization_config.dynamic: found [1], expected an object`},
		{gptqSample, `"group_size":8`, `"group_size":0`, `quantization_config.group_size: found 0, expected -1 or a positive number`},
		{gptqSample, `"pack_dtype":"int32"`, `"pack_dtype":"int64"`, `quantization_config.pack_dtype: "int64" is not supported, expected int32`},
		{awqSample, `"bits":4`, `"bits":8`, `quantization_config.bits: 8 is not supported, expected 4`},
		{awqSample, `"gemm"`, `"gemv"`, `quantization_config.version: "gemv" is not supported, expected gemm`},
		{awqSample, `"zero_point":true`, `"zero_point":false`, `quantization_config.zero_point: false is not supported, expected true`},
		{fp8Sample, `"dynamic"`, `"none"`, `quantization_config.activation_scheme: "none" is not supported, expected dynamic or static`},
		{fp8Sample, `{`, `{"fmt":"e5m2",`, `quantization_config.fmt: "e5m2" is not supported, expected e4m3 or float8_e4m3fn`},
		{fp8Sample, `{`, `{"weight_block_size":[128],`, `quantization_config.weight_block_size: found [128] with activation_scheme dynamic, expected two positive numbers with dynamic`},
		{fp8Sample, `{`, `{"is_checkpoint_fp8_serialized":false,`, `quantization_config.is_checkpoint_fp8_serialized: false is not supported, expected true`},
	} {
		_, err := parseQuantization("quantization_config", json.RawMessage(strings.Replace(c.config, c.old, c.new, 1)), nil)
		if err == nil || err.Error() != c.want {
			t.Errorf("found    %v\nexpected %s", err, c.want)
		}
	}
}

// FuzzPacked changes the bytes, the type and the shape of one tensor of a small quantized model: it
// is read or refused, never a panic.
func FuzzPacked(f *testing.F) {
	type stored struct {
		tensors []Tensor
		config  []byte
	}
	var all []stored
	for i, s := range samples() {
		dir := f.TempDir()
		tensors, _ := sampleFolder(f, dir, s)
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, stored{tensors, config})
		packed := slices.IndexFunc(tensors, func(t Tensor) bool {
			return strings.HasSuffix(t.Name, "q_proj.g_idx") || strings.Contains(t.Name, "q_proj.weight_")
		})
		f.Add(uint8(i), uint8(max(0, packed)), uint8(0), 16, 2, []byte{1, 2, 3, 0xff})
		f.Add(uint8(i), uint8(max(0, packed)), uint8(0), 0, 0, []byte{0, 0, 0, 0x80})
	}
	f.Fuzz(func(t *testing.T, which, tensor, dtype uint8, rows, columns int, data []byte) {
		s := all[int(which)%len(all)]
		tensors := slices.Clone(s.tensors)
		changed := &tensors[int(tensor)%len(tensors)]
		if types := []DType{changed.DType, safetensors.I32, F16, safetensors.I8, safetensors.F8E4M3}; int(dtype) < len(types) {
			changed.DType = types[dtype]
		}
		if rows > 0 && columns > 0 && rows <= 64 && columns <= 64 {
			changed.Shape = []int{rows, columns}
		}
		content := make([]byte, changed.Bytes())
		if len(data) > 0 {
			for i := range content {
				content[i] = data[i%len(data)]
			}
		}
		changed.Data = func() any { return content }
		var file bytes.Buffer
		if err := safetensors.Encode(&file, tensors); err != nil {
			t.Fatal(err)
		}
		memory := fstest.MapFS{"config.json": {Data: s.config}, "model.safetensors": {Data: file.Bytes()}}
		m, _, err := loadFS(memory, ".")
		if err == nil {
			err = m.Check()
		}
		if err != nil && !strings.Contains(err.Error(), changed.Name) && !strings.Contains(err.Error(), strings.TrimSuffix(changed.Name, path.Ext(changed.Name))) {
			t.Fatalf("%q was changed, the error is %v", changed.Name, err)
		}
	})
}
