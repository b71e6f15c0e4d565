package eval

import (
	"context"
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/lab/task"
	"slimlab/model"
)

const (
	// passTokens is how many tokens a pass has, unless a single span has more.
	passTokens = 2048
	// stepTokens is how many of them go through the model at once. It bounds the time to the next
	// look at the context: half a layer of so many tokens.
	stepTokens = 512
	// pageSize is the positions of a page: spans share whole pages of their common beginning. The
	// least that every format of the cache takes.
	pageSize = 2
	// chunkLogits bounds the logits that are in memory at once.
	chunkLogits = 1 << 22
)

// scorer gives the log-probabilities that a model has for the targets of spans.
type scorer struct {
	model  *model.Model
	cache  kernels.KVFormat
	step   *model.Extender
	pool   *model.KVPool // grown to what the largest pass needs
	onDone func(tokens int)
	each   watch // may be nil

	segments []model.Segment
	rows     int // tokens of the pass
	pages    int // that the pass has used
	targets  []target

	hidden               []float32 // [targets, hidden]
	logits, loss, weight []float32 // of a chunk of targets
	labels               []int32
}

// target is a token to predict from a row of the pass, and where its log-probability goes.
type target struct {
	row   int
	token int32
	to    *float32
}

// newScorer keeps keys and values in the format of the model's arithmetic. onDone is called after
// every pass with the tokens of all its spans, shared ones counted for each.
func newScorer(m *model.Model, cache kernels.KVFormat, onDone func(tokens int)) *scorer {
	return &scorer{model: m, cache: cache, step: model.NewExtender(m.Config, stepTokens), onDone: onDone}
}

// logProbs returns the log-probability, in nats, of every target: [groups][spans][targets]. Spans
// of a group are expected to begin alike, and what they have in common is computed once. Results do
// not depend on the grouping. It returns ctx's error within half a layer of its end.
func (s *scorer) logProbs(ctx context.Context, groups [][]task.Span) ([][][]float32, error) {
	out := make([][][]float32, len(groups))
	tokens := 0
	flush := func() error {
		if err := s.run(ctx); err != nil {
			return err
		}
		s.onDone(tokens)
		tokens = 0
		return nil
	}
	for g, spans := range groups {
		out[g] = make([][]float32, len(spans))
		for i, span := range spans {
			if span.Begin < 1 || span.Begin >= len(span.Tokens) {
				return nil, fmt.Errorf("a span of %d tokens predicts from token %d on, expected 1 to %d", len(span.Tokens), span.Begin, len(span.Tokens)-1)
			}
			if n := len(span.Tokens) - 1; n > s.model.MaxPositions {
				return nil, fmt.Errorf("a span reads %d tokens, the model has %d positions", n, s.model.MaxPositions)
			}
			out[g][i] = make([]float32, span.Targets())
		}
		for from := 0; from < len(spans); {
			to, rows := fit(spans, from)
			if s.rows > 0 && s.rows+rows > passTokens {
				if err := flush(); err != nil {
					return nil, err
				}
			}
			s.add(spans[from:to], out[g][from:to])
			tokens += tokensOf(spans[from:to])
			from = to
		}
	}
	if s.rows > 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tokensOf is how many tokens the spans have to read.
func tokensOf(spans []task.Span) (n int) {
	for _, s := range spans {
		n += len(s.Tokens) - 1
	}
	return n
}

// fit returns the end of the spans from one on that go into a pass, at least one, and the rows that
// they take.
func fit(spans []task.Span, from int) (to, rows int) {
	to, rows = from+1, len(spans[from].Tokens)-1
	for to < len(spans) {
		more := shared(spans[from : to+1])
		n := more
		for _, s := range spans[from : to+1] {
			n += len(s.Tokens) - 1 - more
		}
		if n > passTokens {
			break
		}
		to, rows = to+1, n
	}
	return to, rows
}

// shared is the number of tokens, in whole pages, that all spans read first; 0 for one span.
func shared(spans []task.Span) int {
	if len(spans) < 2 {
		return 0
	}
	first := spans[0].Tokens[:len(spans[0].Tokens)-1]
	n := len(first)
	for _, s := range spans[1:] {
		n = min(n, len(s.Tokens)-1)
		for i := range n {
			if s.Tokens[i] != first[i] {
				n = i
				break
			}
		}
	}
	return n / pageSize * pageSize
}

// add adds spans to the pass: a segment for what they share, and one for the rest of each.
func (s *scorer) add(spans []task.Span, out [][]float32) {
	common := shared(spans)
	var before []int32
	commonRow := s.rows
	if common > 0 {
		before = s.take(common)
		s.segment(spans[0].Tokens[:common], 0, before)
	}
	for i, span := range spans {
		own, ownRow := span.Tokens[common:len(span.Tokens)-1], s.rows
		if len(own) > 0 {
			s.segment(own, common, append(before[:len(before):len(before)], s.take(len(own))...))
		}
		for k := range out[i] {
			at := span.Begin + k
			row := commonRow + at - 1
			if at-1 >= common {
				row = ownRow + at - 1 - common
			}
			s.targets = append(s.targets, target{row, span.Tokens[at], &out[i][k]})
		}
	}
}

// take returns fresh pages for so many tokens.
func (s *scorer) take(tokens int) []int32 {
	pages := make([]int32, (tokens+pageSize-1)/pageSize)
	for i := range pages {
		pages[i] = int32(s.pages)
		s.pages++
	}
	return pages
}

func (s *scorer) segment(tokens []int32, start int, pages []int32) {
	s.segments = append(s.segments, model.Segment{Tokens: tokens, Start: start, Pages: pages})
	s.rows += len(tokens)
}

// run computes the pass and empties it.
func (s *scorer) run(ctx context.Context) error {
	if s.pool == nil || s.pool.Pages < s.pages {
		var err error
		if s.pool, err = model.NewKVPool(s.model.Config, s.cache, max(s.pages, passTokens/pageSize), pageSize); err != nil {
			return err
		}
	}
	if err := s.extend(ctx); err != nil {
		return err
	}
	chunk := max(64, chunkLogits/s.model.Vocab)
	for at := 0; at < len(s.targets); at += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.score(at, min(at+chunk, len(s.targets))); err != nil {
			return err
		}
	}
	s.segments, s.targets, s.rows, s.pages = s.segments[:0], s.targets[:0], 0, 0
	return nil
}

