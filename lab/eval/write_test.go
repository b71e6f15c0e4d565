package eval

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"slimlab/internal/golden"
)

// exampleReport is a report of every kind of line, for one model or two.
func exampleReport(models int) *Evaluation {
	estimate := func(value, half float64, n int) Estimate {
		return Estimate{Value: value, Low: pointer(value - half), High: pointer(value + half), N: n}
	}
	r := &Evaluation{
		Version: "0.0.0",
		Models: []ModelInfo{
			{Name: "models/full", Parameters: 656000, Stored: 2624000, Memory: 2624000, Formats: []string{"float32"}, Cache: "float32", BOS: "<s>", AddsBOS: true, Prefix: "<s>"},
			{Name: "models/w8a8", Parameters: 656000, Stored: 1450000, Memory: 1450000, Formats: []string{"w8a8", "float32"}, Cache: "float32", BOS: "<s>", Prefix: "<s>"},
		}[:models],
		Settings: Settings{Window: 512, Stride: 512, Perplexity: Fixed, BOS: Auto, Cue: "\nAnswer:", Limit: 100, Block: blockTokens, Resamples: resamples},
		Results: []Figure{
			{File: "data/a.txt", Size: "3726 bytes, 725 words, 852 tokens", Metric: "token perplexity", Definition: "exp(−Σ log P ÷ tokens)", Method: "windows", Better: "lower"},
			{File: "data/a.txt", Size: "3726 bytes, 725 words, 852 tokens", Metric: "word perplexity", Definition: "exp(−Σ log P ÷ words)", Method: "windows", Better: "lower"},
			{File: "data/b_c.jsonl", Size: "100 questions", Metric: "acc_norm", Definition: "score", Method: "share of questions", Better: "higher"},
		},
		Notes:         []string{"data/b_c.jsonl: 3 of 100 questions lost their beginning"},
		Continuations: []Continuation{{Model: "models/full", Tokens: []int32{1, 2, 3}, Prompt: 1, Text: "Once\nupon", Same: 3}, {Model: "models/w8a8", Tokens: []int32{1, 2, 4}, Prompt: 1, Text: "Once | more", Same: 2}}[:models],
	}
	for i, v := range [][2]Estimate{
		{estimate(24.52701, 3.1, 511), estimate(24.60001, 3.2, 511)},
		{estimate(4507067.53, 1000, 852), estimate(4507967.53, 1000, 852)},
		{estimate(0.25, 0.09, 100), estimate(0.27, 0.09, 100)},
	} {
		r.Results[i].Values = v[:models]
	}
	r.Results[0].Values[0].Warning = "the interval is from only 8 runs of 64 tokens"
	if models == 2 {
		token, acc, p := estimate(0.073, 0.01, 511), estimate(0.02, 0.05, 100), 0.6875
		r.Results[0].Difference = &token
		r.Results[1].Difference = &Estimate{Value: -0.0001, N: 852, Warning: "not paired"}
		r.Results[2].Difference, r.Results[2].P = &acc, &p
		r.Results[2].Guess, r.Results[2].Values[0].AtChance = 0.25, true
		r.Behaviour = []Behaviour{
			{File: "data/a.txt", Unit: "tokens", Compared: 511, Of: 840, KL: estimate(0.0123, 0.002, 511), P99: estimate(0.21, 0.05, 511), Agreement: estimate(0.93, 0.02, 511),
				Flips: estimate(0.07, 0.02, 511), Lost: estimate(0.03, 0.01, 511), Won: estimate(0.02, 0.01, 511), LostCount: 15, WonCount: 10, P: 0.4244},
			{File: "data/b_c.jsonl", Unit: "questions", Compared: 40, Of: 40, KL: Estimate{Value: 0.00002, N: 40, Warning: "40 questions"}, P99: Estimate{Value: 0.3, N: 40}, Agreement: estimate(0.92, 0.04, 100),
				Flips: estimate(0.08, 0.04, 100), Lost: estimate(0.02, 0.02, 100), Won: estimate(0.04, 0.03, 100), LostCount: 2, WonCount: 4, P: 0.6875},
		}
		r.Changes = []AnswerChange{{"data/b_c.jsonl", "acc", 100, 9, 3, 4}, {"data/b_c.jsonl", "acc_norm", 100, 8, 2, 4}}
	}
	return r
}

func TestWrite(t *testing.T) {
	for name, r := range map[string]*Evaluation{"one": exampleReport(1), "two": exampleReport(2)} {
		for _, format := range Formats() {
			var b bytes.Buffer
			if err := r.Write(format, &b); err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, name+"."+format, b.String())
			if format == "json" {
				var again Evaluation
				if err := json.Unmarshal(b.Bytes(), &again); err != nil || len(again.Results) != 3 {
					t.Errorf("%s.json does not read back: %v", name, err)
				}
			}
		}
	}
	if err := exampleReport(1).Write("cvs", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "expected one of table, json, markdown") {
		t.Errorf("an unknown format: %v", err)
	}
}
