package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/optimize"
	"slimlab/lab/report"
)

// manyFlips is the share of changed decisions from which a model that keeps its figures is another
// one all the same.
const manyFlips = 0.05

// searchResult is what optimize found.
type searchResult struct {
	optimize.Choice
	Sensitivity string   `json:"sensitivity_run"`
	Run         string   `json:"run"`
	Goals       []string `json:"goals"`
	Built       int      `json:"built"`
	Space       string   `json:"space"`
	TimeOver    bool     `json:"time_over"` // --time ended before all candidates were built
	Saved       string   `json:"saved,omitempty"`
	Folder      string   `json:"folder,omitempty"`
	// which engines load what was saved
	Verdicts []convert.Compatibility `json:"verdicts,omitempty"`
	trained  bool                    // the tokenizer is not the model's own
	unsaved  bool                    // a folder was given and no goal
	kv       []string
	uniform  bool // no sizes were to be chosen for
}

// searchMetrics are the figures of a row that are shown, where it has them.
var searchMetrics = []string{"bytes", "smaller", "kv_bytes_per_token", "kl", "kl_p99", "flips", "auc", "auc_delta", "auc_soft_delta", "perplexity", "loss_delta", "exact", "choice_accuracy", "ttft_cold_p50"}

func (r searchResult) text() string {
	metrics := slices.DeleteFunc(slices.Clone(searchMetrics), func(key string) bool {
		return !slices.ContainsFunc(r.Points, func(p optimize.Point) bool { _, ok := p.Values[key]; return ok })
	})
	head := []string{"", "row"}
	for _, key := range metrics {
		m, _ := lab.MetricByKey(key)
		head = append(head, m.Label)
	}
	t := texttable.New(2, append(head, "predicted KL")...)
	for i, p := range r.Points {
		mark := ""
		switch {
		case i == r.Chosen:
			mark = "→"
		case p.Front:
			mark = "◆"
		}
		cells := []string{mark, p.Row}
		for _, key := range metrics {
			m, _ := lab.MetricByKey(key)
			text := "–"
			if x, ok := p.Values[key]; ok {
				text = report.Format(m.Unit, x)
			}
			cells = append(cells, text)
		}
		predicted := ""
		if p.Predicted {
			predicted = fmt.Sprintf("%.3g", p.PredictedKL)
		}
		t.Add(append(cells, predicted)...)
	}
	text := t.Text() + "◆ is on the Pareto front of bytes and KL"
	if slices.Contains(metrics, "kv_bytes_per_token") {
		text = t.Text() + "◆ is on the Pareto front of bytes, bytes of the KV cache and KL"
	}
	if r.Chosen >= 0 && len(r.Goals) > 0 {
		text += ", → the smallest that reaches " + strings.Join(r.Goals, ", ")
	}
	text += "\n"
	if i := slices.IndexFunc(r.Points, func(p optimize.Point) bool { return p.Values["params"] > 0 }); i >= 0 {
		if stored, plain := r.Points[i].Values["bytes"], 2*r.Points[i].Values["params"]; r.Points[i].Candidate == optimize.Base && stored > 1.1*plain {
			text += fmt.Sprintf("the model is stored in %s; shares of --bytes are of its %s in bfloat16\n", report.Format(lab.Bytes, stored), report.Format(lab.Bytes, plain))
		}
	}
	onTheWay := 0
	for _, p := range r.Points {
		if p.Done != "" {
			text += fmt.Sprintf("%s: %s\n", p.Row, p.Done)
		}
		if p.OnTheWay {
			onTheWay++
		}
	}
	if onTheWay > 0 {
		text += fmt.Sprintf("%s with a KV cache that --kv leaves out %s on the way to others, and not chosen\n", plural.Of(onTheWay, "row"), plural.Words(onTheWay, "is", "are"))
	}
	if ratio, n := r.Additivity(); n > 0 {
		text += fmt.Sprintf("true KL is on average %.2f times the sum of what the layers lose alone, over %s\n", ratio, plural.Of(n, "candidate"))
	}
	if i := r.shown(); i >= 0 {
		text += r.predictions(r.Points[i])
	}
	if r.TimeOver {
		text += "the time was over before all candidates were built; the same command with more --time goes on\n"
	}
	text += r.space()
	if r.Chosen < 0 && len(r.Goals) > 0 {
		text += "no model that was built reaches all goals: " + misses(r.Choice) + "\n"
		if len(r.Points) > 2 {
			text += "nearest is the least sum, over the goals that are missed, of how far each is missed as a share of its number\n"
		}
	}
	for i, p := range r.Points {
		if flips := p.Values["flips"]; i == r.Chosen && flips > manyFlips {
			text += fmt.Sprintf("warning: %s keeps what was asked for, and decides %.3g%% of the cases otherwise than the model\n", p.Row, 100*flips)
		}
	}
	if r.unsaved {
		text += fmt.Sprintf("nothing is saved, since there is no goal to choose a model by: give one, or save a row with slimlab import run:%s/ROW FOLDER\n", r.Run)
	}
	if r.trained {
		text += "the model has no tokenizer of its own: figures are by tokens of one that was trained on the task's text\n"
	}
	if r.Saved != "" {
		text += fmt.Sprintf("saved %s to %s\n", r.Saved, r.Folder)
		for _, v := range r.Verdicts {
			text += fmt.Sprintf("%s: %s\n", v.Engine, v)
		}
		if i := r.shown(); i >= 0 && r.Points[i].OtherCache() {
			text += fmt.Sprintf("its KV cache of %s is a setting of slimlab's engine, which no config of a model carries: slimlab eval %s --kv %s has it; README.md says so\n", r.Points[i].Cache.Name, r.Folder, r.Points[i].Cache.Name)
		}
	}
	return text + fmt.Sprintf("runs: %s (each layer alone), %s (candidates)\n", r.Sensitivity, r.Run)
}

