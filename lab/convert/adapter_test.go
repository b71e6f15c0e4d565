package convert

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/half"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/safetensors"
)

// floats is a float tensor of a test.
type floats struct {
	shape []int
	data  []float32
}

// some returns a tensor of random numbers that bfloat16 holds exactly.
func some(rng *rand.Rand, shape ...int) floats {
	n := 1
	for _, d := range shape {
		n *= d
	}
	data := make([]float32, n)
	for i := range data {
		data[i] = half.FromBFloat16(half.ToBFloat16(float32(rng.NormFloat64())))
	}
	return floats{shape, data}
}

// writeAdapter writes a folder as PEFT does.
func writeAdapter(t *testing.T, config map[string]any, tensors map[string]floats) string {
	t.Helper()
	dir := t.TempDir()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	var list []safetensors.Tensor
	for name, f := range tensors {
		list = append(list, safetensors.NewTensor(name, safetensors.BF16, f.shape, func() any { return f.data }))
	}
	if err := safetensors.Write(t.Context(), filepath.Join(dir, "adapter_model.safetensors"), list); err != nil {
		t.Fatal(err)
	}
	return dir
}

// loraConfig is a plain config with further keys.
func loraConfig(more map[string]any) map[string]any {
	config := map[string]any{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "bias": "none", "base_model_name_or_path": "model", "init_lora_weights": true}
	maps.Copy(config, more)
	return config
}

