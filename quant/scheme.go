package quant

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/model/weight"
)

// Scheme is what becomes of a linear layer: its number format, and the way its codes are chosen.
// The zero value leaves the layer as it is.
type Scheme struct {
	// where scales are shared by groups, with Group 0: an automatic group, see Plan
	Format weight.Format
	// one scale for each output where the format may have groups, not an automatic group
	Channel bool
	Rounder Rounder
	Range   Range // how scales are fitted to integers
	// of QuantEase with integers: numbers beside the codes
	Outliers Outliers
}

// The names of rounders, in schemes and as keys.
const (
	methodNearest   = "rtn"
	methodGPTQ      = "gptq"
	methodQuantEase = "quantease"
)

// family is a number format as schemes name it, without what a name's endings say.
type family struct {
	name    string
	about   string
	format  weight.Format
	groups  bool     // groups of inputs share a scale
	zeros   bool     // "-asym" is offered
	methods []string // that choose its codes; the first stands for all
}

var families = []family{
	{"w8a8", "int8 weights and activations", weight.Format{Bits: 8, Activations: weight.Token}, false, false, []string{methodNearest, methodGPTQ, methodQuantEase}},
	{"w8a16", "int8 weights in groups, float activations", weight.Format{Bits: 8}, true, false, []string{methodNearest, methodGPTQ, methodQuantEase}},
	{"w4a16", "int4 weights in groups, float activations", weight.Format{Bits: 4}, true, true, []string{methodGPTQ, methodNearest, methodQuantEase}},
	{"w4a8", "int4 weights in groups, int8 activations", weight.Format{Bits: 4, Activations: weight.Token}, true, false, []string{methodGPTQ, methodNearest, methodQuantEase}},
	{"w3a16", "int3 weights in groups, float activations", weight.Format{Bits: 3}, true, true, []string{methodGPTQ, methodNearest, methodQuantEase}},
	{"fp8-dynamic", "FP8 (E4M3) weights with a scale per row", weight.Format{Float: true, Bits: 8, Activations: weight.Token}, false, false, []string{methodNearest}},
	{"fp8-dynamic-tensor", "FP8 (E4M3) weights with one scale", weight.Format{Float: true, Bits: 8, Tensor: true, Activations: weight.Token}, false, false, []string{methodNearest}},
	{"fp8-b128x128", "FP8 (E4M3) weights with scales of blocks, activations with scales of 128 inputs", weight.Format{Float: true, Bits: 8, Block: [2]int{128, 128}, Activations: weight.Blocks}, false, false, []string{methodNearest}},
	{"fp8-e5m2-dynamic", "FP8 (E5M2) weights with a scale per row", weight.Format{Float: true, Bits: 8, E5M2: true, Activations: weight.Token}, false, false, []string{methodNearest}},
	{"mxfp4", "4-bit floats in groups of 32 with scales that are powers of two, float activations", weight.Format{Float: true, Bits: 4, Group: weight.MXGroup, Scales: weight.E8M0}, false, false, []string{methodNearest, methodGPTQ, methodQuantEase}},
	{"nvfp4", "4-bit floats in groups of 16 with FP8 scales, float activations", weight.Format{Float: true, Bits: 4, Group: weight.NVGroup, Scales: weight.E4M3}, false, false, []string{methodNearest, methodGPTQ, methodQuantEase}},
}

// aliases are other names of families.
var aliases = map[string]string{"fp8": "fp8-dynamic", "fp8-tensor": "fp8-dynamic-tensor", "fp8-block": "fp8-b128x128", "fp8-e5m2": "fp8-e5m2-dynamic"}

// methods make rounders of their names.
var methods = map[string]func(actOrder bool) Rounder{
	methodNearest:   func(bool) Rounder { return Nearest{} },
	methodGPTQ:      func(actOrder bool) Rounder { return GPTQ{ActOrder: actOrder} },
	methodQuantEase: func(actOrder bool) Rounder { return QuantEase{ActOrder: actOrder} },
}

