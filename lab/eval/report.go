package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"slimlab/lab/stat"
	"slimlab/lab/task"
)

// Report is all that was measured.
type Report struct {
	// "slimlab.eval/2"; a change that could break a reader changes it
	Version  string      `json:"version"`
	Models   []ModelInfo `json:"models"` // what the other is compared with comes first
	Settings Settings    `json:"settings"`
	Results  []Result    `json:"results"`
	// of answers, from the first model to the second
	Changes []Change `json:"changes,omitempty"`
	Texts   []Text   `json:"generations,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what a reader must know of the figures
}

const schema = "slimlab.eval/2"

// ModelInfo tells of a model.
type ModelInfo struct {
	Name       string   `json:"name"`
	Parameters int      `json:"parameters"`
	Stored     int64    `json:"bytes_stored"` // of the tensors in its files
	Memory     int64    `json:"bytes_memory"` // of the weights as they were multiplied
	Formats    []string `json:"formats"`      // of the weights as they were multiplied
	Cache      string   `json:"cache"`        // of keys and values
	BOS        string   `json:"bos,omitempty"`
	AddsBOS    bool     `json:"adds_bos"` // BOS stood before every text
	Prefix     string   `json:"prefix,omitempty"`
}

// Settings are the options that figures depend on.
type Settings struct {
	Window     int    `json:"window"`
	Stride     int    `json:"stride"`
	Perplexity string `json:"perplexity"`
	BOS        string `json:"bos"`
	Cue        string `json:"cue"`
	Limit      int    `json:"limit,omitempty"`
	Block      int    `json:"interval_block"` // tokens of a run that is resampled as a whole
	Resamples  int    `json:"interval_resamples"`
}

// Result is one metric of one file.
type Result struct {
	File       string     `json:"file"`
	Size       string     `json:"size"` // of the file in words
	Metric     string     `json:"metric"`
	Definition string     `json:"definition"` // the formula
	Method     string     `json:"method"`     // what it is taken over
	Better     string     `json:"better"`     // "higher" or "lower"
	Values     []Estimate `json:"values"`     // of the models
	// the second model's less the first's, paired
	Difference *Estimate `json:"difference,omitempty"`
	P          *float64  `json:"p,omitempty"` // of no difference: McNemar's exact test
}

// Estimate is a value with its 95% interval, where there is one.
type Estimate struct {
	Value         float64  `json:"value"`
	Low           *float64 `json:"low,omitempty"`
	High          *float64 `json:"high,omitempty"`
	StandardError *float64 `json:"stderr,omitempty"` // of a share: √(p(1−p)/(n−1))
	N             int      `json:"n"`                // questions or tokens
	Warning       string   `json:"warning,omitempty"`
}

// Change counts how the answers to a file's questions changed.
type Change struct {
	File      string `json:"file"`
	Metric    string `json:"metric"`
	Questions int    `json:"questions"`
	Changed   int    `json:"changed"`
	Lost      int    `json:"right_to_wrong"`
	Gained    int    `json:"wrong_to_right"`
}

// Text is a prompt and its continuation.
type Text struct {
	Model  string  `json:"model"`
	Tokens []int32 `json:"tokens"`
	Prompt int     `json:"prompt_tokens"` // of Tokens
	Text   string  `json:"text"`
	// Same counts the tokens up to the first at which the model's text leaves the first model's.
	Same int `json:"same_tokens"`
}

const (
	blockTokens = 64   // tokens next to each other depend on each other: runs of them are resampled
	resamples   = 2000 // behind an interval
)

func newModelInfo(name string, m *Model, begin task.Beginning) ModelInfo {
	info := ModelInfo{
		Name: name, Parameters: m.Config.Parameters(), Stored: m.Stored, Memory: m.Bytes(), Cache: m.Cache.String(),
		BOS: m.Tokenizer.Token(m.Tokenizer.BOS()), AddsBOS: begin.BOS >= 0, Prefix: m.Tokenizer.Token(begin.Prefix),
	}
	add := func(format string) {
		if !slices.Contains(info.Formats, format) {
			info.Formats = append(info.Formats, format)
		}
	}
	for _, l := range m.Linears() {
		add(l.Weight.Format())
	}
	add(m.Head.Format())
	return info
}

// report turns what was measured into figures.
func (e *evaluation) report() (*Report, error) {
	o := e.options
	r := &Report{Version: o.Version, Settings: Settings{
		Window: o.Window, Stride: o.Stride, Perplexity: o.Perplexity, BOS: o.BOS, Cue: o.Cue, Limit: o.Limit, Block: blockTokens, Resamples: resamples,
	}}
	for _, m := range e.measured {
		r.Models = append(r.Models, m.info)
	}
	for i := range e.texts {
		if err := e.text(r, i); err != nil {
			return nil, fmt.Errorf("%s: %w", e.texts[i].Path, err)
		}
	}
	for i := range e.choices {
		e.choice(r, i)
	}
	if o.Tokens > 0 {
		first := e.measured[0].generation.Tokens
		for _, m := range e.measured {
			same := 0
			g := m.generation
			for same < min(len(first), len(g.Tokens)) && first[same] == g.Tokens[same] {
				same++
			}
			r.Texts = append(r.Texts, Text{Model: m.info.Name, Tokens: g.Tokens, Prompt: g.Prompt, Text: g.Text, Same: same})
		}
	}
	return r, nil
}

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

// text adds the perplexities of a text.
func (e *evaluation) text(r *Report, index int) error {
	t, o := e.texts[index], e.options
	rolling := func(m *measured) []float32 { return m.texts[index].Rolling }
	base2 := func(mean float64) float64 { return mean / math.Ln2 }
	how := fmt.Sprintf("over the rolling windows of lm-evaluation-harness: %d tokens, every token predicted once, the first after %s, the file as one document", o.Window, e.measured[0].info.Prefix)
	metrics := []textMetric{
		{"token perplexity", "exp(−Σ log P ÷ tokens)", e.tokenMethod(), func(m *measured) []float32 { return m.texts[index].Token }, func(n int) int { return n }, math.Exp},
		{"word perplexity", `exp(−Σ log P ÷ words), words as a split at \s+ counts them`, how, rolling, func(int) int { return t.Words }, math.Exp},
		{"byte perplexity", "exp(−Σ log P ÷ bytes)", how, rolling, func(int) int { return t.Bytes }, math.Exp},
		{"bits per byte", "−Σ log₂ P ÷ bytes", how, rolling, func(int) int { return t.Bytes }, base2},
	}
	last := e.measured[len(e.measured)-1]
	paired := slices.Equal(e.measured[0].texts[index].Tokens, last.texts[index].Tokens)
	size := fmt.Sprintf("%d bytes, %d words, %d tokens", t.Bytes, t.Words, len(e.measured[0].texts[index].Rolling))
	if !paired {
		size += fmt.Sprintf(" (%d of the other model)", len(last.texts[index].Rolling))
		r.Notes = append(r.Notes, fmt.Sprintf("%s: the models' tokens differ: token perplexities are not comparable, and differences by word and byte have no interval", t.Path))
	}
	if predicted, all := len(e.measured[0].texts[index].Token), len(e.measured[0].texts[index].Rolling); predicted != all {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: its token perplexity is of %d predictions, the other figures are of all %d tokens", short(t.Path), predicted, all))
	}
	for _, metric := range metrics {
		result := Result{File: t.Path, Size: size, Metric: metric.name, Definition: metric.definition, Method: metric.method, Better: "lower"}
		var samples [][]float32
		for _, m := range e.measured {
			samples = append(samples, metric.of(m))
		}
		intervals := metric.intervals(samples, paired)
		for i := range intervals {
			if intervals[i].Warning != "" {
				intervals[i].Warning = fmt.Sprintf("the interval is from only %d runs of %d tokens", intervals[i].N, blockTokens)
			}
		}
		for i, one := range intervals[:len(samples)] {
			if math.IsNaN(one.Value) || math.IsInf(one.Value, 0) {
				return fmt.Errorf("the %s of %s is %v, expected a number", metric.name, e.measured[i].info.Name, one.Value)
			}
			result.Values = append(result.Values, newEstimate(one, len(samples[i])))
		}
		switch {
		case len(samples) < 2:
		case paired:
			d := newEstimate(intervals[2], len(samples[0]))
			result.Difference = &d
		case metric.name != "token perplexity":
			result.Difference = &Estimate{Value: result.Values[1].Value - result.Values[0].Value, N: len(samples[1]), Warning: "not paired"}
		}
		r.Results = append(r.Results, result)
	}
	return nil
}

// tokenMethod tells what the token perplexity is taken over.
func (e *evaluation) tokenMethod() string {
	o, begin := e.options, "without a BOS"
	if first := e.measured[0].info; first.AddsBOS {
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

// choice adds the accuracies of a file of questions.
func (e *evaluation) choice(r *Report, index int) {
	c, path := e.choices[index], e.choices[index].Path
	n := len(c.Questions)
	method := fmt.Sprintf("each the share of questions whose right choice has the largest score, of equal ones the first; %q and a space stand before a choice", e.options.Cue)
	for _, metric := range []struct {
		name, definition string
		of               func(task.Answer) int
	}{
		{"acc", "score Σ log P of the choice's tokens after the question", func(a task.Answer) int { return a.Plain }},
		{"acc_norm", "that ÷ the choice's characters", func(a task.Answer) int { return a.Characters }},
		{"acc_bytes", "that ÷ the choice's bytes", func(a task.Answer) int { return a.Bytes }},
	} {
		result := Result{File: path, Size: fmt.Sprintf("%d questions", n), Metric: metric.name, Definition: metric.definition, Method: method, Better: "higher"}
		hits := make([][]bool, len(e.measured))
		for i, m := range e.measured {
			held, values := 0, make([]float64, n)
			for q, a := range m.choices[index].Answers {
				hit := metric.of(a) == c.Questions[q].Gold
				hits[i] = append(hits[i], hit)
				if hit {
					held++
					values[q] = 1
				}
			}
			value := newEstimate(stat.Wilson(held, n), n)
			if deviation := stat.Deviation(values); n > 1 {
				value.StandardError = pointer(deviation / math.Sqrt(float64(n)))
			}
			result.Values = append(result.Values, value)
		}
		if len(hits) == 2 {
			lost, gained, p := stat.McNemar(hits[0], hits[1])
			difference := newEstimate(stat.PairedShares(lost, gained, n), n)
			result.Difference, result.P = &difference, &p
			change := Change{File: path, Metric: metric.name, Questions: n, Lost: lost, Gained: gained}
			for q, before := range e.measured[0].choices[index].Answers {
				if metric.of(before) != metric.of(e.measured[1].choices[index].Answers[q]) {
					change.Changed++
				}
			}
			r.Changes = append(r.Changes, change)
		}
		r.Results = append(r.Results, result)
	}
	for _, m := range e.measured {
		if cut := m.choices[index].Cut; cut > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: %d of %d questions are longer than the positions of %s and lost their beginning", path, cut, n, m.info.Name))
		}
	}
}

// newEstimate is an interval over n questions or tokens.
func newEstimate(i stat.Interval, n int) Estimate {
	e := Estimate{Value: i.Value, N: n, Warning: i.Warning}
	if !math.IsNaN(i.Low) && !math.IsInf(i.Low, 0) && !math.IsNaN(i.High) && !math.IsInf(i.High, 0) {
		e.Low, e.High = &i.Low, &i.High
	}
	return e
}

func pointer(x float64) *float64 { return &x }

// short is a file's name without its folder, for a table.
func short(path string) string { return filepath.Base(path) }
