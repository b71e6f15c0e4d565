package loadtest

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"slimlab/lab/loadreport"
	"slimlab/serve/load"
)

// ideal is a run of which every request takes as long as the mean of M/M/1 at a rate, of a server
// that answers 10 a second.
func ideal(_ context.Context, rate float64, _ uint64) (*loadreport.Summary, error) {
	const capacity = 10
	took := time.Hour
	if rate < capacity {
		took = time.Duration(float64(time.Second) / (capacity - rate))
	}
	var records []load.Record
	for i := range 200 {
		at := time.Duration(float64(i) / rate * float64(time.Second))
		records = append(records, load.Record{Scheduled: at, Sent: at, First: at + took, End: at + took, Prompt: 10, Tokens: 1})
	}
	return loadreport.Summarize(loadreport.Run{Records: records}), nil
}

func TestFindCapacity(t *testing.T) {
	bounds, err := ParseBounds("ttft:p99:250ms")
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []float64{0.001, 1, 6, 5000} {
		c, err := FindCapacity(context.Background(), first, 1, []uint64{1, 2}, bounds, ideal, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := 6.0; c.Rate > want*1.0001 || c.Rate < want/(1+precision) || c.Low != c.High || len(c.At) != 2 {
			t.Errorf("from %g a second on: capacity %g (%g to %g), expected %g", first, c.Rate, c.Low, c.High, want)
		}
		for _, p := range c.Probes {
			if kept := p.Rate <= 6; kept != (p.Broken == "") {
				t.Errorf("at %g a second: %q", p.Rate, p.Broken)
			}
		}
	}
}

func TestFindCapacityErrors(t *testing.T) {
	never := func(_ context.Context, rate float64, seed uint64) (*loadreport.Summary, error) {
		return ideal(context.Background(), 9.9999, seed)
	}
	always := func(_ context.Context, rate float64, seed uint64) (*loadreport.Summary, error) {
		return ideal(context.Background(), 1, seed)
	}
	broken := func(context.Context, float64, uint64) (*loadreport.Summary, error) { return nil, errors.New("gone") }
	bounds := []Bound{{loadreport.TTFT, 99, 250 * time.Millisecond}}
	for says, run := range map[string]func(context.Context, float64, uint64) (*loadreport.Summary, error){
		"kept at some rate": never, "time to grow": always, "gone": broken,
	} {
		if _, err := FindCapacity(context.Background(), 1, 1, []uint64{1}, bounds, run, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected an error with %q", err, says)
		}
	}
}

func TestNoCapacity(t *testing.T) {
	bounds := []Bound{{loadreport.TTFT, 99, 50 * time.Millisecond}}
	c, err := FindCapacity(context.Background(), 100, 1, []uint64{1}, bounds, ideal, nil)
	if err != nil || c.Rate != 0 || !strings.Contains(c.Never, "ttft P99 is 1") {
		t.Errorf("bounds that a request alone does not keep: %+v, %v", c, err)
	}
	if n := len(c.Probes); n > 9 {
		t.Errorf("%d runs until that was known", n)
	}
}

func TestParseBounds(t *testing.T) {
	list, err := ParseBounds("ttft:p99:500ms, tpot:p50:20ms")
	if err != nil || len(list) != 2 || list[0] != (Bound{loadreport.TTFT, 99, 500 * time.Millisecond}) || list[1].String() != "tpot:p50:20ms" {
		t.Errorf("%v, %v", list, err)
	}
	for _, text := range []string{"", "ttft", "ttft:500ms", "ttft:99:500ms", "ttft:p98:500ms", "wait:p99:500ms", "ttft:p99:0s", "ttft:p99:500", "ttft:p99:500ms,", "ttft:pNaN:1s"} {
		if list, err := ParseBounds(text); err == nil {
			t.Errorf("%q is read as %v", text, list)
		}
	}
}

func TestKeeps(t *testing.T) {
	s, _ := ideal(context.Background(), 6, 1)
	if broken := Keeps(s, []Bound{{loadreport.E2E, 99, 251 * time.Millisecond}}); broken != "" {
		t.Error(broken)
	}
	if broken := Keeps(s, []Bound{{loadreport.TPOT, 99, time.Second}}); !strings.Contains(broken, "no answer has a tpot") {
		t.Errorf("answers of one token: %q", broken)
	}
	s.Failed = 1
	if broken := Keeps(s, nil); !strings.Contains(broken, "1 of 200") {
		t.Errorf("a failed request: %q", broken)
	}
	if !math.IsNaN(s.Latency(loadreport.TPOT).At(99)) {
		t.Error("a percentile of no answer")
	}
}