// familyOf is the row of a scheme's format, nil where none has it.
func familyOf(f weight.Format) *family {
	f.ZeroPoints = false
	i := slices.IndexFunc(families, func(row family) bool {
		of := f
		if row.groups {
			of.Group = 0
		}
		return row.format == of
	})
	if i < 0 {
		return nil
	}
	return &families[i]
}

// Form is a name that ParseScheme reads, without an ending for groups.
type Form struct {
	Name   string
	Scheme Scheme
	Groups bool // an ending for the group size may follow
}

// Forms lists the names of schemes, each once: first the formats alone, then with methods. Those
// with groups take an ending for their size, such as "-g32", or "-gchannel".
func Forms() []Form {
	short, long := []Form{{Name: "none"}}, []Form(nil)
	for _, f := range families {
		for _, zeros := range []bool{false, true} {
			if zeros && !f.zeros {
				continue
			}
			name, s := f.name, Scheme{Format: f.format}
			if s.Format.ZeroPoints = zeros; zeros {
				name += "-asym"
			}
			s.Rounder = methods[f.methods[0]](false)
			for alias, of := range aliases {
				if of == name {
					short = append(short, Form{alias, s, f.groups})
				}
			}
			short = append(short, Form{name, s, f.groups})
			if len(f.methods) == 1 {
				continue
			}
			for _, m := range f.methods {
				s.Rounder = methods[m](false)
				long = append(long, Form{name + "-" + m, s, f.groups})
				if ordered := methods[m](true); ordered != s.Rounder {
					s.Rounder = ordered
					long = append(long, Form{name + "-" + m + "-act", s, f.groups})
				}
			}
		}
	}
	return append(short, long...)
}

// Schemes lists the names of Forms.
func Schemes() []string {
	forms := Forms()
	list := make([]string, len(forms))
	for i, f := range forms {
		list[i] = f.Name
	}
	return list
}

// ChannelGroup is the size of a group that is all the inputs of an output, in names and as a key;
// AutoGroup is the automatic one as a key.
const (
	ChannelGroup = "channel"
	AutoGroup    = "auto"
)

// CutGroup cuts the ending for the group size, such as "-g32", off a scheme's name. group is what
// follows "-g", a size or not; ok is false where the name has no such ending.
func CutGroup(name string) (base, group string, ok bool) {
	i := strings.LastIndex(name, "-g")
	if i < 0 || strings.HasPrefix(name[i:], "-gptq") {
		return name, "", false
	}
	return name[:i], name[i+2:], true
}

// ParseScheme reads a scheme's name, FORMAT[-asym][-METHOD][-act][-gGROUP]: without a method "w8a8"
// and "w8a16" are round to nearest and fewer bits are GPTQ with its defaults; "-asym" is with zero
// points, "-act" is act-order, "-g64" is groups of 64, "-gchannel" one scale for each output, "fp8"
// is fp8-dynamic.
func ParseScheme(name string) (Scheme, error) {
	base, ending, grouped := CutGroup(name)
	what := "scheme"
	if grouped {
		if err := checkGroup(ending); err != nil || ending == AutoGroup {
			return Scheme{}, fmt.Errorf("scheme %q: group size %q, expected %s", name, ending, groupSizes)
		}
		what = name + ": scheme"
	}
	forms := Forms()
	i := slices.IndexFunc(forms, func(f Form) bool { return f.Name == base })
	if i < 0 {
		return Scheme{}, unknownScheme(what, name, base, forms)
	}
	s := forms[i].Scheme
	if !grouped {
		return s, nil
	}
	if !forms[i].Groups {
		return Scheme{}, fmt.Errorf("scheme %q: %s has no groups, expected it without -g%s; %s have", name, base, ending, groupedFamilies())
	}
	return s.grouped(ending), nil
}

