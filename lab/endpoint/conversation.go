package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sourcegraph/conc"

	"slimlab/model/chat"
	"slimlab/serve"
	"slimlab/serve/sample"
)

// Conversation is a chat with an endpoint's model, which keeps what was said.
type Conversation struct {
	endpoint *Endpoint
	sampling sample.Settings
	most     int // tokens of an answer; 0 is all that there is room for
	messages []spoken
	now      func() time.Time
}

type spoken struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// ConversationOptions shape a conversation. Zero values mean greedy answers without a bound.
type ConversationOptions struct {
	System      string
	Temperature float64
	TopP        float64
	TopK        int
	Seed        uint64
	MaxTokens   int
}

// Converse begins a conversation. A model without a chat template has none.
func (e *Endpoint) Converse(o ConversationOptions) (*Conversation, error) {
	if e.model.Template == nil {
		return nil, errors.New(e.model.NoTemplate + ": a model that was trained on conversations has one; slimlab eval --generate continues a text, and slimlab serve does at /v1/completions")
	}
	c := &Conversation{
		endpoint: e, most: o.MaxTokens, now: time.Now,
		sampling: sample.Settings{Temperature: o.Temperature, TopP: o.TopP, TopK: o.TopK, Seed: o.Seed},
	}
	if o.System != "" {
		c.messages = append(c.messages, spoken{"system", o.System})
	}
	return c, nil
}

// Clear forgets all but the system's message.
func (c *Conversation) Clear() {
	if len(c.messages) > 0 && c.messages[0].Role == "system" {
		c.messages = c.messages[:1]
		return
	}
	c.messages = nil
}

// Reply is what an answer took.
type Reply struct {
	Prompt, Cached, Tokens int
	TTFT                   time.Duration // from the question to the first token
	Rate                   float64       // tokens a second after the first; 0 for fewer than two
	Cut                    bool          // the answer ended at the bound of its tokens,
	Full                   bool          // which was what room was left for it
}

// Say asks the model and gives write the answer as it comes. When ctx ends the answer stops, and
// what was said of it stays in the conversation. A question that cannot be asked is forgotten.
func (c *Conversation) Say(ctx context.Context, question string, write func(text string)) (Reply, error) {
	prompt, err := c.prompt(question)
	if err != nil {
		return Reply{}, err
	}
	shape := c.endpoint.model.Shape
	room := min(shape.Positions, shape.Pages*shape.PageSize) - len(prompt)
	if room < 1 {
		return Reply{}, fmt.Errorf("the conversation has %d tokens, and there is room for %d: /clear begins a new one", len(prompt), room+len(prompt))
	}
	full := c.most == 0 || c.most >= room
	if !full {
		room = c.most
	}
	tokens := make(chan int32, room) // the engine never waits
	request := serve.Request{Prompt: prompt, MaxTokens: room, Sampling: c.sampling, Stop: c.endpoint.model.Ends, OnToken: func(t serve.Token) { tokens <- t.ID }}
	var result serve.Result
	var wait conc.WaitGroup
	wait.Go(func() {
		defer close(tokens)
		result, err = c.endpoint.engine.Do(ctx, request)
	})
	decoder := c.endpoint.model.Tokenizer.NewTextDecoder()
	var answer strings.Builder
	say := func(text string) {
		if text != "" {
			answer.WriteString(text)
			write(text)
		}
	}
	for t := range tokens {
		say(decoder.Push(t))
	}
	say(decoder.Flush())
	wait.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return Reply{}, err
	}
	c.messages = append(c.messages, spoken{"user", question}, spoken{"assistant", answer.String()})
	r := Reply{Prompt: result.Prompt, Cached: result.Cached, Tokens: len(result.Tokens), Cut: result.Finish == serve.FinishLength}
	r.Full = r.Cut && full
	if r.Tokens > 0 {
		r.TTFT = result.TTFT()
	}
	if tpot := result.TPOT(); tpot > 0 {
		r.Rate = 1 / tpot.Seconds()
	}
	return r, err
}

// prompt is the conversation with a question, as the model reads it.
func (c *Conversation) prompt(question string) ([]int32, error) {
	list, err := json.Marshal(append(c.messages[:len(c.messages):len(c.messages)], spoken{"user", question}))
	if err != nil {
		return nil, err
	}
	text, err := c.endpoint.model.Template.Render(chat.Conversation{Messages: list, AddGenerationPrompt: true, Now: c.now()})
	if err != nil {
		return nil, err
	}
	ids := c.endpoint.model.Tokenizer.Encode(text)
	if err := c.endpoint.model.Tokenizer.CheckIDs(ids, c.endpoint.model.Shape.Vocabulary); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errors.New("the chat template writes nothing for the conversation, expected a text")
	}
	return ids, nil
}