// extend runs the segments through the model, stepTokens at a time, and sets hidden to the final
// states of the targets' rows.
func (s *scorer) extend(ctx context.Context) error {
	width := s.model.Hidden
	s.hidden = slices.Grow(s.hidden[:0], len(s.targets)*width)[:len(s.targets)*width]
	var step []model.Segment
	from, rows := 0, 0 // rows that went through, rows of the step
	flush := func() error {
		states, err := s.step.ExtendAll(ctx, s.model, s.pool, step)
		if err != nil {
			return err
		}
		for i, t := range s.targets {
			if row := t.row - from; 0 <= row && row < rows {
				copy(s.hidden[i*width:(i+1)*width], states[row*width:(row+1)*width])
			}
		}
		step, from, rows = step[:0], from+rows, 0
		return nil
	}
	for _, segment := range s.segments {
		for len(segment.Tokens) > 0 {
			n := min(len(segment.Tokens), stepTokens-rows)
			step = append(step, model.Segment{Tokens: segment.Tokens[:n], Start: segment.Start, Pages: segment.Pages})
			segment.Tokens, segment.Start, rows = segment.Tokens[n:], segment.Start+n, rows+n
			if rows == stepTokens {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// score writes the log-probabilities of some targets.
func (s *scorer) score(from, to int) error {
	targets, n, vocab, width := s.targets[from:to], to-from, s.model.Vocab, s.model.Hidden
	s.size(n)
	for i, t := range targets {
		s.labels[i] = t.token
	}
	s.model.Logits(s.logits[:n*vocab], s.hidden[from*width:to*width], n)
	if s.each != nil {
		s.each(s.hidden[from*width:to*width], s.logits[:n*vocab], s.labels[:n])
	}
	kernels.CrossEntropy(s.loss[:n], s.logits[:n*vocab], s.labels[:n], s.weight[:n], n, vocab)
	for i, t := range targets {
		loss := float64(s.loss[i])
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return fmt.Errorf("the log-probability of token %d is %v, expected a number: the model's logits are not finite", t.token, -loss)
		}
		*t.to = -s.loss[i]
	}
	return nil
}

// size makes the buffers large enough for n rows of logits.
func (s *scorer) size(n int) {
	if n > len(s.loss) {
		s.logits, s.loss, s.weight, s.labels = make([]float32, n*s.model.Vocab), make([]float32, n), make([]float32, n), make([]int32, n)
	}
}
