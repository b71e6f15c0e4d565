package rollout

import (
	"context"
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/sample"
)

// Speculative has the student propose tokens, of which those stand that are among the teacher's
// likeliest; another is drawn from the teacher in its place, and the student goes on from there
// (speculative knowledge distillation: Xu et al., 2024). With TopK of the whole vocabulary the
// samples are the student's own; with 1 and Greedy they are the teacher's likeliest tokens.
//
// The student proposes Draft tokens, the teacher reads them at once, and what follows the first
// token that does not stand is dropped. The answers are kd.OfStudent: they are no labels.
type Speculative struct {
	TopK   int  // a token stands that is among so many of the teacher's likeliest; 25 in the paper
	Draft  int  // tokens at once; 0 is 4. No sample depends on it
	Greedy bool // the teacher's likeliest token replaces one; else it is drawn as the student's are
}

func (o Options) checkSpeculative() error {
	s := o.Speculative
	switch {
	case s == nil:
		return nil
	case o.Teacher != 0:
		return fmt.Errorf("a teacher's share of %v with speculation, expected 0: the teacher replaces tokens of the student's answers", o.Teacher)
	case s.TopK < 1:
		return fmt.Errorf("tokens that are among the teacher's %d likeliest, expected 1 or more", s.TopK)
	case s.Draft < 0:
		return fmt.Errorf("%d tokens proposed at once, expected 0 or more", s.Draft)
	}
	return nil
}

const (
	speculativePage   = 16   // positions
	speculativeTokens = 2048 // of prompts that are read at once
)

// speculation answers requests by Speculative. Both models keep the keys and values of the
// sequences that are drawn; nothing outlasts a call of doAll.
type speculation struct {
	Speculative
	vocab            int
	pages            int // of each cache
	student, teacher *reader
	sampler          sample.Sampler
	tokens           []int32
	rows             []sample.Row

	judged, accepted int // tokens of the student, of the last call of doAll
}

func newSpeculation(student, teacher *model.Model, vocab int, o Speculative) *speculation {
	if o.Draft == 0 {
		o.Draft = 4
	}
	return &speculation{Speculative: o, vocab: vocab, student: &reader{model: student}, teacher: &reader{model: teacher}}
}

// line is a sequence that is drawn. Of its tokens all but the last are in both caches.
type line struct {
	*serve.Request
	index   int // of the request
	tokens  []int32
	draft   []int32
	pages   []int32
	dropped bool // this round: what is left of the draft
	finish  serve.Finish
}

// answer is what was drawn so far.
func (l *line) answer() []int32 { return l.tokens[len(l.Prompt):] }

// pagesOf is the room that a request needs.
func pagesOf(r *serve.Request) int {
	return (len(r.Prompt) + r.MaxTokens + speculativePage - 1) / speculativePage
}

// begin checks requests and makes caches with room for all of them at once, or keeps those that it
// has where each of them fits.
func (s *speculation) begin(requests []serve.Request) (err error) {
	s.judged, s.accepted = 0, 0
	largest, all := 0, 0
	for i := range requests {
		for at, t := range requests[i].Prompt {
			if t < 0 || int(t) >= s.vocab {
				return fmt.Errorf("request %d: token %d at position %d, the common vocabulary of both models has %d", i, t, at, s.vocab)
			}
		}
		n := pagesOf(&requests[i])
		largest, all = max(largest, n), all+n
	}
	if largest <= s.pages {
		return nil
	}
	s.pages = all
	for _, r := range []*reader{s.student, s.teacher} {
		if r.pool, err = model.NewKVPool(r.model.Config, kernels.KVBFloat16, s.pages, speculativePage); err != nil {
			return err
		}
	}
	return nil
}

