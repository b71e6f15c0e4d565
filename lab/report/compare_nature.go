package report

import (
	"math"
	"slices"

	"slimlab/lab"
)

// Nature is what two runs of one recipe can differ by in a figure, and so how it is judged.
type Nature uint8

const (
	// Sampled figures hang on the seed of training and on the sample of the test set: they are
	// judged by the interval of the difference, and not at all where a log has neither a spread
	// over seeds nor an interval. It is the nature of what no table knows.
	Sampled Nature = iota
	// Exact figures are counted: any difference at one seed is one. A seed that only one run has
	// says nothing.
	Exact
	// Clocked figures hang on the machine: they are judged by ranks over seeds.
	Clocked
)

// String returns the nature's name, "sampled".
func (n Nature) String() string { return [...]string{"sampled", "exact", "clocked"}[n] }

// natures has every metric of a run, by key.
var natures = map[string]Nature{
	"params": Exact, "bytes": Exact, "smaller": Exact, "effective_bits": Exact, // of the shapes and types of the tensors
	"mlp_kept": Exact, "heads_kept": Exact, "params_kept": Exact,
	"paper":                 Exact, // published, not measured
	"cached":                Exact, // tokens counted over a workload that the seed decides
	"kv_bytes_per_token":    Exact, // of the heads and the format
	"cache_bytes_per_token": Exact, // of a file that the seed decides
	"loss_floor":            Exact, // of the validation set, of no model
	"exact":                 Sampled, "ended": Sampled,
	"prompt_tokens": Exact, // of the test set
	"auc_ceiling":   Exact, // of the test set and its known probabilities, of no model
	"auc":           Sampled, "auc_soft": Sampled, "auc_heldout": Sampled,
	"loss_test": Sampled, "auc_within": Sampled, "auc_within_mean": Sampled, "auc_gain": Sampled, "auc_within_gain": Sampled,
	// of the test set, of no model
	"auc_title": Exact, "auc_user": Exact, "auc_title_user": Exact, "auc_within_title": Exact,
	"auc_delta": Sampled, "auc_soft_delta": Sampled, "auc_ceiling_delta": Sampled,
	"loss": Sampled, "loss_delta": Sampled, "agreement": Sampled, "kl": Sampled, "kl_p99": Sampled,
	"flips": Sampled, "flips_lost": Sampled, "flips_won": Sampled, "mcnemar": Sampled, "perplexity": Sampled,
	"choice_accuracy": Sampled, "choice_flips": Sampled, "accuracy": Sampled, "f1": Sampled,
	// by a simulated clock, over a workload that the seed decides
	"sim_ttft_p50":       Exact,
	"sim_ttft_p99":       Exact,
	"sim_tpot_p50":       Exact,
	"sim_tpot_p99":       Exact,
	"sim_e2e_p50":        Exact,
	"sim_e2e_p99":        Exact,
	"sim_wait_max":       Exact,
	"sim_requests_per_s": Exact,
	"sim_tokens_per_s":   Exact,
	"sim_cached":         Exact,
	"sim_busy":           Exact,
	"sim_capacity":       Exact,
	"sim_host":           Exact,
	"sim_gemm":           Exact,
	"sim_attention":      Exact,
	"sim_all_reduce":     Exact,
	"sim_elementwise":    Exact,
	"sim_other":          Exact,
	"sim_joules":         Exact,
	"sim_cost_per_mtok":  Exact,
	"sim_cost_per_1000":  Exact,
	"paper_ttft_p50":     Exact,
	"paper_ttft_p99":     Exact,
	"paper_tpot_p50":     Exact,
	"paper_tokens_per_s": Exact,
	"ab_quality_a":       Sampled, "ab_quality_b": Sampled, "ab_change": Sampled, "ab_low": Sampled, "ab_high": Sampled, "ab_decided": Sampled,
	"ab_prompts": Exact, "paper_change": Exact,
	"ttft_p50_error": Exact,
	"tpot_p50_error": Exact,
	"ttft_cold_p50":  Clocked, "ttft_cold_p99": Clocked, "ttft_hot_p50": Clocked, "ttft_hot_p99": Clocked,
	"ttft_load_p50": Clocked, "ttft_load_p99": Clocked,
	"tpot_p50": Clocked, "tpot_p99": Clocked, "memory_peak": Clocked, "tokens_per_s": Clocked, "items_per_s": Clocked, "train_tokens_per_s": Clocked,
}

// NatureOf returns the nature of a metric.
func NatureOf(m lab.Metric) Nature {
	if m.Timing {
		return Clocked
	}
	return natures[m.Key]
}

// judgeExact judges counted values. It compares the seeds that both runs have; where there are
// none, values that all seeds of a run agree on are those of any seed, and ok is false where a run
// has others.
func (one *Change) judgeExact(of pair) (ok bool) {
	if one.sameSeeds() && of.recipe {
		one.warn(otherBits)
	}
	common, note := one.overCommonSeeds()
	switch {
	case len(common.Base.Seeds) > 0:
		if note != "" && !(constant(one.Base.Seeds) && constant(one.New.Seeds)) {
			one.compareOver(common, note)
		}
		if one.Judgement = one.direction(); common.equal() {
			one.Judgement = Same
		}
		return true
	case !constant(one.Base.Seeds) || !constant(one.New.Seeds):
		return false
	}
	one.Judgement = one.direction()
	return true
}

// constant reports whether all seeds have one value.
func constant(seeds []lab.SeedMeasure) bool {
	return !slices.ContainsFunc(seeds, func(s lab.SeedMeasure) bool { return !sameValue(s.Value, seeds[0].Value) })
}

func sameValue(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }
