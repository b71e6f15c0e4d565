package server

import (
	"encoding/json"
	"net/http"

	"slimlab/internal/jsonread"
)

type tokenizeRequest struct {
	Model             *string                    `json:"model"`
	Prompt            *string                    `json:"prompt"`
	AddSpecialTokens  *bool                      `json:"add_special_tokens"`
	ReturnTokens      bool                       `json:"return_token_strs"`
	Messages          []json.RawMessage          `json:"messages"`
	Tools             json.RawMessage            `json:"tools"`
	TemplateVariables map[string]json.RawMessage `json:"chat_template_kwargs"`
}

var tokenizeShape = objectOf(
	jsonread.Keys(jsonread.Read, "model", "prompt", "add_special_tokens", "return_token_strs", "messages", "tools", "chat_template_kwargs").With(jsonread.Table{
		"add_generation_prompt":  not("a conversation without the beginning of the answer", "true"),
		"continue_final_message": not("an answer that goes on with the last message", "false"),
		"chat_template":          not("another chat template"),
	}),
	map[string]*shape{"messages": listOf(messageShape), "tools": listOf(toolShape), "chat_template_kwargs": variablesShape},
)

type tokenization struct {
	Count    int      `json:"count"`
	MaxModel int      `json:"max_model_len"`
	Tokens   []int32  `json:"tokens"`
	Strings  []string `json:"token_strs"`
}

// tokenize answers with the tokens of a text, or of a conversation as the model reads it.
func (s *Server) tokenize(x *exchange) error {
	var q tokenizeRequest
	if err := x.read(&q, tokenizeShape); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	var ids []int32
	var err error
	switch {
	case q.Prompt != nil && q.Messages != nil:
		return refuse("messages", "found them beside prompt, expected one of both")
	case q.Prompt != nil && !isNull(q.Tools):
		return refuse("tools", "found them beside prompt, expected them beside messages")
	case q.Prompt != nil && q.TemplateVariables != nil:
		return refuse("chat_template_kwargs", "found them beside prompt, expected them beside messages")
	case q.Prompt != nil:
		ids, err = s.tokens("prompt", *q.Prompt, q.AddSpecialTokens == nil || *q.AddSpecialTokens)
	case q.Messages != nil && q.AddSpecialTokens != nil && *q.AddSpecialTokens:
		return refuse("add_special_tokens", "found true beside messages, expected it beside prompt: the chat template writes all of the conversation")
	case q.Messages != nil:
		if _, err := readTools(q.Tools); err != nil {
			return err
		}
		ids, err = s.render(q.Messages, q.Tools, q.TemplateVariables)
	default:
		return refuse("prompt", "found none, expected a prompt or messages")
	}
	if err != nil {
		return err
	}
	body := tokenization{Count: len(ids), MaxModel: s.positions(), Tokens: append([]int32{}, ids...)}
	if q.ReturnTokens {
		body.Strings = make([]string, len(ids))
		for i, id := range ids {
			body.Strings[i] = s.model.Tokenizer.Token(id)
		}
	}
	return x.write(http.StatusOK, body)
}

type detokenizeRequest struct {
	Model  *string `json:"model"`
	Tokens []int32 `json:"tokens"`
}

var detokenizeShape = objectOf(jsonread.Keys(jsonread.Read, "model", "tokens"), map[string]*shape{"tokens": tokens})

// detokenize answers with the text of tokens. Bytes that are no UTF-8 are U+FFFD in it.
func (s *Server) detokenize(x *exchange) error {
	var q detokenizeRequest
	if err := x.read(&q, detokenizeShape); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	if q.Tokens == nil {
		return refuse("tokens", "found none, expected a list of tokens")
	}
	if err := s.checkTokens("tokens", q.Tokens); err != nil {
		return err
	}
	return x.write(http.StatusOK, map[string]string{"prompt": s.model.Tokenizer.Decode(q.Tokens)})
}
