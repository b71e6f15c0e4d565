package starter

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
)

//go:embed compress.yaml
var compression string

// Compression is a sweep over a checkpoint: each share of its MLP neurons removed, then each number
// format.
type Compression struct {
	Name    string // of the scenario
	File    string // that the text will be in, for its comments
	Model   string // a MODEL
	Data    string // a file of records
	About   string // the data, in a comment; may be empty
	Ratios  []float64
	Schemes []string
	Shape   Shape
}

// Shape is what the sweep must know of a checkpoint.
type Shape struct {
	Parameters int
	Positions  int
	Inputs     []int // widths of the inputs of its linear layers
	MLP        []int // neurons of each layer
}

// DefaultRatios and DefaultSchemes are three ratios times four schemes.
var (
	DefaultRatios  = []float64{0, 0.2, 0.4}
	DefaultSchemes = []string{"none", "w8a8", "w4a16", "fp8"}
)

// maxAlign is the most that kept neurons are a multiple of: the tiles of the engines that load the
// formats (vLLM's kernels for int8, fp8 and int4 take widths that are multiples of 64).
const maxAlign = 64

// Text is the scenario. Notes say what was left out of what was asked for. Ratios outside of [0, 1)
// and paths that a scenario cannot hold are errors.
func (c Compression) Text(schema string) (text string, notes []string, err error) {
	if err := c.check(); err != nil {
		return "", nil, err
	}
	group := divisor(slices.Concat(c.Shape.Inputs, c.Shape.MLP), 128)
	align := divisor(c.Shape.MLP, maxAlign)
	for align > 8 && c.removesNothing(align) {
		align /= 2
	}
	if whole := divisor(c.Shape.MLP, maxAlign); align < whole {
		notes = append(notes, fmt.Sprintf("widths are kept a multiple of %d, not of %d as engines like it: of so narrow a model a ratio would remove nothing", align, whole))
	}
	if group > align { // kept neurons are inputs of the down projection
		group = align
	}
	schemes := slices.Clone(c.Schemes)
	if group < 8 {
		schemes = slices.DeleteFunc(schemes, func(s string) bool { return strings.HasPrefix(s, "w4") })
		if len(schemes) < len(c.Schemes) {
			notes = append(notes, "schemes of 4 bits are left out: no group of 8 or more divides the widths of the model")
		}
		group = 8 // no scheme uses it
	}
	groupKey := fmt.Sprintf("group: %d, ", group)
	if slices.ContainsFunc(schemes, func(s string) bool { return groupOf(s) > 0 }) {
		groupKey = "" // every scheme with groups names its own
		for i, s := range schemes {
			if own := groupOf(s); own > 0 {
				align = alignedTo(own, align, c.Shape.MLP)
			} else if strings.HasPrefix(s, "w4") {
				schemes[i] = fmt.Sprintf("%s-g%d", s, group)
			}
		}
	}
	if len(schemes) == 0 {
		return "", nil, errors.New("no scheme is left: expected one of none, w8a8, fp8")
	}
	var ratios []string
	for _, r := range c.Ratios {
		ratios = append(ratios, strconv.FormatFloat(r, 'g', -1, 64))
	}
	positions := 256
	if c.Shape.Positions > 0 {
		positions = min(positions, c.Shape.Positions)
	}
	fill := strings.NewReplacer(
		"{schema}", schemaLine(schema), "{file}", c.File, "{name}", quoted(c.Name), "{model}", quoted(c.Model), "{data}", quoted(c.Data), "{about data}", comment(c.About),
		"{parameters}", millions(c.Shape.Parameters), "{tokens}", strconv.Itoa(positions), "{align}", strconv.Itoa(max(1, align)), "{group}", groupKey,
		"{ratios}", strings.Join(ratios, ", "), "{schemes}", strings.Join(schemes, ", "),
		"{points}", plural.Of(len(ratios), "ratio")+" × "+plural.Of(len(schemes), "scheme"),
	)
	return fill.Replace(compression), notes, nil
}

// groupOf is the size of groups with which a scheme's name ends, such as w4a16-g32; 0 for none.
func groupOf(scheme string) int {
	i := strings.LastIndex(scheme, "-g")
	if i < 0 {
		return 0
	}
	n, err := strconv.Atoi(scheme[i+2:])
	if err != nil {
		return 0
	}
	return n
}

// removesNothing reports whether a ratio is less than the multiple, a divisor of the widths, that
// the neurons which stay are rounded up to.
func (c Compression) removesNothing(align int) bool {
	for _, ratio := range c.Ratios {
		for _, width := range c.Shape.MLP {
			if ratio > 0 && math.Round(ratio*float64(width)) < float64(align) {
				return true
			}
		}
	}
	return false
}

// alignedTo is the smallest multiple of align and of a group, where the group divides all widths;
// else align, and the check of the scenario says which groups would do.
func alignedTo(group, align int, widths []int) int {
	common := group
	for common%max(1, align) != 0 {
		common += group
	}
	for _, w := range widths {
		if w%group != 0 || common > w {
			return align
		}
	}
	return common
}

func (c Compression) check() error {
	for _, path := range []string{c.Model, c.Data} {
		if strings.Contains(path, "${") {
			return fmt.Errorf("%s: a scenario cannot hold a path with ${: rename it, or link to it", path)
		}
	}
	if len(c.Ratios) == 0 || len(c.Schemes) == 0 {
		return errors.New("expected at least one ratio and one scheme")
	}
	for i, r := range c.Ratios {
		if !(r >= 0 && r < 1) {
			return fmt.Errorf("ratio %g: expected at least 0 and below 1, such as 0.2 for a fifth of the neurons", r)
		}
		if slices.Contains(c.Ratios[:i], r) {
			return fmt.Errorf("ratio %g is given twice", r)
		}
	}
	for i, s := range c.Schemes {
		if slices.Contains(c.Schemes[:i], s) {
			return fmt.Errorf("scheme %s is given twice", s)
		}
	}
	return nil
}

// divisor is the greatest power of two, at most bound, that divides all widths.
func divisor(widths []int, bound int) int {
	d := bound
	for _, w := range widths {
		for d > 1 && w%d != 0 {
			d /= 2
		}
	}
	return d
}

// quoted is a text as YAML in double quotes, of which JSON is a part.
func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic("starter: " + err.Error()) // a string
	}
	return string(text)
}

// comment is a text that stays on the line of its comment.
func comment(s string) string { return strings.Join(strings.Fields(s), " ") }

func millions(n int) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f billion", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f million", float64(n)/1e6)
	}
	return strconv.Itoa(n)
}