// space says what was searched, and how much of it was built.
func (r searchResult) space() string {
	if r.Space == "" {
		return ""
	}
	text := "the space: " + r.Space
	if len(r.kv) > 0 {
		text += ", each with a KV cache in " + strings.Join(r.kv, ", ")
	}
	built := len(slices.DeleteFunc(slices.Clone(r.Points), func(p optimize.Point) bool { return p.Row == optimize.Base }))
	text += fmt.Sprintf("; %s built and measured, chosen by what each layer loses alone", plural.Of(built, "row"))
	if r.uniform {
		text += ", the uniform ones alone (--candidates 0)"
	} else {
		text += "; --candidates N builds more"
	}
	return text + "\n"
}

// shown is the point that the search comes to: the one that was chosen, where there are goals; the
// nearest where none reaches all; −1 where there are none.
func (r searchResult) shown() int {
	switch {
	case len(r.Goals) == 0:
		return -1
	case r.Chosen >= 0:
		return r.Chosen
	}
	return r.Nearest
}

// predictions says what was predicted of a point and what was found.
func (r searchResult) predictions(p optimize.Point) string {
	kl, ok := p.Values["kl"]
	if !p.Predicted || !ok {
		return ""
	}
	text := fmt.Sprintf("%s: predicted KL %.3g", p.Row, p.PredictedKL)
	if p.Cache.Name != "" {
		text += fmt.Sprintf(" (%.3g by the layers, %.3g by the KV cache in %s)", p.PredictedKL-p.Cache.KL, p.Cache.KL, p.Cache.Name)
	}
	return text + fmt.Sprintf(", true KL %.3g\n", kl)
}

// reached says what was asked for, and whether a point has it.
func (r searchResult) reached(p optimize.Point) string {
	switch {
	case len(r.Goals) == 0:
		return ""
	case len(p.Misses) == 0:
		return "\nThe goals were " + strings.Join(r.Goals, ", ") + ": it reaches all.\n"
	}
	var missed []string
	for _, m := range p.Misses {
		missed = append(missed, m.String())
	}
	return fmt.Sprintf("\nThe goals were %s. No model that was built reaches all; this is the nearest, and misses %s.\n", strings.Join(r.Goals, ", "), strings.Join(missed, ", "))
}

// card is the README.md of a saved model: what was done to it, its figures, and what its files do
// not say.
func (r searchResult) card(model string, saved int) string {
	p := r.Points[saved]
	text := fmt.Sprintf("# %s, made smaller\n\nWritten by `slimlab optimize`, row %s of run %s.\n\n", model, p.Row, r.Run)
	if p.Done != "" {
		text += "- " + p.Done + "\n"
	}
	for _, key := range searchMetrics {
		if x, ok := p.Values[key]; ok {
			m, _ := lab.MetricByKey(key)
			text += fmt.Sprintf("- %s: %s\n", m.Label, report.Format(m.Unit, x))
		}
	}
	if p.Predicted {
		text += "- " + r.predictions(p)
	}
	text += r.reached(p)
	if r.trained {
		text += "\nThe tokenizer was trained on the task's text: the model had none, and whatever it was trained with is another one.\n"
	}
	if p.OtherCache() {
		text += fmt.Sprintf("\nThe figures are those with a KV cache of %s. It is a setting of slimlab's engine (`--kv %s` of `slimlab eval`) and not in `config.json`: another engine keeps keys and values as it is told to.\n", p.Cache.Name, p.Cache.Name)
	}
	return text
}

// samplingFile holds how texts of a model are sampled where nothing is asked for.
const samplingFile = "generation_config.json"

// copySampling copies the file to the folder of what a model has become, if the model has one: a
// row of a run has the weights, the config and the tokenizer.
func (p *program) copySampling(model, folder string) error {
	source, err := p.home.OpenModel(model)
	if err != nil {
		return err
	}
	defer source.Close()
	data, err := source.OtherFile(samplingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, samplingFile), data, 0o644)
}
