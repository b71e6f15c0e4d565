package server

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"

	"slimlab/internal/jsonread"
	"slimlab/serve"
)

// scoreRequest asks for the probabilities of labels as the token after a query and each of several
// items: the body of SGLang's /v1/score, and of vLLM's generative scoring.
type scoreRequest struct {
	Model        *string         `json:"model"`
	Query        json.RawMessage `json:"query"` // a text or tokens
	Items        json.RawMessage `json:"items"` // a text, or a list of texts or of lists of tokens
	Labels       []int32         `json:"label_token_ids"`
	ApplySoftmax *bool           `json:"apply_softmax"` // among the labels alone
	ItemFirst    bool            `json:"item_first"`
	CacheSalt    string          `json:"cache_salt"`
	Reuse        *bool           `json:"reuse"`
	Cache        *bool           `json:"cache"` // false keeps no keys and values, for the longest prompts
}

var scoreShape = objectOf(
	jsonread.Keys(jsonread.Read, "model", "query", "items", "label_token_ids", "apply_softmax", "item_first", "cache_salt", "reuse", "cache").With(
		jsonread.Keys(jsonread.Harmless, "user", "rid", "request_id"),
		jsonread.Table{
			"temperature":            not("a temperature of scores", "0", "0.0", "1", "1.0"),
			"top_k":                  not("a choice among tokens", "0", "-1"),
			"top_p":                  not("a choice among tokens", "1", "1.0"),
			"truncate_prompt_tokens": not("a prompt that is cut off"),
		}),
	map[string]*shape{"query": oneOrMore, "items": oneOrMore, "label_token_ids": tokens, "user": aText, "request_id": aText,
		"rid": {words: "a string or a list of strings", kinds: `"[`, each: aText}},
)

// score answers in SGLang's form.
func (s *Server) score(x *exchange) error {
	scores, _, u, err := s.scores(x, false)
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, map[string]any{"object": "scoring", "model": s.model.Name, "scores": scores, "usage": u})
}

// tokenScores are the probabilities of an item's labels in vLLM's form.
type tokenScores struct {
	Index int                `json:"index"`
	Probs map[string]float64 `json:"token_probs"`
}

// generativeScore answers in vLLM's form, by whose default the labels alone are compared.
func (s *Server) generativeScore(x *exchange) error {
	scores, labels, u, err := s.scores(x, true)
	if err != nil {
		return err
	}
	results := []tokenScores{}
	for i, row := range scores {
		one := tokenScores{Index: i, Probs: map[string]float64{}}
		for j, label := range labels {
			one.Probs[strconv.Itoa(int(label))] = row[j]
		}
		results = append(results, one)
	}
	return x.write(http.StatusOK, map[string]any{
		"id": newID("score-"), "object": "generative_score", "created": x.begun.Unix(), "model": s.model.Name, "results": results, "usage": u,
	})
}

// scores reads a request and returns the probabilities [items][labels].
func (s *Server) scores(x *exchange, softmax bool) (scores [][]float64, labels []int32, u usage, err error) {
	var q scoreRequest
	if err := x.read(&q, scoreShape); err != nil {
		return nil, nil, u, err
	}
	if err := s.checkModel(q.Model); err != nil {
		return nil, nil, u, err
	}
	if q.ApplySoftmax != nil {
		softmax = *q.ApplySoftmax
	}
	requests, err := s.scoreRequests(&q, softmax)
	if err != nil {
		return nil, nil, u, err
	}
	scores = [][]float64{}
	if len(requests) == 0 {
		return scores, q.Labels, u, nil
	}
	ctx, cancel := s.context(x.r.Context())
	defer cancel()
	results, err := s.model.Engine.DoAll(ctx, requests)
	if err != nil {
		return nil, nil, u, s.cause(err)
	}
	for i := range results {
		r := &results[i]
		s.metrics.ended(x.begun, r)
		// Each item is a prompt of its own to its client. All but one find the query there.
		again := max(0, len(requests[i].Items)-1) * len(requests[i].Prompt)
		u.PromptTokens += r.Prompt + again
		u.PromptTokensDetails.CachedTokens += r.Cached + again
		rows := r.Items
		if len(rows) == 0 {
			rows = []serve.Score{{LabelLogits: r.LabelLogits, LabelLogP: r.LabelLogP}}
		}
		for _, row := range rows {
			scores = append(scores, probabilities(row, softmax))
		}
	}
	u.TotalTokens = u.PromptTokens
	x.record(u, string(serve.FinishScore))
	return scores, q.Labels, u, nil
}

