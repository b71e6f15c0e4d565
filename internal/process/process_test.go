package process

import (
	"testing"
	"time"
)

// TestWorked: what counts is the processor time that a process takes while it is observed.
func TestWorked(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name        string
		first, last map[int]usage
		took        time.Duration
		want        int
	}{
		{"nobody", nil, nil, 100 * ms, 0},
		{"one that waits", map[int]usage{7: {1, 900 * ms}}, map[int]usage{7: {1, 900 * ms}}, 100 * ms, 0},
		{"one that works", map[int]usage{7: {1, 900 * ms}}, map[int]usage{7: {1, 990 * ms}}, 100 * ms, 1},
		{"less than a twentieth", map[int]usage{7: {1, 900 * ms}}, map[int]usage{7: {1, 940 * ms}}, 1000 * ms, 0},
		{"a twentieth", map[int]usage{7: {1, 900 * ms}}, map[int]usage{7: {1, 950 * ms}}, 1000 * ms, 1},
		{"one tick of a short time", map[int]usage{7: {1, 0}}, map[int]usage{7: {1, 10 * ms}}, 20 * ms, 1},
		{"one that began", nil, map[int]usage{7: {1, 50 * ms}}, 100 * ms, 1},
		{"one that began and waits", nil, map[int]usage{7: {1, 0}}, 100 * ms, 0},
		{"one that ended", map[int]usage{7: {1, 900 * ms}}, nil, 100 * ms, 1},
		{"another under its id", map[int]usage{7: {1, 900 * ms}}, map[int]usage{7: {2, 0}}, 100 * ms, 1},
		{"two of three", map[int]usage{7: {1, 0}, 8: {2, 0}, 9: {3, 0}}, map[int]usage{7: {1, 60 * ms}, 8: {2, 0}, 9: {3, 70 * ms}}, 100 * ms, 2},
	} {
		states, now := []map[int]usage{c.first, c.last}, time.Unix(1e9, 0)
		w := begin(func() map[int]usage {
			s := states[0]
			states = states[1:]
			return s
		}, func() time.Time { return now })
		now = now.Add(c.took)
		if got := w.Worked(); got != c.want {
			t.Errorf("%s: %d processes worked, expected %d", c.name, got, c.want)
		}
	}
}
