package server

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// client is OpenAI's own, without retries.
func (x *fixture) client() openai.Client {
	return openai.NewClient(option.WithBaseURL(x.http.URL+"/v1"), option.WithAPIKey("key"), option.WithMaxRetries(0), option.WithHTTPClient(x.http.Client()))
}

func TestOpenAIsClientChats(t *testing.T) {
	x := start(t, script, Options{Keys: []string{"key"}})
	client := x.client()
	ask := openai.ChatCompletionNewParams{
		Model: "tiny", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("weather")}, Temperature: openai.Float(0),
		Tools:         []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "weather", Parameters: openai.FunctionParameters{"type": "object"}})},
		Logprobs:      openai.Bool(true),
		TopLogprobs:   openai.Int(2),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	stream := client.Chat.Completions.NewStreaming(t.Context(), ask)
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			t.Fatalf("the chunk %s does not fit", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	ask.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
	whole, err := client.Chat.Completions.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]openai.ChatCompletion{"stream": all.ChatCompletion, "whole": *whole} {
		m := c.Choices[0].Message
		if m.Content != "Let me look." || c.Choices[0].FinishReason != "tool_calls" || len(m.ToolCalls) != 1 || m.ToolCalls[0].Function.Arguments != `{"place": "Łódź"}` || m.ToolCalls[0].ID == "" {
			t.Errorf("%s: %+v", name, c.Choices[0])
		}
		tokens := c.Choices[0].Logprobs.Content
		text := ""
		for _, l := range tokens {
			for _, b := range l.Bytes {
				text += string([]byte{byte(b)})
			}
			if l.Logprob > 0 || len(l.TopLogprobs) != 2 || l.TopLogprobs[0].Token != l.Token {
				t.Errorf("%s: %+v", name, l)
			}
		}
		if want := script["weather"]; text != want || int(c.Usage.CompletionTokens) != len(tokens) {
			t.Errorf("%s: the bytes of %d tokens are %q, want %q of %d", name, len(tokens), text, want, c.Usage.CompletionTokens)
		}
	}
	if whole.Usage.PromptTokensDetails.CachedTokens == 0 {
		t.Errorf("usage %+v: nothing was cached", whole.Usage)
	}
}

func TestOpenAIsClientCompletes(t *testing.T) {
	x := start(t, script, Options{Keys: []string{"key"}})
	client := x.client()
	got, err := client.Completions.New(t.Context(), openai.CompletionNewParams{
		Model: "tiny", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("unicode<a>")}, MaxTokens: openai.Int(60), Logprobs: openai.Int(3), Temperature: openai.Float(0),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Choices[0]
	l := c.Logprobs
	if n := int(got.Usage.CompletionTokens); c.Text != script["unicode"] || len(l.Tokens) != n || len(l.TokenLogprobs) != n || len(l.TopLogprobs) != n || len(l.TextOffset) != n {
		t.Fatalf("%q, %d tokens, %+v", c.Text, n, l)
	}
	runes := []rune(c.Text)
	for i, token := range l.Tokens {
		sum := 0.0
		for _, p := range l.TopLogprobs[i] {
			sum += math.Exp(p)
		}
		if sum > 1.0001 || sum < 0.99 || l.TokenLogprobs[i] > 0 {
			t.Errorf("token %q: probabilities of %v in sum", token, sum)
		}
		if at := string(runes[l.TextOffset[i]:]); !strings.Contains(token, "\uFFFD") && !strings.HasPrefix(at, token) {
			t.Errorf("token %q stands at %d, where the text is %q", token, l.TextOffset[i], at)
		}
	}
	page, err := client.Models.List(t.Context())
	if err != nil || len(page.Data) != 1 || page.Data[0].ID != "tiny" {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestOpenAIsClientReadsErrors(t *testing.T) {
	x := start(t, script, Options{Keys: []string{"key"}})
	client := x.client()
	_, err := client.Completions.New(t.Context(), openai.CompletionNewParams{Model: "other", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("a")}})
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != 404 || e.Code != "model_not_found" || e.Param != "model" || e.Type != invalidRequest || !strings.Contains(e.Message, `"tiny"`) {
		t.Errorf("%+v", err)
	}
	_, err = client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "tiny", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("a")}, MaxCompletionTokens: openai.Int(1000)})
	if !errors.As(err, &e) || e.StatusCode != 400 || e.Code != "context_length_exceeded" {
		t.Errorf("%+v", err)
	}
}

// A stream that its reader leaves frees all.
func TestOpenAIsClientLeaves(t *testing.T) {
	x := start(t, nil, Options{Keys: []string{"key"}})
	client := x.client()
	ctx, leave := context.WithCancel(t.Context())
	stream := client.Completions.NewStreaming(ctx, openai.CompletionNewParams{Model: "tiny", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("endless<a>")}, MaxTokens: openai.Int(400)})
	for range 3 {
		stream.Next()
	}
	leave()
	stream.Close()
	x.http.Close()
	x.idle(t)
}
