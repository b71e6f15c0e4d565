package server

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"slimlab/internal/jsonread"
	"slimlab/serve/sample"
)

// settings are the fields that every generating endpoint has.
type settings struct {
	Model       *string  `json:"model"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	TopK        *int     `json:"top_k"`
	Seed        *int64   `json:"seed"`
	N           *int     `json:"n"`

	Stop          json.RawMessage `json:"stop"` // a string or a list of strings
	StopTokenIDs  []int32         `json:"stop_token_ids"`
	IncludeStop   bool            `json:"include_stop_str_in_output"`
	IgnoreEOS     bool            `json:"ignore_eos"`
	SpecialTokens *bool           `json:"skip_special_tokens"`

	Stream        bool `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`

	MinP       *float64           `json:"min_p"`
	Presence   *float64           `json:"presence_penalty"`
	Frequency  *float64           `json:"frequency_penalty"`
	Repetition *float64           `json:"repetition_penalty"`
	LogitBias  map[string]float64 `json:"logit_bias"`
	MinTokens  *int               `json:"min_tokens"`

	CacheSalt string `json:"cache_salt"` // shares prefixes only with requests that have the same
	Reuse     *bool  `json:"reuse"`      // false neither takes a cached prefix nor leaves one

	ResponseFormat json.RawMessage `json:"response_format"`
	Regex          *string         `json:"regex"`

	wanted *wantedForm // of an answer; nil is what ResponseFormat says
	calls  *callPlan   // nil without tools

	stops    []string // of Stop
	prompt   string   // the field that the prompts are from
	logprobs int      // alternatives beside each token; -1 asks for no log-probabilities

	leastTokens int // of an answer: 1, or 0 where something else is asked
}

// settingsKeys are the keys of settings, and those of the interface that settings do not have: they
// are refused where they ask for something.
var settingsKeys = jsonread.Keys(jsonread.Read,
	"model", "temperature", "top_p", "top_k", "seed", "n", "stop", "stop_token_ids", "include_stop_str_in_output", "ignore_eos", "skip_special_tokens",
	"stream", "stream_options", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias", "min_tokens",
	"response_format", "regex", "cache_salt", "reuse",
).With(identityKeys, jsonread.Table{
	"service_tier":                  not("a tier of service", `"auto"`, `"default"`),
	"best_of":                       not("a choice among answers", "1"),
	"use_beam_search":               not("a beam search", "false"),
	"length_penalty":                not("a beam search", "1", "1.0"),
	"early_stopping":                not("a beam search", "false"),
	"guided_json":                   not("a form by this key, which response_format has,"),
	"guided_regex":                  not("a form by this key, which regex has,"),
	"guided_choice":                 not("a choice of answers, which regex has,"),
	"guided_grammar":                not("a grammar"),
	"structured_outputs":            not("a form by this key, which response_format and regex have,"),
	"structural_tag":                not("a form by tags"),
	"grammar":                       not("a grammar"),
	"ebnf":                          not("a grammar"),
	"json_schema":                   not("a form by this key, which response_format has,"),
	"bad_words":                     not("a list of words that must not come", "[]"),
	"allowed_token_ids":             not("a list of tokens that alone may come"),
	"truncate_prompt_tokens":        not("a prompt that is cut off"),
	"logits_processors":             not("a processor of logits", "[]"),
	"custom_logit_processor":        not("a processor of logits"),
	"thinking_token_budget":         not("a bound of reasoning"),
	"stop_regex":                    not("an end by an expression", "[]"),
	"min_new_tokens":                not("a least number of tokens by this key, which min_tokens has,", "0"),
	"return_token_ids":              not("an answer with ids of tokens", "false"),
	"return_tokens_as_token_ids":    not("an answer with ids of tokens", "false"),
	"return_hidden_states":          not("an answer with hidden states", "false"),
	"spaces_between_special_tokens": not("an answer without spaces between special tokens", "true"),
	"lora_path":                     not("an adapter"),
})

// identityKeys say who asks, and for whom: nothing that changes an answer.
var identityKeys = jsonread.Keys(jsonread.Harmless, "user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options")

// identityMembers are their values by OpenAI's schema.
var identityMembers = map[string]*shape{
	"user": aText, "safety_identifier": aText, "prompt_cache_key": aText, "metadata": {words: "an object", kinds: "{", values: aText, bounds: &memberBounds{16, 64, 512}},
	"prompt_cache_retention": {words: "a string", among: []string{`"in_memory"`, `"in-memory"`, `"24h"`}}, "prompt_cache_options": {words: "an object", kinds: "{"},
}

// settingsShape is what generating endpoints have in their bodies.
var settingsShape = objectOf(settingsKeys, identityMembers).with(nil, map[string]*shape{
	"stop":           {words: "a string or a list of strings", kinds: `"[`, each: aText},
	"stop_token_ids": tokens,
	"logit_bias":     {values: aNumber},
	"stream_options": objectOf(jsonread.Keys(jsonread.Read, "include_usage").With(jsonread.Table{
		"include_obfuscation":    not("an obfuscated stream", "false"),
		"continuous_usage_stats": not("a usage in each piece", "false"),
	}), nil),
	"response_format": {words: "an object", choose: formatShape},
})

