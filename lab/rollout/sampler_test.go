package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
}

const vocab = 11

func tiny(t testing.TB, hidden int, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: vocab, Hidden: hidden, HeadDim: 4, Layers: model.Uniform(2, 2, 1, 24),
		MaxPositions: 32, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	m.Init(rng)
	for _, p := range m.Parameters() {
		for i := range p.Data {
			p.Data[i] += float32(0.3 * rng.NormFloat64())
		}
	}
	m.Changed()
	return m
}

// prompts are examples whose prompts have three to six tokens and whose answers two.
func prompts(size int) kd.Batches {
	return func(_ context.Context, step int) ([]kd.Example, error) {
		batch := make([]kd.Example, size)
		for i := range batch {
			n := 3 + (step+i)%4
			e := kd.Example{Tokens: make([]int32, n+2), Answer: make([]bool, n+2)}
			for t := range e.Tokens {
				e.Tokens[t], e.Answer[t] = int32((step*31+i*7+t*t)%vocab), t >= n
			}
			batch[i] = e
		}
		return batch, nil
	}
}

func sampler(t testing.TB, given kd.Batches, student, teacher *model.Model, o Options) *Sampler {
	t.Helper()
	s, err := New(given, student, teacher, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func next(t testing.TB, s *Sampler, step int) []kd.Example {
	t.Helper()
	batch, err := s.Next(t.Context(), step)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

var sampledAt = Options{Fraction: 1, Temperature: 0.9, MaxTokens: 8, End: []int32{0}, Seed: 3}

// TestSamplesAreOfTheLiveWeights: after each step of a training the answers are those of a new
// engine on a copy of the student as it is then, one prompt at a time, and other than before.
func TestSamplesAreOfTheLiveWeights(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	given := prompts(6)
	s := sampler(t, func(ctx context.Context, _ int) ([]kd.Example, error) { return given(ctx, 1) }, student, nil, sampledAt)
	trainer, err := kd.NewTrainer(kd.TrainConfig{
		Student: student, Teacher: kd.NewModelTeacher(teacher, kernels.Float32), Objective: kd.Objective{Divergence: kd.ForwardKL},
		Next: s.Next, Steps: 4, LearningRate: 0.2,
	})
	if err != nil {
		t.Fatal(err)
	}
	var before string
	for step := 1; step <= 4; step++ {
		batch := next(t, s, step)
		alone, err := host.NewEngine(student.Clone(), host.Options{PageSize: 4}, serve.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			r, _ := s.request(step, i)
			given, err := given(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			r.Prompt = given[i].Tokens[:len(given[i].Tokens)-2]
			result, err := alone.Do(t.Context(), r.Request)
			if err != nil {
				t.Fatal(err)
			}
			if want := answered(&given[i], &r.Request, &result, kd.OfStudent); !reflect.DeepEqual(batch[i].Tokens, want.Tokens) || !reflect.DeepEqual(batch[i].Answer, want.Answer) {
				t.Errorf("step %d, example %d: %v, of the student as it is %v", step, i, batch[i].Tokens, want.Tokens)
			}
		}
		alone.Close()
		now := fmt.Sprint(batch)
		if now == before {
			t.Errorf("step %d has the samples of the step before", step)
		}
		before = now
		if _, err := trainer.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSamplesAreAFunction: of weights, seed and step alone: another sampler, another order of
// steps, another number of threads and a step that is asked for again give the same; another seed
// does not.
func TestSamplesAreAFunction(t *testing.T) {
	student := tiny(t, 8, 1)
	o := sampledAt
	o.Fraction = 0.6
	of := func(o Options, threads int, steps ...int) map[int]string {
		defer parallel.SetThreads(threads)()
		s := sampler(t, prompts(7), student, nil, o)
		got := map[int]string{}
		for _, step := range steps {
			got[step] = fmt.Sprint(next(t, s, step))
			if again := fmt.Sprint(next(t, s, step)); again != got[step] {
				t.Errorf("step %d is another the second time", step)
			}
		}
		return got
	}
	want := of(o, 1, 1, 2, 3)
	if got := of(o, 3, 3, 1, 2); !reflect.DeepEqual(got, want) {
		t.Errorf("in another order:\n%v\nin order\n%v", got, want)
	}
	o.Seed++
	if reflect.DeepEqual(of(o, 1, 1, 2, 3), want) {
		t.Error("another seed gives the same samples")
	}
}

// TestFractions: the share of sampled answers, and of those that the teacher writes, within three
// standard errors; what is not sampled is the data's, whole.
func TestFractions(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	for _, c := range []struct{ fraction, teacher float64 }{{0.3, 0}, {1, 0}, {0.5, 0.4}, {1, 1}} {
		o := sampledAt
		o.Fraction, o.Teacher, o.MaxTokens = c.fraction, c.teacher, 1
		s := sampler(t, prompts(50), student, teacher, o)
		by := map[kd.Origin]float64{}
		const steps = 20
		for step := 1; step <= steps; step++ {
			given, err := prompts(50)(t.Context(), step)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range next(t, s, step) {
				by[e.Origin]++
				if e.Origin == kd.OfData && !reflect.DeepEqual(e, given[i]) {
					t.Errorf("example %d of step %d is changed", i, step)
				}
			}
		}
		const n = steps * 50
		for origin, want := range map[kd.Origin]float64{kd.OfStudent: c.fraction * (1 - c.teacher), kd.OfTeacher: c.fraction * c.teacher, kd.OfData: 1 - c.fraction} {
			if got := by[origin] / n; math.Abs(got-want) > 3*math.Sqrt(want*(1-want)/n)+1e-9 {
				t.Errorf("fraction %v, teacher %v: a share of %v by %v, expected %v", c.fraction, c.teacher, got, origin, want)
			}
		}
	}
}

// TestExpectationOverSamples: the mean over many samples of the exact divergence at their tokens is
// the expectation, summed over all answers of two tokens, within three standard errors.
func TestExpectationOverSamples(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	prompt := []int32{3, 1, 4}
	logP := func(m *model.Model, tokens []int32) []float32 {
		row := make([]float32, vocab)
		hidden := m.Forward(model.Batch{Tokens: tokens, Starts: []int{0, len(tokens)}}, nil)
		m.Logits(row, hidden[(len(tokens)-1)*m.Hidden:], 1)
		kernels.LogSoftmax(row, 1, vocab)
		return row
	}
	reverse := func(tokens []int32) (kl float64) {
		p, q := logP(teacher, tokens), logP(student, tokens)
		for i := range q {
			kl += math.Exp(float64(q[i])) * float64(q[i]-p[i])
		}
		return kl
	}
	first := reverse(prompt)
	q := logP(student, prompt)
	var want float64
	second := make([]float64, vocab)
	for y := range int32(vocab) {
		second[y] = reverse([]int32{3, 1, 4, y})
		want += math.Exp(float64(q[y])) * (first + second[y])
	}
	o := Options{Fraction: 1, Temperature: 1, MaxTokens: 2, Seed: 9}
	given := func(context.Context, int) ([]kd.Example, error) {
		batch := make([]kd.Example, 64)
		for i := range batch {
			batch[i] = kd.Example{Tokens: []int32{3, 1, 4, 0}, Answer: []bool{false, false, false, true}}
		}
		return batch, nil
	}
	s := sampler(t, given, student, nil, o)
	var sum, squares, n float64
	for step := 1; step <= 40; step++ {
		for _, e := range next(t, s, step) {
			// the engine's cache is bfloat16
			if len(e.Tokens) != 5 || math.Abs(float64(e.SampledLogP[3]-q[e.Tokens[3]])) > 1e-2 {
				t.Fatalf("%+v, log-probability %v", e, q[e.Tokens[3]])
			}
			x := first + second[e.Tokens[3]]
			sum, squares, n = sum+x, squares+x*x, n+1
		}
	}
	mean := sum / n
	if e := math.Sqrt((squares/n - mean*mean) / n); math.Abs(mean-want) > 3*e {
		t.Errorf("the mean over %v samples is %v ± %v, the expectation %v", n, mean, e, want)
	}
	if stats := s.Stats(); stats.Samples != 2560 || stats.Ended != 0 || stats.Shortest != 2 || stats.Longest != 2 || stats.Length() != 2 || stats.Duplicates < 2000 {
		t.Errorf("%+v", stats)
	}
	if last := s.Last(); len(last) != kept || len(last[0].Prompt) != 3 || len(last[0].Answer) != 2 {
		t.Errorf("%+v", last)
	}
}

// TestRoomAndDoubts: a prompt that leaves no room keeps its answer and is counted; samples of which
// none ends, or all at once, are doubted, once.
func TestRoomAndDoubts(t *testing.T) {
	student := tiny(t, 8, 1)
	long := func(context.Context, int) ([]kd.Example, error) {
		fits, full := make([]int32, 31), make([]int32, 32)
		answers := make([]bool, 32)
		answers[31] = true
		return []kd.Example{{Tokens: append(fits, 1), Answer: answers}, {Tokens: full, Answer: make([]bool, 32)}}, nil
	}
	s := sampler(t, long, student, nil, sampledAt)
	batch := next(t, s, 1)
	if len(batch[0].Tokens) != 32 || batch[0].Origin != kd.OfStudent || batch[1].Origin != kd.OfData || s.Stats().NoRoom != 1 {
		t.Errorf("%+v, %+v", batch, s.Stats())
	}
	for end, want := range map[int32]string{-1: "none of the last 64 samples ended", 0: "", -2: "an end token alone"} {
		o := sampledAt
		o.End = []int32{end}
		if end == -2 { // whatever comes ends
			for i := range int32(vocab) {
				o.End = append(o.End, i)
			}
		}
		s := sampler(t, prompts(40), student, nil, o)
		said := ""
		for step := 1; step <= 4; step++ {
			next(t, s, step)
			said += s.Doubt()
		}
		if want == "" && said != "" || strings.Count(said, want) != 1 && want != "" {
			t.Errorf("end %d: said %q, expected %q once; %+v", end, said, want, s.Stats())
		}
	}
}

// TestSamplingHearsItsContext: a context that has ended ends a step, which can be asked for again.
func TestSamplingHearsItsContext(t *testing.T) {
	s := sampler(t, prompts(4), tiny(t, 8, 1), nil, sampledAt)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for _, e := range next(t, s, 1) {
		if e.Origin != kd.OfStudent {
			t.Errorf("%+v", e)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"fraction of 0":           func(o *Options) { o.Fraction = 0 },
		"fraction of NaN":         func(o *Options) { o.Fraction = math.NaN() },
		"no teacher that writes":  func(o *Options) { o.Teacher = 0.5 },
		"teacher's share of 2":    func(o *Options) { o.Teacher = 2 },
		"temperature -1":          func(o *Options) { o.Temperature = -1 },
		"top-k -1":                func(o *Options) { o.TopK = -1 },
		"top-p 2":                 func(o *Options) { o.TopP = 2 },
		"at most 0 tokens of an ": func(o *Options) { o.MaxTokens = 0 },
	} {
		o := sampledAt
		change(&o)
		if _, err := New(prompts(1), tiny(t, 8, 1), nil, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

// TestDoubtsEnd: a doubt is told once, and its end once when half of the last 64 samples end and
// have more than an end token; one that nobody heard has no end. No more than 8 are told.
func TestDoubtsEnd(t *testing.T) {
	s := &Sampler{}
	write := func(n, tokens int, ended bool) {
		for range n {
			e := kd.Example{Tokens: make([]int32, 2+tokens), Origin: kd.OfStudent}
			s.watch.see(2, &e, ended, false)
		}
	}
	hear := func(doubt, relief string) {
		t.Helper()
		for _, c := range []struct{ got, want string }{{s.Doubt(), doubt}, {s.Relief(), relief}, {s.Doubt() + s.Relief(), ""}} {
			if (c.want == "") != (c.got == "") || !strings.Contains(c.got, c.want) {
				t.Errorf("heard %q, expected %q", c.got, c.want)
			}
		}
	}
	write(63, 5, false)
	hear("", "")
	write(1, 5, false)
	hear("none of the last 64 samples ended within its 5 tokens", "")
	write(64, 5, false)
	write(31, 3, true)
	hear("", "")
	write(1, 3, true)
	hear("", "32 of the last 64 samples end again")
	write(64, 1, true)
	hear("all of the last 64 samples are an end token alone", "")
	write(64, 5, false) // as bad in another way
	hear("", "")
	write(32, 3, true)
	hear("", "32 of the last 64")
	write(64, 5, false)
	write(64, 2, true) // before anybody has listened
	hear("", "")
	for s.watch.doubts < mostDoubts {
		write(64, 5, false)
		hear("none of the last", "")
		write(32, 3, true)
		hear("", "end again")
	}
	write(100, 5, false)
	hear("", "")
}

// TestSamplesOfAStep: of each step the first samples of each writer are shown.
func TestSamplesOfAStep(t *testing.T) {
	o := sampledAt
	o.Teacher = 0.5
	s := sampler(t, prompts(30), tiny(t, 8, 1), tiny(t, 16, 2), o)
	for step := 1; step <= 2; step++ {
		batch, by := next(t, s, step), map[kd.Origin]int{}
		shown := s.StepSamples()
		for _, one := range shown {
			by[one.Origin]++
			whole := slices.Concat(one.Prompt, one.Answer)
			if one.Step != step || !slices.ContainsFunc(batch, func(e kd.Example) bool { return e.Origin == one.Origin && slices.Equal(e.Tokens, whole) }) {
				t.Errorf("step %d has no sample %+v", step, one)
			}
		}
		if len(shown) != 2*keptOfStep || by[kd.OfStudent] != keptOfStep || by[kd.OfTeacher] != keptOfStep {
			t.Errorf("step %d shows %d samples: %v", step, len(shown), by)
		}
	}
}
