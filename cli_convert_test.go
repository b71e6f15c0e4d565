package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"slimlab/model/checkpoint/safetensors"
)

// TestConvertVerbs takes the embedded model through the verbs that make one checkpoint of another.
func TestConvertVerbs(t *testing.T) {
	newHome(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("text.txt"), []byte(strings.Repeat("the member clicked the item and the member did not click. ", 200)), 0o644); err != nil {
		t.Fatal(err)
	}
	const fm = "pretrained:recsys-fm"
	calibration := []string{"--calibration", in("text.txt"), "--samples", "8", "--length", "64"}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"inspect", fm}, []string{"LlamaForCausalLM", "attention", "BF16: 28 linear layers", "541 tokens", "vLLM"}},
		{[]string{"import", fm, in("float"), "--dtype", "f32"}, []string{"13.1MB"}},
		{append([]string{"prune", fm, in("pruned"), "--mlp", "20%", "--heads", "1", "--step", "64", "--local-search", "-1"}, calibration...), []string{"of KV groups", "MLP sizes are multiples of 128", "transformers"}},
		{append([]string{"quantize", in("pruned"), in("w4"), "--scheme", "w4a16"}, calibration...), []string{"w4a16-gptq-g64", "of outputs on the calibration text", "--group auto: groups of 64, which divide the inputs of all linear layers"}},
		{[]string{"quantize", fm, in("w8"), "--scheme", "w8a8"}, []string{"mean relative error of weights"}},
		{append([]string{"quantize", in("pruned"), in("w3"), "--scheme", "w3a16", "--method", "quantease", "--sweeps", "4", "--group", "32", "--range", "mse"}, calibration...),
			[]string{"w3a16-quantease-g32", "codes of 3 bits are stored as GPTQ", "range mse is narrower than the weights in"}},
		{[]string{"inspect", in("w3")}, []string{"w3a16-g32"}},
		{append([]string{"quantize", fm, in("w3o"), "--scheme", "w3a16", "--method", "quantease", "--sweeps", "2", "--group", "32", "--outliers", "0.5%", "--outliers-shape", "columns"}, calibration...),
			[]string{"w3a16-quantease-g32", "have a number of 16 bits beside their codes", "quant_method slimlab"}},
		{[]string{"inspect", in("w3o")}, []string{"w3a16-g32+outliers gptq", "quant_method slimlab"}},
		{[]string{"quantize", in("pruned"), in("w3c"), "--scheme", "w3a16", "--method", "rtn", "--group", "channel"}, []string{"w3a16-rtn-gchannel"}},
		{[]string{"inspect", in("w3c")}, []string{"w3a16 gptq"}},
		{[]string{"quantize", in("pruned"), in("w8a16"), "--scheme", "w8a16", "--group", "channel"}, []string{"w8a16-rtn-gchannel"}},
		{[]string{"export", in("w8"), in("copy")}, []string{in("copy")}},
		{[]string{"distil", in("pruned"), in("kd"), "--teacher", fm, "--data", in("text.txt"), "--steps", "2", "--length", "32", "--validation", "2"}, []string{"before:", "after:"}},
	} {
		stdout, stderr, code := slimlab(t, c.args...)
		if code != exitHeld {
			t.Fatalf("slimlab %s: exit %d: %s", strings.Join(c.args, " "), code, stderr)
		}
		if warned := c.args[0] == "prune" && strings.Contains(stderr, "vLLM will not load the result: 6 heads"); warned != (c.args[0] == "prune") {
			t.Errorf("slimlab %s: warned %t of heads that do not divide the hidden size: %s", strings.Join(c.args, " "), warned, stderr)
		}
		if timed := strings.Contains(stderr, "takes about "); timed != (slices.Contains(c.args, "--calibration") && c.args[0] != "distil") {
			t.Errorf("slimlab %s: said %t how long it takes: %s", strings.Join(c.args, " "), timed, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("slimlab %s: %q is not in\n%s", strings.Join(c.args, " "), want, stdout)
			}
		}
	}
	stdout, stderr, code := slimlab(t, "inspect", in("w4"), "--format", "json")
	var report struct {
		Parameters int
		Formats    []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); code != exitHeld || err != nil || report.Parameters == 0 || len(report.Formats) != 1 || report.Formats[0].Name != "w4a16-g64" {
		t.Errorf("inspect as JSON: exit %d, %v, %+v, %s", code, err, report, stderr)
	}
	mergesAdapter(t, fm, in("lora"))
	inspectsGGUF(t, in("float"), in("model.gguf"))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"quantize", fm, in("x"), "--scheme", "w3"}, `--scheme is "w3": expected one of`},
		{[]string{"quantize", fm, in("x")}, "scheme"},
		{[]string{"quantize", fm, in("x"), "--scheme", "w4a16-rtn", "--method", "gptq"}, "--method is gptq, and its scheme w4a16-rtn is rounded by rtn: leave it out, or name the scheme w4a16"},
		{[]string{"quantize", fm, in("x"), "--scheme", "w8a8", "--damping", "0.1"}, "--damping is 0.1, and its method is rtn, which has none"},
		{[]string{"quantize", fm, in("x"), "--scheme", "w4a16-rtn", "--group", "96"}, "expected --group 8, 16, 32, 64, 128, 256 or channel"},
		{[]string{"quantize", fm, in("w8"), "--scheme", "w8a8"}, "not empty"},
		{[]string{"prune", fm, in("x"), "--mlp", "x"}, "found \"x\""},
		{[]string{"import", in("none"), in("x")}, "no such folder"},
		{[]string{"import", fm, in("x"), "--dtype", "f64"}, "--dtype"},
		{[]string{"export", fm, in("x"), "--as", "onnx"}, "onnx"},
		{[]string{"inspect", in("text.txt")}, "found a file"},
		{[]string{"distil", fm, in("x"), "--data", in("text.txt"), "--loss", "fkl"}, "expected --teacher MODEL"},
	} {
		if _, stderr, code := slimlab(t, c.args...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("slimlab %s: exit %d, said %q, want exit 2 and %q", strings.Join(c.args, " "), code, stderr, c.want)
		}
	}
}

