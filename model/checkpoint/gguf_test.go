package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

var ggufTypes = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_1}

// TestGGUFRoundTrip writes models of every family and reads them: F32 to the bit, the others as
// what they round to, and what F16 holds as F16.
func TestGGUFRoundTrip(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) {
			c.MoreEOS = c.MoreEOS[:min(1, len(c.MoreEOS))] // see TestGGUFEndOfText
			if c.Rope.Kind == model.RopeLlama3 {
				// with heads of 4 it changes no frequency: see TestGGUFRopeScaling
				c.Rope = model.RopeScaling{}
			}
			m := random(t, c)
			want := c
			if c.Architecture == model.Mistral {
				want.Architecture = model.Llama
			}
			for _, kind := range ggufTypes {
				file := filepath.Join(t.TempDir(), "model.gguf")
				notes, err := SaveGGUF(context.Background(), file, m, tokenizer.Vocabulary{}, GGUFOptions{Type: kind})
				if err != nil {
					t.Fatal(err)
				}
				got, tok, err := load(file)
				if err != nil {
					t.Fatal(err)
				}
				if tok != nil || !sameConfig(got.Config, want) {
					t.Errorf("%s: tokenizer %v, config %+v, expected none and %+v", kind, tok, got.Config, want)
				}
				if kind == gguf.F32 {
					if !slices.Equal(got.Flat(), m.Flat()) || len(notes) > 0 {
						t.Errorf("weights differ; notes %q", notes)
					}
					continue
				}
				if blocks := kind.Block() > 1; blocks != (len(notes) > 0) {
					t.Errorf("%s: notes %q: the rows of 16 and 24 are whole blocks of F16 and BF16 alone", kind, notes)
				}
				rounded := map[gguf.Type]gguf.Type{gguf.F16: gguf.F16, gguf.BF16: gguf.BF16, gguf.Q8_0: gguf.F16, gguf.Q4_0: gguf.F16, gguf.Q4_1: gguf.F16}[kind]
				for i, p := range m.Tensors() {
					stored := slices.Clone(p.Data)
					if len(p.Shape) == 2 {
						b := make([]byte, rounded.RowBytes(len(stored)))
						if err := errors.Join(rounded.Encode(b, p.Data), rounded.Decode(stored, b)); err != nil {
							t.Fatal(err)
						}
					}
					if !slices.Equal(got.Tensors()[i].Data, stored) {
						t.Errorf("%s: tensor %q differs from what it rounds to", kind, p.Name)
					}
				}
			}
		})
	}
}

