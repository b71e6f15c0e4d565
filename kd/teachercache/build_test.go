package teachercache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
)

// TestKilledBuildGoesOn: whatever is left of it, after any byte, also with other bytes behind.
func TestKilledBuildGoesOn(t *testing.T) {
	for name, spec := range specs() {
		j := tinyJob(t, spec)
		j.Examples = j.Examples[:8]
		built(t, j)
		want, err := os.ReadFile(j.Name)
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for i := range 41 {
			n := len(want) * i / 40
			os.Remove(j.Name)
			left := append(append([]byte{}, want[:n]...), make([]byte, n%3)...)
			if err := os.WriteFile(partName(j.Name), left, 0o644); err != nil {
				t.Fatal(err)
			}
			b, err := Build(context.Background(), j)
			if err != nil {
				t.Fatalf("%s: after %d bytes: %v", name, n, err)
			}
			got, err := os.ReadFile(j.Name)
			if err != nil || !bytes.Equal(got, want) || b.Resumed < most {
				t.Fatalf("%s: after %d of %d bytes: another file; %d examples found, %d before; %v", name, n, len(want), b.Resumed, most, err)
			}
			most = b.Resumed
		}
		if most != 8 {
			t.Errorf("%s: %d examples of a finished file are found, expected 8", name, most)
		}
	}
}

