package kd

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/weight"
)

func trainTiny(t testing.TB, c TrainConfig) (Result, []StepReport) {
	t.Helper()
	var steps []StepReport
	result, err := Train(context.Background(), c, func(s StepReport) { steps = append(steps, s) })
	if err != nil {
		t.Fatal(err)
	}
	return result, steps
}

// TestMemorises: a tiny model learns a few sequences by heart.
func TestMemorises(t *testing.T) {
	student := tinyModel(t, tinyConfig(13, 16), 1)
	examples := tinyExamples(6, 13, 21)
	result, steps := trainTiny(t, TrainConfig{
		Student: student, Objective: Objective{}, Next: Shuffle(examples, 6, 1), Steps: 150,
		LearningRate: 2e-2, WarmUp: 10, Floor: 0.1, Validation: examples,
	})
	if steps[0].Loss < 1 || result.Last.Validation > 0.05 {
		t.Errorf("loss from %v to %v, want below 0.05", steps[0].Loss, result.Last.Validation)
	}
	if !math.IsNaN(steps[0].Divergence) || !math.IsNaN(steps[0].Validation) {
		t.Errorf("step 1 reports divergence %v and validation %v that were not computed", steps[0].Divergence, steps[0].Validation)
	}
}

// TestDivergencesConverge: a student of the teacher's shape comes close to it by each divergence.
func TestDivergencesConverge(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 8), 2)
	examples := tinyExamples(6, 13, 22)
	for _, o := range []Objective{
		{Divergence: ForwardKL}, {Divergence: ReverseKL}, {Divergence: JSD, Parameter: 0.5}, {Divergence: JSD, Parameter: 0.1},
		{Divergence: ForwardKL, Temperature: 2, TimesT2: true},
	} {
		student := tinyModel(t, tinyConfig(13, 16), 1)
		before, err := Agreement(t.Context(), teacher, student, examples)
		if err != nil {
			t.Fatal(err)
		}
		_, steps := trainTiny(t, TrainConfig{
			Student: student, Teacher: inMemory(teacher), Objective: o, Next: Shuffle(examples, 6, 1), Steps: 200,
			LearningRate: 2e-2, WarmUp: 10, Floor: 0.02,
		})
		after, err := Agreement(t.Context(), teacher, student, examples)
		if err != nil {
			t.Fatal(err)
		}
		if after.ForwardKL > 0.02*before.ForwardKL || after.Top1 < 0.9 {
			t.Errorf("%s: agreement from %+v to %+v, divergence from %v to %v", o.Formula(), before, after, steps[0].Divergence, steps[len(steps)-1].Divergence)
		}
	}
}

// TestSameSeedSameBits: whatever the number of threads and the run.
func TestSameSeedSameBits(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 12), 2)
	examples := tinyExamples(20, 13, 23)
	run := func(threads int, seed uint64) ([]StepReport, []float32) {
		defer parallel.SetThreads(threads)()
		student := tinyModel(t, tinyConfig(13, 8), 1)
		_, steps := trainTiny(t, TrainConfig{
			Student: student, Teacher: inMemory(teacher), Objective: Objective{Divergence: ForwardKL, CE: 0.1, Sequence: 0.05},
			Next: Shuffle(examples, 7, seed), passTokens: 30, chunkRows: 9, Steps: 9, LearningRate: 1e-2, WarmUp: 2, WeightDecay: 0.1,
		})
		return steps, student.Flat()
	}
	steps, weights := run(1, 5)
	for _, threads := range []int{1, 2, 7} {
		again, same := run(threads, 5)
		if !sameBits(weights, same) {
			t.Errorf("%d threads: other weights", threads)
		}
		for i := range steps { // a NaN is not equal to itself
			steps[i].Validation, again[i].Validation = 0, 0
			steps[i].Hidden, steps[i].Compared, again[i].Hidden, again[i].Compared = 0, 0, 0, 0
		}
		if !reflect.DeepEqual(steps, again) {
			t.Errorf("%d threads: other steps", threads)
		}
	}
	if _, other := run(1, 6); sameBits(weights, other) {
		t.Error("another seed gives the same weights")
	}
}

