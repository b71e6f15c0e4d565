package pruning

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"slimlab/internal/plural"
	"slimlab/model"
)

// TimeBudget bounds the time that the products of the halves whose widths are chosen take, one
// after another: q, k, v and o of heads, gate, up and down of neurons. What is no product has no
// part in it: norms, attention, the head.
type TimeBudget struct {
	Most  time.Duration // 0 is Share
	Share float64       // of the time as they are
	Rows  int           // tokens that a product takes at once: 1 is decode
	Times *Times        // measured; a budget is not chosen by without
}

// Timing is what Times are measured of.
type Timing struct {
	Hidden, HeadDim int
	Rows            int
	Halves          []TimedHalf // each kind once
}

// TimedHalf are the widths of halves of one kind.
type TimedHalf struct {
	Part    Part
	Queries int   // query heads of a KV group; 0 of neurons
	Layers  int   // that have it: as many weights lie side by side in memory
	Widths  []int // descending
}

// Times are what the products of a half of a layer take, by its width, on one machine.
type Times struct {
	Machine string      `json:"machine"`
	Format  string      `json:"format"` // of the weights
	Rows    int         `json:"rows"`
	Halves  []HalfTimes `json:"halves"`
	// between the shortest and the longest of the measurements of a width, relative: the median of
	// all widths
	Spread float64 `json:"spread"`
}

// HalfTimes are the times of halves of one kind, each of the width at the same place.
type HalfTimes struct {
	Part        Part    `json:"part"`
	Queries     int     `json:"queries,omitempty"`
	Widths      []int   `json:"widths"`
	Nanoseconds []int64 `json:"nanoseconds"`
}

// Timer measures products on this machine.
type Timer interface {
	// Machine names it.
	Machine() string
	// Table measures the times of halves by their widths.
	Table(ctx context.Context, of Timing) (*Times, error)
	// Pass measures, for each model, the time of the products of all its halves of the kinds that a
	// Timing has, one layer after another.
	Pass(ctx context.Context, of Timing, models ...[]model.LayerConfig) ([]time.Duration, error)
}

// TimeReport is what a budget of time came to. All times are milliseconds.
type TimeReport struct {
	Machine string  `json:"machine"`
	Format  string  `json:"format"`
	Rows    int     `json:"rows"`
	Spread  float64 `json:"spread"` // see Times
	Most    float64 `json:"most"`   // of the budget
	Before  float64 `json:"before"` // by the table, the sum of the halves as they were
	Kept    float64 `json:"kept"`   // by the table, with the widths that were chosen
	// by the table, where all layers lose the same share, the least that is within the budget; 0
	// where none is
	Uniform float64 `json:"uniform"`
	// measured of the models, where that was done
	Passes *PassTimes `json:"passes,omitempty"`
}

// ChosenBy reports whether the report is by the times of a budget, for the model as it was.
func (t *TimeReport) ChosenBy(b Budget, c model.Config, align int) (bool, error) {
	table, err := b.costs(c, b.Halves(c, align))
	return err == nil && t.Before == milliseconds(table.before) && t.Spread == b.Time.Times.Spread, err
}

// Errors says in words what the sum of the layers' errors is by the widths that were chosen and by
// equal shares, and of which method: another may have pruned.
func (r *BudgetReport) Errors() string {
	return fmt.Sprintf("greedy removal with least squares from the model as it was, which the widths are chosen by, has %.4g as the sum of the layers' errors, %s", r.Error, r.equalShares())
}

func (r *BudgetReport) equalShares() string {
	if r.Time != nil && r.Time.Uniform == 0 {
		return "and no equal share of the layers is within the budget"
	}
	return fmt.Sprintf("%.4g by equal shares", r.Uniform)
}

// Lines says in words what the budget came to.
func (t *TimeReport) Lines() []string {
	equal := ""
	if t.Uniform > 0 {
		equal = fmt.Sprintf("; with equal shares %.4g ms", t.Uniform)
	}
	lines := []string{fmt.Sprintf("products of %s in %s, by the times of each width on %s: %.4g ms as the model was, %.4g ms with the widths that were chosen, for a budget of %.4g ms%s; the measurements of a width differ by %.2g%%",
		plural.Of(t.Rows, "token"), t.Format, t.Machine, t.Before, t.Kept, t.Most, equal, 100*t.Spread)}
	if t.Spread > doubtful {
		lines = append(lines, fmt.Sprintf("times that differ by more than %.0f%% tell near widths apart by chance: measure on a machine that does nothing else", 100*doubtful))
	}
	if t.Passes != nil {
		lines = append(lines, t.Passes.line(t))
	}
	return lines
}

// doubtful is a spread above which near widths are told apart by chance.
const doubtful = 0.15

// line says what the products of the models took, beside the sums of the table.
func (p *PassTimes) line(t *TimeReport) string {
	return fmt.Sprintf("measured one layer after another: %.4g ms before (%.3g times the table's sum), %.4g ms after (%.3g times)", p.Before, p.Before/t.Before, p.After, p.After/t.Kept)
}

// PassTimes are the times of the products of a model and of the pruned one, measured one layer
// after another, in milliseconds: what a table's sums come to.
type PassTimes struct {
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// PassesOf measures the products of the halves of two models.
func PassesOf(ctx context.Context, t Timer, of Timing, before, after []model.LayerConfig) (PassTimes, error) {
	d, err := t.Pass(ctx, of, before, after)
	if err != nil {
		return PassTimes{}, err
	}
	return PassTimes{milliseconds(int64(d[0])), milliseconds(int64(d[1]))}, nil
}

func milliseconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e6 }

