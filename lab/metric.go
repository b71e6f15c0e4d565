package lab

import (
	"math"
	"slices"
)

// Metric describes a measured quantity. Key is its name in scenarios, expectations and exports.
type Metric struct {
	Key    string
	Label  string // column header
	Unit   Unit
	Better Direction
	// measured with a clock, or by what the system says of memory, so it varies; other metrics have
	// the same bits for the same seed
	Timing     bool
	Section    Section // of the scenario that asks for it
	Definition string  // the statistic's name in the field
	About      string
}

// Unit is a base unit; screens scale it.
type Unit uint8

const (
	Plain    Unit = iota // a number
	Count                // 1234 → 1.23k
	Bytes                // → kB, MB
	Seconds              // → ms, µs
	Rate                 // per second
	Fraction             // written as it is, 4 digits: AUC
	Percent              // a fraction written in per cent with its sign: a relative change
	Nats
	Ratio // 12.3×
	BytesPerSecond
	OperationsPerSecond
)

// String returns the unit's name, "bytes".
func (u Unit) String() string {
	return [...]string{
		"number", "count", "bytes", "seconds", "per second", "fraction", "relative change",
		"nats", "ratio", "bytes per second", "operations per second",
	}[u]
}

// Range is the lowest and the highest value that a figure of the unit can have: a share lies
// between 0 and 1, a relative change is at least −100%, and a size, a time or a loss is not
// negative.
func (u Unit) Range() (low, high float64) {
	switch u {
	case Plain:
		return math.Inf(-1), math.Inf(1)
	case Fraction:
		return 0, 1
	case Percent:
		return -1, math.Inf(1)
	}
	return 0, math.Inf(1)
}

// Direction says which values are better.
type Direction uint8

const (
	Neither Direction = iota
	Lower
	Higher
)

// String returns "lower", "higher" or "neither".
func (d Direction) String() string { return [...]string{"neither", "lower", "higher"}[d] }

// Section is the section of a scenario that asks for a metric.
type Section string

const (
	Pipeline Section = "pipeline" // measured for every step
	Evaluate Section = "evaluate"
	Serving  Section = "serve"
	Paper    Section = "paper"
	// of the steps that simulate
	Simulation Section = "simulate"
	// of the steps that compare two models
	ABTest Section = "ab"
)

