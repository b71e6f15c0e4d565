package pruning

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/commalist"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/model"
)

// ParseCut reads a cut: a share such as 20% or 0.2, a whole number of units, or 0 or nothing for
// none.
func ParseCut(text string) (Cut, error) {
	if text == "" {
		return Cut{}, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return Cut{Count: n}, nil
	}
	share, percent := strings.CutSuffix(text, "%")
	ratio, err := strconv.ParseFloat(share, 64)
	if percent {
		ratio /= 100
	}
	if err != nil || !(ratio >= 0 && ratio < 1) || strings.ContainsAny(text, "xXpP_") {
		return Cut{}, fmt.Errorf("found %q, expected a share below 1 such as 20%% or 0.2, or a whole number", text)
	}
	return Cut{Ratio: ratio}, nil
}

// ParseStarts reads the starts of OSSCAR's search: both or greedy.
func ParseStarts(name string) (Starts, error) {
	if name == "both" {
		return BothStarts, nil
	}
	return GreedyStart, nearest.Check("starts", name, []string{"both", string(GreedyStart)})
}

// Of says in words what the cut removes of units called name.
func (c Cut) Of(name string) string {
	if c.Count > 0 {
		return fmt.Sprintf("%d %s of each layer", c.Count, name)
	}
	return strconv.FormatFloat(100*c.Ratio, 'g', 6, 64) + "% of " + name
}

// removed is how many of a layer's units the cut asks for.
func (c Cut) removed(width int) int { return c.Count + int(math.Round(c.Ratio*float64(width))) }

// Counts say what number each share of heads is rounded to: "heads: 30% of 4 KV groups is 1 of
// them". The cut has been checked for these layers. Neurons are many: what is rounded there is said
// elsewhere.
func (c LayerCut) Counts(layers []model.LayerConfig) []string {
	var list []string
	for _, p := range c.parts() {
		if p.cut.Ratio == 0 || p.key == "mlp" {
			continue
		}
		var each []string // of the widths that there are
		rounded := false
		for _, l := range layers {
			width := p.width(l)
			rounded = rounded || p.cut.rounds(width)
			if text := p.cut.countOf(width, p.units); !slices.Contains(each, text) {
				each = append(each, text)
			}
		}
		if rounded {
			list = append(list, p.key+": "+strings.Join(each, ", "))
		}
	}
	return list
}

// rounds reports whether the cut's share of a width is no whole number.
func (c Cut) rounds(width int) bool {
	of := c.Ratio * float64(width)
	return math.Abs(of-math.Round(of)) > 1e-9
}

// countOf says what number the cut's share of units is.
func (c Cut) countOf(width int, units string) string {
	return fmt.Sprintf("%s%% of %d %s is %d of them", strconv.FormatFloat(100*c.Ratio, 'g', 6, 64), width, units, c.removed(width))
}

// Widths says how the widths of layers are chosen.
type Widths string

// The ways to choose widths.
const (
	UniformWidths Widths = "uniform" // each layer is cut by the same share or number
	BudgetWidths  Widths = "budget"  // those of the least error that so many parameters allow
)

// ParseWidths reads a way to choose widths.
func ParseWidths(name string) (Widths, error) {
	return Widths(name), nearest.Check("widths", name, []string{string(UniformWidths), string(BudgetWidths)})
}

// Wanted is what is asked for of a model.
type Wanted struct {
	LayerCut // of all layers
	// of the neurons of each layer, in place of the cuts of all layers and of a budget; nil is none
	Each   []Cut
	Widths Widths
	// with BudgetWidths the budget of neurons, as ParseBudget reads it; "" is as much as LayerCut
	// leaves, of what it cuts
	Budget string
	Rows   int   // of a budget of time: see TimeBudget
	Align  int   // 0 is chosen
	Groups []int // of each layer in later quantizations, 0 for none; nil is none
}

// Planned is what Wanted comes to for a model.
type Planned struct {
	Align  int
	Cuts   []LayerCut
	Budget *Budget // where it chooses the widths, and not Cuts
	// the widths after the cuts; of equal shares where a budget chooses them later
	Layers []model.LayerConfig
}

