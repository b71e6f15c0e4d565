package load

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// gaps are the gaps of a schedule in seconds.
func gaps(s Schedule) []float64 {
	out := make([]float64, len(s)-1)
	for i := range out {
		out[i] = (s[i+1] - s[i]).Seconds()
	}
	return out
}

// moments are the mean and the squared coefficient of variation.
func moments(x []float64) (mean, cv2 float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		cv2 += (v - mean) * (v - mean) / float64(len(x)) / (mean * mean)
	}
	return mean, cv2
}

func TestGapsHaveTheirMoments(t *testing.T) {
	for _, burstiness := range []float64{0.25, 1, 4, math.Inf(1)} {
		s, err := Process{Rate: 50, Burstiness: burstiness, Seed: 7}.Schedule(200_000)
		if err != nil {
			t.Fatal(err)
		}
		if s[0] != 0 || !slices.IsSorted(s) {
			t.Errorf("burstiness %v: the first is sent at %v, ascending: %v", burstiness, s[0], slices.IsSorted(s))
		}
		mean, cv2 := moments(gaps(s))
		if math.Abs(mean*50-1) > 0.02 || math.Abs(cv2-1/burstiness) > 0.04/min(burstiness, 1) {
			t.Errorf("burstiness %v: a mean gap of %v s and CV² %v, expected 0.02 s and %v", burstiness, mean, cv2, 1/burstiness)
		}
	}
}

// The gaps of a Poisson process are exponential, not only of their variance.
func TestPoissonGapsAreExponential(t *testing.T) {
	s, err := Process{Rate: 10, Burstiness: 1, Seed: 3}.Schedule(100_000)
	if err != nil {
		t.Fatal(err)
	}
	x := gaps(s)
	slices.Sort(x)
	for i, v := range x {
		// Kolmogorov's bound for a false alarm in 10⁴
		if got, want := float64(i)/float64(len(x)), 1-math.Exp(-10*v); math.Abs(got-want) > 2.2/math.Sqrt(float64(len(x))) {
			t.Fatalf("a share of %v of the gaps is below %v s, expected %v", got, v, want)
		}
	}
}

func TestEqualGapsDoNotDrift(t *testing.T) {
	s, err := Process{Rate: 3, Burstiness: math.Inf(1)}.Schedule(300_001)
	if err != nil {
		t.Fatal(err)
	}
	if end := s[300_000]; (end - 100_000*time.Second).Abs() > time.Microsecond {
		t.Errorf("the last of 300,001 requests, 3 a second, is sent after %v", end)
	}
}

func TestSchedulesReplayBySeed(t *testing.T) {
	draw := func(seed uint64) Schedule {
		s, err := Process{Rate: 5, Burstiness: 0.5, Seed: seed}.Schedule(1000)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if !slices.Equal(draw(1), draw(1)) {
		t.Error("the same seed draws another schedule")
	}
	if slices.Equal(draw(1), draw(2)) {
		t.Error("another seed draws the same schedule")
	}
}

func TestScheduleErrors(t *testing.T) {
	for _, test := range []struct {
		Process
		n    int
		says string
	}{
		{Process{Rate: 1, Burstiness: 1}, 0, "0 requests"}, {Process{Rate: 0, Burstiness: 1}, 1, "rate of 0"}, {Process{Rate: math.NaN(), Burstiness: 1}, 1, "rate of NaN"},
		{Process{Rate: math.Inf(1), Burstiness: 1}, 1, "rate of +Inf"}, {Process{Rate: 1, Burstiness: 0}, 1, "burstiness of 0"}, {Process{Rate: 1, Burstiness: math.NaN()}, 1, "burstiness of NaN"},
		{Process{Rate: 1e-300, Burstiness: math.Inf(1)}, 2, "lower the number or raise the rate"},
	} {
		if _, err := test.Schedule(test.n); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v, %d requests: %v, expected an error with %q", test.Process, test.n, err, test.says)
		}
	}
}

// A ramp has the rates that it says, evenly or by an even factor, and its length is that in which
// its arrivals are expected.
func TestRamps(t *testing.T) {
	const n = 100_000
	for _, exponential := range []bool{false, true} {
		for _, ends := range [][2]float64{{10, 90}, {90, 10}, {50, 50}, {50, 50.0001}} {
			for _, burstiness := range []float64{1, math.Inf(1)} {
				from, to := ends[0], ends[1]
				s, err := Process{Rate: from, To: to, Exponential: exponential, Burstiness: burstiness, Seed: 5}.Schedule(n)
				if err != nil {
					t.Fatal(err)
				}
				if s[0] != 0 || !slices.IsSorted(s) {
					t.Fatalf("%v: the times are not ascending", ends)
				}
				mean := (from + to) / 2
				if exponential && math.Abs(to-from) > 1 {
					mean = (to - from) / math.Log(to/from)
				}
				length := n / mean
				// by a twentieth of the time: counts are within five standard deviations
				for part := range 20 {
					begin, end := length*float64(part)/20, length*float64(part+1)/20
					got := 0.0
					for _, at := range s {
						if at.Seconds() >= begin && at.Seconds() < end {
							got++
						}
					}
					rate := func(x float64) float64 { // its integral
						if exponential && math.Abs(to-from) > 1 {
							c := math.Log(to/from) / length
							return from / c * math.Expm1(c*x)
						}
						return from*x + (to-from)*x*x/(2*length)
					}
					want := rate(end) - rate(begin)
					if math.Abs(got-want) > 5*math.Sqrt(want)+1 {
						t.Errorf("%v, exponential %v, burstiness %v: %v arrivals in part %d, expected %.1f", ends, exponential, burstiness, got, part, want)
					}
				}
			}
		}
	}
	if _, err := (Process{Rate: 1, To: -1, Burstiness: 1}).Schedule(1); err == nil || !strings.Contains(err.Error(), "ramp to -1") {
		t.Errorf("a ramp to -1: %v", err)
	}
}
