package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slimlab/lab"
)

// TestProgressIsSparse: what passes is a line every ten seconds, counted from the last line.
func TestProgressIsSparse(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.event(lab.Event{Kind: lab.KindBegin, Time: 1, Name: "tiny", Begin: &lab.Begin{Run: "r1"}})
	for _, at := range []float64{2, 10.9, 11, 20.9, 21} {
		p.event(lab.Event{Kind: lab.KindCell, Time: at, Cell: "c", State: lab.Running, Stage: "kd"})
	}
	p.event(lab.Event{Kind: lab.KindRow, Time: 25, Cell: "c", Row: "kd"})
	for _, at := range []float64{31, 34.9, 35} {
		p.event(lab.Event{Kind: lab.KindCell, Time: at, Cell: "c", State: lab.Running, Stage: "kd"})
	}
	var times []string
	for line := range strings.Lines(out.String()) {
		times = append(times, strings.Fields(line)[0])
	}
	if got := strings.Join(times, " "); got != "1.0s 11.0s 21.0s 25.0s 35.0s" {
		t.Errorf("lines at %s:\n%s", got, &out)
	}
}

// TestProgressOfSteps: a bar, and the time that is left at the pace so far.
func TestProgressOfSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			done, total int
			want        string
		}{{0, 4, "0/4 · x"}, {1, 4, "1/4, 60.0s left · x"}, {3, 4, "3/4, 6.7s left · x"}, {4, 4, "4/4, 0ms left · x"}, {5, 4, "5/4, 0ms left · x"}, {1, 0, "20.0s x"}} {
			var out bytes.Buffer
			p := newProgress(&out)
			time.Sleep(20 * time.Second)
			p.step(c.done, c.total, "x")
			said := strings.TrimSpace(out.String())
			if filled := strings.Count(said, "█"); !strings.HasSuffix(said, c.want) || c.total > 0 && filled != min(20, 5*c.done) {
				t.Errorf("%d of %d: %q, expected %q at its end", c.done, c.total, said, c.want)
			}
		}
	})
}

// TestPaceOfSteps: what an earlier command has done takes no time of this one, and a part of the
// work with another total has its own pace.
func TestPaceOfSteps(t *testing.T) {
	type step struct {
		at          float64
		done, total int
		left        float64 // -1: not known
	}
	for name, c := range map[string]struct {
		resumed bool
		steps   []step
	}{
		"from the beginning": {false, []step{{0, 0, 4, -1}, {10, 1, 4, 30}, {20, 2, 4, 20}, {40, 4, 4, 0}}},
		"an interrupted one": {true, []step{{1, 0, 100, -1}, {2, 51, 100, -1}, {4, 52, 100, 96}, {6, 53, 100, 94}}},
		"two parts":          {false, []step{{10, 1, 2, 10}, {20, 2, 2, 0}, {21, 1, 10, 9}, {22, 2, 10, 8}}},
	} {
		p := pace{resumed: c.resumed}
		for _, s := range c.steps {
			left, known := p.left(s.done, s.total, s.at)
			if known != (s.left >= 0) || known && left != s.left {
				t.Errorf("%s: %d of %d after %g s: %g s left (%v), expected %g", name, s.done, s.total, s.at, left, known, s.left)
			}
		}
	}
}