// TestGGUFRewritten writes every given F32 and F16 file again, from its checkpoint: all tensors
// have the same bytes, and the F32 file written in the other types is what llama.cpp made of it.
func TestGGUFRewritten(t *testing.T) {
	for _, c := range []struct {
		from string
		kind gguf.Type
		to   string
	}{
		{"stories260K/gguf/stories260K.gguf", gguf.F32, "stories260K/gguf/stories260K.gguf"},
		{"stories260K/gguf/stories260K.gguf", gguf.F16, "stories260K/gguf/stories260K-F16.gguf"},
		{"stories260K/gguf/stories260K-F16.gguf", gguf.F16, "stories260K/gguf/stories260K-F16.gguf"},
		{"TinyStories-656K/gguf/tinystories-656K-F32.gguf", gguf.F32, "TinyStories-656K/gguf/tinystories-656K-F32.gguf"},
		{"TinyStories-656K/gguf/tinystories-656K-F32.gguf", gguf.F16, "TinyStories-656K/gguf/tinystories-656K-F16.gguf"},
		{"TinyStories-656K/gguf/tinystories-656K-F16.gguf", gguf.F16, "TinyStories-656K/gguf/tinystories-656K-F16.gguf"},
		{"TinyStories-656K/gguf/tinystories-656K-F32.gguf", gguf.BF16, "TinyStories-656K/gguf/tinystories-656K-BF16.gguf"},
		{"TinyStories-656K/gguf/tinystories-656K-F32.gguf", gguf.Q8_0, "TinyStories-656K/gguf/tinystories-656K-Q8_0.gguf"},
		{"TinyStories-656K/gguf/tinystories-656K-F32.gguf", gguf.Q4_0, "TinyStories-656K/gguf/tinystories-656K-Q4_0.gguf"},
	} {
		from, err := Open(shareddata.Path(t, "models", c.from))
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		tok, err := from.Tokenizer()
		if err != nil {
			t.Fatal(err)
		}
		v, err := tok.Vocabulary()
		if err != nil {
			t.Fatal(err)
		}
		v.ChatTemplate = "{{ bos_token }}"
		name := filepath.Join(t.TempDir(), "again.gguf")
		if notes, err := from.WriteGGUF(context.Background(), name, v, GGUFOptions{Type: c.kind}); err != nil || len(notes) > 0 {
			t.Fatal(notes, err)
		}
		got, want := openContainer(t, name), openContainer(t, shareddata.Path(t, "models", c.to))
		if len(got.Tensors) != len(want.Tensors) {
			t.Errorf("%s as %s: %d tensors, expected %d", c.from, c.kind, len(got.Tensors), len(want.Tensors))
		}
		for _, tensor := range want.Tensors {
			a, errA := got.Raw(tensor.Name, 0, tensor.Rows())
			b, errB := want.Raw(tensor.Name, 0, tensor.Rows())
			if stored, _ := got.Tensor(tensor.Name); stored.Type != tensor.Type || !bytes.Equal(a, b) || errA != nil || errB != nil {
				t.Errorf("%s as %s: tensor %q is %s, expected the bytes of %s, %s (%v, %v)", c.from, c.kind, tensor.Name, stored.Type, c.to, tensor.Type, errA, errB)
			}
		}
		again, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if a, b := again.Config(), from.Config(); !reflect.DeepEqual(a, b) {
			t.Errorf("%s as %s: config %+v, expected %+v", c.from, c.kind, a, b)
		}
		tokAgain, err := again.Tokenizer()
		if err != nil {
			t.Fatal(err)
		}
		const text = "Once upon a time, there was a café; 1 + 1 = 2.\n\n  ☃"
		if a, b := tokAgain.EncodeSpecial(text), tok.EncodeSpecial(text); !slices.Equal(a, b) || tokAgain.ChatTemplate() != v.ChatTemplate {
			t.Errorf("%s as %s: ids %d and chat template %q, expected %d and %q", c.from, c.kind, a, tokAgain.ChatTemplate(), b, v.ChatTemplate)
		}
	}
}

// TestGGUFFallback: 172 is no multiple of 32, so down_proj of stories260K cannot be of blocks. The
// notes say so.
func TestGGUFFallback(t *testing.T) {
	c, err := Open(shareddata.Path(t, "models", "stories260K", "gguf", "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	name := filepath.Join(t.TempDir(), "q8.gguf")
	notes, err := c.WriteGGUF(context.Background(), name, tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.Q8_0})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"model.layers.0.mlp.down_proj.weight, model.layers.1.mlp.down_proj.weight, model.layers.2.mlp.down_proj.weight, " +
		"model.layers.3.mlp.down_proj.weight, model.layers.4.mlp.down_proj.weight: F16, not Q8_0: rows of 172 are not whole blocks of 32"}
	if !slices.Equal(notes, want) {
		t.Errorf("notes are %q, expected %q", notes, want)
	}
	q, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	formats := map[string]int{}
	for _, l := range q.Quantization() {
		formats[l.Format]++
	}
	if want := map[string]int{"Q8_0": 31, "F16": 5}; !reflect.DeepEqual(formats, want) {
		t.Errorf("formats %v, expected %v", formats, want)
	}
}

