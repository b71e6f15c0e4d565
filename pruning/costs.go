package pruning

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"slimlab/internal/bytesize"
	"slimlab/internal/plural"
	"slimlab/model"
)

// BudgetSize is how much a budget is. One of its fields is set.
type BudgetSize struct {
	Share       float64       // of the parameters
	Bytes       int64         // that the parameters take in bfloat16
	Time        time.Duration // of the products
	ShareOfTime float64       // of that of the products as they are
}

// IsTime reports a budget of time.
func (s BudgetSize) IsTime() bool { return s.Time > 0 || s.ShareOfTime > 0 }

// mostBytes bounds a budget of bytes.
const mostBytes = 1e15

// ofTime ends a share of the time.
const ofTime = " of time"

// ParseBudget reads a budget: a share of the parameters that stay, such as 80% or 0.8, the bytes
// that they take in bfloat16, such as 500MB, the time of their products, such as 1.5ms, or a share
// of that time, such as 80% of time.
func ParseBudget(text string) (BudgetSize, error) {
	bad := &BudgetError{text, budgetHint(text) + "expected a share that stays, above 0 and below 1, such as 80% or 0.8, bytes such as 500MB (kB, MB, GB or TB, of 1000, or KiB, MiB, GiB or TiB, of 1024), a time such as 1.5ms (us, ms or s), or a share of the time such as 80% of time"}
	switch n, unit, err := bytesize.Parse(text); {
	case unit == "" || unit == "B":
	case err == nil && (n < 1 || n > mostBytes):
		return BudgetSize{}, &BudgetError{text, fmt.Sprintf("expected bytes from 0.001kB to %gTB", mostBytes/1e12)}
	case err != nil:
		return BudgetSize{}, bad
	default:
		return BudgetSize{Bytes: int64(n)}, nil
	}
	for _, unit := range []struct {
		name string
		size float64
		most float64
	}{{"us", 1e3, 1e9}, {"µs", 1e3, 1e9}, {"ms", 1e6, 1e6}, {"s", 1e9, 1e3}} {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		switch {
		case err != nil || !(x > 0) || math.IsInf(x, 0) || strings.ContainsAny(number, "xXpP_"):
			return BudgetSize{}, bad
		case x >= unit.most || int64(x*unit.size) < 1:
			return BudgetSize{}, &BudgetError{text, "expected a time from 0.001us to below 1000s"}
		}
		return BudgetSize{Time: time.Duration(x * unit.size)}, nil
	}
	share, timed := strings.CutSuffix(text, ofTime)
	cut, err := ParseCut(share)
	switch {
	case err != nil || cut.Ratio == 0:
		return BudgetSize{}, bad
	case timed:
		return BudgetSize{ShareOfTime: cut.Ratio}, nil
	}
	return BudgetSize{Share: cut.Ratio}, nil
}

// BudgetError is the error of a text that is no budget.
type BudgetError struct {
	Text    string
	Problem string // which goes on from the text
}

// Error says what was found and what was expected.
func (e *BudgetError) Error() string { return fmt.Sprintf("found %q, %s", e.Text, e.Problem) }

// budgetHint says what a text might mean and does not say; "" where there is nothing to say.
func budgetHint(text string) string {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimSpace(text[len(number):])
	x, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil:
	case unit == "" && x >= 1:
		return "a number without a unit: "
	case unit == "B":
		return "in which B may be bytes or billions of parameters: "
	case strings.EqualFold(unit, "k") || unit == "M" || unit == "G" || strings.HasPrefix(strings.ToLower(unit), "param"):
		return "and a number of parameters is no budget; they take 2 bytes each: "
	}
	return ""
}

// Half is a half of a layer whose width a budget chooses.
type Half struct {
	Layer   int
	Part    Part
	Before  int
	Queries int   // query heads of a KV group; 0 of neurons
	Widths  []int // that may be chosen, the widest first; Before alone where no other may

	step int // between the narrower ones
}

// stays reports a half that has no other width.
func (h Half) stays() bool { return len(h.Widths) == 1 && h.Widths[0] == h.Before }

// The most widths of a layer that are chosen from: a curve has all, and a time each takes a
// measurement.
const (
	mostWidths = 256
	mostTimed  = 64
)

// newHalf lists the widths: Before where it is a multiple of align, and the narrower multiples of a
// step.
func newHalf(layer int, part Part, before, align, most int) Half {
	h := Half{Layer: layer, Part: part, Before: before, step: align}
	if before <= align {
		h.Widths = []int{before}
		return h
	}
	for h.Before/h.step > most {
		h.step += align
	}
	if before%align == 0 {
		h.Widths = append(h.Widths, before)
	}
	for kept := (before - 1) / h.step * h.step; kept >= h.step; kept -= h.step {
		h.Widths = append(h.Widths, kept)
	}
	return h
}

// Halves lists the halves of a model whose widths the budget chooses, neurons in multiples of
// align.
func (b Budget) Halves(c model.Config, align int) []Half {
	most := mostWidths
	if b.Time != nil {
		most = mostTimed
	}
	var halves []Half
	for i, l := range c.Layers {
		if b.Heads {
			h := newHalf(i, Heads, l.KVHeads, 1, most)
			h.Queries = l.Heads / l.KVHeads
			halves = append(halves, h)
		}
		if b.MLP {
			halves = append(halves, newHalf(i, MLP, l.MLP, max(1, align), most))
		}
	}
	return halves
}

// costs is a table of what a half costs by its width, and what all may cost.
type costs struct {
	of           func(h Half, kept int) int64
	most, before int64 // before is what all halves cost as they are
	text         func(cost int64) string
}

// parameterCosts is the table of parameters.
func parameterCosts(c model.Config) func(h Half, kept int) int64 {
	return func(h Half, kept int) int64 {
		if h.Part == Heads {
			return int64(kept * groupParameters(c, h.Queries))
		}
		return int64(kept * neuronParameters(c))
	}
}

// costs is the table of the budget for the halves of a model.
func (b Budget) costs(c model.Config, halves []Half) (costs, error) {
	if b.Time != nil {
		return b.Time.costs(halves)
	}
	table := costs{of: parameterCosts(c), most: int64(b.Parameters), text: func(n int64) string { return plural.Of(n, "parameter") }}
	for _, h := range halves {
		table.before += table.of(h, h.Before)
	}
	return table, nil
}

// unmet is the error of a budget below what the cheapest choices cost.
func (t costs) unmet(items [][]choiceOf) error {
	least := int64(0)
	for _, item := range items {
		of := int64(math.MaxInt64)
		for _, c := range item {
			of = min(of, c.cost)
		}
		least += of
	}
	return fmt.Errorf("the budget is %s, and the least of each layer's widths have %s: expected at least these", t.text(t.most), t.text(least))
}
