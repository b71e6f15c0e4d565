package checkpoint

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// TestGGUFMixes: which layers' v_proj, down_proj and o_proj have more bits in a mix, and the head
// and other matrices.
func TestGGUFMixes(t *testing.T) {
	types := func(wanted gguf.Type, layers int, part string) string {
		var list []string
		for layer := range layers {
			list = append(list, ggufType(TensorInfo{Name: fmt.Sprintf("model.layers.%d.%s.weight", layer, part), Shape: []int{4, 256}}, layers, false, wanted).String())
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct {
		wanted gguf.Type
		layers int
		part   string
		want   string
	}{
		{gguf.Q4_K, 4, "self_attn.v_proj", "Q4_K Q4_K Q6_K Q6_K"},
		{gguf.Q4_K, 4, "mlp.down_proj", "Q4_K Q4_K Q6_K Q6_K"},
		{gguf.Q4_K, 16, "mlp.down_proj", "Q6_K Q6_K Q4_K Q4_K Q6_K Q4_K Q4_K Q6_K Q4_K Q4_K Q6_K Q4_K Q4_K Q6_K Q6_K Q6_K"},
		{gguf.Q5_K, 4, "self_attn.v_proj", "Q5_K Q5_K Q6_K Q6_K"},
		{gguf.Q5_K, 2, "self_attn.o_proj", "Q5_K Q5_K"},
		{gguf.Q3_K, 4, "self_attn.v_proj", "Q5_K Q5_K Q4_K Q4_K"},
		{gguf.Q3_K, 17, "mlp.down_proj", "Q5_K" + strings.Repeat(" Q4_K", 16)},
		{gguf.Q3_K, 2, "self_attn.o_proj", "Q4_K Q4_K"},
		{gguf.Q3_K, 2, "mlp.up_proj", "Q3_K Q3_K"},
		{gguf.Q4_K, 2, "self_attn.q_proj", "Q4_K Q4_K"},
		{gguf.Q6_K, 2, "self_attn.v_proj", "Q6_K Q6_K"},
		{gguf.Q8_0, 2, "mlp.down_proj", "Q8_0 Q8_0"},
	} {
		if got := types(c.wanted, c.layers, c.part); got != c.want {
			t.Errorf("%s of %d layers, %s: %s, expected %s", c.part, c.layers, c.wanted, got, c.want)
		}
	}
	for _, c := range []struct {
		name         string
		tied         bool
		wanted, want gguf.Type
	}{
		{headName, false, gguf.Q4_K, gguf.Q6_K}, {embeddingName, true, gguf.Q3_K, gguf.Q6_K}, {embeddingName, false, gguf.Q4_K, gguf.Q4_K},
		{headName, false, gguf.Q4_0, gguf.Q8_0}, {headName, false, gguf.Q8_0, gguf.Q8_0}, {headName, false, gguf.F16, gguf.F16},
	} {
		if got := ggufType(TensorInfo{Name: c.name, Shape: []int{4, 256}}, 2, c.tied, c.wanted); got != c.want {
			t.Errorf("%s tied %t, %s: %s, expected %s", c.name, c.tied, c.wanted, got, c.want)
		}
	}
	for _, c := range []struct {
		of    gguf.Type
		width int
		want  gguf.Type
	}{
		{gguf.Q4_K, 512, gguf.Q4_K}, {gguf.Q3_K, 896, gguf.IQ4_NL}, {gguf.Q4_K, 896, gguf.Q5_0}, {gguf.Q5_K, 896, gguf.Q5_1}, {gguf.Q6_K, 896, gguf.Q8_0},
		{gguf.Q4_K, 172, gguf.F16}, {gguf.Q6_K, 172, gguf.F16}, {gguf.Q8_0, 172, gguf.F16}, {gguf.Q4_0, 172, gguf.F16}, {gguf.F32, 7, gguf.F32},
	} {
		if got := ggufFallback(c.of, c.width); got != c.want {
			t.Errorf("rows of %d of %s: %s, expected %s", c.width, c.of, got, c.want)
		}
	}
}

// TestGGUFMixIsWritten writes a model whose rows are partly whole blocks as every form, and reads
// what stands in each tensor: the values are those that EncodeWeighted gives for its rows.
func TestGGUFMixIsWritten(t *testing.T) {
	c := shapes()["untied"]
	c.Hidden, c.HeadDim, c.Layers, c.MoreEOS = 256, 64, []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 288}, {Heads: 4, KVHeads: 2, MLP: 288}}, nil
	m := random(t, c)
	rng := rand.New(rand.NewPCG(1, 1))
	importance := map[string][]float32{}
	for _, l := range m.Linears() {
		list := make([]float32, l.In)
		for i := range list {
			list[i] = rng.Float32()
		}
		importance[l.Name+".weight"] = list
	}
	for _, form := range GGUFForms() {
		kind, err := GGUFForm(strings.ToLower(form))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "mix.gguf")
		notes, err := SaveGGUF(context.Background(), name, m, tokenizer.Vocabulary{}, GGUFOptions{Type: kind, Importance: importance})
		if err != nil {
			t.Fatal(err)
		}
		if form == "Q4_K_M" {
			want := []string{"model.layers.0.mlp.down_proj.weight: Q5_0, not Q4_K: rows of 288 are not whole blocks of 256",
				"model.layers.1.mlp.down_proj.weight: Q8_0, not Q6_K: rows of 288 are not whole blocks of 256"}
			if !slices.Equal(notes, want) {
				t.Errorf("notes %q, expected %q", notes, want)
			}
		}
		file := openContainer(t, name)
		if n, _, err := file.Metadata.Int("general.file_type"); err != nil || n < 0 {
			t.Errorf("%s: file type %d, %v", form, n, err)
		}
		got, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Linears() {
			info, ok := got.files.tensor(l.Name + ".weight")
			of := ggufFallback(ggufType(TensorInfo{Name: l.Name + ".weight", Shape: info.Shape}, 2, false, kind), l.In)
			if !ok || string(info.DType) != of.String() {
				t.Errorf("%s: %s is %s, expected %s", form, l.Name, info.DType, of)
			}
			row, stored := make([]float32, l.In), make([]float32, l.In)
			l.Weight.Row(row, 3)
			b := make([]byte, of.RowBytes(l.In))
			weights := importance[l.Name+".weight"]
			if err := of.EncodeWeighted(b, row, weights); err != nil {
				t.Fatal(err)
			}
			if err := of.Decode(row, b); err != nil {
				t.Fatal(err)
			}
			if err := got.ReadRows(stored, l.Name+".weight", 3, 1); err != nil || !slices.Equal(row, stored) {
				t.Errorf("%s: row 3 of %s is not what its encoding gives (%v)", form, l.Name, err)
			}
		}
		got.Close()
	}
	if _, err := GGUFForm("q4_k"); err == nil || !strings.Contains(err.Error(), "Q4_K_M") {
		t.Errorf("the form q4_k: %v", err)
	}
}

