package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"slimlab/serve"
)

// metrics are vLLM's, by its names and buckets, so that its dashboards show this server too.
type metrics struct {
	handler http.Handler

	ttft, between, endToEnd            prometheus.Observer
	waiting, prefill, decode, computed prometheus.Observer // times of a request
	perToken                           prometheus.Observer
	prompt, generated                  prometheus.Observer // tokens of a request
	choices, most                      prometheus.Observer // parameters of a request
	finished                           *prometheus.CounterVec
}

// Buckets of vLLM.
var (
	ttftBuckets    = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	tokenBuckets   = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	requestBuckets = []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	choiceBuckets  = []float64{1, 2, 5, 10, 20}
)

// countBuckets are 1, 2, 5, 10, 20 … up to most.
func countBuckets(most int) (buckets []float64) {
	for scale := 1; ; scale *= 10 {
		for _, m := range []int{1, 2, 5} {
			if m*scale > most {
				return buckets
			}
			buckets = append(buckets, float64(m*scale))
		}
	}
}

func newMetrics(m Model, positions int) *metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newEngineCollector(m))
	labels := prometheus.Labels{"model_name": m.Name}
	histogram := func(name, help string, buckets []float64) prometheus.Observer {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vllm:" + name, Help: help, ConstLabels: labels, Buckets: buckets})
		registry.MustRegister(h)
		return h
	}
	lengths := countBuckets(positions)
	out := &metrics{
		handler:   promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		ttft:      histogram("time_to_first_token_seconds", "Time from the arrival of a request to its first token.", ttftBuckets),
		between:   histogram("inter_token_latency_seconds", "Time between two tokens of an answer.", tokenBuckets),
		perToken:  histogram("request_time_per_output_token_seconds", "Mean time of an answer's tokens after the first.", tokenBuckets),
		endToEnd:  histogram("e2e_request_latency_seconds", "Time from the arrival of a request to the end of an answer.", requestBuckets),
		waiting:   histogram("request_queue_time_seconds", "Time in the queue.", requestBuckets),
		prefill:   histogram("request_prefill_time_seconds", "Time from the queue to the first token.", requestBuckets),
		decode:    histogram("request_decode_time_seconds", "Time from the first token to the last.", requestBuckets),
		computed:  histogram("request_inference_time_seconds", "Time from the queue to the last token.", requestBuckets),
		prompt:    histogram("request_prompt_tokens", "Tokens of a prompt.", lengths),
		generated: histogram("request_generation_tokens", "Tokens of an answer.", lengths),
		choices:   histogram("request_params_n", "The parameter n.", choiceBuckets),
		most:      histogram("request_params_max_tokens", "The parameter max_tokens.", lengths),
		finished:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vllm:request_success_total", Help: "Answers that ended, by why.", ConstLabels: labels}, []string{"finished_reason"}),
	}
	registry.MustRegister(out.finished)
	return out
}

// asked counts what a request asks for.
func (m *metrics) asked(n int, asks []*ask) {
	m.choices.Observe(float64(n))
	m.most.Observe(float64(asks[0].request.MaxTokens))
}

// token counts a token that came at a time, after the one before or as the first.
func (m *metrics) token(arrival, before, now time.Time) {
	if before.IsZero() {
		m.ttft.Observe(now.Sub(arrival).Seconds())
		return
	}
	m.between.Observe(now.Sub(before).Seconds())
}

// ended counts an answer.
func (m *metrics) ended(arrival time.Time, r *serve.Result) {
	m.finished.WithLabelValues(string(r.Finish)).Inc()
	m.prompt.Observe(float64(r.Prompt))
	m.generated.Observe(float64(len(r.Tokens)))
	m.endToEnd.Observe(time.Since(arrival).Seconds())
	if r.Scheduled.IsZero() {
		return
	}
	m.waiting.Observe(r.Scheduled.Sub(r.Submitted).Seconds())
	m.computed.Observe(r.End.Sub(r.Scheduled).Seconds())
	if r.FirstToken.IsZero() {
		return
	}
	m.prefill.Observe(r.FirstToken.Sub(r.Scheduled).Seconds())
	m.decode.Observe(r.End.Sub(r.FirstToken).Seconds())
	if len(r.Tokens) > 1 {
		m.perToken.Observe(r.TPOT().Seconds())
	}
}