// unknownScheme is the error of a name whose base, without groups, is none.
func unknownScheme(what, name, base string, forms []Form) error {
	var formats []string
	for _, f := range forms {
		if s := f.Scheme; s.Rounder == nil || !strings.Contains(f.Name, "-"+s.Method()) {
			formats = append(formats, f.Name)
		}
	}
	begins, sized := beginning(name, forms)
	near := begins
	if !sized {
		near = cmp.Or(sameBits(base, formats), nearest.Name(base, Schemes()), begins)
	}
	if near != "" {
		near = fmt.Sprintf(", did you mean %q?", near)
	}
	return fmt.Errorf("%s %q: expected one of %s, or one with its method and groups such as w4a16-gptq-g128%s", what, base, strings.Join(formats, ", "), near)
}

// beginning is the scheme that a name begins with, "" for none: with groups where the rest is their
// size (sized), or alone.
func beginning(name string, forms []Form) (scheme string, sized bool) {
	for base := name; ; {
		at := strings.LastIndexByte(base, '-')
		if at < 0 {
			return "", false
		}
		base = base[:at]
		i := slices.IndexFunc(forms, func(f Form) bool { return f.Name == base })
		if i < 0 {
			continue
		}
		if size := strings.TrimPrefix(name[at+1:], "g"); forms[i].Groups && size != AutoGroup && checkGroup(size) == nil {
			return base + "-g" + size, true
		}
		return base, false
	}
}

// sameBits is the format, such as w3a16 for w2a16, whose activations have the bits of a name and
// whose weights have the nearest number; "" for none.
func sameBits(name string, formats []string) (nearest string) {
	bits := func(name string) (weights, activations int, ok bool) {
		n, _ := fmt.Sscanf(name, "w%da%d", &weights, &activations)
		return weights, activations, n == 2 && name == fmt.Sprintf("w%da%d", weights, activations)
	}
	weights, activations, ok := bits(name)
	least := 0
	for _, f := range formats {
		w, a, of := bits(f)
		if distance := max(w-weights, weights-w); ok && of && a == activations && (nearest == "" || distance < least) {
			nearest, least = f, distance
		}
	}
	return nearest
}

// groupSizes is what a group's size can be.
const groupSizes = "a multiple of 8 such as 32, 64 or 128, or channel"

// checkGroup reports what is no size of a group.
func checkGroup(text string) error {
	if n, err := strconv.Atoi(text); text != ChannelGroup && text != AutoGroup && (err != nil || n < groupMultiple || n%groupMultiple != 0) {
		return fmt.Errorf("is %s, expected %s", text, groupSizes)
	}
	return nil
}

// grouped is the scheme with groups of a size that checkGroup accepts.
func (s Scheme) grouped(size string) Scheme {
	s.Channel = size == ChannelGroup
	s.Format.Group, _ = strconv.Atoi(size) // a word is 0
	return s
}

