package convert

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/quant"
)

// TestMemoryIsForeseen: work for which too little memory is free is refused before it begins, with
// the most samples that would fit: these begin, and one more does not. What is not known refuses
// nothing.
func TestMemoryIsForeseen(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	prune := func(samples int, free int64) (needs MemoryEstimate, begun bool, err error) {
		p := Pruning{Calibration: Calibration{File: text, Samples: samples, Length: 32, Seed: 3}}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		begin := func(e MemoryEstimate, _ []Compatibility) { needs, begun = e, true }
		_, err = Prune(t.Context(), from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open, Begin: begin, Memory: func() int64 { return free }})
		return needs, begun, err
	}
	needs, _, err := prune(8, 0)
	if err != nil {
		t.Fatal(err)
	}
	free := needs.Total()
	if _, _, err := prune(8, free); err != nil {
		t.Errorf("what just fits: %v", err)
	}
	_, begun, err := prune(12, free)
	want := fmt.Sprintf("too little memory is free: found %.3g GB, expected at least ", float64(free)/1e9)
	if begun || !errors.Is(err, ErrNoMemory) || !Broke(err) || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": give at most --samples 8, or a shorter --length") {
		t.Errorf("begun %v: %v", begun, err)
	}
	if _, begun, err := prune(1, 1000); begun || err == nil || !strings.HasSuffix(err.Error(), ": free some, or take a machine with more") {
		t.Errorf("begun %v: %v", begun, err)
	}
}

// TestFewWindows: more sequences than the text has windows are said, and a short text again and
// again.
func TestFewWindows(t *testing.T) {
	from, _ := source(t, checkpoint.BF16)
	again := filepath.Join(t.TempDir(), "again.txt")
	once := filepath.Join(t.TempDir(), "once.txt")
	for file, content := range map[string]string{again: strings.Repeat("One sentence is all there is. ", 500), once: poem} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		file    string
		samples int
		want    string // "" is no note
	}{{once, 1, ""}, {once, 500, "calibration: --samples is 500, and " + once + " has "}, {again, 1, "calibration: " + again + " repeats itself: of its "}} {
		p := Pruning{Calibration: Calibration{File: c.file, Samples: c.samples, Length: 8, Seed: 3}}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		r, err := Prune(t.Context(), from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(r.Notes, "\n")
		if c.want == "" && strings.Contains(notes, "calibration: ") || !strings.Contains(notes, c.want) {
			t.Errorf("%s, %d samples: %q, expected %q", c.file, c.samples, notes, c.want)
		}
	}
}

// TestDistilOnATextThatRepeats: the verb says that a text is a short one again and again.
func TestDistilOnATextThatRepeats(t *testing.T) {
	from, _ := source(t, checkpoint.BF16)
	for content, want := range map[string]bool{strings.Repeat("One sentence is all there is. ", 500): true, poem: false} {
		file := filepath.Join(t.TempDir(), "text.txt")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		d := Distillation{Data: file, Steps: 1, Batch: 1, Length: 8, LearningRate: 1e-3, Validation: 1, Seed: 1}
		if err := d.Set("", "float32", false); err != nil {
			t.Fatal(err)
		}
		r, err := Distil(t.Context(), from, "", filepath.Join(t.TempDir(), "out"), d, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(r.Notes, "\n"), file+": repeats itself: "); got != want {
			t.Errorf("said: %v, expected %v: %q", got, want, r.Notes)
		}
	}
}

// TestGradientsAreForeseen: the pass that gives gradients is counted, beside the model and before
// the rest.
func TestGradientsAreForeseen(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	for _, samples := range []int{2, 2000} {
		p := Pruning{Calibration: Calibration{File: text, Samples: samples, Length: 32, Seed: 3}}
		if err := p.Set("taylor", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		c, err := open(from)
		if err != nil {
			t.Fatal(err)
		}
		shape := c.Config()
		c.Close()
		var needs MemoryEstimate
		begin := func(e MemoryEstimate, _ []Compatibility) { needs = e }
		ctx, cancel := context.WithCancel(t.Context())
		if samples > 2 { // the estimate alone
			begin = func(e MemoryEstimate, _ []Compatibility) { needs = e; cancel() }
		}
		if _, err := Prune(ctx, from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open, Begin: begin}); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		cancel()
		rest := needs.Layer + needs.Statistics + needs.Stream + needs.Inputs
		if needs.Pass != pruning.GradientBytes(shape, samples, 32) || needs.Pass < 4*int64(samples*32*shape.Hidden*len(shape.Layers)) && samples == 2 || needs.Total() != needs.Whole+max(needs.Pass, rest) {
			t.Errorf("%d samples: %+v", samples, needs)
		}
	}
}

