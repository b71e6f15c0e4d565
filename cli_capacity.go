package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/loadreport"
	"slimlab/lab/loadtest"
	"slimlab/lab/report"
)

func (p *program) capacityCommand() *cobra.Command {
	var f benchFlags
	var slo, format string
	seeds := 3
	cmd := &cobra.Command{
		Use:   "capacity TARGET...",
		Short: "find the largest rate at which an engine, a server or simulated devices keep latencies",
		Long: "capacity searches for the largest rate of arrivals at which percentiles of latencies stay within --slo, none of the requests fails and no queue grows, by doubling and\n" +
			"then bisection until two rates are within 1%. TARGETs and workloads are those of bench-serve; the rate begins at --rate. Of several seeds it tells the mean and the range.\n" +
			"On simulated devices it tells what they draw, and what they cost where the device file has a price.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, targets []string) error {
			return p.capacity(cmd, targets, &f, slo, format, seeds)
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&slo, "slo", "", "what has to be kept, such as ttft:p99:500ms,tpot:p50:20ms")
	flags.IntVar(&seeds, "seeds", seeds, "seeds from --seed on, each of which has a search")
	flags.StringVar(&format, "format", "table", "output format: table, json")
	for _, name := range []string{"export", "goodput", "definitions"} {
		if err := flags.MarkHidden(name); err != nil {
			panic("main: " + err.Error()) // it has just been added
		}
	}
	return cmd
}

