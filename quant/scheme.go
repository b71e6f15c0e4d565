package quant

import (
	"fmt"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/model/weight"
)

// Scheme is what becomes of a linear layer: its number format, and the way its codes are chosen.
// The zero value leaves the layer as it is.
type Scheme struct {
	Format  weight.Format // of 4 bits with Group 0: an automatic group, see Plan
	Rounder Rounder
}

// Schemes lists the names that ParseScheme knows. Those of w4a16 and w4a8 take an ending for the
// group size, such as "-g32".
func Schemes() []string {
	return []string{"none", "w8a8", "w8a8-rtn", "w8a8-gptq", "w8a8-gptq-act", "w4a16", "w4a16-rtn", "w4a16-gptq", "w4a16-gptq-act",
		"w4a16-asym", "w4a16-asym-rtn", "w4a16-asym-gptq", "w4a16-asym-gptq-act", "w4a8", "w4a8-rtn", "w4a8-gptq", "w4a8-gptq-act", "fp8", "fp8-dynamic"}
}

// CutGroup cuts the ending for the group size, such as "-g32", off a scheme's name. group is what
// follows "-g", a number or not; ok is false where the name has no such ending.
func CutGroup(name string) (base, group string, ok bool) {
	i := strings.LastIndex(name, "-g")
	if i < 0 || strings.HasPrefix(name[i:], "-gptq") {
		return name, "", false
	}
	return name[:i], name[i+2:], true
}

// ParseScheme reads a scheme's name: "w8a8" is round to nearest, "w4a16" and "w4a8" are GPTQ with
// its defaults, "-asym" is with zero points, "-act" is act-order, "-g64" is groups of 64, "fp8" is
// fp8-dynamic.
func ParseScheme(name string) (Scheme, error) {
	base, ending, grouped := CutGroup(name)
	group, err := strconv.Atoi(ending)
	if grouped && (err != nil || group < groupMultiple || group%groupMultiple != 0) {
		return Scheme{}, fmt.Errorf("scheme %q: group size %q, expected a multiple of %d such as 32, 64 or 128", name, ending, groupMultiple)
	}
	what := "scheme"
	if grouped {
		what = name + ": scheme"
	}
	if err := nearest.Check(what, base, Schemes()); err != nil {
		return Scheme{}, err
	}
	if base == "none" && !grouped {
		return Scheme{}, nil
	}
	s := Scheme{Rounder: Nearest{}}
	gptq := strings.Contains(base, "gptq")
	switch {
	case strings.HasPrefix(base, "fp8"):
		s.Format = weight.Format{Float: true, Bits: 8, Activations: weight.Token}
	case strings.HasPrefix(base, "w4a8"):
		s.Format, gptq = weight.Format{Bits: 4, Group: group, Activations: weight.Token}, !strings.Contains(base, "rtn")
	case strings.HasPrefix(base, "w4a16"):
		s.Format, gptq = weight.Format{Bits: 4, Group: group, ZeroPoints: strings.Contains(base, "-asym")}, !strings.Contains(base, "rtn")
	default:
		s.Format = weight.Format{Bits: 8, Activations: weight.Token}
	}
	if gptq {
		s.Rounder = GPTQ{ActOrder: strings.HasSuffix(base, "-act")}
	}
	if grouped && s.Format.Group == 0 {
		return Scheme{}, fmt.Errorf("scheme %q: only w4a16 and w4a8 have groups", name)
	}
	return s, nil
}

// String is the scheme's full name, which ParseScheme reads. It says nothing of GPTQ's damping and
// block.
func (s Scheme) String() string {
	if s.Rounder == nil {
		return "none"
	}
	f := s.Format
	f.Group, f.ZeroPoints = 0, false
	name := f.String()
	if s.Format.ZeroPoints {
		name += "-asym"
	}
	switch r := s.Rounder.(type) {
	case GPTQ:
		name += "-gptq"
		if r.ActOrder {
			name += "-act"
		}
	default:
		if !f.Float {
			name += "-rtn"
		}
	}
	if s.Format.Group > 0 {
		name += fmt.Sprintf("-g%d", s.Format.Group)
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
	if s.Rounder == nil {
		if s.Format != (weight.Format{}) {
			return fmt.Errorf("%s without a rounder, expected one", s.Format)
		}
		return nil
	}
	if err := checkFormat(s.Format); err != nil {
		return err
	}
	if s.Format.Float && s.Calibrated() {
		return fmt.Errorf("%s is rounded to nearest, found %T", s.Format, s.Rounder)
	}
	if q, ok := s.Rounder.(GPTQ); ok {
		return q.check()
	}
	return nil
}
