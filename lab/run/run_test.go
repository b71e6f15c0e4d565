package run

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// chain is every kind of stage once, as small as it goes.
const chain = `
name: chain
task: { kind: recsys, members: 40, candidates: 2 }
tokenizer: { vocab: 600 }
models:
  teacher-shape: { layers: 2, hidden: 32, heads: 4, kv_heads: 2, head_dim: 8, mlp: 64 }
  student-shape: { layers: 1, hidden: 16, heads: 2, kv_heads: 2, head_dim: 8, mlp: 32 }
pipeline:
  - train:    { name: teacher, into: teacher-shape, steps: 6, batch: 4, learning_rate: 3e-3 }
  - distil:   { name: student, into: student-shape, teacher: teacher, steps: 6, batch: 4, learning_rate: 3e-3 }
  - prune:    { name: pruned, mlp: 0.25, heads: 0.5, calibration: { samples: 12 } }
  - distil:   { name: healed, teacher: teacher, steps: 3, batch: 4 }
  - quantize: { name: w8a8, from: healed, scheme: w8a8 }
  - quantize: { name: w4a16, from: healed, scheme: w4a16-gptq, group: 8, calibration: { samples: 12 } }
evaluate: { validation: 8 }
serve: { members: 3, candidates: 3 }
`

// newLab opens a lab in a home of its own.
func newLab(t testing.TB) *Lab {
	t.Helper()
	return openLab(t, t.TempDir())
}

func openLab(t testing.TB, home string) *Lab {
	t.Helper()
	l, err := Open(home, fstest.MapFS{"chain.yaml": {Data: []byte(chain)}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// parse makes a plan of a scenario's text.
func parse(t testing.TB, text string, o scenario.Options) *scenario.Plan {
	t.Helper()
	o.Vocabulary = Vocabulary()
	s, err := scenario.Parse("test.yaml", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Plan()
}

// clock leaps at each look, so that no event is held back because it comes too soon after another.
func clock() func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return time.Unix(1e9, 0).Add(time.Duration(looks.Add(1)) * 200 * time.Millisecond) }
}

// work runs a plan to its end.
func work(t testing.TB, l *Lab, plan *scenario.Plan, o Options) (Outcome, error) {
	t.Helper()
	return workUntil(t, l, plan, o, func(lab.Event) bool { return false })
}

// workUntil runs a plan and interrupts it at the first event that stop is true of.
func workUntil(t testing.TB, l *Lab, plan *scenario.Plan, o Options, stop func(lab.Event) bool) (Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sink := o.Sink
	o.Sink = func(e lab.Event) {
		if sink != nil {
			sink(e)
		}
		if stop(e) {
			cancel()
		}
	}
	if o.Now == nil {
		o.Now = clock()
	}
	r, err := l.Start(plan, o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Work(ctx)
}

func mustWork(t testing.TB, l *Lab, plan *scenario.Plan, o Options) Outcome {
	t.Helper()
	out, err := work(t, l, plan, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// figures writes the deterministic part of a table, bit for bit.
func figures(b *lab.Board) string {
	var text strings.Builder
	view := b.Snapshot()
	for i := range view.Rows {
		row := &view.Rows[i]
		fmt.Fprintln(&text, row.Label(), row.State)
		for _, metric := range lab.Metrics() {
			s, ok := row.Metric(metric.Key)
			if !ok || !metric.Deterministic {
				continue
			}
			fmt.Fprintf(&text, "  %s", metric.Key)
			for _, m := range s.Seeds {
				fmt.Fprintf(&text, " %d:%.6g[%x %x %x]", m.Seed, m.Value, math.Float64bits(m.Value), math.Float64bits(m.Low), math.Float64bits(m.High))
			}
			fmt.Fprintln(&text)
		}
	}
	return text.String()
}

// reference is the chain's run from nothing to its end, which others are compared with.
var reference = sync.OnceValue(func() (ref struct {
	home    string
	board   *lab.Board
	figures string
	err     error
}) {
	ref.home = filepath.Join(scratch, "reference")
	l, err := Open(ref.home, fstest.MapFS{}, "test")
	if err != nil {
		ref.err = err
		return ref
	}
	s, err := scenario.Parse("chain.yaml", []byte(chain), scenario.Options{Vocabulary: Vocabulary()})
	if err != nil {
		ref.err = err
		return ref
	}
	r, err := l.Start(s.Plan(), Options{})
	if err != nil {
		ref.err = err
		return ref
	}
	out, err := r.Work(context.Background())
	ref.board, ref.figures, ref.err = out.Board, figures(out.Board), err
	return ref
})

// scratch is a folder for what all tests share.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "run-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

func TestPipeline(t *testing.T) {
	ref := reference()
	if ref.err != nil {
		t.Fatal(ref.err)
	}
	t.Log(ref.board.Snapshot())
}