// found is the capacity of one target.
type found struct {
	Target string  `json:"target"`
	Rate   float64 `json:"arrivals_per_second"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Never says what a request alone does not keep; the rates are 0 then.
	Never string `json:"never,omitempty"`
	// At that rate, of the first seed:
	Requests float64    `json:"requests_per_second"`
	Tokens   float64    `json:"tokens_per_second"`
	TTFT50   lab.Number `json:"ttft_p50"`
	TTFT99   lab.Number `json:"ttft_p99"`
	TPOT50   lab.Number `json:"tpot_p50"`
	// Of simulated devices at that rate; absent where they are unknown:
	Busy     *float64         `json:"busy,omitempty"`
	Joules   *float64         `json:"joules_per_request,omitempty"`
	Million  *float64         `json:"cost_per_million_tokens,omitempty"`
	Thousand *float64         `json:"cost_per_thousand_requests,omitempty"`
	Probes   []loadtest.Probe `json:"probes"`
}

func (p *program) capacity(cmd *cobra.Command, targets []string, f *benchFlags, slo, format string, seeds int) error {
	for _, name := range []string{"export", "goodput", "definitions"} {
		if cmd.Flags().Changed(name) {
			return usage(fmt.Errorf("--%s belongs to bench-serve", name))
		}
	}
	if err := nearest.Check("--format", format, formats); err != nil {
		return usage(err)
	}
	if slo == "" {
		return usage(errors.New("--slo: found none, expected what has to be kept, such as ttft:p99:500ms"))
	}
	bounds, err := loadtest.ParseBounds(slo)
	if err != nil {
		return usage(fmt.Errorf("--slo: %w", err))
	}
	if seeds < 1 || seeds > 1000 {
		return usage(fmt.Errorf("--seeds %d: expected 1 to 1000", seeds))
	}
	for _, target := range targets {
		if err := f.check(cmd, target); err != nil {
			return usage(err)
		}
	}
	if f.Process == loadtest.Closed || f.Process == loadtest.AtOnce || f.Process == loadtest.Ramp || f.Kind == loadtest.Mooncake || f.Kind == loadtest.Azure {
		return usage(errors.New("--arrivals closed, at-once and ramp, and traces, have no rate that could be searched for: expected fixed, poisson or gamma"))
	}
	texts := make([]string, len(bounds))
	for i, b := range bounds {
		texts[i] = b.String()
	}
	var list []found
	var failed error // of a target, behind which no other is looked at; those before it are reported
	for _, target := range targets {
		one, err := p.capacityOf(cmd, target, *f, bounds, seeds)
		if err != nil {
			failed = usage(fmt.Errorf("%s: %w", target, err))
			if cmd.Context().Err() != nil {
				failed = broke(err)
			}
			break
		}
		list = append(list, one)
	}
	if failed != nil && len(list) == 0 {
		return failed
	}
	return errors.Join(product{
		schema: "slimlab.capacity/1", document: struct {
			Bounds []string `json:"slo"`
			Found  []found  `json:"capacity"`
		}{texts, list},
		text: func() string { return capacityText(texts, list) },
	}.write(p.stdout, format), failed)
}

func (p *program) capacityOf(cmd *cobra.Command, target string, f benchFlags, bounds []loadtest.Bound, seeds int) (found, error) {
	place, err := p.place(cmd, target, &f)
	if err != nil {
		return found{}, err
	}
	defer place.Close()
	for _, note := range place.Notes {
		fmt.Fprintf(p.stderr, "%s: %s\n", target, note)
	}
	list := make([]uint64, seeds)
	for i := range list {
		list[i] = f.Seed + uint64(i)
	}
	var results []*loadtest.Result
	run := func(ctx context.Context, rate float64, seed uint64) (*loadreport.Summary, error) {
		t := f.Test
		t.Rate, t.Seed = rate, seed
		run, result, err := place.Run(ctx, t, nil)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
		return loadreport.Summarize(run), nil
	}
	var kept *loadtest.Result // of the first seed, at the last rate that was kept
	c, err := loadtest.FindCapacity(cmd.Context(), f.Rate, f.Together(), list, bounds, run, func(probe loadtest.Probe) {
		says := "kept"
		if probe.Broken != "" {
			says = "not kept: " + probe.Broken
		} else if probe.Seed == f.Seed {
			kept = results[len(results)-1]
		}
		results = results[:0]
		fmt.Fprintf(p.stderr, "%s: seed %d, %.4g arrivals a second: %s\n", target, probe.Seed, probe.Rate, says)
	})
	if err != nil {
		return found{}, err
	}
	if c.Never != "" {
		return found{Target: target, Never: c.Never, Probes: c.Probes}, nil
	}
	at := c.At[0]
	one := found{
		Target: target, Rate: c.Rate, Low: c.Low, High: c.High, Probes: c.Probes,
		Requests: at.Figure(loadreport.RequestRate), Tokens: at.Figure(loadreport.TotalRate),
		TTFT50: lab.Number(at.Latency(loadreport.TTFT).At(50)), TTFT99: lab.Number(at.Latency(loadreport.TTFT).At(99)), TPOT50: lab.Number(at.Latency(loadreport.TPOT).At(50)),
	}
	if kept != nil {
		measures := kept.Measures()
		figure := func(key string) *float64 {
			if m, ok := measures[key]; ok {
				return &m.Value
			}
			return nil
		}
		one.Busy, one.Joules, one.Million, one.Thousand = figure("sim_busy"), figure("sim_joules"), figure("sim_cost_per_mtok"), figure("sim_cost_per_1000")
	}
	return one, nil
}

// capacityText is the table of capacities.
func capacityText(bounds []string, list []found) string {
	t := texttable.New(0, "target", "arrivals/s", "range", "req/s", "tok/s", "TTFT P50", "TTFT P99", "TPOT P50", "busy", "J/req", "cost/Mtok", "cost/1000 req")
	number := func(x *float64) string {
		if x == nil {
			return "–"
		}
		return strconv.FormatFloat(*x, 'g', 3, 64)
	}
	seconds := func(x lab.Number) string {
		if float64(x) != float64(x) {
			return "–"
		}
		return report.Format(lab.Seconds, float64(x))
	}
	var never []string
	for _, one := range list {
		if one.Never != "" {
			t.Add(one.Target, "0", "–", "–", "–", "–", "–", "–", "–", "–", "–", "–")
			never = append(never, fmt.Sprintf("%s: a request alone does not keep it: %s\n", one.Target, one.Never))
			continue
		}
		t.Add(one.Target, fmt.Sprintf("%.4g", one.Rate), fmt.Sprintf("%.4g–%.4g", one.Low, one.High), report.Format(lab.Rate, one.Requests), report.Format(lab.Rate, one.Tokens),
			seconds(one.TTFT50), seconds(one.TTFT99), seconds(one.TPOT50), number(one.Busy), number(one.Joules), number(one.Million), number(one.Thousand))
	}
	return "largest rate at which " + strings.Join(bounds, ", ") + " is kept, mean and range of the seeds\n\n" + t.Text() + strings.Join(never, "")
}