// Plan checks what is wanted of a model, and completes it. An error about a part is a *CutError.
func (w Wanted) Plan(c model.Config) (Planned, error) {
	if w.Each != nil {
		return w.planEach(c)
	}
	cut, byBudget := w.LayerCut, w.Widths == BudgetWidths
	all := HalfParameters(c, c.Layers, true, false)
	var p Planned
	inBytes := false
	switch {
	case !byBudget && w.Budget != "":
		return p, &CutError{"budget", "uniform widths have none: expected widths: budget"}
	case byBudget && cut.QueryHeads != (Cut{}):
		return p, &CutError{"query_heads", "widths by a budget are of neurons and KV groups: expected uniform widths"}
	case w.Budget != "" && cut != (LayerCut{}):
		return p, &CutError{"budget", "it stands beside a cut, which says the budget too: expected one of them"}
	case w.Budget != "":
		size, err := ParseBudget(w.Budget)
		if err != nil {
			return p, &CutError{"budget", err.Error()}
		}
		if size.IsTime() {
			return w.planTime(c, size)
		}
		p.Budget = &Budget{MLP: true, Parameters: int(size.Share * float64(all))}
		if inBytes = size.Bytes > 0; inBytes {
			p.Budget.Parameters = int(size.Bytes / 2) // bfloat16
		}
		if err := p.Budget.check(c, 1, inBytes); err != nil {
			problem := err.Error()
			if size.Bytes > 0 {
				problem = fmt.Sprintf("%s are %s in bfloat16: %s", w.Budget, plural.Of(p.Budget.Parameters, "parameter"), problem)
			}
			return p, &CutError{"budget", problem}
		}
		cut = LayerCut{MLP: Cut{Ratio: 1 - float64(p.Budget.Parameters)/float64(all)}}
	}
	align, err := cut.Fit(c.Layers, w.Align, w.Groups)
	var of *CutError
	if errors.As(err, &of) && of.Key == "mlp" && w.Budget != "" {
		err = &CutError{"budget", of.problem}
	}
	if err != nil {
		return p, err
	}
	p.Align, p.Cuts = align, Uniform(len(c.Layers), cut)
	if p.Layers, err = WidthsAfter(c.Layers, p.Cuts, align); err != nil || !byBudget || cut == (LayerCut{}) {
		return p, err
	}
	if p.Budget == nil {
		b := Budget{MLP: cut.MLP != Cut{}, Heads: cut.Heads != Cut{}}
		b.Parameters = HalfParameters(c, p.Layers, b.MLP, b.Heads)
		p.Budget = &b
	}
	if err := p.Budget.check(c, align, inBytes); err != nil {
		return p, &CutError{"budget", err.Error()}
	}
	p.Cuts = nil
	return p, nil
}

// planEach plans a cut of each layer.
func (w Wanted) planEach(c model.Config) (Planned, error) {
	if len(w.Each) != len(c.Layers) {
		return Planned{}, &CutError{"mlp_layers", fmt.Sprintf("found %s, expected one for each of %s", plural.Of(len(w.Each), "amount"), plural.Of(len(c.Layers), "layer"))}
	}
	p := Planned{Align: w.Align, Cuts: make([]LayerCut, len(w.Each))}
	for i, cut := range w.Each {
		p.Cuts[i].MLP = cut
	}
	if p.Align == 0 {
		p.Align = alignment(c.Layers, p.Cuts, CommonGroup(w.Groups...))
	}
	var err error
	if p.Layers, err = WidthsAfter(c.Layers, p.Cuts, p.Align); err != nil {
		return p, &CutError{"mlp_layers", err.Error()}
	}
	return p, CheckAlign(c.Layers, p.Cuts, p.Align, w.Groups)
}

// ParseCuts reads a cut of each layer: texts with spaces or commas between, as ParseCut reads them.
func ParseCuts(text string) ([]Cut, error) {
	var cuts []Cut
	some := false
	parts, err := commalist.Parts(text)
	if err != nil {
		return nil, fmt.Errorf("the list %w", err)
	}
	for _, one := range parts {
		cut, err := ParseCut(one)
		if err != nil {
			return nil, err
		}
		cuts, some = append(cuts, cut), some || cut != (Cut{})
	}
	if !some {
		return nil, fmt.Errorf("found %q, which removes nothing: expected an amount for each layer such as '25%% 0 50%%'", text)
	}
	return cuts, nil
}

