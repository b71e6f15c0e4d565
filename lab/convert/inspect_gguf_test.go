package convert

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/checkpoint/gguf"
)

// ggufEntry is a tensor of a composed file; its sizes are in the file's order.
type ggufEntry struct {
	name  string
	kind  gguf.Type
	sizes []uint64
}

// composeGGUF writes a GGUF file of any types, whose tensors are zeros: texts and uint32 are
// metadata, and a type that is not known takes 64 bytes.
func composeGGUF(t *testing.T, name string, metadata []gguf.Pair, tensors []ggufEntry) {
	t.Helper()
	put := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(put.AppendUint64(b, uint64(len(s))), s...) }
	b := put.AppendUint32([]byte("GGUF"), 3)
	b = put.AppendUint64(put.AppendUint64(b, uint64(len(tensors))), uint64(len(metadata)))
	for _, p := range metadata {
		b = text(b, p.Key)
		switch v := p.Value.(type) {
		case string:
			b = text(put.AppendUint32(b, 8), v)
		case int:
			b = put.AppendUint32(put.AppendUint32(b, 4), uint32(v))
		case float32:
			b = append(put.AppendUint32(b, 6), 0xac, 0xc5, 0x27, 0x37) // 1e-5
		default:
			t.Fatalf("%s: %T", p.Key, v)
		}
	}
	offset := uint64(0)
	for _, e := range tensors {
		b = put.AppendUint32(text(b, e.name), uint32(len(e.sizes)))
		size := uint64(64)
		if e.kind.Known() {
			size = uint64(e.kind.RowBytes(int(e.sizes[0])))
			for _, n := range e.sizes[1:] {
				size *= n
			}
		}
		for _, n := range e.sizes {
			b = put.AppendUint64(b, n)
		}
		b = put.AppendUint64(put.AppendUint32(b, uint32(e.kind)), offset)
		offset += (size + 31) / 32 * 32
	}
	b = append(b, make([]byte, (32-len(b)%32)%32+int(offset))...)
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func llamaMetadata() []gguf.Pair {
	return []gguf.Pair{
		{Key: "general.architecture", Value: "llama"}, {Key: "llama.context_length", Value: 64}, {Key: "llama.embedding_length", Value: 256},
		{Key: "llama.block_count", Value: 1}, {Key: "llama.feed_forward_length", Value: 256}, {Key: "llama.attention.head_count", Value: 4},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
	}
}

// llamaTensors are those of a model of one layer, whose down projection has a type.
func llamaTensors(down gguf.Type) []ggufEntry {
	list := []ggufEntry{{"token_embd.weight", gguf.F16, []uint64{256, 8}}, {"output_norm.weight", gguf.F32, []uint64{256}},
		{"blk.0.attn_norm.weight", gguf.F32, []uint64{256}}, {"blk.0.ffn_norm.weight", gguf.F32, []uint64{256}}}
	for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"} {
		list = append(list, ggufEntry{"blk.0." + name + ".weight", gguf.Q8_0, []uint64{256, 256}})
	}
	return append(list, ggufEntry{"blk.0.ffn_down.weight", down, []uint64{256, 256}})
}

