package pruning

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/model"
)

// ParseAlign reads an alignment: a whole number from 1, or auto for 0, which Fit chooses.
func ParseAlign(text string) (int, error) {
	if text == "auto" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxAlign {
		return 0, fmt.Errorf("found %q, expected auto or a whole number from 1 to %d", text, maxAlign)
	}
	return n, nil
}

// maxAlign bounds an alignment.
const maxAlign = 4096

// alignments are what the neurons that stay are usually a multiple of, the most first: the tiles
// of the engines that load the result.
var alignments = [...]int{128, 64, 32, 16, 8}

// alignment chooses the multiple that the neurons that stay are rounded up to by each layer's cut:
// the largest of alignments that keeps at most a twentieth of a layer's more, else 8, or less where
// that would remove nothing of a layer that has a cut. It is a multiple of group.
func alignment(layers []model.LayerConfig, cuts []LayerCut, group int) int {
	for _, align := range alignments {
		if group > 1 && align%group != 0 {
			continue
		}
		fits := removesOfAll(layers, cuts, align)
		for i, l := range layers {
			c := cuts[i].MLP
			fits = fits && (c.removed(l.MLP) == 0 || c.roundedUp(l.MLP, align) <= l.MLP/20)
		}
		if fits {
			return align
		}
	}
	if group > 1 {
		return group
	}
	for _, align := range []int{8, 4, 2} {
		if removesOfAll(layers, cuts, align) {
			return align
		}
	}
	return 1
}

// roundedUp is how many units more stay for the sake of an alignment.
func (c Cut) roundedUp(width, align int) int {
	kept := width - c.removed(width)
	return (kept+align-1)/align*align - kept
}

// AlignOfEach is one alignment for all cuts of layers that may come, which are not known yet: the
// group of a later quantization, or 32 where it divides all widths, else 8.
func AlignOfEach(layers []model.LayerConfig, group int) int {
	switch {
	case group > 0:
		return group
	case slices.ContainsFunc(layers, func(l model.LayerConfig) bool { return l.MLP%32 != 0 }):
		return 8
	}
	return 32
}

// timeAlignment is the automatic alignment of widths that a time chooses: the largest of alignments
// of which each layer has 32 or more widths, else 8 or the group of a later quantization.
func timeAlignment(layers []model.LayerConfig, group int) int {
	for _, align := range alignments {
		if (group <= 1 || align%group == 0) && !slices.ContainsFunc(layers, func(l model.LayerConfig) bool { return l.MLP < 32*align }) {
			return align
		}
	}
	return max(group, alignments[len(alignments)-1])
}

// removesOfAll reports whether an alignment leaves something to remove wherever a layer's cut asks
// for it.
func removesOfAll(layers []model.LayerConfig, cuts []LayerCut, align int) bool {
	for i, l := range layers {
		c := cuts[i].MLP
		if removed := c.removed(l.MLP); removed > 0 && c.roundedUp(l.MLP, align) >= removed {
			return false
		}
	}
	return true
}

// removesOfAny reports whether an alignment leaves something to remove of a layer.
func removesOfAny(layers []model.LayerConfig, cuts []LayerCut, align int) bool {
	for i, l := range layers {
		if c := cuts[i].MLP; c.roundedUp(l.MLP, align) < c.removed(l.MLP) {
			return true
		}
	}
	return false
}

// groupOf is the group of a layer.
func groupOf(groups []int, layer int) int {
	if layer >= len(groups) {
		return 0
	}
	return groups[layer]
}

// CommonGroup is the least common multiple of groups, of which 0 is none.
func CommonGroup(groups ...int) int {
	common := 0
	for _, group := range groups {
		if common == 0 || group == 0 {
			common = max(common, group)
			continue
		}
		x, y := common, group
		for y > 0 {
			x, y = y, x%y
		}
		common = common / x * group
	}
	return common
}

// fitting lists the multiples of a number that fit, those of them that are usual where they are
// many; "" where none fits.
func fitting(of int, fits func(align int) bool) string {
	var all, usual []string
	for align := of; align <= max(of, maxAlign); align += of {
		if !fits(align) {
			continue
		}
		all = append(all, strconv.Itoa(align))
		if times := align / of; times&(times-1) == 0 && align <= max(of, alignments[0]) {
			usual = append(usual, strconv.Itoa(align))
		}
	}
	const most = 8
	if len(usual) < 2 {
		usual = all[:min(most, len(all))]
	}
	switch {
	case len(all) <= most:
		return strings.Join(all, ", ")
	case of == 1:
		return "a number such as " + strings.Join(usual, ", ")
	}
	return fmt.Sprintf("a multiple of %d such as %s", of, strings.Join(usual, ", "))
}

// CheckAlign reports an alignment that leaves nothing to remove of any layer, or widths that are no
// multiple of their layer's group. Cuts are those of each layer, whose neurons alone it looks at.
// The error is a *CutError with the alignments that would do.
func CheckAlign(layers []model.LayerConfig, cuts []LayerCut, align int, groups []int) error {
	common := CommonGroup(groups...)
	expected := func(of int) string {
		for _, removes := range []func([]model.LayerConfig, []LayerCut, int) bool{removesOfAll, removesOfAny} {
			if text := fitting(of, func(align int) bool { return removes(layers, cuts, align) }); text != "" {
				return "expected " + text
			}
		}
		return fmt.Sprintf("expected a larger cut, or smaller groups: no multiple of %d, the groups of a later quantization, removes any", of)
	}
	first := 0 // whose cut asks for any
	for first < len(layers) && cuts[first].MLP.removed(layers[first].MLP) == 0 {
		first++
	}
	if first < len(layers) && !removesOfAny(layers, cuts, align) {
		l, of := layers[first], 1
		if common > 1 && align%common == 0 {
			of = common
		}
		return &CutError{"align", fmt.Sprintf("the cut leaves %s of layer %d, which rounds up to all %d, %s", plural.Of(l.MLP-cuts[first].MLP.removed(l.MLP), "neuron"), first, l.MLP, expected(of))}
	}
	for i, l := range layers {
		group := groupOf(groups, i)
		if group <= 1 {
			continue
		}
		c := cuts[i].MLP
		if kept := min(l.MLP, l.MLP-c.removed(l.MLP)+c.roundedUp(l.MLP, align)); kept%group != 0 {
			return &CutError{"align", fmt.Sprintf("layer %d keeps %s, which groups of %d of a later quantization do not divide, %s", i, plural.Of(kept, "neuron"), group, expected(common))}
		}
	}
	return nil
}
