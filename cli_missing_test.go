package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCharactersWithoutATokenAreSaid gives every verb that tokenizes a character that the model's
// vocabulary lacks.
func TestCharactersWithoutATokenAreSaid(t *testing.T) {
	newHome(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	model := in("model")
	if _, stderr, code := slimlab(t, "import", "pretrained:recsys-fm", model); code != exitHeld {
		t.Fatal(stderr)
	}
	tokenizer, err := os.ReadFile(filepath.Join(model, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	const first = `"Ã":` // the first byte of é
	if strings.Count(string(tokenizer), first) != 1 {
		t.Fatalf("%d entries %s in the vocabulary", strings.Count(string(tokenizer), first), first)
	}
	lacking := strings.Replace(string(tokenizer), first, `"ÃÃ":`, 1)
	if err := os.WriteFile(filepath.Join(model, "tokenizer.json"), []byte(lacking), 0o644); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("the member clicked the item. ", 100) + "é"
	var records strings.Builder
	for i := range 40 {
		fmt.Fprintf(&records, `{"prompt":"the item %d","response":"é clicked"}`+"\n", i)
	}
	for name, content := range map[string]string{"text.txt": text, "records.jsonl": records.String()} {
		if err := os.WriteFile(in(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	calibration := []string{"--calibration", in("text.txt"), "--samples", "2", "--length", "32"}
	train := []string{"--teacher", model, "--steps", "1", "--batch", "1", "--length", "32", "--validation", "1", "--data"}
	stdin(t, "the é")
	for i, args := range [][]string{
		{"tokenize", model},
		{"eval", model, "--text", in("text.txt"), "--window", "64"},
		{"eval", model, "--generate", "the é", "--tokens", "2"},
		append([]string{"quantize", model, in("q"), "--scheme", "w4a16"}, calibration...),
		append([]string{"prune", model, in("p"), "--mlp", "20%"}, calibration...),
		append(append([]string{"distil", model, in("d")}, train...), in("text.txt")),
		append(append([]string{"distil", model, in("r")}, train...), in("records.jsonl")),
	} {
		stdout, stderr, code := slimlab(t, args...)
		if said := strings.Count(stdout+stderr, "the vocabulary has no token for them"); code != exitHeld || said != 1 || !strings.Contains(stdout+stderr, `"é" (`) {
			t.Errorf("%d: slimlab %s: exit %d, said %d times, expected once:\n%s%s", i, strings.Join(args, " "), code, said, stdout, stderr)
		}
	}
}