// Timing is what the times of a budget are measured of, for a model whose neurons are cut in
// multiples of align.
func (b Budget) Timing(c model.Config, align int) Timing {
	t := Timing{Hidden: c.Hidden, HeadDim: c.HeadDim, Rows: b.Time.Rows}
	for _, h := range b.Halves(c, align) {
		at := slices.IndexFunc(t.Halves, func(of TimedHalf) bool { return of.Part == h.Part && of.Queries == h.Queries })
		if at < 0 {
			at = len(t.Halves)
			t.Halves = append(t.Halves, TimedHalf{Part: h.Part, Queries: h.Queries})
		}
		of := &t.Halves[at]
		of.Layers++
		of.Widths = append(append(of.Widths, h.Before), h.Widths...)
	}
	for i := range t.Halves {
		of := &t.Halves[i]
		slices.Sort(of.Widths)
		of.Widths = slices.Compact(of.Widths)
		slices.Reverse(of.Widths)
	}
	return t
}

// of is the time of a half of a width; ok is false where it was not measured.
func (t *Times) of(h Half, kept int) (nanoseconds int64, ok bool) {
	for i := range t.Halves {
		of := &t.Halves[i]
		if of.Part != h.Part || of.Queries != h.Queries {
			continue
		}
		at := slices.Index(of.Widths, kept)
		if at < 0 || at >= len(of.Nanoseconds) || of.Nanoseconds[at] <= 0 {
			return 0, false
		}
		return of.Nanoseconds[at], true
	}
	return 0, false
}

// Fits reports times that are not those of a budget for a model: of other widths or rows.
func (b Budget) Fits(c model.Config, align int, t *Times) error {
	if t.Rows != b.Time.Rows {
		return fmt.Errorf("times are of %s, expected %d", plural.Of(t.Rows, "row"), b.Time.Rows)
	}
	for _, h := range b.Halves(c, align) {
		for _, kept := range append([]int{h.Before}, h.Widths...) {
			if _, ok := t.of(h, kept); !ok {
				return fmt.Errorf("times have none of layer %d's %s of width %d", h.Layer, h.Part, kept)
			}
		}
	}
	return nil
}

// CheckTimes reports a budget of time that no widths of a model meet, or that the model meets as it
// is, by the times that were measured.
func (b Budget) CheckTimes(c model.Config, align int) error {
	halves := b.Halves(c, align)
	table, err := b.costs(c, halves)
	if err != nil {
		return err
	}
	if table.most >= table.before {
		return fmt.Errorf("the budget is %s, and the products of the model take %s as it is: nothing would be removed, expected less", table.text(table.most), table.text(table.before))
	}
	least := int64(0)
	for _, h := range halves {
		of := int64(math.MaxInt64)
		for _, kept := range h.Widths {
			of = min(of, table.of(h, kept))
		}
		least += of
	}
	if table.most < least {
		nearest := fmt.Sprintf("at least %s", table.text(roundUp(least)))
		if b.Time.Most == 0 {
			nearest += fmt.Sprintf(", or %.3g%%%s", math.Ceil(1000*float64(least)/float64(table.before))/10, ofTime)
		}
		return fmt.Errorf("the budget is %s of %s, and with the fastest width of each layer the products take %s: expected %s", table.text(table.most), table.text(table.before), table.text(least), nearest)
	}
	return nil
}

// roundUp rounds up to three digits, so that a budget of what is printed is met.
func roundUp(nanoseconds int64) int64 {
	unit := int64(1)
	for nanoseconds/unit >= 1000 {
		unit *= 10
	}
	return (nanoseconds + unit - 1) / unit * unit
}

// check reports what can be said without a measurement.
func (t *TimeBudget) check() error {
	switch {
	case t.Rows < 1:
		return fmt.Errorf("a budget of time for %d rows, expected at least 1", t.Rows)
	case t.Most <= 0 && !(t.Share > 0 && t.Share < 1):
		return fmt.Errorf("a budget of %v or of a share %g of the time, expected a time above 0 or a share between 0 and 1", t.Most, t.Share)
	}
	return nil
}

// sums is about how many sums of times are told apart: more of them say nothing that a measurement
// holds, and an allocation keeps every one.
const sums = 20000

// resolution is what times are rounded to, 1, 2 or 5 with zeros, so that their sum has few values.
func resolution(sum int64) int64 {
	for unit := int64(1); ; unit *= 10 {
		for _, of := range []int64{1, 2, 5} {
			if sum <= of*unit*sums {
				return of * unit
			}
		}
	}
}

// costs is the table of the measured times, in nanoseconds.
func (t *TimeBudget) costs(halves []Half) (costs, error) {
	if t.Times == nil {
		return costs{}, errors.New("a budget of time without times: they are measured before")
	}
	sum := int64(0)
	for _, h := range halves {
		slowest := int64(0)
		for _, kept := range append([]int{h.Before}, h.Widths...) {
			of, ok := t.Times.of(h, kept)
			if !ok {
				return costs{}, fmt.Errorf("times have none of layer %d's %s of width %d", h.Layer, h.Part, kept)
			}
			slowest = max(slowest, of)
		}
		sum += slowest
	}
	unit := resolution(sum)
	table := costs{most: int64(t.Most), text: durationText, of: func(h Half, kept int) int64 {
		of, _ := t.Times.of(h, kept)
		return (of + unit/2) / unit * unit
	}}
	for _, h := range halves {
		table.before += table.of(h, h.Before)
	}
	if t.Most == 0 {
		table.most = int64(t.Share * float64(table.before))
	}
	return table, nil
}

// durationText is a time as budgets are written.
func durationText(nanoseconds int64) string {
	return strconv.FormatFloat(milliseconds(nanoseconds), 'g', 4, 64) + "ms"
}
