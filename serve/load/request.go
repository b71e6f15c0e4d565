package load

import (
	"fmt"
	"time"

	"slimlab/serve"
)

// Request is one request of a workload. Its prompt is Prompt, or Text, or Messages.
type Request struct {
	Arrival, Turn int // the arrival that it belongs to, and its place there, from 0

	Prompt   []int32   // token ids
	Text     string    // for a target that reads text
	Messages []Message // a conversation, for a target that reads text

	// MaxTokens are generated at most, and exactly so many with IgnoreEnd, where the target can. 0
	// of a text leaves it to the target.
	MaxTokens int
	IgnoreEnd bool      // an end of text does not end the answer
	Labels    []int32   // asks for these tokens' logits in place of generated tokens
	Items     [][]int32 // each is scored after the prompt, with Labels: a member's candidates in one request
	// Replaced are the tokens of the prompt that stand in place of answers whose tokens the target
	// has not told.
	Replaced int
}

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Tokens counts the prompt's tokens, those of the items among them; 0 of a text.
func (r Request) Tokens() int {
	n := len(r.Prompt)
	for _, item := range r.Items {
		n += len(item)
	}
	return n
}

// Engine is the request as the engine takes it; ends are the tokens that end a text. The error is
// of a prompt that is text, which an engine does not read.
func (r Request) Engine(ends []int32) (serve.Request, error) {
	if r.Prompt == nil {
		return serve.Request{}, fmt.Errorf("load: found a prompt of text, expected token ids: the engine has no tokenizer")
	}
	out := serve.Request{Prompt: r.Prompt, MaxTokens: r.MaxTokens, Labels: r.Labels, Items: r.Items}
	if !r.IgnoreEnd {
		out.Stop = ends
	}
	return out, nil
}

// Reply is what a Plan has to know of an answer: how the next turn of its session goes on.
type Reply struct {
	Failed bool    // then the session ends
	Count  int     // generated tokens
	Tokens []int32 // which these are; nil where the target does not say
	Text   string  // of a target that answers with text
}

// Answer is what a target says of a request that it has answered.
type Answer struct {
	Reply
	FirstByte time.Time // when the answer's head was there; zero where there is none
	First     time.Time // when the first token was there, or the logits of labels
	// Chunks are the times at which tokens came, one or several together; Chunks[0] is First. It
	// may be nil, and the gaps between tokens are unknown then.
	Chunks         []time.Time
	End            time.Time // when the last token was there; zero is when Send returned
	Prompt, Cached int       // tokens of the prompt, and those of them that came from the cache
	// Estimated says that the target has not counted its tokens: Prompt is what was sent, Cached is
	// unknown, and Count is the number of chunks.
	Estimated bool
	// Resent says that it went a second time, on another connection, since the server had closed
	// the first one without a word. The time of both counts.
	Resent bool
}
