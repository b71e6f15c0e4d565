package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"slimlab/internal/plural"
	"slimlab/lab/stat"
	"slimlab/lab/task"
)

const (
	blockTokens = 64   // tokens next to each other depend on each other: runs of them are resampled
	resamples   = 2000 // behind an interval
)

// rng makes intervals the same in every run.
func rng() *rand.Rand { return rand.New(rand.NewPCG(0x51, 0x1a)) }

// textMetric is a figure of a text: f of the mean −log P over units.
type textMetric struct {
	name, definition, method string
	of                       func(m *measured) []float32
	// what the sum of so many log-probabilities is divided by
	units func(targets int) int
	f     func(mean float64) float64
}

// tokenPerplexity is the metric that two models share only where their tokens are the same.
const tokenPerplexity = "token perplexity"

// textMetrics are the figures of a text.
func (r *run) textMetrics(index int) []textMetric {
	t := r.texts[index]
	token := func(m *measured) []float32 { return m.texts[index].Token }
	rolling := func(m *measured) []float32 { return m.texts[index].Rolling }
	base2 := func(mean float64) float64 { return mean / math.Ln2 }
	method := fmt.Sprintf("over the rolling windows of lm-evaluation-harness: %d tokens, every token predicted once, the first after %s, the file as one document", r.options.Window, r.measured[0].info.Prefix)
	return []textMetric{
		{tokenPerplexity, "exp(−Σ log P ÷ tokens)", r.tokenMethod(), token, func(n int) int { return n }, math.Exp},
		{"word perplexity", `exp(−Σ log P ÷ words), words as a split at \s+ counts them`, method, rolling, func(int) int { return t.Words }, math.Exp},
		{"byte perplexity", "exp(−Σ log P ÷ bytes)", method, rolling, func(int) int { return t.Bytes }, math.Exp},
		{"bits per byte", "−Σ log₂ P ÷ bytes", method, rolling, func(int) int { return t.Bytes }, base2},
	}
}

// addText adds the perplexities of a text.
func (r *run) addText(ctx context.Context, out *Evaluation, index int) error {
	t := r.texts[index]
	first, last := r.measured[0].texts[index], r.measured[len(r.measured)-1].texts[index]
	paired := slices.Equal(first.Tokens, last.Tokens)
	size := fmt.Sprintf("%s, %s, %s", plural.Of(t.Bytes, "byte"), plural.Of(t.Words, "word"), plural.Of(len(first.Rolling), "token"))
	if !paired {
		size += fmt.Sprintf(" (%d of the other model)", len(last.Rolling))
		out.Notes = append(out.Notes, fmt.Sprintf("%s: the models' tokens differ: token perplexities are not comparable, and differences by word and byte have no interval", t.Path))
	}
	if predicted, all := len(first.Token), len(first.Rolling); predicted != all {
		out.Notes = append(out.Notes, fmt.Sprintf("%s: its token perplexity is of %s, the other figures are of all %d tokens", short(t.Path), plural.Of(predicted, "prediction"), all))
	}
	for _, metric := range r.textMetrics(index) {
		if err := ctx.Err(); err != nil {
			return err
		}
		figure, err := r.textFigure(metric, paired)
		if errors.Is(err, errTooLarge) { // the other figures count all the same
			out.Notes = append(out.Notes, fmt.Sprintf("%s: %v, and is left out", short(t.Path), err))
			continue
		}
		if err != nil {
			return err
		}
		figure.File, figure.Size = t.Path, size
		if metric.name == tokenPerplexity {
			out.Notes = append(out.Notes, r.doubts(t.Path, figure)...)
		}
		out.Results = append(out.Results, figure)
	}
	return nil
}

// doubts names the models whose perplexity of a text is that of a guess.
func (r *run) doubts(path string, perplexity Figure) (notes []string) {
	for i, v := range perplexity.Values {
		if doubt := task.Doubt(math.Log(v.Value), r.sources[i].Vocab); doubt != "" {
			notes = append(notes, fmt.Sprintf("%s on %s: %s", r.sources[i].Name, short(path), doubt))
		}
	}
	return notes
}

