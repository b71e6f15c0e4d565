package eval

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/lab/stat"
	"slimlab/lab/task"
	"slimlab/model"
)

// Evaluation is all that was measured.
type Evaluation struct {
	Version  string      `json:"version"`
	Models   []ModelInfo `json:"models"` // the baseline first
	Settings Settings    `json:"settings"`
	Results  []Figure    `json:"results"`
	// of answers, from the first model to the second
	Changes []AnswerChange `json:"changes,omitempty"`
	// how the second model decides beside the first, by file
	Behaviour     []Behaviour    `json:"behaviour,omitempty"`
	Continuations []Continuation `json:"generations,omitempty"`
	Notes         []string       `json:"notes,omitempty"` // what a reader must know of the figures
}

// schema names the form of an Evaluation as JSON. A change that could break a reader changes it.
const schema = "slimlab.eval/2"

// ModelInfo describes a model.
type ModelInfo struct {
	Name       string   `json:"name"`
	Parameters int      `json:"parameters"`
	Stored     int64    `json:"bytes_stored"` // of the tensors in its files
	Memory     int64    `json:"bytes_memory"` // of the weights as they were multiplied
	Formats    []string `json:"formats"`      // of the weights as they were multiplied
	Cache      string   `json:"cache"`        // of keys and values
	CacheBytes int64    `json:"cache_bytes_per_token,omitempty"`
	BOS        string   `json:"bos,omitempty"`
	AddsBOS    bool     `json:"adds_bos"` // a BOS was before every text
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

// Figure is one metric of one file.
type Figure struct {
	File       string `json:"file"`
	Size       string `json:"size"` // of the file in words
	Metric     string `json:"metric"`
	Definition string `json:"definition"` // the formula
	Method     string `json:"method"`     // what it is taken over
	Better     string `json:"better"`     // "higher" or "lower"
	// Guess is the accuracy of a guess: the mean of 1 ÷ choices.
	Guess  float64    `json:"guess,omitempty"`
	Values []Estimate `json:"values"` // of the models
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
	// AtChance says that the interval of an accuracy includes that of a guess.
	AtChance bool `json:"at_chance,omitempty"`
}

// AnswerChange counts how the answers to a file's questions changed.
type AnswerChange struct {
	File      string `json:"file"`
	Metric    string `json:"metric"`
	Questions int    `json:"questions"`
	Changed   int    `json:"changed"`
	Lost      int    `json:"right_to_wrong"`
	Gained    int    `json:"wrong_to_right"`
}

// Continuation is a prompt and how a model continues it.
type Continuation struct {
	Model  string  `json:"model"`
	Tokens []int32 `json:"tokens"`
	Prompt int     `json:"prompt_tokens"` // of Tokens
	Text   string  `json:"text"`
	// Same counts the tokens up to the first at which the model's text leaves the first model's.
	Same int `json:"same_tokens"`
}

func newModelInfo(name string, m *Model, begin task.Beginning) ModelInfo {
	info := ModelInfo{
		Name: name, Parameters: m.Config.Parameters(), Stored: m.Stored, Memory: m.Bytes(), Cache: m.Cache.String(), CacheBytes: model.PositionBytes(m.Config, m.Cache),
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

// evaluation turns what was measured into figures.
func (r *run) evaluation(ctx context.Context) (*Evaluation, error) {
	o := r.options
	out := &Evaluation{Version: o.Version, Settings: Settings{
		Window: o.Window, Stride: o.Stride, Perplexity: o.Perplexity, BOS: o.BOS, Cue: o.Cue, Limit: o.Limit, Block: blockTokens, Resamples: resamples,
	}}
	for _, m := range r.measured {
		out.Models = append(out.Models, m.info)
	}
	for i, s := range r.sources {
		notes := slices.Clone(s.Notes)
		if o.Tokens > 0 && len(s.Settings) > 0 {
			notes = append(notes, "generation is greedy; not applied of generation_config.json: "+strings.Join(s.Settings, ", "))
		}
		notes = append(notes, r.measured[i].notes()...)
		for _, note := range notes {
			if len(r.sources) > 1 {
				note = s.Name + ": " + note
			}
			out.Notes = append(out.Notes, note)
		}
	}
	for i, t := range r.texts {
		out.Notes = append(out.Notes, t.Notes...)
		if err := r.addText(ctx, out, i); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Path, err)
		}
		r.addTextBehaviour(out, i)
	}
	for i, c := range r.choices {
		out.Notes = append(out.Notes, c.Notes...)
		r.addChoice(out, i)
		r.addChoiceBehaviour(out, i)
	}
	if o.Tokens > 0 {
		r.addContinuations(out)
	}
	return out, nil
}

// addContinuations adds what the models wrote.
func (r *run) addContinuations(out *Evaluation) {
	first := r.measured[0].generation.Tokens
	for _, m := range r.measured {
		g, same := m.generation, 0
		for same < min(len(first), len(g.Tokens)) && first[same] == g.Tokens[same] {
			same++
		}
		out.Continuations = append(out.Continuations, Continuation{Model: m.info.Name, Tokens: g.Tokens, Prompt: g.Prompt, Text: g.Text, Same: same})
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
