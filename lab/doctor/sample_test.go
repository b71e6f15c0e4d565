package doctor

import (
	"reflect"
	"testing"
	"time"
)

// fakeClock moves only when work is done.
type fakeClock struct{ time time.Duration }

func (c *fakeClock) now() time.Duration { return c.time }

// takes is work of d a time, which notes how many times it was asked for.
func (c *fakeClock) takes(d time.Duration, calls *[]int) work {
	return func(times int) {
		*calls = append(*calls, times)
		c.time += time.Duration(times) * d
	}
}

func TestInterleave(t *testing.T) {
	var clock fakeClock
	var short, long []int
	var order []string
	s := stopwatch{t.Context(), clock.now, 3, 10 * time.Millisecond}
	note := func(name string, w work) work {
		return func(times int) { order = append(order, name); w(times) }
	}
	seconds := s.interleave(note("short", clock.takes(time.Millisecond, &short)), note("long", clock.takes(time.Second, &long)))
	if want := [][]float64{{0.001, 0.001, 0.001}, {1, 1, 1}}; !reflect.DeepEqual(seconds, want) {
		t.Errorf("seconds are %v, want %v", seconds, want)
	}
	// 1 ms is too little for a sample of 10 ms, 11 ms are enough; each sample after that is
	// preceded by one time that does not count. A second is enough alone.
	if want := []int{1, 11, 1, 11, 1, 11, 1, 11}; !reflect.DeepEqual(short, want) {
		t.Errorf("the short work was done %v times, want %v", short, want)
	}
	if want := []int{1, 1, 1, 1}; !reflect.DeepEqual(long, want) {
		t.Errorf("the long work was done %v times, want %v", long, want)
	}
	turn := []string{"short", "short", "long"}
	if want := append(append(append([]string{"short", "short", "long"}, turn...), turn...), turn...); !reflect.DeepEqual(order, want) {
		t.Errorf("the order was %v, want %v", order, want)
	}
}

func TestSample(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Sample
	}{
		{[]float64{3}, Sample{3, 3, 3, 1}},
		{[]float64{4, 1, 2}, Sample{2, 1, 4, 3}},
		{[]float64{4, 1, 2, 3}, Sample{2.5, 1, 4, 4}},
	} {
		if got := newSample(c.values); got != c.want {
			t.Errorf("%v is %v, want %v", c.values, got, c.want)
		}
	}
	if got := rates([]float64{2, 4}, 8); got[0] != 4 || got[1] != 2 {
		t.Errorf("8 in 2 and 4 seconds are rates of %v", got)
	}
	if (Sample{Min: 1, Max: 1.2}).noisy() || !(Sample{Min: 1, Max: 1.4}).noisy() {
		t.Error("noise of 20% is marked, or of 40% is not")
	}
}

// TestTiming: the share is that of the tighter bound, at the rates measured beside the work.
func TestTiming(t *testing.T) {
	// A peak that does 100 in 1 s leaves 50 half a second; one that does 10 in 0.5 s leaves 16 no
	// less than 0.8 s.
	bounds := []bound{{"float32", 50, 100}, {"DRAM", 16, 10}}
	got := newTiming(2, []float64{1, 2, 1.6}, bounds, [][]float64{{1, 1, 3}, {0.5, 0.4, 0.6}})
	if want := (Timing{2, Sample{1.6, 1, 2, 3}, "DRAM", 0.8, 0.5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := newTiming(1, []float64{2}, bounds[:1], [][]float64{{4}}); got.Limit != "float32" || got.Least != 2 || got.Share != 1 {
		t.Errorf("%+v", got)
	}
	if got := newTiming(1, []float64{2}, nil, nil); got.Limit != "" || got.Share != 0 {
		t.Errorf("without bounds: %+v", got)
	}
}
