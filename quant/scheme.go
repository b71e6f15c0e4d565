package quant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/model"
)

// Scheme is a number format and the way its codes are chosen. The zero value quantizes nothing.
type Scheme struct {
	Bits int // 8: W8A8 or FP8, 4: W4A16 or W4A8, 0: none
	// 8 bits: FP8 (E4M3FN) with activations rounded per token, instead of integers
	Float           bool
	Int8Activations bool // 4 bits: W4A8 instead of W4A16
	GPTQ            bool // codes by GPTQ; else round to nearest
	ActOrder        bool // GPTQ takes the inputs with the largest second moment first
	Group           int  // 4 bits: inputs that share a scale; 0 is automatic (see Quantize)
}

// Schemes lists the names that ParseScheme knows. Those of w4a16 and w4a8 take an ending for the
// group size, such as "-g32".
func Schemes() []string {
	return []string{"none", "w8a8", "w8a8-rtn", "w8a8-gptq", "w8a8-gptq-act", "w4a16", "w4a16-rtn", "w4a16-gptq", "w4a16-gptq-act",
		"w4a8", "w4a8-rtn", "w4a8-gptq", "w4a8-gptq-act", "fp8", "fp8-dynamic"}
}

// ParseScheme reads a scheme's name: "w8a8" is round to nearest, "w4a16" and "w4a8" are GPTQ,
// "-act" is act-order, "-g64" is groups of 64, "fp8" is fp8-dynamic.
func ParseScheme(name string) (Scheme, error) {
	base, group, grouped := name, 0, false
	if i := strings.LastIndex(name, "-g"); i >= 0 && !strings.HasPrefix(name[i:], "-gptq") {
		n, err := strconv.Atoi(name[i+2:])
		if err != nil || n < 8 || n%8 != 0 {
			return Scheme{}, fmt.Errorf("scheme %q: group size %q, expected a multiple of 8 such as 32, 64 or 128", name, name[i+2:])
		}
		base, group, grouped = name[:i], n, true
	}
	if !slices.Contains(Schemes(), base) {
		return Scheme{}, fmt.Errorf("unknown scheme %q, expected one of %s%s", name, strings.Join(Schemes(), ", "), nearest.Suggest(base, Schemes()))
	}
	s := Scheme{Group: group, ActOrder: strings.HasSuffix(base, "-act")}
	switch {
	case strings.HasPrefix(base, "w8a8"):
		s.Bits, s.GPTQ = 8, strings.Contains(base, "gptq")
	case strings.HasPrefix(base, "fp8"):
		s.Bits, s.Float = 8, true
	case strings.HasPrefix(base, "w4"):
		s.Bits, s.GPTQ, s.Int8Activations = 4, !strings.Contains(base, "rtn"), strings.HasPrefix(base, "w4a8")
	}
	if grouped && s.Bits != 4 {
		return Scheme{}, fmt.Errorf("scheme %q: only w4a16 and w4a8 have groups", name)
	}
	return s, nil
}

// String is the scheme's full name, which ParseScheme reads.
func (s Scheme) String() string {
	if s.Bits == 0 {
		return "none"
	}
	if s.Float {
		return "fp8-dynamic"
	}
	name := "w8a8-"
	switch {
	case s.Bits == 4 && s.Int8Activations:
		name = "w4a8-"
	case s.Bits == 4:
		name = "w4a16-"
	}
	if s.GPTQ {
		name += "gptq"
	} else {
		name += "rtn"
	}
	if s.ActOrder {
		name += "-act"
	}
	if s.Group > 0 {
		name += fmt.Sprintf("-g%d", s.Group)
	}
	return name
}

// check reports a scheme that no name stands for.
func (s Scheme) check() error {
	if parsed, err := ParseScheme(s.String()); err != nil || parsed != s {
		return fmt.Errorf("scheme %+v is impossible: bits 0, 4 or 8; groups a multiple of 8, they and a choice of activations for 4 bits only; act-order for GPTQ only, which is not for FP8", s)
	}
	return nil
}

// GroupFor returns the group size for all linear layers of m: the scheme's, which must divide each
// layer's inputs, or the largest of 128, 64, 32, 16 and 8 that does.
func (s Scheme) GroupFor(m *model.Model) (int, error) {
	sizes := []int{128, 64, 32, 16, 8}
	if s.Group > 0 {
		sizes = []int{s.Group}
	}
	var odd model.LinearLayer
	for _, size := range sizes {
		fits := true
		for _, l := range m.Linears() {
			if l.In%size != 0 {
				odd, fits = l, false
				break
			}
		}
		if fits {
			return size, nil
		}
	}
	return 0, fmt.Errorf("groups of %d do not divide the %d inputs of %s: choose a smaller group, or prune with an alignment",
		sizes[len(sizes)-1], odd.In, odd.Name)
}
