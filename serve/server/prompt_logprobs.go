package server

import (
	"encoding/json"
	"slices"
	"strconv"

	"slimlab/internal/plural"
	"slimlab/serve"
)

// promptRequest is what a completion asks about the tokens of its prompts: in vLLM's form, with the
// likeliest tokens in each place, or in package kd/remote's, with the tokens that are listed for
// each.
type promptRequest struct {
	Likeliest *int      `json:"prompt_logprobs"`
	TokenIDs  [][]int32 `json:"prompt_logprob_token_ids"`
	Rows      []int     `json:"prompt_logits"` // places whose whole rows are asked for

	echoed int // alternatives beside the tokens of an echo; -1 asks for no log-probabilities
}

// any reports whether anything is asked.
func (p *promptRequest) any() bool {
	return p.Likeliest != nil || p.TokenIDs != nil || p.Rows != nil || p.echoed >= 0
}

// check refuses what the request cannot ask.
func (p *promptRequest) check(stream bool) error {
	const likeliest, listed, rows = "prompt_logprobs", "prompt_logprob_token_ids", "prompt_logits"
	switch {
	case p.Likeliest != nil && p.TokenIDs != nil:
		return refuse(listed, "found them beside %s, expected one of both", likeliest)
	case p.TokenIDs != nil && p.echoed >= 0:
		return refuse(listed, "found them beside logprobs of an echo, expected one of both")
	case p.Rows != nil && p.Likeliest != nil:
		return refuse(rows, "found them beside %s, expected one of both", likeliest)
	case p.Rows != nil && p.echoed >= 0:
		return refuse(rows, "found them beside logprobs of an echo, expected one of both")
	case stream && p.Rows != nil:
		return refuse(rows, "found them in a stream, expected them only where stream is false")
	case stream && p.Likeliest != nil:
		return refuse(likeliest, "found it in a stream, expected it only where stream is false")
	case stream && p.TokenIDs != nil:
		return refuse(listed, "found them in a stream, expected them only where stream is false")
	case p.Likeliest != nil:
		return checkLogprobs(likeliest, *p.Likeliest)
	}
	return nil
}

// checkPrompts refuses lists that are not those of the prompt's tokens, and brings each into order.
func (p *promptRequest) checkPrompts(s *Server, prompts [][]int32, choices int) error {
	if err := p.checkRows(s, prompts, choices); err != nil {
		return err
	}
	const param = "prompt_logprob_token_ids"
	switch {
	case p.TokenIDs == nil:
		return nil
	case len(prompts) != 1:
		return refuse(param, "found them for %d prompts, expected one prompt", len(prompts))
	case len(p.TokenIDs) != len(prompts[0]):
		return refuse(param, "found %d lists, expected one for each of the prompt's %d tokens", len(p.TokenIDs), len(prompts[0]))
	case len(p.TokenIDs[0]) > 0:
		return refuse(at(param, 0), "found %s, expected none: the first token has nothing before it", plural.Of(len(p.TokenIDs[0]), "token"))
	}
	for i, ids := range p.TokenIDs {
		if err := s.checkTokens(at(param, i), ids); err != nil {
			return err
		}
		slices.Sort(ids)
		p.TokenIDs[i] = slices.Compact(ids)
	}
	return nil
}

// checkRows refuses places that the prompt does not have, or too many.
func (p *promptRequest) checkRows(s *Server, prompts [][]int32, choices int) error {
	const param = "prompt_logits"
	if p.Rows == nil {
		return nil
	}
	if len(prompts) != 1 {
		return refuse(param, "found them for %d prompts, expected one prompt", len(prompts))
	}
	seen := map[int]bool{}
	for _, at := range p.Rows {
		if at < 1 || at >= len(prompts[0]) || seen[at] {
			return refuse(param, "found %d, expected each of 1 to %d once at most: the places of the prompt's tokens after the first", at, len(prompts[0])-1)
		}
		seen[at] = true
	}
	if found, limit := 4*s.model.Shape.Vocabulary*len(p.Rows)*choices, s.options.Limits.RowBytes; found > limit {
		return overLimit(param, "bytes of logits", found, limit)
	}
	return nil
}

// wholeRow is what an answer says of a place whose whole row is asked for.
type wholeRow struct {
	place  int
	logSum float64
	logits []float32
}

// MarshalJSON writes the logits as float32 in little endian and base64.
func (r wholeRow) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Place  int     `json:"place"`
		LogSum float64 `json:"log_sum"`
		Logits any     `json:"logits"`
	}{r.place, r.logSum, inBase64(r.logits)})
}