// TestGGUFRows: rows, raw bytes and whole tensors of one file agree, also where heads are stored in
// another order.
func TestGGUFRows(t *testing.T) {
	c := shapes()["llama with bias"]
	m := random(t, c)
	name := filepath.Join(t.TempDir(), "model.gguf")
	if _, err := SaveGGUF(context.Background(), name, m, tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.F32}); err != nil {
		t.Fatal(err)
	}
	file, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range m.Tensors() {
		raw, err := file.Raw(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		decoded := make([]float32, len(p.Data))
		if err := gguf.F32.Decode(decoded, raw); err != nil || !slices.Equal(decoded, p.Data) {
			t.Errorf("the raw bytes of %q differ (%v)", p.Name, err)
		}
		if len(p.Shape) < 2 {
			continue
		}
		in := p.Shape[1]
		rows := make([]float32, 2*in)
		if err := file.files.ReadRows(rows, p.Name, 1, 2); err != nil || !slices.Equal(rows, p.Data[in:3*in]) {
			t.Errorf("rows 1 and 2 of %q differ (%v)", p.Name, err)
		}
		for _, first := range []int{-1, p.Shape[0] - 1, math.MaxInt - 1} {
			if err := file.files.ReadRows(rows, p.Name, first, 2); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("rows %d to ", first)) {
				t.Errorf("rows %d and the next of %q, which has %d, were read: %v", first, p.Name, p.Shape[0], err)
			}
		}
		for _, n := range []int{0, in, 2*in - 1, 2*in + 1, 3 * in} {
			if err := file.files.ReadRows(make([]float32, n), p.Name, 1, 2); err == nil {
				t.Errorf("two rows of %q were read into %d elements", p.Name, n)
			}
		}
		if err := file.files.ReadRows(nil, p.Name, 1, -1); err == nil {
			t.Errorf("minus one rows of %q were read", p.Name)
		}
	}
	if _, err := file.Raw("none"); err == nil || err.Error() != `tensor "none" is missing` {
		t.Errorf("found %v", err)
	}
	permuted := openContainer(t, name)
	q := make([]float32, c.Hidden*c.Hidden)
	if err := permuted.ReadRows(q, "blk.0.attn_q.weight", 0, c.Hidden); err != nil {
		t.Fatal(err)
	}
	// The second row of a head in the file turns with the first: it is row headDim/2 of the model.
	if in := c.Hidden; !slices.Equal(q[in:2*in], m.Blocks[0].Q.Weight.Float32()[2*in:3*in]) {
		t.Error("row 1 of blk.0.attn_q.weight is not row 2, of heads of 4, of q_proj")
	}
}

