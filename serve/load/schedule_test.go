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
		s, err := Arrivals{Rate: 50, Burstiness: burstiness, Seed: 7}.Schedule(200_000)
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
	s, err := Arrivals{Rate: 10, Burstiness: 1, Seed: 3}.Schedule(100_000)
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
	s, err := Arrivals{Rate: 3, Burstiness: math.Inf(1)}.Schedule(300_001)
	if err != nil {
		t.Fatal(err)
	}
	if end := s[300_000]; (end - 100_000*time.Second).Abs() > time.Microsecond {
		t.Errorf("the last of 300,001 requests, 3 a second, is sent after %v", end)
	}
}

func TestSchedulesReplayBySeed(t *testing.T) {
	draw := func(seed uint64) Schedule {
		s, err := Arrivals{Rate: 5, Burstiness: 0.5, Seed: seed}.Schedule(1000)
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
		Arrivals
		n    int
		says string
	}{
		{Arrivals{1, 1, 0}, 0, "0 requests"}, {Arrivals{0, 1, 0}, 1, "rate of 0"}, {Arrivals{math.NaN(), 1, 0}, 1, "rate of NaN"},
		{Arrivals{math.Inf(1), 1, 0}, 1, "rate of +Inf"}, {Arrivals{1, 0, 0}, 1, "burstiness of 0"}, {Arrivals{1, math.NaN(), 0}, 1, "burstiness of NaN"},
		{Arrivals{1e-300, math.Inf(1), 0}, 2, "lower the number or raise the rate"},
	} {
		if _, err := test.Schedule(test.n); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v, %d requests: %v, expected an error with %q", test.Arrivals, test.n, err, test.says)
		}
	}
}
