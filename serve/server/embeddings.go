package server

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"slices"

	"slimlab/internal/jsonread"
	"slimlab/serve"
)

type embeddingRequest struct {
	Model    *string         `json:"model"`
	Input    json.RawMessage `json:"input"`
	Encoding *string         `json:"encoding_format"`
	Pooling  *serve.Pool     `json:"pooling"`

	CacheSalt string `json:"cache_salt"`
	Reuse     *bool  `json:"reuse"`
}

var embeddingShape = objectOf(
	jsonread.Keys(jsonread.Read, "model", "input", "encoding_format", "pooling", "cache_salt", "reuse").With(jsonread.Keys(jsonread.Harmless, "user"), jsonread.Table{
		"dimensions":             not("a part of the hidden state"),
		"truncate_prompt_tokens": not("an input that is cut off"),
		"messages":               not("a conversation, which input has as a text,"),
	}),
	map[string]*shape{"input": oneOrMore, "user": aText},
)

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // numbers, or base64 of them
}

// embeddings answers with hidden states of texts, each of length 1.
func (s *Server) embeddings(x *exchange) error {
	var q embeddingRequest
	if err := x.read(&q, embeddingShape); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	encode, pool := func(v []float32) any { return v }, serve.PoolLast
	if q.Encoding != nil && *q.Encoding != "float" {
		if *q.Encoding != "base64" {
			return refuse("encoding_format", "found %q, expected float or base64", *q.Encoding)
		}
		encode = inBase64
	}
	if q.Pooling != nil {
		if pool = *q.Pooling; !slices.Contains(serve.Pools(), pool) {
			return refuse("pooling", "found %q, expected last or mean", pool)
		}
	}
	inputs, err := s.prompts("input", q.Input, s.options.Limits.Items)
	if err != nil {
		return err
	}
	requests := make([]serve.Request, len(inputs))
	for i, input := range inputs {
		if most := s.positions(); len(input) > most {
			return tooLong("input", "there is room for %d tokens, found %d in number %d", most, len(input), i)
		}
		requests[i] = serve.Request{Prompt: input, Pool: pool, Namespace: namespace(q.CacheSalt), NoReuse: q.Reuse != nil && !*q.Reuse}
	}
	ctx, cancel := s.context(x.r.Context())
	defer cancel()
	results, err := s.model.Engine.DoAll(ctx, requests)
	if err != nil {
		return s.cause(err)
	}
	var u usage
	data := make([]embedding, len(results))
	for i := range results {
		r := &results[i]
		s.metrics.ended(x.begun, r)
		u.PromptTokens += r.Prompt
		u.PromptTokensDetails.CachedTokens += r.Cached
		data[i] = embedding{"embedding", i, encode(unit(r.State))}
	}
	u.TotalTokens = u.PromptTokens
	x.record(u, "embedding")
	return x.write(http.StatusOK, map[string]any{"object": "list", "model": s.model.Name, "data": data, "usage": u})
}

// unit divides a vector by its length, unless that is 0.
func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length, out := math.Sqrt(sum), slices.Clone(v)
	for i := range out {
		if length > 0 {
			out[i] = float32(float64(out[i]) / length)
		}
	}
	return out
}

// inBase64 encodes float32 in little endian.
func inBase64(v []float32) any {
	data := make([]byte, 0, 4*len(v))
	for _, x := range v {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(data)
}