func openContainer(t *testing.T, name string) *gguf.File {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// TestGGUFRowOrder: the two orders of rows are inverse, and keep rows within their head.
func TestGGUFRowOrder(t *testing.T) {
	for _, headDim := range []int{2, 4, 6, 64} {
		for r := range 3 * headDim {
			if g := ggufRow(r, headDim); huggingFaceRow(g, headDim) != r || g/headDim != r/headDim {
				t.Fatalf("heads of %d: row %d is stored as %d, which is %d", headDim, r, g, huggingFaceRow(g, headDim))
			}
		}
	}
}

func TestGGUFNames(t *testing.T) {
	for _, c := range shapes() {
		for _, s := range ggufShapes(c) {
			stored, ok := toGGUFName(s.Name)
			if name, back := fromGGUFName(stored); !ok || !back || name != s.Name {
				t.Errorf("%q is %q (%t), which is %q (%t)", s.Name, stored, ok, name, back)
			}
		}
	}
	for _, name := range []string{"", "blk", "blk.", "blk.0", "blk.0.", "blk.00.attn_q.weight", "blk.-1.attn_q.weight", "blk.+1.attn_q.weight", "blk.0.attn_q", "output", "rope_freqs.weight", "blk.99999999999999999999.attn_q.weight"} {
		if got, ok := fromGGUFName(name); ok {
			t.Errorf("%q is %q, expected none", name, got)
		}
	}
}

// TestGGUFRopeScaling: each kind of scaling comes back as itself, and llama3's as one that gives
// the same divisors.
func TestGGUFRopeScaling(t *testing.T) {
	base := model.Config{Architecture: model.Llama, Vocab: 64, Hidden: 64, HeadDim: 64, Layers: model.Uniform(1, 1, 1, 32), MaxPositions: 1 << 17,
		RopeTheta: 500000, NormEps: 1e-5, BOS: 1, EOS: 2}
	for _, c := range []struct {
		name     string
		in, want model.RopeScaling
	}{
		{"none", model.RopeScaling{}, model.RopeScaling{}},
		{"linear", model.RopeScaling{Kind: model.RopeLinear, Factor: 4}, model.RopeScaling{Kind: model.RopeLinear, Factor: 4}},
		{"yarn", model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 32768}, model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 32768}},
		{"yarn of the whole context", model.RopeScaling{Kind: model.RopeYarn, Factor: 4}, model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 1 << 17}},
		{"yarn with all its numbers", model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 4096, BetaFast: 16, BetaSlow: 2, AttentionFactor: 1.25},
			model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 4096, BetaFast: 16, BetaSlow: 2, AttentionFactor: 1.25}},
		{"llama 3.1", model.RopeScaling{Kind: model.RopeLlama3, Factor: 8, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192},
			model.RopeScaling{Kind: model.RopeLlama3, Factor: 8, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192}},
		{"llama 3.2", model.RopeScaling{Kind: model.RopeLlama3, Factor: 32, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192},
			model.RopeScaling{Kind: model.RopeLlama3, Factor: 32, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192}},
		// Twice the context and twice the factors is the same scaling.
		{"another context", model.RopeScaling{Kind: model.RopeLlama3, Factor: 16, LowFrequencyFactor: 3, HighFrequencyFactor: 10, OriginalMaxPositions: 16384},
			model.RopeScaling{Kind: model.RopeLlama3, Factor: 16, LowFrequencyFactor: 1.5, HighFrequencyFactor: 5, OriginalMaxPositions: 8192}},
		{"llama3 by 1", model.RopeScaling{Kind: model.RopeLlama3, Factor: 1, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192}, model.RopeScaling{}},
	} {
		config := base
		config.Rope = c.in
		name := filepath.Join(t.TempDir(), "model.gguf")
		if _, err := SaveGGUF(context.Background(), name, random(t, config), tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.F32}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		file, err := Open(name)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := file.Config().Rope
		file.Close()
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-3*math.Abs(b) }
		if got.Kind != c.want.Kind || got.OriginalMaxPositions != c.want.OriginalMaxPositions || !near(got.Factor, c.want.Factor) ||
			!near(got.LowFrequencyFactor, c.want.LowFrequencyFactor) || !near(got.HighFrequencyFactor, c.want.HighFrequencyFactor) ||
			!near(got.BetaFast, c.want.BetaFast) || !near(got.BetaSlow, c.want.BetaSlow) || !near(got.AttentionFactor, c.want.AttentionFactor) {
			t.Errorf("%s: %+v became %+v, expected %+v", c.name, c.in, got, c.want)
		}
	}
	rng := rand.New(rand.NewPCG(3, 5))
	factors := make([]float32, 32)
	for i := range factors {
		factors[i] = 1 + 7*rng.Float32()
	}
	const want = `tensor "rope_freqs.weight": the 32 divisors of the frequencies follow no llama3 scaling`
	if r, err := llama3FromFactors(factors, base); err == nil || err.Error() != want {
		t.Errorf("random divisors are %+v (%v), expected: %s", r, err, want)
	}
	factors[3] = float32(math.NaN())
	if _, err := llama3FromFactors(factors, base); err == nil {
		t.Error("a divisor that is NaN was taken")
	}
}