// errTooLarge is of a figure that is finite and overflows: a perplexity by words of a text with few
// of them.
var errTooLarge = errors.New("larger than a number can be")

// textFigure computes a metric of a text, with intervals; paired says that the models read the same
// tokens.
func (r *run) textFigure(metric textMetric, paired bool) (Figure, error) {
	figure := Figure{Metric: metric.name, Definition: metric.definition, Method: metric.method, Better: "lower"}
	var samples [][]float32
	for _, m := range r.measured {
		samples = append(samples, metric.of(m))
	}
	intervals := metric.intervals(samples, paired)
	for i := range intervals {
		if intervals[i].Warning != "" {
			intervals[i].Warning = fmt.Sprintf("the interval is from only %s of %d tokens", plural.Of(intervals[i].N, "run"), blockTokens)
		}
	}
	for i, one := range intervals[:len(samples)] {
		if math.IsInf(one.Value, 1) {
			return figure, fmt.Errorf("the %s of %s is %w", metric.name, r.measured[i].info.Name, errTooLarge)
		}
		if math.IsNaN(one.Value) || math.IsInf(one.Value, 0) {
			return figure, fmt.Errorf("the %s of %s is %v, expected a number", metric.name, r.measured[i].info.Name, one.Value)
		}
		figure.Values = append(figure.Values, newEstimate(one, len(samples[i])))
	}
	switch {
	case len(samples) < 2:
	case paired:
		d := newEstimate(intervals[2], len(samples[0]))
		figure.Difference = &d
	case metric.name != tokenPerplexity:
		figure.Difference = &Estimate{Value: figure.Values[1].Value - figure.Values[0].Value, N: len(samples[1]), Warning: "not paired"}
	}
	return figure, nil
}

// tokenMethod describes what the token perplexity is taken over.
func (r *run) tokenMethod() string {
	o, begin := r.options, "without a BOS"
	if first := r.measured[0].info; first.AddsBOS {
		begin = first.BOS + " once before the text"
		if o.Perplexity == LlamaCpp {
			begin = first.BOS + " in the place of each window's first token"
		}
	}
	if o.Perplexity == LlamaCpp {
		return fmt.Sprintf("over the windows of llama.cpp's llama-perplexity: %d tokens, the second half of each predicted; %s", o.Window, begin)
	}
	if o.Stride < o.Window {
		return fmt.Sprintf("over windows of %d tokens every %d, the last %d of each predicted; %s", o.Window, o.Stride, min(o.Stride, o.Window-1), begin)
	}
	return fmt.Sprintf("over the windows of GPTQ's paper: %d tokens without overlap, all but the first of each predicted; %s", o.Window, begin)
}

// intervals returns the figure of each sample and, where there are two on the same tokens, the
// difference of the second from the first. They are resampled by runs of tokens.
func (t textMetric) intervals(samples [][]float32, paired bool) []stat.Interval {
	if !paired {
		var out []stat.Interval
		for _, s := range samples {
			out = append(out, t.intervals([][]float32{s}, true)...)
		}
		return out
	}
	n := len(samples[0])
	blocks := (n + blockTokens - 1) / blockTokens
	sums, sizes := make([][]float64, len(samples)), make([]float64, blocks)
	for i, s := range samples {
		sums[i] = make([]float64, blocks)
		for at, v := range s {
			sums[i][at/blockTokens] -= float64(v)
		}
	}
	for at := range n {
		sizes[at/blockTokens]++
	}
	perToken := float64(t.units(n)) / float64(n)
	return stat.Resample(blocks, resamples, rng(), func(count []float64) (figures []float64) {
		var tokens float64
		for b, c := range count {
			tokens += c * sizes[b]
		}
		for _, s := range sums {
			var sum float64
			for b, c := range count {
				sum += c * s[b]
			}
			figures = append(figures, t.f(sum/(tokens*perToken)))
		}
		if len(figures) == 2 {
			figures = append(figures, figures[1]-figures[0])
		}
		return figures
	})
}