// formatShape is the shape of a form of an answer. What stands beside a type that does not have it
// is listed as ignored.
func formatShape(members map[string]json.RawMessage) *shape {
	if string(members["type"]) != `"json_schema"` {
		return objectOf(jsonread.Keys(jsonread.Read, "type"), nil)
	}
	return objectOf(jsonread.Keys(jsonread.Read, "type", "json_schema"), map[string]*shape{
		"json_schema": objectOf(jsonread.Keys(jsonread.Read, "name", "description", "schema", "strict"), map[string]*shape{
			"name": aText, "description": aText, "strict": {words: "true or false", kinds: "t"},
		}),
	})
}

// check refuses values outside of their ranges.
func (p *settings) check(limits Limits) error {
	within := func(name string, v *float64, low, high float64) error {
		if v != nil && !(*v >= low && *v <= high) {
			return refuse(name, "found %v, expected %v to %v", *v, low, high)
		}
		return nil
	}
	err := cmp.Or(
		within("temperature", p.Temperature, 0, 2), within("top_p", p.TopP, 0, 1), within("min_p", p.MinP, 0, 1),
		within("presence_penalty", p.Presence, -2, 2), within("frequency_penalty", p.Frequency, -2, 2), within("repetition_penalty", p.Repetition, 0.01, 100),
	)
	if err != nil {
		return err
	}
	switch {
	case p.TopP != nil && *p.TopP == 0:
		return refuse("top_p", "found 0, expected more than 0 to 1: temperature 0 is the likeliest token alone")
	case p.TopK != nil && *p.TopK < -1:
		return refuse("top_k", "found %d, expected at least 1, or 0 or -1 for all tokens", *p.TopK)
	case p.N != nil && *p.N < 1:
		return refuse("n", "found %d, expected at least 1", *p.N)
	case p.N != nil && *p.N > limits.Choices: // before it is multiplied
		return overLimit("n", "answers", *p.N, limits.Choices)
	case p.StreamOptions != nil && !p.Stream:
		return refuse("stream_options", "found it without stream, expected it only where stream is true")
	case len(p.StopTokenIDs) > limits.Stops:
		return overLimit("stop_token_ids", "tokens", len(p.StopTokenIDs), limits.Stops)
	}
	return p.readStops(limits)
}

// readStops reads a string or a list of strings.
func (p *settings) readStops(limits Limits) error {
	if len(p.Stop) == 0 || string(p.Stop) == "null" {
		return nil
	}
	if p.Stop[0] == '"' {
		p.stops = make([]string, 1)
		if err := jsonread.Decode(p.Stop, &p.stops[0]); err != nil {
			return unreadable("stop", err)
		}
	} else if err := jsonread.Decode(p.Stop, &p.stops); err != nil {
		return unreadable("stop", err)
	}
	if len(p.stops) > limits.Stops {
		return overLimit("stop", "strings", len(p.stops), limits.Stops)
	}
	for _, s := range p.stops {
		if len(s) > limits.StopBytes {
			return overLimit("stop", "bytes in a string", len(s), limits.StopBytes)
		}
	}
	p.stops = slices.DeleteFunc(p.stops, func(s string) bool { return s == "" }) // which would stop nothing
	return nil
}

// choices is the number of answers to each prompt.
func (p *settings) choices() int {
	if p.N == nil {
		return 1
	}
	return *p.N
}

// sampling is how tokens are chosen, by OpenAI's defaults. Without a seed one is drawn, so that the
// same request is answered otherwise each time.
func (s *Server) sampling(p *settings) (sample.Settings, error) {
	out := sample.Settings{Temperature: 1, TopP: 1, Seed: rand.Uint64()}
	for _, v := range []struct{ from, to *float64 }{
		{p.Temperature, &out.Temperature}, {p.TopP, &out.TopP}, {p.MinP, &out.MinP},
		{p.Presence, &out.Presence}, {p.Frequency, &out.Frequency}, {p.Repetition, &out.Repetition},
	} {
		if v.from != nil {
			*v.to = *v.from
		}
	}
	if p.TopK != nil {
		out.TopK = min(max(*p.TopK, 0), math.MaxInt32)
	}
	if p.Seed != nil {
		out.Seed = uint64(*p.Seed)
	}
	for _, name := range slices.Sorted(maps.Keys(p.LogitBias)) {
		bias := p.LogitBias[name]
		id, err := strconv.ParseInt(name, 10, 32)
		switch {
		case err != nil || id < 0 || int(id) >= s.model.Shape.Vocabulary:
			return out, refuse("logit_bias", "found token %.40q, expected 0 to %d", name, s.model.Shape.Vocabulary-1)
		case strconv.FormatInt(id, 10) != name:
			return out, refuse("logit_bias", "found token %q, expected \"%d\"", name, id)
		case !(bias >= -100 && bias <= 100):
			return out, refuse("logit_bias", "found %v for token %s, expected -100 to 100", bias, name)
		}
		if out.Bias == nil {
			out.Bias = map[int32]float32{}
		}
		out.Bias[int32(id)] = float32(bias)
	}
	return out, nil
}

// asks for the numbers of tokens at the end of a stream.
func (p *settings) wantsUsage() bool { return p.StreamOptions != nil && p.StreamOptions.IncludeUsage }

// namespace is the engine's name for a salt. It is a hash: a salt can be long, and the engine shows
// to all who watch it what it names.
func namespace(salt string) string {
	if salt == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(salt))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
