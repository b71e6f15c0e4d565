package lora

import (
	"regexp"
	"strings"
)

// part is what a tensor of an adapter is to a module of the model.
type part int

const (
	partA part = iota + 1
	partB
	partBias // of B
	partEmbeddingA
	partEmbeddingB
	partMagnitude
	partWeight // the module's weight itself
	partModuleBias
	partOriginal // the base's own, which PEFT keeps beside a replaced module
)

// endings are how names of the parts end. An adapter's own name, such as "default", may stand
// within; PEFT leaves it out.
var endings = []struct {
	part  part
	match *regexp.Regexp
}{
	{partA, regexp.MustCompile(`^(.+)\.lora_A(?:\.[^.]+)?\.weight$`)},
	{partB, regexp.MustCompile(`^(.+)\.lora_B(?:\.[^.]+)?\.weight$`)},
	{partBias, regexp.MustCompile(`^(.+)\.lora_B(?:\.[^.]+)?\.bias$`)},
	{partEmbeddingA, regexp.MustCompile(`^(.+)\.lora_embedding_A(?:\.[^.]+)?$`)},
	{partEmbeddingB, regexp.MustCompile(`^(.+)\.lora_embedding_B(?:\.[^.]+)?$`)},
	{partMagnitude, regexp.MustCompile(`^(.+)\.lora_magnitude_vector(?:\.[^.]+){0,2}$`)},
	{partOriginal, regexp.MustCompile(`^(.+)\.original_module\.(?:weight|bias)$`)},
	{partWeight, regexp.MustCompile(`^(.+?)(?:\.modules_to_save(?:\.[^.]+)?|\.base_layer)?\.weight$`)},
	{partModuleBias, regexp.MustCompile(`^(.+?)(?:\.modules_to_save(?:\.[^.]+)?|\.base_layer)?\.bias$`)},
}

// parse takes a tensor's name apart: the module as the adapter names it, and the part. 0 is none
// that is known.
func parse(name string) (module string, p part) {
	if strings.Contains(name, ".lora_") {
		for _, e := range endings[:6] {
			if m := e.match.FindStringSubmatch(name); m != nil {
				return trim(m[1]), e.part
			}
		}
		return "", 0
	}
	for _, e := range endings[6:] {
		if m := e.match.FindStringSubmatch(name); m != nil {
			return trim(m[1]), e.part
		}
	}
	return "", 0
}

// trim takes the name of PEFT's own wrapping off.
func trim(module string) string {
	for _, prefix := range []string{"base_model.model.", "base_model."} {
		if rest, ok := strings.CutPrefix(module, prefix); ok {
			return rest
		}
	}
	return module
}

// candidates are the names that a module may have in the model: as it is, of a model without its
// head (FEATURE_EXTRACTION), and of the language model within another.
func candidates(module string) []string {
	inner := strings.ReplaceAll(module, "language_model.", "")
	return []string{module, "model." + module, inner, "model." + inner}
}