// TestUnfinishedBuildOfSomethingElse is thrown away, and that is said.
func TestUnfinishedBuildOfSomethingElse(t *testing.T) {
	j := tinyJob(t, Spec{Codec: TopK, K: 8})
	built(t, j)
	if err := os.Rename(j.Name, partName(j.Name)); err != nil {
		t.Fatal(err)
	}
	j.Spec.K = 9
	b, err := Build(context.Background(), j)
	if err != nil || !b.Discarded || b.Resumed != 0 {
		t.Errorf("%+v, %v", b, err)
	}
	c, err := Open(j.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.K != 9 || c.Verify() != nil {
		t.Errorf("%v", c.Header)
	}
}

// failing is a teacher that fails, or ends the context, at the n-th reading.
type failing struct {
	kd.Teacher
	n      int
	cancel func()
}

func (f *failing) Read(ctx context.Context, r kd.Reading) error {
	if f.n--; f.n == 0 {
		if f.cancel == nil {
			return errors.New("out of order")
		}
		f.cancel()
	}
	return f.Teacher.Read(ctx, r)
}

// TestFailedBuildKeepsWhatIsFinished: the cache that was there too.
func TestFailedBuildKeepsWhatIsFinished(t *testing.T) {
	j := tinyJob(t, Spec{})
	j.Examples = kdtest.Examples(1500, kdtest.Vocab, 4)
	if err := os.WriteFile(j.Name, []byte("earlier"), 0o644); err != nil {
		t.Fatal(err)
	}
	whole := j.Teacher
	ctx, cancel := context.WithCancel(context.Background())
	for _, f := range []*failing{{Teacher: whole, n: 2}, {Teacher: whole, n: 2, cancel: cancel}} {
		j.Teacher = f
		_, err := Build(ctx, j)
		if f.cancel == nil && (err == nil || !strings.Contains(err.Error(), "out of order")) || f.cancel != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if data, _ := os.ReadFile(j.Name); string(data) != "earlier" {
			t.Error("the earlier file is gone")
		}
	}
	j.Teacher = whole
	b, err := Build(context.Background(), j)
	if err != nil || b.Resumed == 0 || b.Resumed == b.Examples {
		t.Errorf("%+v, %v", b, err)
	}
	clean := j
	clean.Name += "2"
	built(t, clean)
	a, _ := os.ReadFile(j.Name)
	if c, _ := os.ReadFile(clean.Name); !bytes.Equal(a, c) {
		t.Error("another file than without failures")
	}
}

// TestTwoBuildsOfOneFile: the second is refused.
func TestTwoBuildsOfOneFile(t *testing.T) {
	j := tinyJob(t, Spec{})
	asked := false
	j.Progress = func(int, int) {
		again := j
		again.Progress = nil
		if _, err := Build(context.Background(), again); !errors.Is(err, ErrBuilding) || !strings.Contains(err.Error(), j.Name) {
			t.Errorf("a second build: %v", err)
		}
		asked = true
	}
	built(t, j)
	if !asked {
		t.Error("no progress was told")
	}
}

// listing is a teacher of lists; its rows are not whole.
type listing struct{ kd.Teacher }

func (listing) Rows([]kd.Target, int) (kd.Rows, error) { return kd.Rows{}, nil }

// spoiled is a teacher with one logit that is not finite.
type spoiled struct {
	kd.Teacher
	value float32
}

func (s spoiled) Rows(targets []kd.Target, vocab int) (kd.Rows, error) {
	rows, err := s.Teacher.Rows(targets, vocab)
	if err == nil {
		rows.Logits[len(rows.Logits)-5] = s.value
	}
	return rows, err
}

// TestRefusedJobs: each error says what was found.
func TestRefusedJobs(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for want, change := range map[string]func(*Job){
		"top-k of 0 tokens":              func(j *Job) { j.Spec = Spec{Codec: TopK} },
		"0 draws":                        func(j *Job) { j.Spec = Spec{Codec: Sampled} },
		"power 3":                        func(j *Job) { j.Spec = Spec{Codec: Sampled, Draws: 4, Power: 3} },
		"temperature -1":                 func(j *Job) { j.Spec = Spec{Codec: TopK, K: 4, Temperature: -1} },
		"codec(7)":                       func(j *Job) { j.Spec = Spec{Codec: 7} },
		"rows over 62 tokens":            func(j *Job) { j.Source.Vocab = 62 },
		"token 61 at position":           func(j *Job) { j.Examples[3].Tokens[1] = 61 },
		"first token is an answer":       func(j *Job) { j.Examples[3].Answer[0] = true },
		"answer marks":                   func(j *Job) { j.Examples[3].Answer = nil },
		"lists of tokens, expected":      func(j *Job) { j.Teacher = listing{j.Teacher} },
		"logit of token 56 is NaN":       func(j *Job) { j.Teacher = spoiled{j.Teacher, nan} },
		"logit of token 56 is +Inf":      func(j *Job) { j.Teacher = spoiled{j.Teacher, inf} },
		"no such file":                   func(j *Job) { j.Name = j.Name + "/in/nothing" },
		"but the teacher has 64 positio": func(j *Job) { j.Examples[1] = tinyLong() },
	} {
		j := tinyJob(t, Spec{})
		change(&j)
		if _, err := Build(context.Background(), j); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), j.Name) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

func tinyLong() kd.Example {
	e := kd.Example{Tokens: make([]int32, 70), Answer: make([]bool, 70)}
	e.Answer[69] = true
	return e
}

// TestEqualExamplesAreKeptOnce: and those without an answer not at all.
func TestEqualExamplesAreKeptOnce(t *testing.T) {
	j := tinyJob(t, Spec{})
	once := built(t, j)
	j.Examples = append(append([]kd.Example{}, j.Examples...), j.Examples...)
	j.Examples = append(j.Examples, kd.Example{Tokens: []int32{1, 2}, Answer: []bool{false, false}}, kd.Example{})
	j.Name += "2"
	twice := built(t, j)
	if once.Bytes != twice.Bytes || twice.Examples != 30 {
		t.Errorf("%d bytes of %d examples, expected %d of 30", twice.Bytes, twice.Examples, once.Bytes)
	}
	if err := twice.Teacher().Prepare(context.Background(), j.Examples); err != nil {
		t.Error(err)
	}
}

// TestBytesOfAToken: sampled rows of a large vocabulary are within 64 bytes, with header, index and
// checksums, and what is kept of the entropy is what a file says.
func TestBytesOfAToken(t *testing.T) {
	const vocab = 32000
	rows := &drawnRows{vocab: vocab}
	examples := kdtest.Examples(8, vocab, 6)
	for i := range examples {
		for at := range examples[i].Answer {
			examples[i].Answer[at] = at > 0
		}
	}
	report := ""
	for _, spec := range []Spec{{}, {Codec: TopK, K: 12}, {Codec: TopK, K: 50}, {Codec: Sampled, Draws: 12}, {Codec: Sampled, Draws: 50}} {
		j := tinyJob(t, spec)
		j.Teacher, j.Source.Vocab, j.Examples = rows, vocab, examples
		if spec.Codec == Exact {
			j.Examples = examples[:3]
		}
		c := built(t, j)
		report += fmt.Sprintf("\n%v: %.1f bytes a token; entropy %.3f nats, %.3f kept", spec, c.BytesPerToken(), c.Entropy, c.EntropyKept)
		if spec.Codec == Sampled && spec.Draws == 12 && c.BytesPerToken() > 64 {
			t.Errorf("%v: %.1f bytes a token, expected at most 64", spec, c.BytesPerToken())
		}
		if spec.Codec == Exact && c.EntropyKept != c.Entropy || spec.Codec != Exact && !(c.EntropyKept > 0 && c.EntropyKept < c.Entropy) {
			t.Errorf("%v: entropy %v, %v kept", spec, c.Entropy, c.EntropyKept)
		}
	}
	t.Log(report)
}
