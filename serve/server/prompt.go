package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"slimlab/internal/jsonread"
	"slimlab/internal/plural"
)

// tokens tokenizes a text as the model reads it from its beginning, with what the tokenizer puts
// before every text, or as it is.
func (s *Server) tokens(param, text string, beginning bool) ([]int32, error) {
	t := s.model.Tokenizer
	var ids []int32
	if beginning {
		ids = t.EncodeSpecial(text)
	} else {
		ids = t.Encode(text)
	}
	if err := t.CheckIDs(ids, s.model.Shape.Vocabulary); err != nil {
		return nil, refuse(param, "%v", err)
	}
	return ids, nil
}

// checkTokens refuses ids that the model does not have.
func (s *Server) checkTokens(param string, ids []int32) error {
	for i, id := range ids {
		if id < 0 || int(id) >= s.model.Shape.Vocabulary {
			return refuse(param, "found token %d at position %d, expected 0 to %d", id, i, s.model.Shape.Vocabulary-1)
		}
	}
	return nil
}

// prompts reads what OpenAI calls a prompt or an input: a text, tokens, or a list of either.
func (s *Server) prompts(param string, raw json.RawMessage, most int) ([][]int32, error) {
	expected := refuse(param, "found %s, expected a string, a list of strings, a list of tokens or a list of such lists", jsonread.Clip(raw))
	var parts []json.RawMessage
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, refuse(param, "found none, expected a string, a list of strings, a list of tokens or a list of such lists")
	case raw[0] == '"':
		parts = []json.RawMessage{raw}
	case raw[0] != '[':
		return nil, expected
	default:
		if tokens, ok := plainTokens(raw); ok {
			return [][]int32{tokens}, s.checkTokens(param, tokens)
		}
		if err := jsonread.Decode(raw, &parts); err != nil {
			return nil, unreadable(param, err)
		}
		if len(parts) == 0 {
			return nil, refuse(param, "found an empty list, expected at least one prompt")
		}
		if c := parts[0][0]; c == '-' || c >= '0' && c <= '9' {
			parts = []json.RawMessage{raw}
		}
	}
	if len(parts) > most {
		return nil, overLimit(param, "prompts", len(parts), most)
	}
	prompts := make([][]int32, len(parts))
	for i, part := range parts {
		var err error
		if prompts[i], err = s.textOrTokens(param, part, true, expected); err != nil {
			return nil, err
		}
		if len(prompts[i]) == 0 {
			return nil, refuse(param, "prompt %d has no tokens, expected at least one", i)
		}
	}
	return prompts, nil
}

// textOrTokens reads a text, or a list of tokens; of anything else the error is expected. A text
// that is a beginning has what the tokenizer puts before every text.
func (s *Server) textOrTokens(param string, raw json.RawMessage, beginning bool, expected error) ([]int32, error) {
	switch raw[0] {
	case '"':
		var text string
		if err := jsonread.Decode(raw, &text); err != nil {
			return nil, unreadable(param, err)
		}
		return s.tokens(param, text, beginning)
	case '[':
		tokens, ok := plainTokens(raw)
		if !ok {
			if err := jsonread.Decode(raw, &tokens); err != nil {
				return nil, unreadable(param, err)
			}
		}
		return tokens, s.checkTokens(param, tokens)
	}
	return nil, expected
}

// plainTokens reads a list of numbers that are digits alone, as tokens are; ok is false for any
// other JSON. A prompt of 4,096 tokens passes in a small part of the time of encoding/json.
func plainTokens(raw json.RawMessage) (tokens []int32, ok bool) {
	if len(raw) < 2 || raw[0] != '[' {
		return nil, false
	}
	tokens = make([]int32, 0, bytes.Count(raw, []byte(","))+1)
	number, digits, ended := 0, 0, false
	for i, c := range raw[1:] {
		switch {
		case c >= '0' && c <= '9' && !ended && digits < 10 && (digits == 0 || number > 0):
			number, digits = 10*number+int(c-'0'), digits+1
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			ended = digits > 0
		case (c == ',' || c == ']') && digits > 0 && number <= math.MaxInt32:
			if tokens = append(tokens, int32(number)); c == ']' {
				return tokens, i == len(raw)-2
			}
			number, digits, ended = 0, 0, false
		default:
			return nil, false
		}
	}
	return nil, false
}

// positions is how many tokens a request can have, with its answer: those of the model, or the
// cache's where it has room for fewer.
func (s *Server) positions() int {
	return min(s.model.Shape.Positions, s.model.Shape.Pages*s.model.Shape.PageSize)
}

// room is how many tokens may follow a prompt: those that are asked for, least or more, or the
// usual number, or all that there is room for where usual is 0. of is the field of the prompt,
// param that of the number.
func (s *Server) room(of string, prompt int, param string, asked *int, usual, least int) (int, error) {
	positions := s.positions()
	left := positions - prompt
	switch {
	case asked != nil && *asked < least:
		return 0, refuse(param, "found %d, expected at least %d", *asked, least)
	case left < 0 || left == 0 && (asked == nil || *asked > 0):
		return 0, tooLong(of, "this model has %d positions, found a prompt of %d tokens: no room is left for an answer", positions, prompt)
	case asked != nil && *asked > left:
		return 0, tooLong(of, "this model has %d positions, found a prompt of %s and %d for the answer (%s)", positions, plural.Of(prompt, "token"), *asked, param)
	case asked != nil:
		return *asked, nil
	case usual > 0:
		return min(usual, left), nil
	}
	return left, nil
}

func tooLong(param, format string, args ...any) *problem {
	return refuse(param, format, args...).coded("context_length_exceeded")
}

// checkModel refuses the name of another model. Without a name the one that is served is meant.
func (s *Server) checkModel(name *string) error {
	if name == nil || *name == "" || *name == s.model.Name {
		return nil
	}
	p := fault(http.StatusNotFound, invalidRequest, "model_not_found", "model: found %q, expected %q", *name, s.model.Name)
	param := "model"
	p.Param = &param
	return p
}

// at is the path of an element of a list.
func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }
