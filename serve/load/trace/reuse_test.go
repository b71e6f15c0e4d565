package trace

import (
	"math"
	"os"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
)

// TestReuse: blocks count as reused where the same ones lie before them, the last by its part.
func TestReuse(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  float64
	}{
		{`{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [1, 2]}`, 0},
		{`{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [1, 2]}
{"timestamp": 1, "input_length": 1024, "output_length": 1, "hash_ids": [1, 3]}`, 0.25},
		{`{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [1, 2]}
{"timestamp": 1, "input_length": 1024, "output_length": 1, "hash_ids": [3, 2]}`, 0},
		{`{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [1, 2]}
{"timestamp": 1, "input_length": 768, "output_length": 1, "hash_ids": [1, 2]}`, 768.0 / 1792},
	} {
		trace, err := ReadMooncake(strings.NewReader(c.lines))
		if err != nil {
			t.Fatal(err)
		}
		if got := trace.Reuse(); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v, expected %v", c.lines, got, c.want)
		}
	}
	f, err := os.Open(shareddata.Path(t, "traces", "mooncake_conversation.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	trace, err := ReadMooncake(f)
	if err != nil {
		t.Fatal(err)
	}
	got := trace.Reuse()
	t.Logf("the conversation trace reuses %.1f%%", 100*got)
	if math.Abs(got-0.37) > 0.01 {
		t.Errorf("the conversation trace reuses %.1f%%, expected about 37%%", 100*got)
	}
}