// engineCollector asks the engine for its counters when they are collected.
type engineCollector struct {
	model    Model
	figures  []figure
	accepted *prometheus.Desc // tokens of drafts that were right, by their place in the draft
}

// figure is one of the engine's counters, or a state of it.
type figure struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(serve.Stats) float64
}

func newEngineCollector(m Model) *engineCollector {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("vllm:"+name, help, labels, prometheus.Labels{"model_name": m.Name})
	}
	c := &engineCollector{model: m, accepted: describe("spec_decode_num_accepted_tokens_per_pos_total", "Tokens of drafts that were right, by their place in the draft.", "position")}
	add := func(name, help string, kind prometheus.ValueType, value func(serve.Stats) float64) {
		c.figures = append(c.figures, figure{describe(name, help), kind, value})
	}
	count, gauge := prometheus.CounterValue, prometheus.GaugeValue
	pages := float64(m.Shape.Pages)
	add("num_requests_running", "Requests that run.", gauge, func(s serve.Stats) float64 { return float64(s.Running) })
	add("num_requests_waiting", "Requests in the queue.", gauge, func(s serve.Stats) float64 { return float64(s.Waiting) })
	add("kv_cache_usage_perc", "Share of the KV cache that running requests hold: 1 is all.", gauge, func(s serve.Stats) float64 {
		return (pages - float64(s.FreePages+s.TreePages)) / pages
	})
	add("prefix_cache_queries_total", "Prompt tokens that were looked up in the prefix cache.", count, func(s serve.Stats) float64 { return float64(s.PromptTokens) })
	add("prefix_cache_hits_total", "Prompt tokens that the prefix cache had.", count, func(s serve.Stats) float64 { return float64(s.CachedTokens) })
	add("recalled_prompts_total", "Prompts whose next token was chosen by logits that were kept.", count, func(s serve.Stats) float64 { return float64(s.Recalled) })
	add("prompt_tokens_total", "Tokens of prompts.", count, func(s serve.Stats) float64 { return float64(s.PromptTokens) })
	add("generation_tokens_total", "Tokens of answers.", count, func(s serve.Stats) float64 { return float64(s.GeneratedTokens) })
	add("num_preemptions_total", "Requests that gave their pages back and waited again.", count, func(s serve.Stats) float64 { return float64(s.Retractions) })
	add("spec_decode_num_drafts_total", "Drafts that were checked.", count, func(s serve.Stats) float64 { return float64(s.Drafts) })
	add("spec_decode_num_draft_tokens_total", "Tokens of drafts.", count, func(s serve.Stats) float64 { return float64(s.Drafted) })
	add("spec_decode_num_accepted_tokens_total", "Tokens of drafts that were right.", count, func(s serve.Stats) float64 {
		right := 0
		for _, n := range s.Accepted {
			right += n
		}
		return float64(right)
	})
	return c
}

func (c *engineCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		out <- f.description
	}
	out <- c.accepted
}

func (c *engineCollector) Collect(out chan<- prometheus.Metric) {
	stats, err := c.model.Engine.Stats()
	for _, f := range c.figures {
		if err != nil {
			out <- prometheus.NewInvalidMetric(f.description, err)
			continue
		}
		out <- prometheus.MustNewConstMetric(f.description, f.kind, f.value(stats))
	}
	for at, n := range stats.Accepted[:stats.DraftTokens] {
		out <- prometheus.MustNewConstMetric(c.accepted, prometheus.CounterValue, float64(n), strconv.Itoa(at))
	}
}