// doAll answers requests, as many at once as the caches have room for.
func (s *speculation) doAll(ctx context.Context, requests []serve.Request) ([]serve.Result, error) {
	if err := s.begin(requests); err != nil {
		return nil, err
	}
	results := make([]serve.Result, len(requests))
	var lines []*line
	used := 0
	run := func() error {
		if err := s.drawn(ctx, lines); err != nil {
			return err
		}
		for _, l := range lines {
			r := serve.Result{Tokens: l.answer(), Finish: l.finish, Prompt: len(l.Prompt)}
			if n := len(r.Tokens) - 1; l.finish == serve.FinishStop {
				r.Tokens, r.Stopped = r.Tokens[:n], r.Tokens[n]
			}
			results[l.index] = r
		}
		lines, used = lines[:0], 0
		return nil
	}
	for i := range requests {
		need := pagesOf(&requests[i])
		if used+need > s.pages {
			if err := run(); err != nil {
				return nil, err
			}
		}
		l := &line{Request: &requests[i], index: i, tokens: slices.Clone(requests[i].Prompt)}
		for range need {
			l.pages = append(l.pages, int32(used))
			used++
		}
		lines = append(lines, l)
	}
	return results, run()
}

// drawn draws sequences whose pages are theirs alone.
func (s *speculation) drawn(ctx context.Context, lines []*line) error {
	for _, r := range []*reader{s.student, s.teacher} {
		if err := r.prefill(ctx, lines); err != nil {
			return err
		}
	}
	for open := slices.Clone(lines); len(open) > 0; {
		if err := s.propose(ctx, open); err != nil {
			return err
		}
		if err := s.judge(ctx, open); err != nil {
			return err
		}
		open = slices.DeleteFunc(open, func(l *line) bool { return l.finish != "" })
	}
	return nil
}

