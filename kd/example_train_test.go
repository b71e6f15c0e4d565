package kd_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/model"
)

// newModel is a model of random weights with two layers.
func newModel(hidden int, seed uint64) *model.Model {
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 16, Hidden: hidden, HeadDim: 8, Layers: model.Uniform(2, 2, 1, 2*hidden),
		MaxPositions: 32, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		log.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(seed, 1)))
	return m
}

// A teacher learns to answer each number with the two that follow it; a student of half its width
// is distilled from it.
func ExampleTrain() {
	var examples []kd.Example
	for n := range int32(14) {
		examples = append(examples, kd.Example{
			Tokens: []int32{n, n + 1, n + 2},
			Answer: []bool{false, true, true}, // the first token is the prompt
		})
	}
	ctx := context.Background()

	teacher := newModel(32, 1)
	if _, err := kd.Train(ctx, kd.TrainConfig{
		Student: teacher, // no divergence: supervised training
		Next:    kd.Shuffle(examples, 7, 1), Steps: 100, LearningRate: 1e-2, WarmUp: 10,
	}, nil); err != nil {
		log.Fatal(err)
	}

	student := newModel(16, 2)
	objective, err := kd.ParseObjective("fkl")
	if err != nil {
		log.Fatal(err)
	}
	result, err := kd.Train(ctx, kd.TrainConfig{
		Student: student, Teacher: kd.NewModelTeacher(teacher, kernels.Float32), Objective: objective,
		Next: kd.Shuffle(examples, 7, 1), Steps: 200, LearningRate: 1e-2, WarmUp: 10,
	}, func(s kd.StepReport) {
		if s.Step == 1 {
			fmt.Printf("the divergence is above 1 nat at first: %t\n", s.Divergence > 1)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	agreement, err := kd.Agreement(ctx, teacher, student, examples)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("minimised", objective.Formula())
	fmt.Printf("step %d of %d; the student agrees with its teacher on %.0f %% of the tokens\n", result.Last.Step, result.Last.Total, 100*agreement.Top1)
	// Output:
	// the divergence is above 1 nat at first: true
	// minimised 0.95·mean_A[0.9·KL(p‖q) + 0.1·CE] + 0.05·mean_S[CE]
	// step 200 of 200; the student agrees with its teacher on 100 % of the tokens
}