// TestGGUFEndOfText: the further tokens that end a text have two keys; what is beyond is said.
func TestGGUFEndOfText(t *testing.T) {
	c := shapes()["untied"]
	c.MoreEOS = []int{7, 8, 9}
	v := tokenizer.Vocabulary{Model: "gpt2", Tokens: strings.Split("0 1 2 3 4 5 6 <|eom_id|> 8 9", " "), BOS: -1, EOS: -1, Unknown: -1, Padding: -1}
	name := filepath.Join(t.TempDir(), "model.gguf")
	notes, err := SaveGGUF(context.Background(), name, random(t, c), v, GGUFOptions{Type: gguf.F32})
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "token 9 ends a text too") {
		t.Errorf("notes are %q", notes)
	}
	config, err := ggufConfig(openContainer(t, name), nil)
	if err != nil || config.EOS != c.EOS || !slices.Equal(config.MoreEOS, []int{8, 7}) {
		t.Errorf("texts end with %d, %d (%v), expected %d, [8 7]", config.EOS, config.MoreEOS, err, c.EOS)
	}
}

// TestGGUFLayersOfTheirOwn: files may list widths layer by layer.
func TestGGUFLayersOfTheirOwn(t *testing.T) {
	c := shapes()["pruned"]
	metadata := gguf.Metadata{
		{Key: "general.architecture", Value: "llama"}, {Key: "llama.context_length", Value: uint32(c.MaxPositions)}, {Key: "llama.embedding_length", Value: uint64(c.Hidden)},
		{Key: "llama.block_count", Value: int16(2)}, {Key: "llama.attention.head_count", Value: []uint32{4, 2}}, {Key: "llama.attention.head_count_kv", Value: []int32{2, 1}},
		{Key: "llama.feed_forward_length", Value: []int64{24, 17}}, {Key: "llama.attention.layer_norm_rms_epsilon", Value: float64(c.NormEps)},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(0)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(1)}, {Key: "tokenizer.ggml.padding_token_id", Value: uint32(noToken)},
	}
	var tensors []gguf.NewTensor
	for _, s := range ggufShapes(c) {
		name, _ := toGGUFName(s.Name)
		tensors = append(tensors, gguf.NewTensor{Name: name, Type: gguf.F32, Shape: s.Shape, ReadRows: func([]float32, int, int) error { return nil }})
	}
	name := filepath.Join(t.TempDir(), "model.GGUF")
	if err := gguf.Write(name, metadata, tensors); err != nil {
		t.Fatal(err)
	}
	got, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if !sameConfig(got.Config(), c) {
		t.Errorf("config %+v, expected %+v", got.Config(), c)
	}
}

// TestGGUFOfPackedWeights: weights that are not float32 in memory are decoded, a head that holds
// the embedding too, and one beside it is a head of its own.
func TestGGUFOfPackedWeights(t *testing.T) {
	tied := random(t, shapes()["tied"]).InBFloat16()
	apart := random(t, shapes()["tied"])
	apart.Head = tied.Head
	for name, m := range map[string]*model.Model{"the head is the embedding": tied, "the head is its own": apart} {
		file := filepath.Join(t.TempDir(), "model.gguf")
		if _, err := SaveGGUF(context.Background(), file, m, tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.F32}); err != nil {
			t.Fatal(err)
		}
		got, _, err := load(file)
		if err != nil {
			t.Fatal(err)
		}
		embedding := m.Embedding
		if embedding == nil {
			embedding = m.Head.Float32()
		}
		if got.TiedHead != (m.Embedding == nil) || !slices.Equal(got.Embedding, embedding) || !slices.Equal(got.Head.Float32(), m.Head.Float32()) {
			t.Errorf("%s: tied %t, or other weights", name, got.TiedHead)
		}
		for i, l := range m.Linears() {
			if !slices.Equal(got.Linears()[i].Weight.Float32(), l.Weight.Float32()) {
				t.Errorf("%s: %s differs", name, l.Name)
			}
		}
	}
}

