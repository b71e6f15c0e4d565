package await

import (
	"context"
	"errors"
	"testing"
)

func TestDoReturnsWhatTheWorkReturns(t *testing.T) {
	broken := errors.New("broken")
	if value, err := Do(t.Context(), func() (int, error) { return 7, broken }); value != 7 || err != broken {
		t.Errorf("found %d, %v", value, err)
	}
}

func TestDoDoesNotWaitWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	never := make(chan int)
	value, err := Do(ctx, func() (int, error) {
		cancel()
		return <-never, nil
	})
	if value != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("found %d, %v", value, err)
	}
	close(never)
	if _, err := Do(ctx, func() (int, error) { t.Error("began after the end"); return 0, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("found %v", err)
	}
}
