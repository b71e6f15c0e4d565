package timing

import (
	"context"
	"errors"
	"testing"
	"time"

	"slimlab/kernels"
)

// The rates are those of a clock: one that says that a product takes a second each has few.
func TestRates(t *testing.T) {
	c := New("a machine")
	now := time.Duration(0)
	c.now = func() time.Duration { now += time.Second; return now }
	r, err := c.Rates(t.Context(), kernels.Float32, 4096)
	if err != nil || r.Products != 128*256*257/2 || r.Doubles != 128*128*128 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = New("a machine").Rates(t.Context(), kernels.BFloat16, 4096); err != nil || r.Products < 1e7 || r.Doubles < 1e7 {
		t.Errorf("%+v, %v: expected more than ten million a second", r, err)
	}
	// a millisecond each is little: matrices grow up to those of the model
	c.now = func() time.Duration { now += time.Millisecond; return now }
	for widest, n := range map[int]float64{100: 128, 256: 128, 300: 256, 5000: 512} {
		r, err := c.Rates(t.Context(), kernels.Float32, widest)
		if want := n * n * n * 1e3; err != nil || r.Doubles != want {
			t.Errorf("%d wide: %g multiply-adds a second, expected %g, %v", widest, r.Doubles, want, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Rates(ended, kernels.Float32, 4096); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}
