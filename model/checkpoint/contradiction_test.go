package checkpoint

import (
	"path/filepath"
	"strings"
	"testing"
)

// A quantization without a group size is read with that of the scales, and says so.
func TestGroupSizeOfTheScales(t *testing.T) {
	for _, c := range []struct{ sample, group string }{{"GPTQ", `"group_size":8,`}, {"AWQ", `"group_size":8,`}} {
		for _, with := range []string{"", `"group_size":null,`} {
			s, dir := sampleOf(t, c.sample), t.TempDir()
			if !strings.Contains(s.config, c.group) {
				t.Fatalf("%s: no %s in %s", c.sample, c.group, s.config)
			}
			s.config = strings.Replace(s.config, c.group, with, 1)
			_, weights := sampleFolder(t, dir, s)
			m, notes := read(t, dir)
			sameNumbers(t, m, weights)
			wantNote(t, notes, "quantization: group_size is missing: by the scales, groups are of 8 inputs (model.layers.0.self_attn.q_proj)")
		}
	}
}

// Of two files that say how a model is quantized, the note names the one that counts and the other,
// and both values.
func TestContradictingQuantizationFiles(t *testing.T) {
	const none = "the quantization is that of quantize_config.json: config.json has no quantization_config"
	eight := strings.Replace(gptqSample, `"bits":4`, `"bits":8`, 1)
	for _, c := range []struct {
		what  string
		files map[string]string
		notes []string
	}{
		{"the methods of both files", map[string]string{"quantize_config.json": gptqSample, "quant_config.json": awqSample},
			[]string{none, `quant_config.json: the method is "awq", in quantize_config.json "gptq": quantize_config.json counts`}},
		{"a file named for another method", map[string]string{"quantize_config.json": gptqSample, "quant_config.json": eight},
			[]string{none, "quant_config.json: bits is 8, in quantize_config.json 4: quantize_config.json counts"}},
		{"an order", map[string]string{"quantize_config.json": gptqSample, "quant_config.json": strings.Replace(gptqSample, `"desc_act":false`, `"desc_act":true`, 1)},
			[]string{none, "quant_config.json: desc_act is true, in quantize_config.json false: quantize_config.json counts"}},
		{"equal files", map[string]string{"quantize_config.json": gptqSample, "quant_config.json": gptqSample}, []string{none}},
		{"one that cannot be read", map[string]string{"quantize_config.json": `{"bits":5,"group_size":8}`, "quant_config.json": gptqSample},
			[]string{"the quantization is that of quant_config.json: config.json has no quantization_config", "quantize_config.json: bits: 5 is not supported, expected 3, 4 or 8; the file is not used"}},
		{"all three", map[string]string{"quantize_config.json": gptqSample, "quant_config.json": gptqSample, "hf_quant_config.json": `{"quantization":{"quant_algo":"FP8"}}`},
			[]string{none, `hf_quant_config.json: the method is "modelopt", in quantize_config.json "gptq": quantize_config.json counts`}},
	} {
		s, dir := sampleOf(t, "GPTQ"), t.TempDir()
		s.config = "null"
		_, weights := sampleFolder(t, dir, s)
		for name, content := range c.files {
			writeFile(t, filepath.Join(dir, name), content)
		}
		m, notes := read(t, dir)
		sameNumbers(t, m, weights)
		if strings.Join(notes, "\n") != strings.Join(c.notes, "\n") {
			t.Errorf("%s:\nfound    %q\nexpected %q", c.what, notes, c.notes)
		}
	}
	s, dir := sampleOf(t, "GPTQ"), t.TempDir()
	sampleFolder(t, dir, s)
	writeFile(t, filepath.Join(dir, "quant_config.json"), awqSample)
	_, notes := read(t, dir)
	wantNote(t, notes, `quant_config.json: the method is "awq", in config.json "gptq": config.json counts`)
}
