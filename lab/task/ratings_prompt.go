package task

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"slimlab/internal/plural"
)

// Ratings is the task of users' ratings: to answer whether a user likes a title, after the user's
// last ratings. All outcomes of a prompt are answers, those of the earlier ratings too.
type Ratings struct {
	*RatingTable
	begin   []int32   // before each prompt
	lines   [][]int32 // tokens of each title
	yes, no int32
	ends    []int32
	test    *Answers
	notes   []string
	// titles that were cut, tokens of the longest prompt, the highest token of all
	cutTitles, longest int
	highest            int32
}

// NewRatings reads the tables of a folder and turns their titles into tokens.
func NewRatings(ctx context.Context, cfg RatingsConfig, enc Encoder) (*Ratings, error) {
	t, err := ReadRatings(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return t.Tokenize(ctx, enc)
}

// Tokenize turns the titles into tokens. Each title, answer and line's end is encoded by itself;
// the answers must be one token each.
func (t *RatingTable) Tokenize(ctx context.Context, enc Encoder) (*Ratings, error) {
	r := &Ratings{RatingTable: t, lines: make([][]int32, len(t.titles)), ends: enc.Encode(answerEnds)}
	if b, ok := enc.(beginner); ok {
		r.begin = b.Beginning()
	}
	for i, text := range t.titles {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.lines[i] = enc.Encode(text)
		// the end says more: genres
		if most := r.cfg.MaxTokens - 1 - len(r.begin); len(r.lines[i]) > most {
			r.lines[i], r.cutTitles = r.lines[i][len(r.lines[i])-most:], r.cutTitles+1
		}
	}
	yes, no := enc.Encode(answerYes), enc.Encode(answerNo)
	if err := enc.Err(); err != nil {
		return nil, fmt.Errorf("ratings: %w", err)
	}
	for _, one := range []struct {
		text string
		ids  []int32
	}{{answerYes, yes}, {answerNo, no}} {
		if len(one.ids) != 1 {
			return nil, fmt.Errorf("ratings: tokenizer: the answer %q is %d tokens, expected 1: take a model with another tokenizer, or for one that is trained here a larger vocabulary", one.text, len(one.ids))
		}
	}
	if r.yes, r.no = yes[0], no[0]; r.yes == r.no {
		return nil, fmt.Errorf("ratings: tokenizer: the answers %q and %q are the same token %d", answerYes, answerNo, r.yes)
	}
	r.measure()
	if missing, ok := enc.(missingNoter); ok {
		if _, note := missing.Missing(t.texts()); note != "" {
			r.notes = append(r.notes, "ratings: "+note)
		}
	}
	return r, nil
}

// measure makes the test set, and says what the prompts come to.
func (r *Ratings) measure() {
	r.test = r.answers()
	r.test.Labels = [2]int32{r.yes, r.no}
	prompts, short, least := 0, 0, ratingsBefore
	for part, of := range r.splits {
		for _, p := range of {
			e, earlier := r.write(p)
			r.longest = max(r.longest, len(e.Tokens))
			r.highest = max(r.highest, slices.Max(e.Tokens))
			if prompts++; earlier < ratingsBefore {
				short, least = short+1, min(least, earlier)
			}
			if part == ratingsTest {
				r.test.Prompts = append(r.test.Prompts, e.Tokens[:len(e.Tokens)-1])
			}
		}
	}
	r.notes = slices.Clone(r.RatingTable.notes)
	if short > 0 {
		r.notes = append(r.notes, fmt.Sprintf("ratings: %d of %s %s fewer than %d earlier ratings, %d at least, to fit max_tokens %d", short, plural.Of(prompts, "prompt"), plural.Words(short, "has", "have"), ratingsBefore, least, r.cfg.MaxTokens))
	}
	if r.cutTitles > 0 {
		r.notes = append(r.notes, fmt.Sprintf("ratings: %s %s cut to fit max_tokens %d", plural.Of(r.cutTitles, "title"), plural.Words(r.cutTitles, "was", "were"), r.cfg.MaxTokens))
	}
}

// write turns a prompt with its answer into tokens, with as many of the earlier ratings as fit.
func (r *Ratings) write(p ratingsPrompt) (e Example, earlier int) {
	all := r.users[p.user].ratings[p.at-ratingsBefore : p.at+1]
	size := len(r.begin) + len(r.lines[all[ratingsBefore].title]) + 1
	for earlier < ratingsBefore {
		more := len(r.lines[all[ratingsBefore-earlier-1].title]) + 1 + len(r.ends)
		if size+more > r.cfg.MaxTokens {
			break
		}
		size, earlier = size+more, earlier+1
	}
	e = Example{Tokens: make([]int32, 0, size), Answer: make([]bool, size)}
	e.Tokens = append(e.Tokens, r.begin...)
	for i, of := range all[ratingsBefore-earlier:] {
		if i > 0 {
			e.Tokens = append(e.Tokens, r.ends...)
		}
		e.Tokens = append(e.Tokens, r.lines[of.title]...)
		e.Answer[len(e.Tokens)] = true
		if of.liked {
			e.Tokens = append(e.Tokens, r.yes)
		} else {
			e.Tokens = append(e.Tokens, r.no)
		}
	}
	return e, earlier
}

func (r *Ratings) examples(of []ratingsPrompt) []Example {
	examples := make([]Example, len(of))
	for i, p := range of {
		examples[i], _ = r.write(p)
	}
	return examples
}

// Train returns the i-th example of an endless pass over the training prompts, each epoch in
// another order.
func (r *Ratings) Train(seed uint64, i int) Example {
	of := r.splits[ratingsTrain]
	e, _ := r.write(of[shuffled(seed, i, len(of))])
	return e
}

// TrainSize is the number of training prompts.
func (r *Ratings) TrainSize() int { return len(r.splits[ratingsTrain]) }

// Validation returns n validation examples at even distances, all for n ≤ 0.
func (r *Ratings) Validation(n int) []Example {
	return r.examples(evenly(r.splits[ratingsValidation], n))
}

// Calibration returns n calibration examples at even distances, all for n ≤ 0. InDomain is the
// only source.
func (r *Ratings) Calibration(source string, n int) ([]Example, error) {
	if source != InDomain {
		return nil, fmt.Errorf("ratings: calibration source %q: a folder of ratings has only %q", source, InDomain)
	}
	return r.examples(evenly(r.splits[ratingsCalibration], n)), nil
}

// Test is the test set.
func (r *Ratings) Test() *Answers { return r.test }

// Notes say what was read, made and cut.
func (r *Ratings) Notes() []string { return r.notes }

// Longest is the number of tokens of the longest prompt with its answer.
func (r *Ratings) Longest() int { return r.longest }

// Highest is the highest id of a token of the prompts.
func (r *Ratings) Highest() int32 { return r.highest }

// texts gives the titles after what they are.
func (t *RatingTable) texts() iter.Seq2[string, string] {
	return func(yield func(place, text string) bool) {
		for _, text := range t.titles {
			if !yield(fmt.Sprintf("title %.60q", text), text) {
				return
			}
		}
	}
}
