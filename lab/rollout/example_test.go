package rollout_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/lab/rollout"
	"slimlab/model"
)

func tiny(seed uint64) *model.Model {
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 20, Hidden: 16, HeadDim: 8, MaxPositions: 64,
		Layers: model.Uniform(1, 2, 1, 24), RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: 0,
	})
	if err != nil {
		log.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(seed, 1)))
	return m
}

// A student learns from a teacher's distributions over what it writes itself. The sampler stands
// between the examples and the trainer.
func Example() {
	student, teacher := tiny(1), tiny(2)
	examples := []kd.Example{
		{Tokens: []int32{3, 1, 4, 0}, Answer: []bool{false, false, true, true}},
		{Tokens: []int32{2, 7, 1, 8, 0}, Answer: []bool{false, false, false, true, true}},
	}
	sampler, err := rollout.New(kd.Shuffle(examples, 2, 1), student, teacher, rollout.Options{
		Fraction: 1, Temperature: 0.9, MaxTokens: 12, End: []int32{0}, Seed: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sampler.Close()
	_, err = kd.Train(context.Background(), kd.TrainConfig{
		Student: student, Teacher: kd.NewModelTeacher(teacher, kernels.Float32), Objective: kd.Objective{Divergence: kd.ReverseKL},
		Next: sampler.Next, Steps: 5, LearningRate: 1e-3,
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sampler.Stats().Samples, "answers, of at most", sampler.Stats().Longest, "tokens")
	// Output: 10 answers, of at most 12 tokens
}
