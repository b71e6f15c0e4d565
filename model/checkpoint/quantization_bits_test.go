package checkpoint

import (
	"strings"
	"testing"
)

// A packed quantization without its bits, or with impossible ones, is refused by that key, not by
// the shape of a tensor.
func TestBitsOfAQuantization(t *testing.T) {
	for _, c := range []struct{ sample, bits string }{{"GPTQ", `"bits":4,`}, {"pack-quantized", `"num_bits":4,`}, {"pack-quantized asymmetric", `"num_bits":4,`}, {"pack-quantized channels", `"num_bits":4,`}} {
		key, _, _ := strings.Cut(strings.Trim(c.bits, `"`), `"`)
		for with, want := range map[string]string{"": "the key is missing", `null`: "the key is missing", `"x"`: `found "x", expected a whole number`} {
			s, dir := sampleOf(t, c.sample), t.TempDir()
			if with != "" {
				with = `"` + key + `":` + with + ","
			}
			if !strings.Contains(s.config, c.bits) {
				t.Fatalf("%s: no %s in %s", c.sample, c.bits, s.config)
			}
			s.config = strings.Replace(s.config, c.bits, with, 1)
			sampleFolder(t, dir, s)
			_, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), key+": "+want) || !strings.Contains(err.Error(), "config.json") {
				t.Errorf("%s with %s: %v, expected %s: %s", c.sample, with, err, key, want)
			}
		}
	}
}
