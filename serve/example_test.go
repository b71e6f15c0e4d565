package serve_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/sample"
)

// tiny is a model for examples.
func tiny() *model.Model {
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 50, Hidden: 16, HeadDim: 8, MaxPositions: 128,
		Layers: model.Uniform(2, 2, 1, 24), RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		log.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 1)))
	return m
}

// Two requests are served together: one generates tokens, the other draws them at random. Then a
// third continues the first, whose keys and values are still cached.
func ExampleEngine() {
	e, err := host.NewEngine(tiny(), host.Options{}, serve.Defaults())
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	ctx, prompt := context.Background(), make([]int32, 20)
	results, err := e.DoAll(ctx, []serve.Request{
		{Prompt: prompt, MaxTokens: 13},
		{Prompt: []int32{7, 8, 9}, MaxTokens: 4, Sampling: sample.Settings{Temperature: 0.8, TopP: 0.95, Seed: 1}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(len(r.Tokens), "tokens,", r.Finish)
	}
	r, err := e.Do(ctx, serve.Request{Prompt: append(append(prompt, results[0].Tokens...), 5), MaxTokens: 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Cached, "of", r.Prompt, "prompt tokens were cached")
	// Output:
	// 13 tokens, length
	// 4 tokens, length
	// 32 of 34 prompt tokens were cached
}

// Candidates are ranked by the logits of a label as the next token. Their common beginning is
// computed once.
func ExampleEngine_Score() {
	e, err := host.NewEngine(tiny(), host.Options{PageSize: 4}, serve.Defaults())
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	scores, err := e.Score(context.Background(), [][]int32{{1, 2, 3, 4, 10}, {1, 2, 3, 4, 11}, {1, 2, 3, 4, 12}}, []int32{40, 41})
	if err != nil {
		log.Fatal(err)
	}
	stats, err := e.Stats()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(scores), "candidates,", len(scores[0]), "labels,", stats.ComputedTokens, "tokens computed")
	// Output: 3 candidates, 2 labels, 7 tokens computed
}
