package main

import (
	"strings"
	"testing"

	"slimlab/lab/doctor"
	"slimlab/lab/eval"
)

// TestCheckDType: both spellings of an element type become the one that a verb works with, and an
// error lists that one alone.
func TestCheckDType(t *testing.T) {
	for _, c := range []struct {
		valid      []string
		name, want string // "" is an error
	}{
		{dtypes, "bf16", "bf16"}, {dtypes, "bfloat16", "bf16"}, {dtypes, "float16", "f16"}, {dtypes, "float32", "f32"}, {dtypes, "f64", ""},
		{eval.DTypes(), "f32", "float32"}, {eval.DTypes(), "bf16", "bfloat16"}, {eval.DTypes(), "float32", "float32"}, {eval.DTypes(), "f16", ""},
		{doctor.WeightFormats(), "bf16", "bfloat16"}, {doctor.WeightFormats(), "w8a8", "w8a8"}, {doctor.WeightFormats(), "bf8", ""},
	} {
		got := c.name
		err := checkDType(&got, c.valid)
		if (err == nil) != (c.want != "") || err == nil && got != c.want {
			t.Errorf("%s of %v: %s, error %v, expected %q", c.name, c.valid, got, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), "expected one of "+c.valid[0]) || !strings.HasSuffix(err.Error(), " are taken too)")) {
			t.Errorf("%s of %v: %v", c.name, c.valid, err)
		}
	}
}