// TestGGUFFaintBlocksAreNamed: the note of a model with a matrix whose numbers are too small for
// the scales of its type; a form without scales has none.
func TestGGUFFaintBlocksAreNamed(t *testing.T) {
	c := shapes()["untied"]
	c.Hidden, c.HeadDim, c.Layers, c.MoreEOS = 256, 64, []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 256}}, nil
	m := random(t, c)
	up := m.Linears()[slices.IndexFunc(m.Linears(), func(l model.LinearLayer) bool { return strings.HasSuffix(l.Name, "up_proj") })].Weight.(*weight.Dense)
	for i := range up.Data {
		switch row := i / 256; {
		case row < 3:
			up.Data[i] *= 1e-12
		case row < 8:
			up.Data[i] *= 1e-4 / 20
		}
	}
	for _, form := range []string{"Q4_K_M", "Q8_0", "BF16"} {
		kind, _ := GGUFForm(form)
		notes, err := SaveGGUF(context.Background(), filepath.Join(t.TempDir(), "faint.gguf"), m, tokenizer.Vocabulary{}, GGUFOptions{Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(notes, "\n")
		want := map[string]string{"Q4_K_M": "blk.0.ffn_up.weight in 8 of 256 blocks, 3 of them now zeros", "Q8_0": "blk.0.ffn_up.weight in 64 of 2048 blocks, 24 of them now zeros"}[form]
		if !strings.Contains(text, want) || strings.Count(text, "underflow") != len(want)/max(1, len(want)) {
			t.Errorf("%s: notes %q, expected one with %q", form, notes, want)
		}
	}
}