// scoreRequests are what the engine is asked: one request for all items on a query, which is read
// once; or, where the items come first, one for each.
func (s *Server) scoreRequests(q *scoreRequest, softmax bool) ([]serve.Request, error) {
	limits := s.options.Limits
	switch {
	case q.Labels == nil:
		return nil, refuse("label_token_ids", "found none, expected at least one")
	case len(q.Labels) == 0:
		return nil, refuse("label_token_ids", "found an empty list, expected at least one")
	}
	if len(q.Labels) > limits.Labels {
		return nil, overLimit("label_token_ids", "tokens", len(q.Labels), limits.Labels)
	}
	if err := s.checkTokens("label_token_ids", q.Labels); err != nil {
		return nil, err
	}
	for i, id := range q.Labels {
		if before := slices.Index(q.Labels, id); before < i {
			return nil, refuse(at("label_token_ids", i), "found token %d, which stands at position %d already, expected each once", id, before)
		}
	}
	items, err := s.scoreParts("items", q.Items, q.ItemFirst)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	if len(items) > limits.Items {
		return nil, overLimit("items", "items", len(items), limits.Items)
	}
	queries, err := s.scoreParts("query", q.Query, !q.ItemFirst)
	if err != nil {
		return nil, err
	}
	switch len(queries) {
	case 1:
	case 0:
		return nil, refuse("query", "found an empty list, expected one text or list of tokens")
	default:
		return nil, refuse("query", "found %d, expected one text or list of tokens", len(queries))
	}
	query, longest := queries[0], 0
	for i, item := range items {
		if longest = max(longest, len(item)); len(query)+len(item) == 0 {
			return nil, refuse(at("items", i), "neither it nor the query has a token, expected at least one")
		}
	}
	if n, most := len(query)+longest, s.positions(); n > most && (q.Cache == nil || *q.Cache) || n > s.model.Shape.Positions {
		param := "items"
		if len(query) > most {
			param = "query"
		}
		return nil, tooLong(param, "there is room for %d tokens, found %d: %d of the query and %d of the longest item", most, n, len(query), longest)
	}
	ask := serve.Request{
		Prompt: query, Labels: q.Labels, LabelLogP: !softmax, Namespace: namespace(q.CacheSalt),
		NoReuse: q.Reuse != nil && !*q.Reuse, NoCache: q.Cache != nil && !*q.Cache,
	}
	if !q.ItemFirst && len(query) > 0 {
		ask.Items = items
		return []serve.Request{ask}, nil
	}
	requests := make([]serve.Request, len(items))
	for i, item := range items {
		requests[i] = ask
		first, second := query, item
		if q.ItemFirst {
			first, second = item, query
		}
		requests[i].Prompt = append(append([]int32{}, first...), second...)
	}
	return requests, nil
}

// scoreParts reads texts or lists of tokens. A text is tokenized by itself, so that items share the
// tokens of their query; one that begins the prompt has what the tokenizer puts before every text.
func (s *Server) scoreParts(param string, raw json.RawMessage, beginning bool) ([][]int32, error) {
	expected := refuse(param, "found %s, expected a text, tokens, or a list of either", jsonread.Clip(raw))
	if isNull(raw) {
		return nil, refuse(param, "found none, expected a text, tokens, or a list of either")
	}
	parts := []json.RawMessage{raw}
	if raw[0] == '[' {
		var list []json.RawMessage
		if err := jsonread.Decode(raw, &list); err != nil {
			return nil, unreadable(param, err)
		}
		if len(list) == 0 || list[0][0] == '"' || list[0][0] == '[' {
			parts = list
		}
	}
	out := make([][]int32, len(parts))
	for i, part := range parts {
		var err error
		if out[i], err = s.textOrTokens(param, part, beginning, expected); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// probabilities are those of labels: among all tokens, or among the labels alone.
func probabilities(row serve.Score, softmax bool) []float64 {
	out := make([]float64, len(row.LabelLogits))
	if !softmax {
		for i, logP := range row.LabelLogP {
			out[i] = math.Exp(float64(logP))
		}
		return out
	}
	largest := math.Inf(-1)
	for _, l := range row.LabelLogits {
		largest = max(largest, float64(l))
	}
	sum := 0.0
	for i, l := range row.LabelLogits {
		out[i] = math.Exp(float64(l) - largest)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}