func TestKeepBest(t *testing.T) {
	examples := tinyExamples(5, 13, 24)
	validation := tinyExamples(5, 13, 25)
	student := tinyModel(t, tinyConfig(13, 16), 1)
	// learns noise by heart, so the validation loss soon rises
	result, steps := trainTiny(t, TrainConfig{
		Student: student, Next: Shuffle(examples, 5, 1), Steps: 60, LearningRate: 2e-2, Validation: validation, EvalEvery: 3, KeepBest: true,
	})
	best, at := math.Inf(1), 0
	for _, s := range steps {
		if (s.Step%3 == 0) == math.IsNaN(s.Validation) {
			t.Errorf("step %d: validation %v", s.Step, s.Validation)
		}
		if s.Validation < best {
			best, at = s.Validation, s.Step
		}
	}
	loss, _, err := Loss(t.Context(), student, validation)
	if err != nil {
		t.Fatal(err)
	}
	if result.BestStep != at || result.BestValidation != best || loss != best {
		t.Errorf("result %+v and final loss %v, want the best %v of step %d", result, loss, best, at)
	}
	if result.Last.Validation <= best {
		t.Errorf("the last validation loss %v is the best: nothing was tested", result.Last.Validation)
	}
}

// TestValidationSteps: the student is validated every so many steps and after the last, and of
// equal losses the first is the best.
func TestValidationSteps(t *testing.T) {
	for every, want := range map[int][]int{0: {5}, 2: {2, 4, 5}, 5: {5}, 9: {5}} {
		result, steps := trainTiny(t, TrainConfig{
			Student: tinyModel(t, tinyConfig(13, 8), 1), Next: fixed(tinyExamples(2, 13, 24)...), Steps: 5, EvalEvery: every,
			LearningRate: 1e-30, Validation: tinyExamples(2, 13, 25), // no weight moves
		})
		var validated []int
		for _, s := range steps {
			if !math.IsNaN(s.Validation) {
				validated = append(validated, s.Step)
			}
		}
		if !slices.Equal(validated, want) || result.BestStep != want[0] {
			t.Errorf("every %d: validated after steps %v, the best is %d; want %v and the first", every, validated, result.BestStep, want)
		}
	}
}

