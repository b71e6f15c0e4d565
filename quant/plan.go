package quant

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"slimlab/internal/commalist"
	"slimlab/model"
	"slimlab/model/weight"
)

// Plan chooses a scheme for each linear layer: mixed precision is a plan with several. An automatic
// group size is the largest of 128, 64, 32, 16 and 8 that divides the inputs of all linear layers
// to which the plan gives the same format with such groups.
type Plan func(l model.LinearLayer) Scheme

// Uniform gives all linear layers one scheme.
func Uniform(s Scheme) Plan { return func(model.LinearLayer) Scheme { return s } }

// Schemes returns the scheme of each of m's linear layers, in their order, with the group sizes
// that will be used; m needs no weights. The error names the linear layers whose scheme is
// impossible.
func (p Plan) Schemes(m *model.Model) ([]Scheme, error) {
	linears := m.Linears()
	list, groups := make([]Scheme, len(linears)), map[weight.Format]int{}
	for i, l := range linears {
		list[i] = p(l)
		if f := list[i].Format; list[i].automatic() {
			groups[f] = largestGroup(l.In, groups[f])
		}
	}
	for i, l := range linears {
		s := &list[i]
		if s.automatic() {
			s.Format.Group = groups[s.Format]
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
		if g := s.Format.Group; g > 0 && l.In%g != 0 {
			return nil, fmt.Errorf("groups of %d do not divide the %d inputs of %s", g, l.In, l.Name)
		}
	}
	return list, nil
}

// ParseLayers reads a scheme for each layer: whole names with spaces or commas between. 3-bit ones
// stand alone, since a file of them is one of GPTQ, which has one format for all layers.
func ParseLayers(text string) ([]Scheme, error) {
	parts, err := commalist.Parts(text)
	if err != nil {
		return nil, err
	}
	var list []Scheme
	for _, name := range parts {
		s, err := ParseScheme(name)
		if err != nil {
			return nil, fmt.Errorf("has %s: %w", name, err)
		}
		list = append(list, s)
	}
	three := func(s Scheme) bool { return s.Format.Bits == 3 && !s.Format.Float }
	if slices.ContainsFunc(list, three) && slices.ContainsFunc(list, func(s Scheme) bool { return s.Format != list[0].Format }) {
		return nil, errors.New("has 3 bits beside other formats: a file of 3 bits is one of GPTQ, which has one format for all layers: expected 3 bits for all, or none")
	}
	return list, nil
}

// OfLayers gives each layer its own scheme.
func OfLayers(schemes []Scheme) Plan {
	return func(l model.LinearLayer) Scheme { return schemes[l.Layer] }
}

// Fixed gives each of a model's linear layers, in their order, its own scheme.
func Fixed(m *model.Model, schemes []Scheme) Plan {
	byName := map[string]Scheme{}
	for i, l := range m.Linears() {
		byName[l.Name] = schemes[i]
	}
	return func(l model.LinearLayer) Scheme { return byName[l.Name] }
}

// largestGroup is the largest automatic group, up to limit where that is not 0, that divides the
// inputs, or the smallest one.
func largestGroup(inputs, limit int) int {
	group := 128
	if limit > 0 {
		group = limit
	}
	for group > 8 && inputs%group != 0 {
		group /= 2
	}
	return group
}

// groupMultiple is what a group's size is a multiple of, in all kernels.
const groupMultiple = 8

// Fitting lists a few schemes that the linear layers of m can have whatever divides their inputs:
// for an error message.
func Fitting(m *model.Model) []string {
	list := []string{"w8a8", "fp8", "w4a16-g" + ChannelGroup}
	if fit := Groups(m); len(fit) > 0 {
		list[2] = "w4a16-g" + strconv.Itoa(fit[len(fit)-1])
	}
	return slices.DeleteFunc(list, func(name string) bool {
		s, err := ParseScheme(name)
		if err == nil {
			_, err = Uniform(s).Schemes(m)
		}
		return err != nil
	})
}

// Groups lists the sizes of groups that divide the inputs of all linear layers of m, the smallest
// eight in ascending order. There may be none.
func Groups(m *model.Model) []int {
	common := 0 // greatest divisor of all widths
	for _, l := range m.Linears() {
		for a, b := common, l.In; ; a, b = b, a%b {
			if b == 0 {
				common = a
				break
			}
		}
	}
	var fit []int
	for group := groupMultiple; group <= common && len(fit) < 8; group += groupMultiple {
		if common%group == 0 {
			fit = append(fit, group)
		}
	}
	return fit
}

// names lists the names of the schemes, each once, in the order of first use.
func names(schemes []Scheme) []string {
	var list []string
	seen := map[string]bool{}
	for _, s := range schemes {
		if name := s.String(); !seen[name] {
			seen[name] = true
			list = append(list, name)
		}
	}
	return list
}
