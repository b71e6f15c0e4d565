package quant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
)

// Scheme is what becomes of a linear layer: its number format, and the way its codes are chosen.
// The zero value leaves the layer as it is.
type Scheme struct {
	// Group 0 with 4 bits is automatic: see Plan.
	NumberFormat
	Rounder Rounder // nil for float32
}

// Schemes lists the names that ParseScheme knows. Those of w4a16 and w4a8 take an ending for the
// group size, such as "-g32".
func Schemes() []string {
	return []string{"none", "w8a8", "w8a8-rtn", "w8a8-gptq", "w8a8-gptq-act", "w4a16", "w4a16-rtn", "w4a16-gptq", "w4a16-gptq-act",
		"w4a8", "w4a8-rtn", "w4a8-gptq", "w4a8-gptq-act", "fp8", "fp8-dynamic"}
}

// ParseScheme reads a scheme's name: "w8a8" is round to nearest, "w4a16" and "w4a8" are GPTQ with
// its defaults, "-act" is act-order, "-g64" is groups of 64, "fp8" is fp8-dynamic.
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
	s := Scheme{Rounder: Nearest{}}
	gptq := strings.Contains(base, "gptq")
	switch {
	case base == "none":
		s.Rounder = nil
	case strings.HasPrefix(base, "w8a8"):
		s.Bits = 8
	case strings.HasPrefix(base, "fp8"):
		s.Bits, s.Float = 8, true
	default:
		s.Bits, s.Group, s.Int8Activations = 4, group, strings.HasPrefix(base, "w4a8")
		gptq = !strings.Contains(base, "rtn")
	}
	if gptq {
		s.Rounder = GPTQ{ActOrder: strings.HasSuffix(base, "-act")}
	}
	if grouped && s.Bits != 4 {
		return Scheme{}, fmt.Errorf("scheme %q: only w4a16 and w4a8 have groups", name)
	}
	return s, nil
}

// String is the scheme's full name, which ParseScheme reads. It says nothing of GPTQ's damping and
// block.
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
	switch r := s.Rounder.(type) {
	case GPTQ:
		name += "gptq"
		if r.ActOrder {
			name += "-act"
		}
	default:
		name += "rtn"
	}
	if s.Group > 0 {
		name += fmt.Sprintf("-g%d", s.Group)
	}
	return name
}

// Calibrated reports whether the scheme needs statistics of a layer's inputs.
func (s Scheme) Calibrated() bool { return s.Rounder != nil && s.Rounder.Calibrated() }

// Damped is the scheme with a damping for GPTQ, 0 for the default; others have none.
func (s Scheme) Damped(damping float64) Scheme {
	if q, ok := s.Rounder.(GPTQ); ok {
		q.Damping = damping
		s.Rounder = q
	}
	return s
}

// check reports a scheme that cannot be.
func (s Scheme) check() error {
	if err := s.NumberFormat.check(); err != nil {
		return err
	}
	if none := s.Bits == 0; none != (s.Rounder == nil) {
		return fmt.Errorf("scheme of %d bits with rounder %v: expected both or neither", s.Bits, s.Rounder)
	}
	if q, ok := s.Rounder.(GPTQ); ok {
		return q.check()
	}
	return nil
}

func (f NumberFormat) check() error {
	integers := f == NumberFormat{Bits: 4, Int8Activations: f.Int8Activations, Group: f.Group} && f.Group >= 0 && f.Group%8 == 0
	if f == (NumberFormat{}) || f == (NumberFormat{Bits: 8}) || f == (NumberFormat{Bits: 8, Float: true}) || integers {
		return nil
	}
	return fmt.Errorf("format %+v is impossible: expected 0, 4 or 8 bits; groups, of a multiple of 8, and int8 activations for 4 bits only; float for 8", f)
}