// mergesAdapter: import takes adapters, says what it merged, and refuses one that it cannot merge.
func mergesAdapter(t *testing.T, from, dir string) {
	t.Helper()
	stdout, stderr, code := slimlab(t, "inspect", from, "--format", "json")
	var shape struct{ Hidden int }
	if err := json.Unmarshal([]byte(stdout), &shape); code != exitHeld || err != nil {
		t.Fatalf("inspect: exit %d, %v, %s", code, err, stderr)
	}
	write := func(name, config string) string {
		folder := filepath.Join(dir, name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "adapter_config.json"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		scale := make([]float32, shape.Hidden)
		if err := safetensors.Write(t.Context(), filepath.Join(folder, "adapter_model.safetensors"), []safetensors.Tensor{
			safetensors.NewTensor("base_model.model.model.norm.weight", safetensors.F32, []int{shape.Hidden}, func() any { return scale }),
		}); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	good := write("good", `{"peft_type": "LORA", "base_model_name_or_path": "someone/else", "modules_to_save": ["norm"]}`)
	pissa := write("pissa", `{"peft_type": "LORA", "init_lora_weights": "pissa"}`)
	stdout, stderr, code = slimlab(t, "import", from, filepath.Join(dir, "merged"), "--adapter", good, "--adapter", good)
	for _, want := range []string{"adapter " + good + ": tensors replaced or shifted: 1", `was trained on "someone/else"`} {
		if code != exitHeld || !strings.Contains(stdout, want) {
			t.Errorf("import --adapter: exit %d, %s, %q is not in\n%s", code, stderr, want, stdout)
		}
	}
	if _, stderr, code = slimlab(t, "import", from, filepath.Join(dir, "x"), "--adapter", pissa); code != exitUsage || !strings.Contains(stderr, "init_lora_weights") {
		t.Errorf("import --adapter of PiSSA: exit %d: %s", code, stderr)
	}
	if help, _, _ := slimlab(t, "import", "--help"); !strings.Contains(help, "--adapter") {
		t.Errorf("the help does not name --adapter:\n%s", help)
	}
}

// inspectsGGUF: inspect lists a GGUF file, also one of an architecture that no other verb reads.
func inspectsGGUF(t *testing.T, from, file string) {
	t.Helper()
	// whose pattern has no name in GGUF
	if err := os.Remove(filepath.Join(from, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := slimlab(t, "export", from, file, "--as", "gguf-q8_0"); code != exitHeld {
		t.Fatalf("export: exit %d: %s", code, stderr)
	}
	inspect := func(want ...string) {
		t.Helper()
		stdout, stderr, code := slimlab(t, "inspect", file)
		for _, w := range append(want, "blk.0.ffn_down.weight", "general.architecture", "8.5 bits an element, decoded to float32 when it is read") {
			if code != exitHeld || !strings.Contains(stdout, w) {
				t.Errorf("inspect: exit %d, %s, %q is not in\n%s", code, stderr, w, stdout)
			}
		}
	}
	inspect("architecture llama", "read by", ", distil, optimize, init, run")
	stdout, _, _ := slimlab(t, "inspect", file)
	_, readers, _ := strings.Cut(stdout, "\nread by")
	readers, _, _ = strings.Cut(readers, "\n")
	verbs := 0
	for _, cmd := range (&program{}).rootCommand().Commands() {
		if !strings.Contains(cmd.Use, "MODEL") {
			continue
		}
		if verbs++; !slices.Contains(strings.Split(strings.TrimSpace(readers), ", "), cmd.Name()) {
			t.Errorf("inspect: %s takes a MODEL, and is not among those that read the file:%s", cmd.Name(), readers)
		}
	}
	if verbs < 5 {
		t.Errorf("%d verbs take a MODEL, expected those of eval, serve and others", verbs)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte("llama"), []byte("gemma"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	const refusal = `metadata key "general.architecture": "gemma", a decoder of another form, is not supported, expected llama, deci, qwen2 or qwen3`
	inspect("architecture gemma", refusal)
	if _, stderr, code := slimlab(t, "eval", file, "--generate", "a"); code != exitUsage || !strings.Contains(stderr, refusal) {
		t.Errorf("eval: exit %d: %s", code, stderr)
	}
	if stdout, _, code := slimlab(t, "inspect", file, "--format", "json"); code != exitHeld || !strings.Contains(stdout, `"problems":["metadata key`) && !strings.Contains(stdout, `"problems": [`) {
		t.Errorf("inspect as JSON: exit %d\n%s", code, stdout)
	}
}

// A disk that is full is not the user's mistake.
func TestConversionExitCodes(t *testing.T) {
	full := fmt.Errorf("folder: %w", &fs.PathError{Op: "write", Path: "model.safetensors", Err: syscall.ENOSPC})
	missing := fmt.Errorf("model: %w", &fs.PathError{Op: "open", Path: "config.json", Err: fs.ErrNotExist})
	for err, want := range map[error]int{full: exitBroke, missing: exitUsage, context.Canceled: exitInterrupted} {
		var f failure
		if got := new(program).finishConversion(convertFlags{}, "to", nil, err); !errors.As(got, &f) || f.code != want {
			t.Errorf("%v: exit %d, expected %d", err, f.code, want)
		}
	}
}
