package run

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"slimlab/kd"
	"slimlab/kd/remote"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/model/tokenizer"
	"slimlab/serve"
)

// Remote is a teacher at a URL, in place of a model.
type Remote struct {
	URL   string `key:"url" default:"" omit:"default" doc:"the endpoint, such as http://host:8000/v1: a completions call as OpenAI has it, with log-probabilities of the prompt"`
	Model string `key:"model" default:"" omit:"default" doc:"the model's name there"`
	Ask   int    `json:",omitempty" key:"ask" default:"0" omit:"default" min:"0" max:"1000000" doc:"ask for so many tokens that the student finds likeliest, the rest as one outcome; 0 is the whole vocabulary"`
	TopK  int    `json:",omitempty" key:"top_k" default:"0" omit:"default" min:"0" max:"1000000" doc:"ask for so many of the teacher's likeliest tokens; 0 is 20 where the endpoint answers for no others, and none else"`
	// what follows changes no figure
	Key        string `json:"-" key:"key" default:"" omit:"default" doc:"the environment variable that has the endpoint's key"`
	Concurrent int    `json:"-" key:"concurrent" default:"8" omit:"default" min:"1" max:"1024" doc:"requests at a time"`
	Timeout    int    `json:"-" key:"timeout" default:"120" omit:"default" min:"1" max:"86400" doc:"seconds that a request may take"`
	Attempts   int    `json:"-" key:"attempts" default:"6" omit:"default" min:"1" max:"1000" doc:"times that a request is sent until it is given up; the waits between double up to half a minute: 6 bear an outage of some 12 seconds, 20 one of 5 minutes"`
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// IsZero reports a distillation from a model.
func (r Remote) IsZero() bool { return r.URL == "" }

// values are those of the keys that decide what the teacher says.
func (r Remote) values() recipe.Values {
	v := recipe.Of(r)
	for _, name := range []string{"key", "concurrent", "timeout", "attempts"} {
		delete(v, name)
	}
	return v
}

// name is what the teacher is called in texts.
func (r Remote) name() string {
	if r.Model == "" {
		return r.URL
	}
	return r.Model + " at " + r.URL
}

// config is what package remote reads of the keys; vocab is the student's.
func (r Remote) config(vocab int, o kd.Objective) remote.Config {
	return remote.Config{
		URL: r.URL, Model: r.Model, KeyVariable: r.Key, Vocab: vocab, TopK: min(r.TopK, vocab), Whole: o.Sequence > 0 && o.SequenceLoss == kd.SequenceMixture,
		Concurrent: r.Concurrent, Timeout: time.Duration(r.Timeout) * time.Second, Attempts: r.Attempts,
	}
}

// checkRemote reports keys of a teacher at a URL that cannot be, without asking it.
func (d *Distil) checkRemote(o kd.Objective, given func(key string) bool, bad func(key, with, format string, args ...any)) {
	r := d.Remote
	if r.IsZero() {
		if given("remote") {
			bad("remote", "", "has no url, expected the endpoint's, such as http://host:8000/v1")
		}
		return
	}
	if r.Key != "" && !variableName.MatchString(r.Key) {
		bad("remote.key", "", "is no name of an environment variable, expected one such as BIG_KEY, whose value is the key: a key itself belongs in no scenario")
		return
	}
	const anyVocab = 1 << 30
	switch err := r.config(anyVocab, o).Validate(); {
	case err != nil:
		bad("remote", "", "names no endpoint: %v", err)
	case d.Teacher != "":
		bad("remote", "teacher", "is %s, and teacher is %s: expected one of them", r.URL, d.Teacher)
	case d.Teachers != "":
		bad("remote", "teachers", "is %s, and teachers is %s: expected one of them", r.URL, d.Teachers)
	case d.Samples.Speculative != 0:
		bad("samples", "remote", "has speculative, for which the teacher judges each token as it comes, and it is at a URL: expected a model in memory, or no speculative")
	case !d.Cache.IsZero() && (r.Ask > 0 || r.TopK > 0):
		bad("cache", "remote", "keeps what the teacher says of the whole vocabulary, and remote asks for some tokens: expected neither ask nor top_k, or no cache")
	case r.Ask > 0 && !o.Sampled():
		if err := o.CheckLists(kernels.RestBucket, 1); err != nil {
			bad("remote", "", "asks for %d tokens: %v: expected ask: 0, the whole vocabulary", r.Ask, err)
		}
	}
}

// checkKey reports a key that is not there before anything is begun. A plan that is only checked
// needs none.
func (t *training) checkKey() error {
	r := t.teaching.remote
	if r == nil || r.Key == "" || t.run.readOnly || os.Getenv(r.Key) != "" {
		return nil
	}
	return keyError{"remote.key", fmt.Errorf("is %s, an environment variable that is empty: expected the endpoint's key in it, or no key", r.Key)}
}

// endpoint is the config of the training's endpoint, whose tokens are compared with the student's.
func (t *training) endpoint() remote.Config {
	c := t.teaching.remote.config(t.teaching.vocab(t), t.objective)
	c.Check, c.Sleep, c.Now, c.Outage = tokenCheck(t.data.tokenizer), t.run.options.Sleep, t.run.options.Now, t.outage
	return c
}

// dial reaches the teacher at the URL.
func (t *training) dial(ctx context.Context, config *kd.TrainConfig) (kd.Teacher, error) {
	c := t.endpoint()
	if n := t.teaching.remote.Ask; n > 0 {
		c.Tokens = remote.MostLikely(config.Student, n, c.Whole)
	}
	teacher, err := remote.Dial(ctx, c)
	if err != nil {
		return nil, err
	}
	t.run.noteOnce(lab.Info, fmt.Sprintf("%s: %v", t.stage, teacher))
	if n := t.teaching.remote.TopK; n > 0 && teacher.Form() == remote.GivenTokens && c.Tokens == nil {
		t.run.noteOnce(lab.Warning, fmt.Sprintf("%s: top_k %d has no effect: the endpoint answers for the whole vocabulary", t.stage, n))
	}
	t.run.noteOnce(lab.Info, fmt.Sprintf("%s: the weights behind a URL cannot be seen: %s is taken for the same model in every run, and a model that learned from it is not made anew", t.stage, t.teaching.name()))
	return teacher, nil
}

// tokenCheck compares the tokens that an endpoint names with those of a tokenizer, as far as they
// can be seen: their ids, and texts where they are given.
func tokenCheck(tok *tokenizer.Tokenizer) func(id int64, text string) error {
	return func(id int64, text string) error {
		if id >= int64(tok.Vocab()) {
			return fmt.Errorf("it lists token %d, and the student's tokenizer has %d tokens: expected an endpoint whose model has the student's tokenizer", id, tok.Vocab())
		}
		own, spelling := tok.Text(int32(id)), tok.Token(int32(id))
		switch {
		case text == "", spelling == "": // not given, or padding
		case text == own, text == spelling, strings.TrimLeft(text, " ") == strings.TrimLeft(own, " "):
		case strings.ContainsRune(text, utf8.RuneError), !utf8.ValidString(own): // a part of a character
		default:
			return fmt.Errorf("its token %d is %q, and the student's %q: expected an endpoint whose model has the student's tokenizer", id, text, own)
		}
		return nil
	}
}

// remoteWriter has the endpoint write answers, in the tokens of the student.
type remoteWriter struct {
	endpoint  *remote.Writer
	tokenizer *tokenizer.Tokenizer
	end       int32
}

// Write answers requests. An answer that is longer than asked for in the student's tokens is cut.
func (w *remoteWriter) Write(ctx context.Context, requests []serve.Request) ([]serve.Result, error) {
	asks := make([]remote.Ask, len(requests))
	for i, r := range requests {
		s := r.Sampling
		asks[i] = remote.Ask{Prompt: r.Prompt, MaxTokens: r.MaxTokens, Temperature: s.Temperature, TopP: s.TopP, TopK: s.TopK, Seed: s.Seed}
	}
	written, err := w.endpoint.Write(ctx, asks)
	if err != nil {
		return nil, err
	}
	results := make([]serve.Result, len(written))
	for i, answer := range written {
		result := serve.Result{Tokens: w.tokenizer.Encode(answer.Text), Finish: serve.FinishLength}
		if most := requests[i].MaxTokens; len(result.Tokens) > most {
			result.Tokens = result.Tokens[:most]
		} else if answer.Ended && len(result.Tokens) < most {
			result.Finish, result.Stopped = serve.FinishStop, w.end
		}
		results[i] = result
	}
	return results, nil
}
