package loadreport

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"slimlab/serve/load"
)

// JSON writes a summary as one object with the keys of vLLM's benchmark, for programs that read
// those, and definitions beside them: latencies here count from the scheduled time. With detailed
// it has lists with a value of each request too, in the order of the requests; null stands in them
// for what a request that was not answered does not have.
func JSON(w io.Writer, s *Summary, detailed bool, at time.Time) error {
	out := map[string]any{
		"schema": "slimlab.load/1", "date": at.UTC().Format("20060102-150405"),
		"endpoint_type": s.Target, "label": s.Title, "workload": s.Workload, "arrivals": s.Arrivals, "simulated": s.Simulated,
		"num_prompts": s.Requests, "completed": s.Answered, "failed": s.Failed, "dropped": s.Dropped,
		"total_input_tokens": s.Input, "total_output_tokens": s.Output, "total_cached_tokens": s.Cached,
		"max_concurrent_requests": int(s.Figure(PeakConcurrency)), "max_output_tokens_per_s": number(s.Figure(PeakOutputRate)),
		"warnings": orEmpty(s.Warnings), "errors_by_text": orEmpty(s.Errors), "notes": orEmpty(s.Notes),
	}
	if s.Rate > 0 {
		out["request_rate"] = number(s.Rate)
	} else {
		out["request_rate"] = "inf"
	}
	if s.Closed {
		out["closed_loop"] = true
	}
	for _, f := range s.Figures {
		out[f.ID] = number(f.Value)
	}
	for i := range s.Latencies {
		l := &s.Latencies[i]
		put := func(of string, value float64) { out[of+"_"+l.ID+"_ms"] = number(1000 * value) }
		if l.N == 0 {
			continue
		}
		put("mean", l.Mean)
		put("median", l.At(50))
		put("std", l.Deviation)
		intervals := map[string]any{}
		for _, p := range l.Percentiles {
			name := fmt.Sprintf("p%.0f", p.P)
			put(name, p.Value)
			one := map[string]any{"low": number(1000 * p.Low), "high": number(1000 * p.High)}
			if p.Warning != "" {
				one["warning"] = p.Warning
			}
			intervals[name] = one
		}
		if l.WithoutInterval != "" {
			intervals["left_out"] = l.WithoutInterval
		}
		out["intervals_"+l.ID+"_ms"] = intervals
		out["samples_"+l.ID] = l.N
	}
	meanings := map[string]Definition{}
	for _, d := range s.definitions() {
		meanings[d.ID] = d
	}
	out["definitions"] = meanings
	if detailed {
		s.detail(out)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// detail adds the lists of each request, as --save-detailed does.
func (s *Summary) detail(out map[string]any) {
	n := len(s.Records)
	inputs, outputs, starts := make([]int, n), make([]int, n), make([]float64, n)
	ttfts, e2es, itls, errors := make([]any, n), make([]any, n), make([][]float64, n), make([]string, n)
	for i := range s.Records {
		r := &s.Records[i]
		itls[i] = []float64{}
		starts[i] = r.Scheduled.Seconds()
		switch {
		case r.Dropped:
			errors[i] = "dropped"
			continue
		case r.Err != nil:
			errors[i] = r.Err.Error()
			continue
		}
		inputs[i], outputs[i] = r.Prompt, r.Tokens
		ttfts[i], e2es[i] = (r.First - r.Scheduled).Seconds(), (r.End - r.Scheduled).Seconds()
		for k := 1; k < len(r.Chunks); k++ {
			itls[i] = append(itls[i], (r.Chunks[k] - r.Chunks[k-1]).Seconds())
		}
	}
	out["input_lens"], out["output_lens"], out["start_times"] = inputs, outputs, starts
	out["ttfts"], out["e2els"], out["itls"], out["errors"] = ttfts, e2es, itls, errors
}

// number is null where JSON has no number for it.
func number(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// line is what became of one request. Times are seconds from the start of the run.
type line struct {
	Number    int       `json:"request"`
	Arrival   int       `json:"arrival"`
	Turn      int       `json:"turn"`
	Scheduled float64   `json:"scheduled"`
	Sent      *float64  `json:"sent,omitempty"`
	FirstByte *float64  `json:"first_byte,omitempty"`
	First     *float64  `json:"first_token,omitempty"`
	Chunks    []float64 `json:"tokens_at,omitempty"`
	End       *float64  `json:"end,omitempty"`
	Prompt    *int      `json:"prompt_tokens,omitempty"`
	Cached    *int      `json:"cached_tokens,omitempty"`
	Output    *int      `json:"output_tokens,omitempty"`
	Estimated bool      `json:"estimated,omitempty"`
	Resent    bool      `json:"resent,omitempty"`
	Error     string    `json:"error,omitempty"`
	Dropped   bool      `json:"dropped,omitempty"`
}

// Requests writes what became of each request, one JSON object a line.
func Requests(w io.Writer, records []load.Record) error {
	out := bufio.NewWriter(w)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	at := func(t time.Duration) *float64 {
		s := t.Seconds()
		return &s
	}
	for i := range records {
		r := &records[i]
		l := line{Number: i, Arrival: r.Arrival, Turn: r.Turn, Scheduled: r.Scheduled.Seconds(), Dropped: r.Dropped}
		if !r.Dropped {
			l.Sent, l.End = at(r.Sent), at(r.End)
		}
		switch {
		case r.Err != nil:
			l.Error = r.Err.Error()
		case !r.Dropped:
			if r.FirstByte > 0 {
				l.FirstByte = at(r.FirstByte)
			}
			l.First, l.Prompt, l.Cached, l.Output, l.Estimated, l.Resent = at(r.First), &r.Prompt, &r.Cached, &r.Tokens, r.Estimated, r.Resent
			for _, t := range r.Chunks {
				l.Chunks = append(l.Chunks, t.Seconds())
			}
		}
		if err := e.Encode(l); err != nil {
			return err
		}
	}
	return out.Flush()
}