// groupedFamilies lists the formats with groups.
func groupedFamilies() string {
	var list []string
	for _, f := range families {
		if f.groups {
			list = append(list, f.name)
		}
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// HasGroups reports whether the scheme's format may have groups.
func (s Scheme) HasGroups() bool {
	f := familyOf(s.Format)
	return s.Rounder != nil && f != nil && f.groups
}

// automatic reports whether the size of the groups is chosen by the shapes of the linear layers.
func (s Scheme) automatic() bool { return s.HasGroups() && s.Format.Group == 0 && !s.Channel }

// Method names the rounder as schemes do: "rtn", "gptq" or "quantease"; "" is none.
func (s Scheme) Method() string {
	switch s.Rounder.(type) {
	case nil:
		return ""
	case GPTQ:
		return methodGPTQ
	case QuantEase:
		return methodQuantEase
	}
	return methodNearest
}

// actOrder reports whether inputs are quantized in the order of activation.
func (s Scheme) actOrder() bool {
	switch r := s.Rounder.(type) {
	case GPTQ:
		return r.ActOrder
	case QuantEase:
		return r.ActOrder
	}
	return false
}

// base is the scheme's format with "-asym", as names begin.
func (s Scheme) base() string {
	f := s.Format
	f.Group, f.ZeroPoints = 0, false
	name := f.String()
	if s.Format.ZeroPoints {
		name += "-asym"
	}
	return name
}

// String is the scheme's full name, which ParseScheme reads. It says nothing of the options of the
// rounder, see Options.
func (s Scheme) String() string {
	if s.Rounder == nil {
		return "none"
	}
	name := s.base()
	if f := familyOf(s.Format); f == nil || len(f.methods) > 1 {
		name += "-" + s.Method()
	}
	if s.actOrder() {
		name += "-act"
	}
	switch {
	case s.Format.Group > 0 && s.HasGroups():
		name += fmt.Sprintf("-g%d", s.Format.Group)
	case s.Channel:
		name += "-g" + ChannelGroup
	}
	return name
}

// Options says in which options the scheme differs from the one of its name, "" in none.
func (s Scheme) Options() string {
	var list []string
	damping := 0.0
	switch r := s.Rounder.(type) {
	case GPTQ:
		damping = r.Damping
	case QuantEase:
		damping = r.Damping
		if r.Sweeps != 0 && r.Sweeps != defaultSweeps {
			list = append(list, fmt.Sprintf("sweeps %d", r.Sweeps))
		}
		if r.Start != FromBoth {
			list = append(list, "start "+string(r.Start))
		}
	}
	if damping != 0 && damping != defaultDamping {
		list = append(list, fmt.Sprintf("damping %g", damping))
	}
	if s.Range != AbsMax {
		list = append(list, "range "+string(s.Range))
	}
	if !s.Outliers.none() {
		list = append(list, "outliers "+s.Outliers.String())
	}
	return strings.Join(list, ", ")
}

// About describes the scheme in words: its format, and how codes are chosen.
func (s Scheme) About() string {
	if s.Rounder == nil {
		return "float weights, unchanged"
	}
	text := s.base()
	if f := familyOf(s.Format); f != nil {
		text = f.about
	}
	if s.Format.ZeroPoints {
		text = strings.Replace(text, "in groups", "in groups with zero points", 1)
	}
	switch s.Method() {
	case methodNearest:
		text += ", rounded to nearest"
	case methodGPTQ:
		text += ", rounded by GPTQ"
	case methodQuantEase:
		text += ", rounded by QuantEase"
	}
	if s.actOrder() {
		text += " with columns in order of activation"
	}
	return text
}

// Calibrated reports whether the scheme needs statistics of a layer's inputs.
func (s Scheme) Calibrated() bool { return s.Rounder != nil && s.Rounder.Calibrated() }

// Stored says how a format is stored that compressed-tensors does not hold; "" of others.
func (s Scheme) Stored() string {
	if s.Rounder == nil || s.Format.Float || s.Format.Bits != 3 {
		return ""
	}
	return "codes of 3 bits are stored as GPTQ, 32 of them in three words: versions of compressed-tensors pack them in different ways"
}

// Damped is the scheme with a damping for GPTQ, also as QuantEase's start, 0 for the default;
// others have none.
func (s Scheme) Damped(damping float64) Scheme {
	switch r := s.Rounder.(type) {
	case GPTQ:
		r.Damping = damping
		s.Rounder = r
	case QuantEase:
		r.Damping = damping
		s.Rounder = r
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
	if f := familyOf(s.Format); s.Calibrated() && !slices.Contains(f.methods, s.Method()) {
		return fmt.Errorf("%s is rounded to nearest, found %T", s.Format, s.Rounder)
	}
	if s.Range != AbsMax && s.Format.Float {
		return fmt.Errorf("%s has no range %s, which is of integers", s.Format, s.Range)
	}
	if _, ok := s.Rounder.(QuantEase); !s.Outliers.none() && (!ok || s.Format.Float) {
		return fmt.Errorf("%s has no outliers beside its codes, which are of integers and QuantEase", s)
	}
	switch r := s.Rounder.(type) {
	case GPTQ:
		return r.check()
	case QuantEase:
		return errors.Join(r.check(), s.Outliers.check())
	}
	return nil
}