// propose draws the drafts of the lines from the student, one token of each at a time.
func (s *speculation) propose(ctx context.Context, lines []*line) error {
	for _, l := range lines {
		l.draft = l.draft[:0]
	}
	for at := range s.Draft {
		if err := ctx.Err(); err != nil {
			return err
		}
		var active []*line
		var segments []model.Segment
		for _, l := range lines {
			if len(l.draft) < at || len(l.answer())+at >= l.MaxTokens || at > 0 && slices.Contains(l.Stop, l.draft[at-1]) {
				continue
			}
			last := l.tokens[len(l.tokens)-1]
			if at > 0 {
				last = l.draft[at-1]
			}
			active = append(active, l)
			segments = append(segments, model.Segment{Tokens: []int32{last}, Start: len(l.tokens) + at - 1, Pages: l.pages})
		}
		hidden := s.student.step.Extend(s.student.model, s.student.pool, segments)
		err := s.student.logits(hidden, len(active), s.vocab, func(i int, row []float32) error {
			l := active[i]
			token, err := s.choose(row, l, at, l.Sampling, "student")
			l.draft = append(l.draft, token)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judge has the teacher read the drafts and keeps what stands of them.
func (s *speculation) judge(ctx context.Context, lines []*line) error {
	var segments []model.Segment
	var of []*line // of each row
	var tokens []int32
	for _, l := range lines {
		l.dropped = false
		from := len(tokens)
		tokens = append(append(tokens, l.tokens[len(l.tokens)-1]), l.draft[:len(l.draft)-1]...)
		segments = append(segments, model.Segment{Tokens: tokens[from:len(tokens):len(tokens)], Start: len(l.tokens) - 1, Pages: l.pages})
		for range l.draft {
			of = append(of, l)
		}
	}
	hidden, err := s.teacher.step.ExtendAll(ctx, s.teacher.model, s.teacher.pool, segments)
	if err != nil {
		return err
	}
	return s.teacher.logits(hidden, len(of), s.vocab, func(i int, row []float32) error {
		l := of[i]
		if l.dropped {
			return nil
		}
		return s.verdict(l, row)
	})
}

// verdict adds the next token of a draft to its line, or the teacher's in its place. row are the
// teacher's logits.
func (s *speculation) verdict(l *line, row []float32) error {
	token := l.draft[0]
	l.draft = l.draft[1:]
	s.judged++
	if err := s.finite(row, l, 0, "teacher"); err != nil {
		return err
	}
	switch {
	case ranksWithin(row, token, s.TopK):
		s.accepted++
	case s.Greedy:
		l.dropped, token = true, int32(kernels.Argmax(row))
	default:
		of := l.Sampling
		of.Seed = mixed(of.Seed)
		var err error
		if token, err = s.choose(row, l, 0, of, "teacher"); err != nil {
			return err
		}
		l.dropped = true
	}
	l.tokens = append(l.tokens, token)
	switch {
	case slices.Contains(l.Stop, token):
		l.finish = serve.FinishStop
	case len(l.answer()) == l.MaxTokens:
		l.finish = serve.FinishLength
	}
	l.dropped = l.dropped || l.finish != ""
	return nil
}

// mixed is the seed of the teacher's tokens in the place of a student's: the finalizer of
// SplitMix64 (Steele, Lea, Flood, 2014).
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// choose draws the token that is ahead of the line's next one by some. It overwrites the row.
func (s *speculation) choose(row []float32, l *line, ahead int, by sample.Settings, whose string) (int32, error) {
	if err := s.finite(row, l, ahead, whose); err != nil {
		return 0, err
	}
	s.tokens = append(s.tokens[:0], 0)
	s.rows = append(s.rows[:0], sample.Row{Logits: row, Settings: by, Position: len(l.tokens) + ahead})
	s.sampler.Choose(s.tokens, s.rows)
	return s.tokens[0], nil
}

// finite reports logits that no token can be chosen of.
func (s *speculation) finite(row []float32, l *line, ahead int, whose string) error {
	if sum := kernels.SumSquares(row); !math.IsNaN(sum) && !math.IsInf(sum, 0) {
		return nil
	}
	at := slices.IndexFunc(row, func(v float32) bool { return v-v != 0 })
	if at < 0 {
		return nil // finite, but for their squares
	}
	return fmt.Errorf("request %d: the %s's logit of token %d at position %d is %v, expected a finite number: its weights or activations are not finite", l.index, whose, at, len(l.tokens)+ahead, row[at])
}

// ranksWithin reports whether a token is among the k likeliest, of equals those with lower ids.
func ranksWithin(logits []float32, token int32, k int) bool {
	own := logits[token]
	for i, v := range logits {
		if v > own || v == own && int32(i) < token {
			if k--; k == 0 {
				return false
			}
		}
	}
	return true
}

// reader is a model with the keys and values of sequences.
type reader struct {
	model *model.Model
	pool  *model.KVPool
	step  model.Extender
	rows  []float32
}

// prefill reads the prompts but for their last tokens.
func (r *reader) prefill(ctx context.Context, lines []*line) error {
	var segments []model.Segment
	room := speculativeTokens
	run := func() error {
		r.step.Extend(r.model, r.pool, segments)
		segments, room = segments[:0], speculativeTokens
		return ctx.Err()
	}
	for _, l := range lines {
		for from, end := 0, len(l.tokens)-1; from < end; {
			n := min(room, end-from)
			segments = append(segments, model.Segment{Tokens: l.tokens[from : from+n], Start: from, Pages: l.pages})
			from += n
			if room -= n; room == 0 {
				if err := run(); err != nil {
					return err
				}
			}
		}
	}
	return run()
}

// logits calls f with the logits of each of n rows of hidden states, in order, over the first vocab
// tokens. About 64 MB of them exist at once.
func (r *reader) logits(hidden []float32, n, vocab int, f func(i int, row []float32) error) error {
	width, d := r.model.Vocab, r.model.Hidden
	chunk := max(16, (1<<24)/width)
	for first := 0; first < n; first += chunk {
		rows := min(chunk, n-first)
		r.rows = slices.Grow(r.rows[:0], rows*width)[:rows*width]
		r.model.Logits(r.rows, hidden[first*d:(first+rows)*d], rows)
		for i := range rows {
			if err := f(first+i, r.rows[i*width:][:vocab]); err != nil {
				return err
			}
		}
	}
	return nil
}
