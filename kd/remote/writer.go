package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Ask asks for the answer to a prompt.
type Ask struct {
	Prompt      []int32
	MaxTokens   int
	Temperature float64 // 0 is greedy
	TopP        float64 // 0 or 1 is all
	TopK        int     // 0 is all, and is not sent: it is no setting of OpenAI's
	Seed        uint64
}

// Written is the text of an answer; Ended is false where it was cut.
type Written struct {
	Text  string
	Ended bool
}

// Writer is an endpoint that writes answers. Distillation on them needs no log-probabilities.
type Writer struct{ client client }

// NewWriter returns a writer; it asks nothing yet. Of the Config it reads what says where the
// endpoint is and how requests are sent; Vocab is the bound of the prompts' token ids.
func NewWriter(c Config) (*Writer, error) {
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	return &Writer{client}, nil
}

// completion is the body of a call for an answer.
type completion struct {
	Model       string  `json:"model,omitempty"`
	Prompt      []int32 `json:"prompt"`
	MaxTokens   int     `json:"max_tokens"`
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p,omitempty"`
	TopK        int     `json:"top_k,omitempty"`
	Seed        uint64  `json:"seed"`
}

// seedBits is how much of a seed is sent: endpoints read it as a signed number of 64 bits, and
// some through a float64.
const seedBits = 52

// Write has prompts answered, a bounded number of them at a time, in their order. When one fails
// the others are ended.
func (w *Writer) Write(ctx context.Context, asks []Ask) ([]Written, error) {
	written := make([]Written, len(asks))
	err := w.client.each(ctx, len(asks), func(ctx context.Context, i int) error {
		a := &asks[i]
		body := completion{w.client.config.Model, a.Prompt, a.MaxTokens, a.Temperature, a.TopP, a.TopK, a.Seed & (1<<seedBits - 1)}
		return w.client.call(ctx, body, func(answer io.Reader) (err error) {
			written[i], err = parseCompletion(answer)
			return err
		})
	})
	return written, err
}

// parseCompletion reads the first choice of an answer.
func parseCompletion(r io.Reader) (w Written, err error) {
	var answer struct {
		Choices []struct {
			Text   *string `json:"text"`
			Finish string  `json:"finish_reason"`
		} `json:"choices"`
	}
	switch err := json.NewDecoder(r).Decode(&answer); {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return w, errEarly
	case err != nil:
		return w, err
	case len(answer.Choices) == 0 || answer.Choices[0].Text == nil:
		return w, errors.New("the answer has no text (choices[0].text)")
	}
	first := answer.Choices[0]
	switch first.Finish {
	case "stop":
		return Written{*first.Text, true}, nil
	case "length":
		return Written{*first.Text, false}, nil
	}
	return w, fmt.Errorf("the answer ended by %q (choices[0].finish_reason), expected stop or length", first.Finish)
}
