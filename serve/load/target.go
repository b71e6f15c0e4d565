package load

import (
	"context"
	"time"

	"slimlab/serve"
)

// Target answers requests. It is called from several goroutines at once.
type Target interface {
	// Send returns when the request is answered, or with an error why it is not.
	Send(ctx context.Context, r Request) (Answer, error)
}

// Embedded is an engine in this process as a target; its executor's clock is this machine's.
type Embedded struct {
	Engine *serve.Engine
	Ends   []int32 // the tokens that end a text
	// Encode gives the tokens of a request whose prompt is text; nil refuses such requests.
	Encode func(Request) ([]int32, error)
	Decode func([]int32) string // gives the text of an answer to one; nil leaves it out
}

// Send serves the request.
func (t Embedded) Send(ctx context.Context, r Request) (Answer, error) {
	text := r.Prompt == nil
	if text && t.Encode != nil {
		var err error
		if r.Prompt, err = t.Encode(r); err != nil {
			return Answer{}, err
		}
	}
	request, err := r.Engine(t.Ends)
	if err != nil {
		return Answer{}, err
	}
	var chunks []time.Time
	if r.MaxTokens > 0 {
		chunks = make([]time.Time, 0, r.MaxTokens)
		// it is called on one goroutine, and no more when Do has returned
		request.OnToken = func(serve.Token) { chunks = append(chunks, time.Now()) }
	}
	result, err := t.Engine.Do(ctx, request)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{
		Reply: Reply{Count: len(result.Tokens), Tokens: result.Tokens}, First: result.FirstToken, End: result.End,
		Prompt: result.Prompt, Cached: result.Cached, Chunks: chunks,
	}
	if len(chunks) > 0 {
		answer.First, answer.End = chunks[0], chunks[len(chunks)-1]
	}
	if text && t.Decode != nil {
		answer.Text = t.Decode(result.Tokens)
	}
	return answer, nil
}