// of is what the engine is asked about an answer's prompt. It tells the answers to its places and
// rows.
func (p *promptRequest) of(a *ask) *serve.PromptLogP {
	places := a.places
	if p.TokenIDs != nil || p.Rows != nil {
		asked := make([]bool, len(places))
		for i, ids := range p.TokenIDs {
			asked[i] = len(ids) > 0
		}
		for _, at := range p.Rows {
			asked[at] = true
		}
		return &serve.PromptLogP{Asked: asked, Each: func(row serve.PromptRow) {
			if p.TokenIDs != nil {
				for _, id := range p.TokenIDs[row.Place] {
					places[row.Place] = append(places[row.Place], expected{id: id, logP: row.LogP(id)})
				}
			}
			if slices.Contains(p.Rows, row.Place) {
				a.rows = append(a.rows, wholeRow{row.Place, row.LogSum(), slices.Clone(row.Logits)})
			}
		}}
	}
	k := p.echoed
	if p.Likeliest != nil {
		k = max(k, *p.Likeliest)
	}
	return &serve.PromptLogP{Each: func(row serve.PromptRow) { places[row.Place] = likeliest(&row, k) }}
}

// place is what the model expects in one place of a prompt; nil where nothing is asked.
type place []expected

// expected is a token that could stand in a place.
type expected struct {
	id   int32
	logP float64
	rank int // 1 for the likeliest token; 0 where it is not asked for
}

// likeliest lists the k likeliest tokens, and the one that stands there.
func likeliest(row *serve.PromptRow, k int) (list place) {
	own := false
	for i, a := range row.Top(min(k, len(row.Logits))) {
		list = append(list, expected{a.ID, row.LogP(a.ID), i + 1})
		own = own || a.ID == row.Token
	}
	if own {
		return list
	}
	rank, logit := 1, row.Logits[row.Token]
	for id, l := range row.Logits {
		if l > logit || l == logit && int32(id) < row.Token {
			rank++
		}
	}
	return append(list, expected{row.Token, row.LogP(row.Token), rank})
}

// promptLogprobs is what an answer says of the places of its prompt.
func (s *Server) promptLogprobs(p *promptRequest, a *ask) []placeLogprobs {
	if p.Likeliest == nil && p.TokenIDs == nil {
		return nil
	}
	out := make([]placeLogprobs, len(a.places))
	for i, list := range a.places {
		for _, e := range list {
			one := placeLogprob{id: e.id, Logprob: e.logP}
			if p.Likeliest != nil {
				if e.rank > *p.Likeliest && e.id != a.request.Prompt[i] {
					continue // that an echo has
				}
				text := s.tokenText(e.id)
				one.Rank, one.Text = e.rank, &text
			}
			out[i] = append(out[i], one)
		}
	}
	return out
}

// placeLogprobs is null, or an object whose names are ids.
type placeLogprobs []placeLogprob

type placeLogprob struct {
	id      int32
	Logprob float64 `json:"logprob"`
	Rank    int     `json:"rank,omitempty"`
	Text    *string `json:"decoded_token,omitempty"`
}

func (p placeLogprobs) MarshalJSON() ([]byte, error) {
	if p == nil {
		return []byte("null"), nil
	}
	out := []byte{'{'}
	for i, one := range p {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(strconv.AppendInt(append(out, '"'), int64(one.id), 10), '"', ':')
		value, err := json.Marshal(one)
		if err != nil {
			return nil, err
		}
		out = append(out, value...)
	}
	return append(out, '}'), nil
}

// echoLogprobs is the list of a prompt's tokens, to which those of the answer are added.
func (s *Server) echoLogprobs(p *promptRequest, a *ask) *completionLogprobs {
	if p.echoed < 0 {
		return nil
	}
	list, decoder, offset := newCompletionLogprobs(), s.model.Tokenizer.NewTextDecoder(), 0
	for i, id := range a.request.Prompt {
		var own *float32
		var top topLogprobs // null for the first token, before which there is nothing
		if i > 0 {
			top = topLogprobs{}
		}
		for _, e := range a.places[i] {
			logP := finite(float32(e.logP))
			if e.id == id {
				own = &logP
			}
			if e.rank <= p.echoed {
				top.add(s.tokenText(e.id), logP)
			}
		}
		list.add(s.tokenText(id), own, top, offset)
		offset += characters(decoder.Push(id))
	}
	return list
}
