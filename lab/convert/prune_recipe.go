package convert

import (
	"cmp"
	"context"
	"maps"
	"strconv"
	"strings"

	"slimlab/lab/recipe"
	"slimlab/model/calibrate/refine"
	"slimlab/pruning"
)

// The words of a pruning: what it is given, as flags have it, so that what is written out equals
// what is implied.

func (p *Pruning) recipe(ctx context.Context, from string, o *Options) (recipe.Recipe, error) {
	of, err := o.compression(ctx, "prune", pruneVersion, from, p.Calibration)
	v := of.Parameters
	if p.keep > 0 {
		v["layers"] = cutText(p.layers)
		return of, err
	}
	v["method"], v["widths"] = string(p.Method), string(p.widths)
	for key, cut := range map[string]pruning.Cut{"mlp": p.MLP, "heads": p.Heads, "query_heads": p.QueryHeads} {
		if cut != (pruning.Cut{}) {
			v[key] = cutText(cut)
		}
	}
	if p.each != nil {
		var each []string
		for _, cut := range p.each {
			each = append(each, cutText(cut))
		}
		delete(v, "widths")
		v["mlp_layers"] = strings.Join(each, " ")
	}
	if p.budget != "" {
		size, err := pruning.ParseBudget(p.budget)
		if err != nil {
			return of, err
		}
		v["budget"] = budgetText(size)
		if size.IsTime() {
			v["budget_rows"] = max(1, p.rows)
		}
	}
	if p.neurons() {
		v["align"] = max(1, p.Align)
	}
	if p.Intercept {
		v["intercept"] = true
	}
	if p.Method == pruning.OSSCAR {
		v["step"], v["local_search"], v["starts"] = max(1, p.Batch), cmp.Or(p.LocalSearch, pruning.DefaultLocalSearch), cmp.Or(string(p.Starts), bothStarts)
	}
	if p.Swaps != 0 { // which no flag gives
		v["swaps"] = p.Swaps
	}
	if p.Method.Updates() || p.Budget != nil {
		v["damping"] = cmp.Or(p.Damping, pruning.DefaultDamping)
	}
	if p.Method.Draws() {
		v["seed"] = p.Seed
	}
	if p.Calibration.given() {
		maps.Copy(v, p.Gathering.values())
		maps.Copy(v, refining(p.Refine, strconv.FormatFloat(refine.FloatRate, 'g', -1, 64)))
	}
	return of, err
}

// bothStarts is pruning.BothStarts as a flag has it.
const bothStarts = "both"

// cutText is a cut as a flag has it: a number, or a share in percent where these few digits are the
// same share.
func cutText(c pruning.Cut) string {
	if c.Count > 0 || c == (pruning.Cut{}) {
		return strconv.Itoa(c.Count)
	}
	return shareText(c.Ratio)
}

func shareText(share float64) string {
	text := strconv.FormatFloat(100*share, 'g', 6, 64) + "%"
	if same, err := pruning.ParseCut(text); err != nil || same.Ratio != share {
		return strconv.FormatFloat(share, 'g', -1, 64)
	}
	return text
}

// budgetText is a budget as a flag has it.
func budgetText(size pruning.BudgetSize) string {
	switch {
	case size.Bytes > 0:
		return strconv.FormatInt(size.Bytes, 10) + "B"
	case size.Time > 0:
		return size.Time.String()
	case size.ShareOfTime > 0:
		return shareText(size.ShareOfTime) + " of time"
	}
	return shareText(size.Share)
}