// TestInspectEveryGGUFType: whatever the number of a type, inspect lists every tensor, and says
// which verbs read the file and why the others do not.
func TestInspectEveryGGUFType(t *testing.T) {
	for kind := range gguf.Type(61) {
		name := filepath.Join(t.TempDir(), "model.gguf")
		composeGGUF(t, name, llamaMetadata(), llamaTensors(kind))
		in, err := Inspect(name, open)
		if err != nil {
			t.Errorf("type %d: %v", kind, err)
			continue
		}
		last := in.GGUF.Tensors[len(in.GGUF.Tensors)-1]
		wantName := kind.String()
		if !kind.Known() {
			wantName = fmt.Sprintf("type %d, unknown", kind)
		}
		if len(in.GGUF.Tensors) != 11 || last.Type != wantName || last.SizeKnown != kind.Known() || !slices.Equal(last.Shape, []int{256, 256}) {
			t.Errorf("type %d: %d tensors, the last is %+v, expected 11 and %s", kind, len(in.GGUF.Tensors), last, wantName)
		}
		if kind.Known() && last.Bytes != int64(256*kind.RowBytes(256)) || !kind.Known() && last.Bytes != 64 {
			t.Errorf("type %d: %d bytes", kind, last.Bytes)
		}
		if reads := slices.Contains(in.Verbs, "eval"); reads != kind.CanDecode() || !slices.Contains(in.Verbs, "inspect") {
			t.Errorf("type %d: read by %v", kind, in.Verbs)
		}
		problem := strings.Join(in.Problems, "; ")
		if want := kind.Problem(); want == "" && problem != "" || want != "" && problem != `tensor "blk.0.ffn_down.weight": `+want {
			t.Errorf("type %d: problem %q, expected %q", kind, problem, want)
		}
		if in.Hidden != 256 || in.Layers != 1 || in.Positions != 64 || in.Bytes == 0 {
			t.Errorf("type %d: hidden %d, %d layers, %d positions, %d bytes", kind, in.Hidden, in.Layers, in.Positions, in.Bytes)
		}
	}
}

// TestInspectUnreadableGGUF: a file of an architecture or kind that is not read is described, with
// the reason first; one that is no GGUF file is an error.
func TestInspectUnreadableGGUF(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		change  gguf.Pair
		family  string
		problem string
	}{
		{gguf.Pair{Key: "general.architecture", Value: "gemma3"}, "gemma3", `metadata key "general.architecture": "gemma3", a decoder of another form, is not supported, expected llama, deci, qwen2 or qwen3`},
		{gguf.Pair{Key: "general.architecture", Value: 7}, "unknown", `metadata key "general.architecture": found the uint32 7, expected a text`},
		{gguf.Pair{Key: "general.type", Value: "adapter"}, "llama", `metadata key "general.type": "adapter" is not supported, expected "model"`},
		{gguf.Pair{Key: "split.count", Value: 3}, "llama", `metadata key "split.count": the model is split into 3 files, which is not supported: join them first`},
		{gguf.Pair{Key: "llama.expert_count", Value: 8}, "llama", `metadata key "llama.expert_count": found 8: a mixture of experts is not supported, expected 0`},
		{gguf.Pair{Key: "llama.block_count", Value: 2}, "llama", `tensor "blk.1.attn_norm.weight" is missing, expected shape [256]: metadata key "llama.block_count" says 2 layers, and the file has none of layer 1`},
	} {
		metadata := slices.DeleteFunc(llamaMetadata(), func(p gguf.Pair) bool { return p.Key == c.change.Key })
		name := filepath.Join(dir, fmt.Sprint(i)+".gguf")
		composeGGUF(t, name, append(metadata, c.change), llamaTensors(gguf.IQ3_S))
		in, err := Inspect(name, open)
		if err != nil {
			t.Errorf("%v: %v", c.change, err)
			continue
		}
		if in.Family != c.family || len(in.GGUF.Tensors) != 11 || !slices.Equal(in.Verbs, []string{"inspect"}) || !slices.Equal(in.Problems, []string{c.problem}) {
			t.Errorf("%v: family %s, %d tensors, read by %v, problems %q, expected %s", c.change, in.Family, len(in.GGUF.Tensors), in.Verbs, in.Problems, c.problem)
		}
		if !slices.ContainsFunc(in.GGUF.Metadata, func(k GGUFKey) bool { return k.Key == c.change.Key }) {
			t.Errorf("%v: the key is not listed", c.change)
		}
	}
	for name, content := range map[string]string{"text.gguf": "once upon a time, there was a file", "empty.gguf": ""} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if in, err := Inspect(path, open); err == nil || !strings.Contains(err.Error(), "gguf: the file ") {
			t.Errorf("%s: found %+v, %v", name, in, err)
		}
	}
	// without the ending, the file is known by how it begins
	composeGGUF(t, filepath.Join(dir, "model.bin"), llamaMetadata(), llamaTensors(gguf.IQ1_S))
	if in, err := Inspect(filepath.Join(dir, "model.bin"), open); err != nil || in.Family != "LlamaForCausalLM" {
		t.Errorf("another ending: %+v, %v", in, err)
	}
}
