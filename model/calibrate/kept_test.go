package calibrate

import "testing"

// TestKeptInputs: inputs are kept up to InputBytes, of one model or of two.
func TestKeptInputs(t *testing.T) {
	for _, c := range []struct {
		tokens, width int
		target        bool
		want          int64
	}{
		{128 * 512, 4864, false, 4 * 128 * 512 * 4864},
		{128 * 512, 8192, false, InputBytes},
		{128*512 + 1, 8192, false, 0},
		{128 * 512, 4096, true, InputBytes},
		{128 * 512, 4864, true, 0},
		{0, 4864, true, 0},
	} {
		if got := KeptInputs(c.tokens, c.width, c.target); got != c.want {
			t.Errorf("%d tokens of %d, target %t: %d bytes are kept, expected %d", c.tokens, c.width, c.target, got, c.want)
		}
	}
}
