package lab

// Metric describes a measured quantity. Key is what scenarios, expectations and exports call it.
type Metric struct {
	Key    string
	Title  string // column header
	Unit   Unit
	Better Direction
	// Deterministic metrics have the same bits for the same seed; the others are timings.
	Deterministic bool
	About         string
}

// Unit is a base unit; screens scale it.
type Unit uint8

const (
	Plain    Unit = iota // a number
	Count                // 1234 → 1.23k
	Bytes                // → kB, MB
	Seconds              // → ms, µs
	Rate                 // per second
	Fraction             // shown as it is, 4 digits: AUC
	Percent              // a fraction shown in per cent with sign: a relative delta
	Nats
	Ratio // 12.3×
)

// Direction says which values are better.
type Direction uint8

const (
	Neither Direction = iota
	Lower
	Higher
)

// Metrics lists every metric that a run can report, in the order of columns.
func Metrics() []Metric {
	return []Metric{
		{"params", "params", Count, Lower, true, "parameters"},
		{"bytes", "bytes", Bytes, Lower, true, "bytes of the stored weights"},
		{"smaller", "smaller", Ratio, Higher, true, "bytes of the baseline ÷ bytes"},
		{"mlp_kept", "mlp", Fraction, Neither, true, "share of MLP neurons kept"},
		{"heads_kept", "kv heads", Fraction, Neither, true, "share of KV heads kept"},
		{"params_kept", "params kept", Fraction, Neither, true, "share of the baseline's parameters kept"},
		{"auc", "AUC", Fraction, Higher, true, "mean over in-domain tasks of the AUC on drawn labels, ties counted half"},
		{"auc_soft", "AUC exp.", Fraction, Higher, true, "expected AUC under the world's known probabilities: the same ranking, far less noise"},
		{"auc_delta", "Δ AUC", Percent, Higher, true, "AUC relative to the baseline's, paired over the same prompts"},
		{"auc_soft_delta", "Δ exp.", Percent, Higher, true, "expected AUC relative to the baseline's"},
		{"auc_heldout", "held-out", Fraction, Higher, true, "expected AUC on tasks that no training prompt showed"},
		{"auc_ceiling", "ceiling", Fraction, Neither, true, "AUC of the best prediction that the prompts allow"},
		{"loss", "val loss", Nats, Lower, true, "validation loss, nats per answer token"},
		{"loss_delta", "Δ loss", Percent, Lower, true, "validation loss relative to the baseline's"},
		{"agreement", "top-1 agree", Fraction, Higher, true, "share of answer tokens whose argmax equals the teacher's"},
		{"ttft_cold_p50", "TTFT cold P50", Seconds, Lower, false, "time to first token of a member's first prompt, nothing cached"},
		{"ttft_cold_p99", "cold P99", Seconds, Lower, false, "99th percentile of the same"},
		{"ttft_hot_p50", "TTFT hot P50", Seconds, Lower, false, "time to first token of a prompt whose member prefix is cached"},
		{"ttft_hot_p99", "hot P99", Seconds, Lower, false, "99th percentile of the same"},
		{"tokens_per_s", "tok/s", Rate, Higher, false, "prompt and output tokens per second, cached tokens included"},
		{"cached", "cached", Fraction, Higher, true, "share of prompt tokens served from the prefix cache"},
		{"paper", "paper", Percent, Neither, true, "the paper's figure for this row"},
		{"train_tokens_per_s", "train tok/s", Rate, Higher, false, "training tokens per second"},
	}
}

// MetricByKey finds a metric; ok is false for an unknown key.
func MetricByKey(key string) (m Metric, ok bool) {
	for _, m := range Metrics() {
		if m.Key == key {
			return m, true
		}
	}
	return Metric{}, false
}
