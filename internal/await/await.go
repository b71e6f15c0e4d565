// Package await waits for work that cannot be interrupted, or for the end of a context.
//
// It is for work of seconds that takes no context: reading standard input, hashing or tokenizing a
// file. Such work goes on after the context has ended, without anyone waiting for it, so it must
// only be given up where the program is about to end, and must not hold locks that others need.
package await

import "context"

// Do returns what f returns, or the error of ctx where that ends first.
func Do[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	if err := ctx.Err(); err != nil {
		var none T
		return none, err
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