func TestCancelKeepsFinishedSteps(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	student := tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(5, 13, 24)
	var kept []float32
	result, err := Train(ctx, TrainConfig{Student: student, Next: Shuffle(examples, 5, 1), Steps: 50, LearningRate: 1e-2}, func(s StepReport) {
		if s.Step == 3 {
			kept = append(kept, student.Flat()...)
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "after step 3 of 50") {
		t.Errorf("error %v", err)
	}
	if result.Last.Step != 3 || !sameBits(kept, student.Flat()) {
		t.Errorf("stopped at step %d, or with other weights", result.Last.Step)
	}
}

// countedContext is done after some number of looks at its error.
type countedContext struct {
	context.Context
	looks int
}

func (c *countedContext) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelWithinAStep: wherever in its first step a run is cancelled, within a pass too, it says
// so and the weights are those before the step; the step can then be run as if nothing had been.
func TestCancelWithinAStep(t *testing.T) {
	examples := tinyExamples(5, 13, 24)
	teacher := tinyModel(t, tinyConfig(13, 16), 3)
	config := func() TrainConfig {
		return TrainConfig{Student: tinyModel(t, tinyConfig(13, 8), 1), Teacher: inMemory(teacher), Objective: Objective{Divergence: ForwardKL},
			Next: Shuffle(examples, 5, 1), Steps: 1, LearningRate: 1e-2}
	}
	whole := config()
	before := slices.Clone(whole.Student.Flat())
	all := &countedContext{t.Context(), 1 << 30}
	if _, err := Train(all, whole, nil); err != nil {
		t.Fatal(err)
	}
	looks := 1<<30 - all.looks
	if looks < 10 {
		t.Errorf("the context was looked at %d times in a step, expected several looks a pass", looks)
	}
	for at := range looks {
		c := config()
		trainer, err := NewTrainer(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = trainer.Step(&countedContext{t.Context(), at})
		if err == nil && sameBits(c.Student.Flat(), whole.Student.Flat()) {
			continue // it ended behind the update
		}
		if !errors.Is(err, context.Canceled) || !sameBits(c.Student.Flat(), before) {
			t.Fatalf("cancelled at look %d of %d: error %v, or other weights than before the step", at, looks, err)
		}
		if _, err := trainer.Step(t.Context()); err != nil || !sameBits(c.Student.Flat(), whole.Student.Flat()) {
			t.Fatalf("tried again after look %d: error %v, or other weights than in one go", at, err)
		}
	}
}

// TestSourceErrors: an error of the source ends the run with the step's number, and a cancelled
// context is noticed while the source waits. The step can be tried again, with the bits of a run
// whose source never failed.
func TestSourceErrors(t *testing.T) {
	examples := tinyExamples(5, 13, 24)
	config := func(next Batches) TrainConfig {
		return TrainConfig{Student: tinyModel(t, tinyConfig(13, 8), 1), Next: next, Steps: 4, LearningRate: 1e-2}
	}
	want := config(Shuffle(examples, 5, 1))
	trainTiny(t, want)

	broken := errors.New("answer 503")
	failures := 2
	flaky := config(func(ctx context.Context, step int) ([]Example, error) {
		if step == 3 && failures > 0 {
			failures--
			return nil, broken
		}
		return Shuffle(examples, 5, 1)(ctx, step)
	})
	tr, err := NewTrainer(flaky)
	if err != nil {
		t.Fatal(err)
	}
	for !tr.Done() {
		if _, err := tr.Step(t.Context()); err != nil && (!errors.Is(err, broken) || err.Error() != "step 3 of 4: batch: answer 503") {
			t.Fatalf("error %v", err)
		}
	}
	if failures > 0 || !sameBits(flaky.Student.Flat(), want.Student.Flat()) {
		t.Error("steps that were tried again end with other weights")
	}
	if _, err := tr.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "all 4 steps are done") {
		t.Errorf("a step after the last: error %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	_, err = Train(ctx, config(func(ctx context.Context, step int) ([]Example, error) {
		if step == 2 {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return examples, nil
	}), nil)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "stopped after step 1 of 4") {
		t.Errorf("error %v", err)
	}
}

// TestStudentLivesBetweenSteps: between two steps the student is a model like any other, with the
// weights of the steps so far.
func TestStudentLivesBetweenSteps(t *testing.T) {
	examples := tinyExamples(5, 13, 24)
	student := tinyModel(t, tinyConfig(13, 8), 1)
	tr, err := NewTrainer(TrainConfig{Student: student, Next: fixed(examples...), Steps: 3, LearningRate: 1e-2, Floor: 1, Validation: examples, EvalEvery: 1})
	if err != nil {
		t.Fatal(err)
	}
	before := math.Inf(1)
	for !tr.Done() {
		report, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		loss, _, err := Loss(t.Context(), student, examples)
		if err != nil || loss != report.Validation || loss >= before {
			t.Errorf("after step %d the student has loss %v, %v; the report says %v, the step before %v", report.Step, loss, err, report.Validation, before)
		}
		before = loss
	}
}

func TestNotFiniteStops(t *testing.T) {
	student := tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(5, 13, 24)
	var kept []float32
	result, err := Train(context.Background(), TrainConfig{Student: student, Next: Shuffle(examples, 5, 1), Steps: 50, LearningRate: 1e-2}, func(s StepReport) {
		if s.Step == 2 {
			student.FinalNorm[3] = float32(math.NaN())
			kept = append(kept, student.Flat()...)
		}
	})
	if err == nil || !strings.Contains(err.Error(), "step 3 of 50") || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("error %v", err)
	}
	if result.Last.Step != 2 || !sameBits(kept, student.Flat()) {
		t.Error("the broken step touched the weights")
	}
}