// stored reads all tensors of a folder.
func stored(t *testing.T, dir string) map[string]floats {
	t.Helper()
	f, err := safetensors.OpenFolder(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list := map[string]floats{}
	for _, info := range f.Tensors() {
		data := make([]float32, info.Elements())
		if err := f.ReadFloat32(data, info.Name); err != nil {
			t.Fatal(err)
		}
		list[info.Name] = floats{info.Shape, data}
	}
	return list
}

// added is a weight [out, in] with scale·B·A added and, where there is one, its rows stretched to a
// magnitude, in float64.
func added(w, a, b floats, scale float64, magnitude *floats) []float64 {
	out, in, r := w.shape[0], w.shape[1], a.shape[0]
	sum := make([]float64, out*in)
	for i := range out {
		length := 0.0
		for j := range in {
			v := 0.0
			for k := range r {
				v += float64(b.data[i*r+k]) * float64(a.data[k*in+j])
			}
			sum[i*in+j] = float64(w.data[i*in+j]) + scale*v
			length += sum[i*in+j] * sum[i*in+j]
		}
		for j := range in {
			if magnitude != nil {
				sum[i*in+j] *= float64(magnitude.data[i]) / math.Sqrt(length)
			}
		}
	}
	return sum
}

func wide(f floats) []float64 {
	list := make([]float64, len(f.data))
	for i, v := range f.data {
		list[i] = float64(v)
	}
	return list
}

func transposed(f floats) floats {
	t := floats{[]int{f.shape[1], f.shape[0]}, make([]float32, len(f.data))}
	for i := range f.shape[0] {
		for j := range f.shape[1] {
			t.data[j*f.shape[0]+i] = f.data[i*f.shape[1]+j]
		}
	}
	return t
}

const inBase = "base_model.model."

// TestAdaptersAreMerged holds every kind of adapter to a product in float64 with a scale that was
// computed by hand, and all other tensors to the bits of the base model.
func TestAdaptersAreMerged(t *testing.T) {
	from, _ := source(t, checkpoint.F32)
	base := stored(t, from)
	rng := rand.New(rand.NewPCG(1, 1))
	const (
		q, down, up = "model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj", "model.layers.1.mlp.up_proj"
		embedding   = "model.embed_tokens"
		norm        = "model.layers.1.input_layernorm"
	)
	vocab := base[embedding+".weight"].shape[0]
	aq, bq := some(rng, 4, 32), some(rng, 32, 4)
	ad, bd := some(rng, 4, 96), some(rng, 32, 4)
	a2, b2 := some(rng, 2, 32), some(rng, 96, 2)
	ae, be := some(rng, 4, vocab), some(rng, 32, 4)
	ah, bh := some(rng, 4, 32), some(rng, vocab, 4)
	mq := some(rng, 32)
	whole, other := some(rng, vocab, 32), some(rng, vocab, 32)
	larger := some(rng, vocab+3, 32)
	plain := map[string]floats{inBase + q + ".lora_A.weight": aq, inBase + q + ".lora_B.weight": bq}
	w := func(name string) floats { return base[name+".weight"] }
	for _, c := range []struct {
		name    string
		config  map[string]any
		tensors map[string]floats
		want    map[string][]float64
	}{
		{"plain", nil, map[string]floats{inBase + q + ".lora_A.weight": aq, inBase + q + ".lora_B.weight": bq, inBase + down + ".lora_A.weight": ad, inBase + down + ".lora_B.weight": bd},
			map[string][]float64{q + ".weight": added(w(q), aq, bq, 2, nil), down + ".weight": added(w(down), ad, bd, 2, nil)}},
		{"rank-stabilized", map[string]any{"use_rslora": true}, plain, map[string][]float64{q + ".weight": added(w(q), aq, bq, 4, nil)}},
		{"alpha that is no whole number", map[string]any{"lora_alpha": 0.5}, plain, map[string][]float64{q + ".weight": added(w(q), aq, bq, 0.125, nil)}},
		{"fan_in_fan_out", map[string]any{"fan_in_fan_out": true}, plain, map[string][]float64{q + ".weight": added(w(q), aq, bq, 2, nil)}},
		{"patterns", map[string]any{"rank_pattern": map[string]int{"mlp.up_proj": 2}, "alpha_pattern": map[string]any{`^model\.layers\.[01]\.self_attn\.q_proj`: 3, "layers.1.mlp.up_proj": 16}},
			map[string]floats{inBase + q + ".lora_A.weight": aq, inBase + q + ".lora_B.weight": bq, inBase + up + ".lora_A.weight": a2, inBase + up + ".lora_B.weight": b2},
			map[string][]float64{q + ".weight": added(w(q), aq, bq, 0.75, nil), up + ".weight": added(w(up), a2, b2, 8, nil)}},
		{"names with an adapter's, without PEFT's", nil, map[string]floats{q + ".lora_A.default.weight": aq, q + ".lora_B.default.weight": bq},
			map[string][]float64{q + ".weight": added(w(q), aq, bq, 2, nil)}},
		{"names of a model without its head", map[string]any{"task_type": "FEATURE_EXTRACTION"},
			map[string]floats{inBase + strings.TrimPrefix(q, "model.") + ".lora_A.weight": aq, inBase + strings.TrimPrefix(q, "model.") + ".lora_B.weight": bq},
			map[string][]float64{q + ".weight": added(w(q), aq, bq, 2, nil)}},
		{"DoRA", map[string]any{"use_dora": true}, map[string]floats{inBase + q + ".lora_A.weight": aq, inBase + q + ".lora_B.weight": bq, inBase + q + ".lora_magnitude_vector": mq},
			map[string][]float64{q + ".weight": added(w(q), aq, bq, 2, &mq)}},
		{"biases", map[string]any{"bias": "lora_only", "lora_bias": true},
			map[string]floats{inBase + q + ".lora_A.weight": aq, inBase + q + ".lora_B.weight": bq, inBase + q + ".lora_B.bias": mq, inBase + q + ".base_layer.bias": {[]int{32}, aq.data[:32]}},
			map[string][]float64{q + ".weight": added(w(q), aq, bq, 2, nil), q + ".bias": added(floats{[]int{32, 1}, aq.data[:32]}, floats{[]int{1, 1}, []float32{1}}, mq, 2, nil)}},
		{"modules trained whole", map[string]any{"modules_to_save": []string{"input_layernorm"}}, map[string]floats{inBase + norm + ".weight": mq},
			map[string][]float64{norm + ".weight": wide(mq)}},
		{"modules trained whole, as early versions name them", nil, map[string]floats{inBase + norm + ".modules_to_save.weight": mq, inBase + norm + ".original_module.weight": mq},
			map[string][]float64{norm + ".weight": wide(mq)}},
		// a tied head is what it was while the adapter was trained
		{"embedding of a tied head", nil, map[string]floats{inBase + embedding + ".lora_embedding_A": ae, inBase + embedding + ".lora_embedding_B": be},
			map[string][]float64{embedding + ".weight": added(w(embedding), transposed(be), transposed(ae), 2, nil), "lm_head.weight": wide(w(embedding))}},
		{"embedding that the tied head follows", map[string]any{"ensure_weight_tying": true}, map[string]floats{inBase + embedding + ".lora_embedding_A": ae, inBase + embedding + ".lora_embedding_B": be},
			map[string][]float64{embedding + ".weight": added(w(embedding), transposed(be), transposed(ae), 2, nil)}},
		{"tied head alone", nil, map[string]floats{inBase + "lm_head.lora_A.weight": ah, inBase + "lm_head.lora_B.weight": bh},
			map[string][]float64{"lm_head.weight": added(w(embedding), ah, bh, 2, nil)}},
		{"embedding and head trained whole, apart", nil, map[string]floats{inBase + embedding + ".weight": whole, inBase + "lm_head.weight": other},
			map[string][]float64{embedding + ".weight": wide(whole), "lm_head.weight": wide(other)}},
		{"embedding and head trained whole, as one", nil, map[string]floats{inBase + embedding + ".weight": whole, inBase + "lm_head.weight": whole},
			map[string][]float64{embedding + ".weight": wide(whole)}},
		{"a larger vocabulary", nil, map[string]floats{inBase + embedding + ".base_layer.weight": larger}, map[string][]float64{embedding + ".weight": wide(larger)}},
	} {
		dir, to := writeAdapter(t, loraConfig(c.config), c.tensors), filepath.Join(t.TempDir(), "merged")
		r, err := Import(t.Context(), from, to, Options{Open: open, Adapters: []string{dir}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		sameOrMerged(t, c.name, stored(t, to), base, c.want)
		if logits(t, to); len(r.Notes) == 0 {
			t.Errorf("%s: no notes", c.name)
		}
	}
}

// sameOrMerged compares tensors with what they are to be, or with the base's bits.
func sameOrMerged(t *testing.T, name string, got, base map[string]floats, want map[string][]float64) {
	t.Helper()
	names := map[string]bool{}
	for _, list := range []map[string]floats{got, base} {
		for tensor := range list {
			names[tensor] = true
		}
	}
	for tensor := range want {
		names[tensor] = true
	}
	for tensor := range names {
		f, ok := got[tensor]
		values, merged := want[tensor]
		if !merged {
			values = wide(base[tensor])
		}
		if !ok || len(f.data) != len(values) || len(values) == 0 {
			t.Errorf("%s: %s has %d elements, expected %d", name, tensor, len(f.data), len(values))
			continue
		}
		for i, v := range f.data {
			if limit := 4e-6 * (1 + math.Abs(values[i])); merged && !(math.Abs(float64(v)-values[i]) <= limit) || !merged && float64(v) != values[i] {
				t.Errorf("%s: %s: element %d is %g, expected %g", name, tensor, i, v, values[i])
				break
			}
		}
	}
}

// TestAdaptersOneAfterAnother: adapters are merged in their order, in float32, and the sum is
// rounded once to the base's type.
func TestAdaptersOneAfterAnother(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj"
	from, _ := source(t, checkpoint.BF16)
	base := stored(t, from)
	rng := rand.New(rand.NewPCG(2, 2))
	var dirs []string
	want := base[q+".weight"]
	for i := range 3 {
		a, b := some(rng, 4, 32), some(rng, 32, 4)
		tensors := map[string]floats{inBase + q + ".lora_A.weight": a, inBase + q + ".lora_B.weight": b}
		if i == 1 { // what stands in this place replaces what was merged before
			w := some(rng, 32, 32)
			tensors[inBase+q+".base_layer.weight"] = w
			want = w
		}
		dirs = append(dirs, writeAdapter(t, loraConfig(nil), tensors))
		sum := added(want, a, b, 2, nil)
		want = floats{want.shape, make([]float32, len(sum))}
		for j, v := range sum {
			want.data[j] = float32(v)
		}
	}
	to := filepath.Join(t.TempDir(), "merged")
	r, err := Import(t.Context(), from, to, Options{Open: open, Adapters: dirs})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range stored(t, to)[q+".weight"].data {
		if step := math.Abs(float64(want.data[i])) * 0x1p-8; !(math.Abs(float64(v-want.data[i])) <= step) {
			t.Fatalf("element %d is %g, expected %g in bfloat16", i, v, want.data[i])
		}
	}
	if strings.Count(strings.Join(r.Notes, "\n"), "LoRA of r 4 and alpha 8 on matrices: 1") != 3 {
		t.Errorf("the notes are %q", r.Notes)
	}
	reversed := filepath.Join(t.TempDir(), "reversed")
	slices.Reverse(dirs)
	if _, err := Import(t.Context(), from, reversed, Options{Open: open, Adapters: dirs}); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(stored(t, reversed)[q+".weight"].data, stored(t, to)[q+".weight"].data) {
		t.Error("the order of the adapters changes nothing")
	}
}

// TestAdapterOnPackedWeights: a quantized base is dequantized, which a note says.
func TestAdapterOnPackedWeights(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj"
	from, text := source(t, checkpoint.F32)
	packed, dense, to := filepath.Join(t.TempDir(), "packed"), filepath.Join(t.TempDir(), "dense"), filepath.Join(t.TempDir(), "merged")
	if _, err := conversions(t)["w4a16-gptq"](context.Background(), from, text, packed, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(t.Context(), packed, dense, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	a, b := some(rng, 4, 32), some(rng, 32, 4)
	dir := writeAdapter(t, loraConfig(map[string]any{"base_model_name_or_path": "meta-llama/Other", "revision": "v2", "target_modules": []string{"q_proj", "v_proj"}, "new_key": 1}),
		map[string]floats{inBase + q + ".lora_A.weight": a, inBase + q + ".lora_B.weight": b})
	r, err := Import(t.Context(), packed, to, Options{Open: open, Adapters: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	base := stored(t, dense)
	sameOrMerged(t, "packed", stored(t, to), base, map[string][]float64{q + ".weight": added(base[q+".weight"], a, b, 2, nil)})
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"(w4a16-g32) are dequantized before the merge", `was trained on "meta-llama/Other"`, "names v_proj, for which", "nothing is known: new_key", `revision "v2"`} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in the notes\n%s", want, notes)
		}
	}
}

// TestAdapterInputs: what an adapter holds is part of what a conversion is made of, and its folder
// is refused where it does not fit.
func TestAdapterInputs(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj"
	from, _ := source(t, checkpoint.F32)
	rng := rand.New(rand.NewPCG(4, 4))
	tensors := map[string]floats{inBase + q + ".lora_A.weight": some(rng, 4, 32), inBase + q + ".lora_B.weight": some(rng, 32, 4)}
	dir, to := writeAdapter(t, loraConfig(nil), tensors), filepath.Join(t.TempDir(), "merged")
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Open: open, Adapters: []string{dir}, Progress: func(done, total int, text string) { cancel() }}
	if _, err := Import(ctx, from, to, o); err == nil || !Unfinished(to) {
		t.Fatalf("not interrupted: %v", err)
	}
	edit(t, filepath.Join(dir, "adapter_config.json"), func(text []byte) []byte {
		return []byte(strings.Replace(string(text), `"lora_alpha":8`, `"lora_alpha":9`, 1))
	})
	if _, err := Import(t.Context(), from, to, Options{Open: open, Adapters: []string{dir}}); err == nil || !strings.Contains(err.Error(), "the content of the adapter 1 has changed") {
		t.Errorf("an adapter that was changed meanwhile: %v", err)
	}
	meanwhile := writeAdapter(t, loraConfig(nil), tensors)
	touch := Options{Open: open, Adapters: []string{meanwhile}, Progress: func(done, total int, text string) {
		if done == 1 {
			edit(t, filepath.Join(meanwhile, "adapter_config.json"), func(text []byte) []byte { return append(text, '\n') })
		}
	}}
	if _, err := Import(t.Context(), from, filepath.Join(t.TempDir(), "x"), touch); err == nil || !strings.Contains(err.Error(), "adapter "+meanwhile+": ") {
		t.Errorf("an adapter that was written while it was read: %v", err)
	}
	for _, c := range []struct {
		from, dir string
		want      string
	}{
		{from, t.TempDir(), "found no adapter_config.json, expected a folder that PEFT wrote"},
		{from, filepath.Join(dir, "none"), "found no such folder, expected a folder with adapter_config.json and adapter_model.safetensors"},
		{from, filepath.Join(dir, "adapter_config.json"), "found a file, expected a folder with"},
		{"random:stories15m", dir, "an adapter belongs to a model that was trained"},
	} {
		if _, err := Import(t.Context(), c.from, filepath.Join(t.TempDir(), "x"), Options{Open: open, Adapters: []string{c.dir}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found %v, expected %s", err, c.want)
		}
	}
}

// TestAdapterTokenizer: a tokenizer beside an adapter is the merged model's where the vocabulary
// has another size; else the model keeps its own, and a note says that they differ.
func TestAdapterTokenizer(t *testing.T) {
	const embedding = "model.embed_tokens"
	from, _ := source(t, checkpoint.F32)
	rng := rand.New(rand.NewPCG(5, 5))
	vocab := stored(t, from)[embedding+".weight"].shape[0]
	for _, more := range []int{0, 2} {
		dir, to := writeAdapter(t, loraConfig(nil), map[string]floats{inBase + embedding + ".weight": some(rng, vocab+more, 32), inBase + "lm_head.weight": some(rng, vocab+more, 32)}), filepath.Join(t.TempDir(), "merged")
		own, err := os.ReadFile(filepath.Join(from, "tokenizer.json"))
		if err != nil {
			t.Fatal(err)
		}
		theirs := append(slices.Clone(own), '\n')
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), theirs, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Import(t.Context(), from, to, Options{Open: open, Adapters: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		want, note := own, "tokenizer.json of "+dir+" differ from the model's, whose own are kept"
		if more > 0 {
			want, note = theirs, fmt.Sprintf("the vocabulary has %d tokens, before %d: tokenizer.json come from %s", vocab+more, vocab, dir)
		}
		if got, err := os.ReadFile(filepath.Join(to, "tokenizer.json")); err != nil || string(got) != string(want) {
			t.Errorf("%d more tokens: another tokenizer.json (%v)", more, err)
		}
		if !slices.Contains(r.Notes, note) {
			t.Errorf("%d more tokens: %q is not in %q", more, note, r.Notes)
		}
		if c, err := open(to); err != nil || c.Config().Vocab != vocab+more {
			t.Errorf("%d more tokens: %v", more, err)
		}
	}
}