// metrics is the table of metrics, in the order of columns.
var metrics = []Metric{
	{"params", "params", Count, Lower, false, Pipeline, "parameter count", "parameters"},
	{"bytes", "bytes", Bytes, Lower, false, Pipeline, "checkpoint size", "bytes of the stored weights"},
	{"smaller", "smaller", Ratio, Higher, false, Pipeline, "compression ratio", "bytes of the baseline ÷ bytes, where wider floats count as bfloat16"},
	{"effective_bits", "bits/weight", Plain, Lower, false, Pipeline, "effective bits per weight", "stored bits of the blocks' linear layers, scales, zero points and orders counted, ÷ their weights"},
	{"mlp_kept", "mlp", Fraction, Neither, false, Pipeline, "width ratio", "share of MLP neurons kept"},
	{"heads_kept", "kv heads", Fraction, Neither, false, Pipeline, "width ratio", "share of KV heads kept"},
	{"params_kept", "params kept", Fraction, Neither, false, Pipeline, "parameter ratio", "share of the baseline's parameters kept"},
	{"auc", "AUC", Fraction, Higher, false, Evaluate, "ROC AUC, ties half", "AUC on drawn labels, ties counted half: recsys: mean over in-domain tasks; ratings and jsonl: over all test prompts together"},
	{"auc_soft", "AUC exp.", Fraction, Higher, false, Evaluate, "expected ROC AUC", "expected AUC under the world's known probabilities: the same ranking, far less noise"},
	{"auc_delta", "Δ AUC", Percent, Higher, false, Evaluate, "paired relative difference", "AUC relative to the baseline's, paired over the same prompts"},
	{"auc_soft_delta", "Δ exp.", Percent, Higher, false, Evaluate, "paired relative difference", "expected AUC relative to the baseline's"},
	{"auc_heldout", "held-out", Fraction, Higher, false, Evaluate, "expected ROC AUC", "expected AUC on tasks that no training prompt showed"},
	{"auc_ceiling", "ceiling", Fraction, Neither, false, Evaluate, "Bayes-optimal expected ROC AUC", "AUC of the best prediction that the prompts allow"},
	{"auc_ceiling_delta", "Δ ceiling", Percent, Higher, false, Evaluate, "(AUC exp. − ceiling) / (ceiling − 0.5)", "share of what the ceiling has beyond a guess that the expected AUC falls short of"},
	{"auc_within", "AUC within", Fraction, Higher, false, Evaluate, "stratified ROC AUC", "share of the pairs of one user's prompts, one of each answer, that are in the right order; jsonl: of one group's"},
	{"auc_within_mean", "within, mean", Fraction, Higher, false, Evaluate, "mean ROC AUC over users", "mean over users with both answers of the AUC of each one's prompts; jsonl: over groups"},
	{"auc_title", "title", Fraction, Neither, false, Evaluate, "ROC AUC of a guess", "AUC without a model: by the title's share of likes in the training ratings"},
	{"auc_user", "user", Fraction, Neither, false, Evaluate, "ROC AUC of a guess", "AUC without a model: by the user's share of likes in the prompt"},
	{"auc_title_user", "title+user", Fraction, Neither, false, Evaluate, "ROC AUC of a guess", "AUC without a model: by the sum of both shares"},
	{"auc_gain", "Δ title+user", Percent, Higher, false, Evaluate, "paired relative difference", "AUC relative to that of title+user, paired over the same prompts"},
	{"auc_within_title", "title within", Fraction, Neither, false, Evaluate, "stratified ROC AUC of a guess", "auc_within without a model: by the title's share of likes"},
	{"auc_within_gain", "Δ title within", Percent, Higher, false, Evaluate, "paired relative difference", "auc_within relative to that of the title, paired over the same users"},
	{"accuracy", "accuracy", Fraction, Higher, false, Evaluate, "accuracy", "share of the test prompts with one of two answers of which the right one is the likelier, with Wilson's interval over users or groups"},
	{"prompt_tokens", "prompt", Plain, Lower, false, Evaluate, "prompt length", "recsys and ratings: mean tokens of a test prompt"},
	{"loss", "val loss", Nats, Lower, false, Evaluate, "cross-entropy", "validation loss, nats per answer token"},
	{"perplexity", "perplexity", Plain, Lower, false, Evaluate, "perplexity", "exp of the validation loss, where answers are text: per answer token"},
	{"loss_test", "test loss", Nats, Lower, false, Evaluate, "cross-entropy", "loss over the test records of task jsonl, nats per answer token"},
	{"loss_floor", "floor", Nats, Neither, false, Evaluate, "cross-entropy of the true distribution", "loss of the distribution that wrote the validation answers, on the same answers: on average no model has less"},
	{"exact", "exact", Fraction, Higher, false, Evaluate, "exact match, greedy", "share of test problems whose generated answer ends in the right value, with Wilson's interval; jsonl: of the records of evaluate.answers, whose answer equals the response as SQuAD compares them: without case, punctuation, articles and runs of white space"},
	{"f1", "F1", Fraction, Higher, false, Evaluate, "token F1, as of SQuAD", "mean over the records of evaluate.answers of the F1 of the generated answer's words and the response's, compared as exact does, with a bootstrap interval"},
	{"ended", "ended", Fraction, Neither, false, Evaluate, "end-of-sequence rate", "share of generated answers that end with the end token within the longest answer"},
	{"loss_delta", "Δ loss", Percent, Lower, false, Evaluate, "relative difference", "validation loss relative to the baseline's"},
	{"agreement", "top-1 agree", Fraction, Higher, false, Evaluate, "top-1 agreement", "share of answer tokens whose argmax equals the baseline's"},
	{"kl", "KL", Nats, Lower, false, Evaluate, "forward KL divergence", "KL(p‖q) from the baseline's p, nats per answer token"},
	{"kl_p99", "KL P99", Nats, Lower, false, Evaluate, "99th percentile of the forward KL divergence", "99th percentile of the answer tokens' KL(p‖q), by linear interpolation"},
	{"flips", "flips", Fraction, Lower, false, Evaluate, "decision flip rate", "share of decisions that differ from the baseline's. Ranking: yes to the prompts of the highest scores, as many as are right, by task; reasoning: right or wrong; else the argmax of each answer token"},
	{"flips_lost", "lost", Fraction, Lower, false, Evaluate, "right-to-wrong rate", "share of decisions that the baseline has right and the row wrong"},
	{"flips_won", "won", Fraction, Neither, false, Evaluate, "wrong-to-right rate", "share of decisions that the baseline has wrong and the row right"},
	{"mcnemar", "McNemar p", Fraction, Neither, false, Evaluate, "McNemar's exact test", "two-sided p that a decision is as likely lost as won, as if all were independent; of several seeds their mean"},
	{"choice_accuracy", "choices", Fraction, Higher, false, Evaluate, "accuracy, normalised by characters", "share of the questions of evaluate.choice whose right choice has the largest log-likelihood a character (acc_norm), with Wilson's interval"},
	{"choice_flips", "choice flips", Fraction, Lower, false, Evaluate, "decision flip rate", "share of these questions that the row has right and the baseline wrong, or the other way round"},
	{"ttft_cold_p50", "TTFT cold P50", Seconds, Lower, true, Serving, "time to first token, median", "time to first token of a member's first prompt, or of a prompt, nothing cached"},
	{"ttft_cold_p99", "cold P99", Seconds, Lower, true, Serving, "time to first token, 99th percentile", "99th percentile of the same"},
	{"ttft_hot_p50", "TTFT hot P50", Seconds, Lower, true, Serving, "time to first token, median", "time to first token of a prompt whose member prefix is cached"},
	{"ttft_hot_p99", "hot P99", Seconds, Lower, true, Serving, "time to first token, 99th percentile", "99th percentile of the same"},
	{"ttft_load_p50", "TTFT load P50", Seconds, Lower, true, Serving, "time to first token, median", "time to first token under visits at serve's rate, from the time at which each was due: median"},
	{"ttft_load_p99", "load P99", Seconds, Lower, true, Serving, "time to first token, 99th percentile", "99th percentile of the same"},
	{"tpot_p50", "TPOT P50", Seconds, Lower, true, Serving, "time per output token, median", "mean time per output token after the first of an answer that is alone in the engine: median over the answers of the workload prompts"},
	{"tpot_p99", "TPOT P99", Seconds, Lower, true, Serving, "time per output token, 99th percentile", "99th percentile of the same"},
	{"tokens_per_s", "tok/s", Rate, Higher, true, Serving, "throughput", "prompt and output tokens per second, cached tokens included"},
	{"items_per_s", "items/s", Rate, Higher, true, Serving, "request throughput", "ranking: candidates scored per second, of all members' prompts submitted together"},
	{"memory_peak", "memory", Bytes, Lower, true, Serving, "peak of private resident memory", "by how much the process's own memory rises at most while the model is loaded and served: weights, KV cache, and what the engine works with; mapped files, and buffers of the kernels that earlier work of the process has left, are not counted (Linux's RssAnon)"},
	{"cached", "cached", Fraction, Higher, false, Serving, "prefix cache hit rate", "share of prompt tokens served from the prefix cache"},
	{"paper", "paper", Percent, Neither, false, Paper, "published figure", "the paper's figure for this row"},
	{"train_tokens_per_s", "train tok/s", Rate, Higher, true, Pipeline, "training throughput", "training tokens per second"},
	{"kv_bytes_per_token", "KV B/token", Plain, Lower, false, Pipeline, "size of the KV cache", "bytes of a token's keys and values in all layers, scales included, in the KV cache that the row is measured with"},
	{"sim_ttft_p50", "sim TTFT P50", Seconds, Lower, false, Simulation, "time to first token, median", "simulated: from the time at which a request was due to its first token, host, queue and steps; the bounds are those of devices as much faster and slower as the calibration errs"},
	{"sim_ttft_p99", "sim TTFT P99", Seconds, Lower, false, Simulation, "time to first token, 99th percentile", "99th percentile of the same"},
	{"sim_tpot_p50", "sim TPOT P50", Seconds, Lower, false, Simulation, "time per output token, median", "simulated: (end − first token) ÷ (tokens − 1) of answers of two tokens or more"},
	{"sim_tpot_p99", "sim TPOT P99", Seconds, Lower, false, Simulation, "time per output token, 99th percentile", "99th percentile of the same"},
	{"sim_e2e_p50", "sim E2E P50", Seconds, Lower, false, Simulation, "end-to-end latency, median", "simulated: from the time at which a request was due to its last token"},
	{"sim_e2e_p99", "sim E2E P99", Seconds, Lower, false, Simulation, "end-to-end latency, 99th percentile", "99th percentile of the same"},
	{"sim_wait_max", "sim longest wait", Seconds, Lower, false, Simulation, "longest time in the queue", "simulated: the longest that a request waited for its first step"},
	{"sim_requests_per_s", "sim req/s", Rate, Higher, false, Simulation, "request throughput", "simulated: answered requests ÷ the time until the last has ended"},
	{"sim_tokens_per_s", "sim tok/s", Rate, Higher, false, Simulation, "throughput", "simulated: prompt and output tokens ÷ the same time, cached tokens included"},
	{"sim_cached", "sim cached", Fraction, Higher, false, Simulation, "prefix cache hit rate", "simulated: share of prompt tokens served from the prefix cache"},
	{"sim_busy", "sim busy", Fraction, Neither, false, Simulation, "utilization", "simulated: share of the time in which the devices compute, mean over replicas"},
	{"sim_capacity", "sim capacity", Rate, Higher, false, Simulation, "largest rate within an SLO", "simulated: arrivals a second at which the step's slo is just kept, to 1%"},
	{"sim_host", "host", Seconds, Lower, false, Simulation, "host time of a request", "mean time of a request outside the steps: its text is parsed and made tokens"},
	{"sim_gemm", "GEMM", Seconds, Lower, false, Simulation, "device time of a request", "mean share of a request in the time of the layers' products"},
	{"sim_attention", "attention", Seconds, Lower, false, Simulation, "device time of a request", "mean share in the time of attention"},
	{"sim_all_reduce", "all-reduce", Seconds, Lower, false, Simulation, "device time of a request", "mean share in the time in which devices sum what each has computed"},
	{"sim_elementwise", "elementwise", Seconds, Lower, false, Simulation, "device time of a request", "mean share in the time of norms, rotary positions, activations and sums"},
	{"sim_other", "logits, launches", Seconds, Lower, false, Simulation, "device time of a request", "mean share in the time of logits and of what devices wait for"},
	{"sim_joules", "joules", Plain, Lower, false, Simulation, "energy of a request", "mean energy of a request: the devices' power at full load while they compute, as datasheets give it"},
	{"sim_cost_per_mtok", "cost/Mtok", Plain, Lower, false, Simulation, "cost of a million tokens", "price of the devices over the time ÷ million prompt and output tokens, in the currency of the device file"},
	{"sim_cost_per_1000", "cost/1000 req", Plain, Lower, false, Simulation, "cost of 1000 requests", "price of the devices over the time ÷ thousands of answered requests, which rank an item each in workload ranking"},
	{"paper_ttft_p50", "paper TTFT P50", Seconds, Neither, false, Simulation, "published figure", "the paper's median time to first token"},
	{"paper_ttft_p99", "paper TTFT P99", Seconds, Neither, false, Simulation, "published figure", "the paper's 99th percentile of it"},
	{"paper_tpot_p50", "paper TPOT P50", Seconds, Neither, false, Simulation, "published figure", "the paper's median time per output token"},
	{"paper_tokens_per_s", "paper tok/s", Rate, Neither, false, Simulation, "published figure", "the paper's throughput"},
	{"ttft_p50_error", "Δ TTFT P50", Percent, Neither, false, Simulation, "relative difference", "simulated median time to first token relative to the paper's"},
	{"tpot_p50_error", "Δ TPOT P50", Percent, Neither, false, Simulation, "relative difference", "simulated median time per output token relative to the paper's"},
	{"cache_bytes_per_token", "cache B/token", Plain, Lower, false, Pipeline, "size of the teacher's cached distributions", "bytes a distribution of the file that a distillation learned from: its size by its rows"},
	{"ab_quality_a", "quality A", Fraction, Higher, false, ABTest, "mean of exact or f1", "of a step ab: mean quality of the answers of arm A to the prompts that it was asked"},
	{"ab_quality_b", "quality B", Fraction, Higher, false, ABTest, "mean of exact or f1", "mean quality of the answers of arm B"},
	{"ab_change", "B against A", Percent, Higher, false, ABTest, "relative difference with an always-valid interval", "quality of B relative to that of A; its interval may be looked at after every prompt"},
	{"ab_low", "at least", Percent, Higher, false, ABTest, "lower bound of an always-valid interval", "the least change of B against A that the answers allow"},
	{"ab_high", "at most", Percent, Higher, false, ABTest, "upper bound of an always-valid interval", "the largest change of B against A that they allow"},
	{"ab_decided", "decided at", Count, Lower, false, ABTest, "stopping time of a sequential test", "prompts after which the interval first left out no change, or lay within the margin; none where it has not"},
	{"ab_prompts", "prompts", Count, Neither, false, ABTest, "sample size", "prompts of the comparison, each asked of both arms, or of one in a split"},
	{"paper_change", "paper B against A", Percent, Neither, false, ABTest, "published figure", "the paper's relative change of its quality"},
}

var metricPlaces = placesOf(metrics)

func placesOf(metrics []Metric) map[string]int {
	places := make(map[string]int, len(metrics))
	for i, m := range metrics {
		places[m.Key] = i
	}
	return places
}

// Metrics lists every metric that a run can report, in the order of columns.
func Metrics() []Metric { return slices.Clone(metrics) }

// MetricKeys lists the keys of Metrics.
func MetricKeys() []string {
	keys := make([]string, len(metrics))
	for i, m := range metrics {
		keys[i] = m.Key
	}
	return keys
}

// MetricByKey finds a metric; ok is false for an unknown key.
func MetricByKey(key string) (m Metric, ok bool) {
	i, ok := metricPlaces[key]
	if !ok {
		return Metric{}, false
	}
	return metrics[i], true
}