// planTime plans a budget of time. What it leaves is not known before the widths are chosen: the
// layers stay as they are, rounded down to the alignment.
func (w Wanted) planTime(c model.Config, size BudgetSize) (Planned, error) {
	p := Planned{Align: w.Align, Budget: &Budget{MLP: true, Time: &TimeBudget{Most: size.Time, Share: size.ShareOfTime, Rows: max(1, w.Rows)}}}
	if p.Align == 0 {
		p.Align = timeAlignment(c.Layers, CommonGroup(w.Groups...))
	}
	p.Layers = slices.Clone(c.Layers)
	some := false
	for i, l := range p.Layers {
		if group := groupOf(w.Groups, i); group > 1 && (p.Align%group != 0 || l.MLP < group) {
			return p, &CutError{"align", fmt.Sprintf("the widths of layer %d would not be multiples of the groups of %d of a later quantization: expected an align that is one", i, group)}
		}
		if l.MLP > p.Align {
			p.Layers[i].MLP = l.MLP / p.Align * p.Align
			some = true
		}
	}
	if !some {
		return p, &CutError{"align", fmt.Sprintf("no layer has more than %s, and all of them stay: expected a smaller align", plural.Of(p.Align, "neuron"))}
	}
	if err := p.Budget.Check(c, p.Align); err != nil {
		return p, &CutError{"budget", err.Error()}
	}
	return p, nil
}

// CutError is what is wrong with a part of a cut.
type CutError struct {
	// of the part, as in scenarios: "mlp", "mlp_layers", "heads", "query_heads", "align" or
	// "budget"
	Key     string
	problem string
}

// Error goes on from the part's value.
func (e *CutError) Error() string { return e.problem }

// cutPart is one part of a cut of all layers.
type cutPart struct {
	key, units string
	cut        Cut
	width      func(model.LayerConfig) int
}

func (c LayerCut) parts() []cutPart {
	return []cutPart{
		{"mlp", "neurons", c.MLP, func(l model.LayerConfig) int { return l.MLP }},
		{"heads", "KV groups", c.Heads, func(l model.LayerConfig) int { return l.KVHeads }},
		{"query_heads", "query heads of each KV group", c.QueryHeads, func(l model.LayerConfig) int { return l.Heads / l.KVHeads }},
	}
}

// Fit checks a cut of all layers before any work: each part that is asked for removes at least one
// unit of some layer and leaves one of every layer, and the neurons that stay of a layer are a
// multiple of its group, where a later quantization has groups of so many; 0 is none. It returns
// the alignment, which it chooses where align is 0: see alignment. An error is a *CutError.
func (c LayerCut) Fit(layers []model.LayerConfig, align int, groups []int) (int, error) {
	if c.Heads != (Cut{}) && c.QueryHeads != (Cut{}) {
		return 0, &CutError{"query_heads", "it stands beside a cut of KV groups, which go with their query heads: expected one of them"}
	}
	for _, p := range c.parts() {
		if err := p.check(layers); err != nil {
			return 0, err
		}
	}
	if c.MLP == (Cut{}) {
		return max(1, align), nil
	}
	if align == 0 {
		align = alignment(layers, Uniform(len(layers), c), CommonGroup(groups...))
	}
	return align, CheckAlign(layers, Uniform(len(layers), c), align, groups)
}

// check reports a part that leaves nothing of a layer, or removes nothing of any.
func (p cutPart) check(layers []model.LayerConfig) error {
	if p.cut == (Cut{}) {
		return nil
	}
	widest, most := 0, 0
	for i, l := range layers {
		width := p.width(l)
		removed := p.cut.removed(width)
		widest, most = max(widest, width), max(most, removed)
		switch {
		case removed < width:
		case width == 1:
			return &CutError{p.key, fmt.Sprintf("layer %d has one of its %s alone, which stays: expected none of %s", i, p.units, p.key)}
		default:
			return &CutError{p.key, fmt.Sprintf("it removes %d of the %d %s of layer %d, expected at most %d, or a share below %.4g%%: at least one stays",
				removed, width, p.units, i, width-1, 100*(float64(width)-0.5)/float64(width))}
		}
	}
	switch {
	case most > 0:
		return nil
	case widest == 1:
		return &CutError{p.key, fmt.Sprintf("no layer has more than one of its %s, which stays: expected none of %s", p.units, p.key)}
	}
	return &CutError{p.key, fmt.Sprintf("rounds to none of the %d %s: expected a number of them, or %.4g%% or more", widest, p.units, 50/float64(widest))}
}