func TestTrainBadInput(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 12), 2)
	good := tinyExamples(4, 13, 1)
	cases := []struct {
		name   string
		change func(*TrainConfig)
		want   string
	}{
		{"no student", func(c *TrainConfig) { c.Student = nil }, "no student"},
		{"no teacher", func(c *TrainConfig) { c.Teacher = nil }, "needs a teacher"},
		{"own teacher", func(c *TrainConfig) { c.Teacher = inMemory(c.Student) }, "clone"},
		{"jsd of 1", func(c *TrainConfig) { c.Objective = Objective{Divergence: JSD, Parameter: 1} }, "rkl"},
		{"no batches", func(c *TrainConfig) { c.Next = nil }, "no batches"},
		{"no steps", func(c *TrainConfig) { c.Steps = 0 }, "0 steps"},
		{"long warm-up", func(c *TrainConfig) { c.WarmUp = 9 }, "warm-up of 9"},
		{"rate", func(c *TrainConfig) { c.LearningRate = math.NaN() }, "learning rate NaN"},
		{"floor", func(c *TrainConfig) { c.Floor = 2 }, "floor 2"},
		{"decay", func(c *TrainConfig) { c.WeightDecay = -1 }, "weight decay -1"},
		{"schedule", func(c *TrainConfig) { c.Schedule = 9 }, "schedule 9"},
		{"decay share", func(c *TrainConfig) { c.Decay = 2 }, "share of 2 of the steps"},
		{"patience without evaluations", func(c *TrainConfig) { c.Patience = 2 }, "patience of 2 evaluations, but there are none"},
		{"negative patience", func(c *TrainConfig) { c.Patience = -1 }, "patience of -1"},
		{"best of nothing", func(c *TrainConfig) { c.KeepBest = true }, "no validation examples"},
		{"quantized student", func(c *TrainConfig) { c.Student.Blocks[1].Up.Weight = opaque{c.Student.Blocks[1].Up.Weight} }, "up_proj"},
		{"empty batch", func(c *TrainConfig) { c.Next = Shuffle(nil, 4, 1) }, "step 1 of 3: batch of 0 examples"},
		{"no answers", func(c *TrainConfig) { c.Next = fixed(Example{Tokens: []int32{1, 2}, Answer: make([]bool, 2)}) }, "no token with a loss"},
		{"nothing predicted", func(c *TrainConfig) {
			c.Objective.Sequence, c.Next = 0.5, fixed(Example{Tokens: []int32{1}, Answer: []bool{false}})
		}, "no token with a loss"},
		{"lengths", func(c *TrainConfig) { c.Next = fixed(good[0], Example{Tokens: []int32{1, 2}}) }, "example 1: 2 tokens, but 0 answer marks"},
		{"first answer", func(c *TrainConfig) { c.Next = fixed(Example{Tokens: []int32{1, 2}, Answer: []bool{true, false}}) }, "first token"},
		{"too long", func(c *TrainConfig) { c.Next = fixed(Example{Tokens: make([]int32, 65), Answer: make([]bool, 65)}) }, "65 tokens, but the model has 64"},
		{"weights", func(c *TrainConfig) {
			c.Next = fixed(Example{Tokens: []int32{1, 2}, Answer: []bool{false, true}, Weights: []float32{1}})
		}, "2 tokens, but 1 weights"},
		{"weight", func(c *TrainConfig) {
			c.Next = fixed(Example{Tokens: []int32{1, 2}, Answer: []bool{false, true}, Weights: []float32{1, -1}})
		}, "weight -1 at position 1"},
		{"all weights 0", func(c *TrainConfig) {
			c.Next = fixed(Example{Tokens: []int32{1, 2}, Answer: []bool{false, true}, Weights: []float32{1, 0}})
		}, "no token with a loss"},
		{"labels of a sampled loss", func(c *TrainConfig) { c.Objective = Objective{Divergence: SampledReverseKL} }, "not the student's own sample"},
		{"no sampling probabilities", func(c *TrainConfig) {
			c.Objective = Objective{Divergence: WeightedReverseKL, Parameter: 2}
			c.Next = fixed(Example{Tokens: []int32{1, 2}, Answer: []bool{false, true}, Origin: OfStudent})
		}, "0 log-probabilities"},
		{"cross-entropy on own samples", func(c *TrainConfig) {
			c.Objective = Objective{}
			c.Next = fixed(Example{Tokens: []int32{1, 2}, Answer: []bool{false, true}, Origin: OfStudent})
		}, "no token with a loss"},
		{"token", func(c *TrainConfig) { c.Next = fixed(Example{Tokens: []int32{1, 13}, Answer: []bool{false, true}}) }, "token 13 at position 1"},
		{"negative token", func(c *TrainConfig) { c.Next = fixed(Example{Tokens: []int32{-1, 1}, Answer: []bool{false, true}}) }, "token -1"},
		{"validation", func(c *TrainConfig) { c.Validation = []Example{{Tokens: []int32{1, 99}, Answer: []bool{false, true}}} }, "validation example 0: token 99"},
		{"validation without answers", func(c *TrainConfig) { c.Validation = []Example{{Tokens: []int32{1, 2}, Answer: make([]bool, 2)}} }, "none of the 1 validation examples"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config := TrainConfig{
				Student: tinyModel(t, tinyConfig(13, 8), 1), Teacher: inMemory(teacher), Objective: Objective{Divergence: ForwardKL},
				Next: fixed(good...), Steps: 3, LearningRate: 1e-3,
			}
			c.change(&config)
			_, err := Train(context.Background(), config, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func fixed(examples ...Example) Batches {
	return func(context.Context, int) ([]Example, error) { return examples, nil }
}

// opaque is a weight in a format that cannot be trained.
type opaque struct{ weight.Weight }

func (opaque) Format() string { return "opaque" }

// TestTeacherInAnyFormat: the teacher is reached through weight.Weight alone.
func TestTeacherInAnyFormat(t *testing.T) {
	teacher := tinyModel(t, tinyConfig(13, 12), 2)
	quantized := teacher.Clone()
	quantized.Head = opaque{quantized.Head}
	for i := range quantized.Blocks {
		quantized.Blocks[i].Down.Weight = opaque{quantized.Blocks[i].Down.Weight}
	}
	examples := tinyExamples(5, 13, 2)
	student := tinyModel(t, tinyConfig(13, 8), 1)
	o := Objective{Divergence: ForwardKL, CE: 0.1}
	want, err := gradientOf(newTestTrainer(t, o, student, teacher, 0, 0), examples)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := gradientOf(newTestTrainer(t, o, student, quantized, 0, 0), examples); err != nil || got != want {
		t.Errorf("losses %+v, %v, want %+v", got, err, want)
	}
}

func TestShuffle(t *testing.T) {
	examples := make([]Example, 10)
	for i := range examples {
		examples[i].Tokens = []int32{int32(i)}
	}
	batches := Shuffle(examples, 4, 3)
	var order []int32
	for step := 1; step <= 10; step++ {
		batch, err := batches(t.Context(), step)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			order = append(order, e.Tokens[0])
		}
	}
	for epoch := range 4 {
		seen := map[int32]bool{}
		for _, id := range order[epoch*10 : epoch*10+10] {
			seen[id] = true
		}
		if len(seen) != 10 {
			t.Errorf("epoch %d has %d of 10 examples: %v", epoch, len(seen), order[epoch*10:epoch*10+10])
		}
	}
	if reflect.DeepEqual(order[:10], order[10:20]) {
		t.Error("two epochs have one order")
	}
	if again, _ := Shuffle(examples, 4, 3)(t.Context(), 7); again[2].Tokens[0] != order[26] {
		t.Error("a step asked for by itself has other examples")
	}
}

// TestStepReportsItsBatch: the losses, counts and rates of a step's report are those of the
// definition, on a batch whose answer tokens are fewer than its tokens.
func TestStepReportsItsBatch(t *testing.T) {
	teacher, student := tinyModel(t, tinyConfig(13, 12), 2), tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(6, 13, 26)
	o := Objective{Divergence: ForwardKL, CE: 0.25, Sequence: 0.5}
	n := countAll(examples)
	if n.answers == n.sequence || n.sequence == n.tokens {
		t.Fatalf("the counts %+v do not distinguish what a loss is divided by", n)
	}
	trainer, err := NewTrainer(TrainConfig{
		Student: student, Teacher: inMemory(teacher), Objective: o, Steps: 2, LearningRate: 1e-3, WarmUp: 1,
		Next: func(context.Context, int) ([]Example, error) { return examples, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for step := 1; step <= 2; step++ {
		before := student.Clone()
		got, err := trainer.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct{ got, want float64 }{
			"loss":          {got.Loss, bruteObjective(o, before, teacher, examples, 1)},
			"divergence":    {got.Divergence, bruteObjective(Objective{Divergence: ForwardKL}, before, teacher, examples, 1)},
			"cross-entropy": {got.CE, bruteObjective(Objective{}, before, nil, examples, 1)},
			"tokens":        {float64(got.Tokens), float64(step) * n.tokens},
			"step":          {float64(got.Step), float64(step)},
			"total":         {float64(got.Total), 2},
		} {
			if !(math.Abs(c.got-c.want) <= 1e-5*c.want) {
				t.Errorf("step %d: %s %v, expected %v", step, what, c.got, c.want)
			}
		}
	}
}

// TestFirstStepThatOverflows: numbers that are too large before anything was learned are not blamed
// on the learning rate, and the error names the model that has them.
func TestFirstStepThatOverflows(t *testing.T) {
	scaled := func(seed uint64, scale float32) *model.Model {
		m := tinyModel(t, tinyConfig(13, 8), seed)
		for _, p := range m.Tensors() {
			for i := range p.Data {
				p.Data[i] *= scale
			}
		}
		m.Changed()
		return m
	}
	alone := Objective{}
	for _, c := range []struct {
		what            string
		student         float32
		teacher         float32 // 0: none
		objective       Objective
		rate            float64
		is              error
		contains, lacks string
	}{
		{"student alone", 3e38, 0, alone, 1e-3, ErrNotFinite, "step 1 of 3: loss ", "learning rate"},
		{"student of a teacher", 3e38, 1, Objective{Divergence: ForwardKL}, 1e-3, ErrNotFinite, "the student's numbers are too large to compute with", "diverged"},
		{"teacher", 1, 3e38, Objective{Divergence: ForwardKL}, 1e-3, ErrNotFinite, "the teacher's numbers are too large to compute with", "student"},
		{"teacher, reverse", 1, 3e38, Objective{Divergence: ReverseKL}, 1e-3, ErrNotFinite, "the teacher's numbers are too large to compute with", "student"},
		{"rate", 1, 0, alone, 1e30, ErrDiverged, "a lower learning rate", "too large"},
	} {
		config := TrainConfig{Student: scaled(1, c.student), Objective: c.objective, Next: Shuffle(tinyExamples(5, 13, 24), 5, 1), Steps: 3, LearningRate: c.rate}
		if c.teacher != 0 {
			config.Teacher = inMemory(scaled(2, c.teacher))
		}
		_, err := Train(t.Context(), config, nil)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.contains) || strings.Contains(err.Error(), c.lacks) {
			t.Errorf("%s: %v, expected %q and no %q", c.what, err, c.contains, c.lacks)
		}
	}
}