// TestMemoryIsHeld: the memory that a command states beforehand is what it holds at its worst, with
// every implementation of the kernels: never less, but for what dies while it is measured, and no
// more than four times as much: the collections that measure can miss a short peak.
func TestMemoryIsHeld(t *testing.T) {
	from := megabytes(t)
	calibration := Calibration{Random: true, Samples: 16, Length: 128, Seed: 3}
	prune := func(method string, cuts Cuts, set func(p *Pruning)) verbOf {
		return func(ctx context.Context, from, _, to string, o Options) (*Result, error) {
			p := Pruning{Calibration: calibration}
			if err := p.Set(method, cuts); err != nil {
				return nil, err
			}
			if set != nil {
				set(&p)
			}
			return Prune(ctx, from, to, p, o)
		}
	}
	quantize := func(scheme, smooth, rotate string, set func(q *Quantization)) verbOf {
		return func(ctx context.Context, from, _, to string, o Options) (*Result, error) {
			q := Quantization{Calibration: calibration}
			var err error
			if q.Scheme, err = quant.ParseScheme(scheme); err == nil {
				err = q.Set(smooth, rotate)
			}
			if err != nil {
				return nil, err
			}
			if set != nil {
				set(&q)
			}
			return Quantize(ctx, from, to, q, o)
		}
	}
	mlp := Cuts{MLP: "25%"}
	// what the program keeps from its first work on
	if _, err := prune("osscar", mlp, nil)(t.Context(), from, "", filepath.Join(t.TempDir(), "out"), Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]verbOf{
		"prune":       prune("osscar", mlp, nil),
		"prune heads": prune("osscar", Cuts{Heads: "1"}, nil),
		// the reference is slow
		"prune, refined":      prune("osscar", mlp, func(p *Pruning) { p.Refine.Steps, p.Calibration.Samples = 1, 4 }),
		"prune, dense":        prune("osscar", Cuts{MLP: "25%", Heads: "1"}, func(p *Pruning) { p.Gathering.Target = 1 }),
		"prune, parallel":     prune("osscar", Cuts{MLP: "25%", Heads: "1"}, func(p *Pruning) { p.Gathering.Parallel = true }),
		"prune by a budget":   prune("osscar", Cuts{Budget: "70%"}, nil),
		"prune layers":        prune("osscar", Cuts{Layers: "1"}, nil),
		"quantize":            quantize("w4a16-gptq-g32", "none", "none", nil),
		"quantize smooth":     quantize("w8a8", "auto", "none", nil),
		"quantize, AWQ":       quantize("w4a16-gptq-g32", "awq", "residual", func(q *Quantization) { q.Clip = true }),
		"quantize, refined":   quantize("w4a16-gptq-g32", "none", "none", func(q *Quantization) { q.Refine.Steps, q.Gathering.Target = 3, 1 }),
		"quantize, parallel":  quantize("w4a16-gptq-g32", "none", "none", func(q *Quantization) { q.Gathering.Parallel = true }),
		"quantize, quantease": quantize("w3a16-quantease-g32", "none", "none", nil),
	} {
		implementations := kernels.Implementations()
		// all memory of which the kernels decide is of the steps
		if !strings.Contains(name, "prune, refined") {
			implementations = implementations[len(implementations)-1:]
		}
		for _, implementation := range implementations {
			t.Run(name+"/"+implementation, func(t *testing.T) {
				restore, err := kernels.Use(implementation)
				if err != nil {
					t.Fatal(err)
				}
				defer restore()
				var needs MemoryEstimate
				var held int64
				for range 8 { // a collection may miss what is there for a moment
					held = max(held, heldBy(func() {
						_, err = run(t.Context(), from, "", filepath.Join(t.TempDir(), "out"), Options{Open: open, Begin: func(e MemoryEstimate, _ []Compatibility) { needs = e }})
					}))
					if err != nil {
						t.Fatal(err)
					}
					if held > needs.Total()/2 {
						break
					}
				}
				t.Logf("%.2f MB are held, %.2f stated: %+v", float64(held)/1e6, float64(needs.Total())/1e6, needs)
				if held > needs.Total()*5/4 || held < needs.Total()/4 {
					t.Errorf("%d bytes are held, %d were stated", held, needs.Total())
				}
			})
		}
	}
}

// megabytes writes a model whose layers take megabytes.
func megabytes(t *testing.T) (folder string) {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 64, Hidden: 128, HeadDim: 32, Layers: model.Uniform(2, 4, 2, 384),
		MaxPositions: 128, RopeTheta: 10000, NormEps: 1e-6, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(4, 2)))
	folder = filepath.Join(t.TempDir(), "wide")
	if err := checkpoint.Save(t.Context(), folder, m, nil, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		t.Fatal(err)
	}
	return folder
}

// heldBy is the most live memory that a function holds beyond what there was, for as long as two
// collections of those that follow each other while it runs: what is allocated during one counts as
// live in it, and dies in the next.
func heldBy(run func()) int64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	now := func() int64 {
		runtime.GC()
		metrics.Read(live)
		return int64(live[0].Value.Uint64())
	}
	now()
	before, most := now(), int64(0)
	var three [3]int64 // the last ones
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			three = [3]int64{three[1], three[2], now()}
			most = max(most, min(three[0], three[1], three[2]))
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	run()
	close(done)
	<-ended
	return most - before
}