// retyped writes a copy of a GGUF file in which the matrices have another type and the bytes that
// fill gives.
func retyped(t *testing.T, name string, kind gguf.Type, fill func([]byte)) string {
	t.Helper()
	file := openContainer(t, name)
	var tensors []gguf.NewTensor
	for _, tensor := range file.Tensors {
		n := gguf.NewTensor{Name: tensor.Name, Type: gguf.F32, Shape: tensor.Shape, ReadRows: func(dst []float32, first, rows int) error {
			return file.ReadRows(dst, tensor.Name, first, rows)
		}}
		if len(tensor.Shape) == 2 { // a placeholder of the right size
			n.Type, n.Shape = gguf.F16, []int{tensor.Rows(), kind.RowBytes(tensor.RowLength()) / 2}
			n.ReadRows = func(dst []float32, first, rows int) error { return nil }
		}
		tensors = append(tensors, n)
	}
	copied := filepath.Join(t.TempDir(), kind.String()+".gguf")
	if err := gguf.Write(copied, file.Metadata, tensors); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range openContainer(t, copied).Tensors {
		if len(tensor.Shape) != 2 {
			continue
		}
		fill(data[tensor.Offset() : tensor.Offset()+tensor.Bytes()])
		original, _ := file.Tensor(tensor.Name)
		label := append(binary.LittleEndian.AppendUint64(nil, uint64(len(tensor.Name))), tensor.Name...)
		entry := data[bytes.Index(data, label)+len(label):] // number of sizes, sizes, type
		binary.LittleEndian.PutUint64(entry[4:], uint64(original.RowLength()))
		binary.LittleEndian.PutUint32(entry[4+8+8:], uint32(kind))
	}
	if err := os.WriteFile(copied, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return copied
}

// TestGGUFBlockTypes: a model whose matrices have any type of weights is read whole, rows in
// Hugging Face's order.
func TestGGUFBlockTypes(t *testing.T) {
	c := shapes()["untied"]
	c.Vocab, c.Hidden, c.HeadDim, c.MoreEOS, c.Layers = 8, 256, 64, nil, model.Uniform(1, 4, 2, 256)
	plain := filepath.Join(t.TempDir(), "plain.gguf")
	if _, err := SaveGGUF(context.Background(), plain, random(t, c), tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.F32}); err != nil {
		t.Fatal(err)
	}
	for kind := range gguf.Type(61) {
		if !kind.Known() || kind.RowBytes(256)%2 != 0 {
			continue
		}
		name := retyped(t, plain, kind, func(b []byte) {
			for i := range b {
				b[i] = byte(i*i*7 + i) // scales are finite
			}
		})
		m, _, err := load(name)
		if !kind.CanDecode() {
			if err == nil || !strings.HasSuffix(err.Error(), `tensor "token_embd.weight": `+kind.Problem()) {
				t.Errorf("%s: found %v", kind, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		file := openContainer(t, name)
		stored := make([]float32, 256*256)
		check := func(tensor string, got []float32, row func(r int) int) {
			info, _ := file.Tensor(tensor)
			if err := file.ReadRows(stored[:info.Elements()], tensor, 0, info.Rows()); err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				if want := stored[row(i/256)*256+i%256]; math.Float32bits(v) != math.Float32bits(want) {
					t.Fatalf("%s: %s: element %d is %g, expected %g", kind, tensor, i, v, want)
				}
			}
		}
		same := func(r int) int { return r }
		check("token_embd.weight", m.Embedding, same)
		check("blk.0.ffn_down.weight", m.Blocks[0].Down.Weight.Float32(), same)
		check("blk.0.attn_q.weight", m.Blocks[0].Q.Weight.Float32(), func(r int) int { return ggufRow(r, 64) })
	}
}
