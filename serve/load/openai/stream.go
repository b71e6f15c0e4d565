package openai

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"slimlab/internal/jsonread"
	"slimlab/internal/visible"
	"slimlab/serve/load"
)

// events reads server-sent events and calls f with the data of each, until f says that it is
// enough. A stream that ends before is io.ErrUnexpectedEOF. Lines end with LF or CRLF; comments,
// the names of events, ids and times of reconnection are passed over, and another line is an error.
// (WHATWG HTML, 9.2.6; a last event without an empty line behind it counts only as [DONE].)
func events(r io.Reader, f func(data []byte) (enough bool, err error)) error {
	lines := bufio.NewReaderSize(r, 32<<10)
	var data []byte
	has := false
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			if has && string(data) == done {
				_, err := f(data)
				return err
			}
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("line %d of the stream: %w", n, err)
		}
		if len(line) == 0 {
			if has {
				if enough, err := f(data); enough || err != nil {
					return err
				}
			}
			data, has = data[:0], false
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			if has {
				data = append(data, '\n')
			}
			if data, has = append(data, value...), true; len(data) > maxLine {
				return fmt.Errorf("line %d of the stream: an event of more than %d bytes", n, maxLine)
			}
		case "", "event", "id", "retry":
		case "error": // llama.cpp's older servers
			return fmt.Errorf("the server broke off: %s", message(value))
		default:
			return fmt.Errorf("line %d of the stream: found %q, expected a server-sent event such as data: {…}", n, clip(line))
		}
	}
}

// readLine reads a line without its end. io.EOF is of a stream that has ended, in a line too: then
// the line is lost, unless it is a whole one without its end, which an events reader may use.
func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if long != nil || errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, part...)
			part = long
		}
		if len(part) > maxLine {
			return nil, fmt.Errorf("more than %d bytes", maxLine)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(part) > 0:
			return bytes.TrimSuffix(part, []byte("\r")), nil
		case err != nil:
			return nil, err
		}
		return bytes.TrimSuffix(part[:len(part)-1], []byte("\r")), nil
	}
}

func clip(text []byte) string {
	return visible.Line(strings.ToValidUTF8(string(text[:min(len(text), 60)]), "\uFFFD"))
}

// done ends a stream.
const done = "[DONE]"

// usage is what the server has counted.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Details    *struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func (u *usage) cached() int {
	if u.Details == nil {
		return 0
	}
	return u.Details.Cached
}

func (u *usage) check() error {
	if u.Prompt < 0 || u.Completion < 0 || u.cached() < 0 || u.cached() > u.Prompt {
		return fmt.Errorf("found a usage of %d prompt tokens, %d of them cached, and %d generated, expected numbers of at least 0 and no more cached than there are", u.Prompt, u.cached(), u.Completion)
	}
	return nil
}

// chunk is one event of a completion or of a chat.
type chunk struct {
	Error   json.RawMessage `json:"error"`
	Choices []struct {
		Index int    `json:"index"`
		Text  string `json:"text"`
		Delta *struct {
			Role      string          `json:"role"`
			Content   string          `json:"content"`
			Reasoning string          `json:"reasoning_content"`
			Thinking  string          `json:"reasoning"`
			Calls     json.RawMessage `json:"tool_calls"`
		} `json:"delta"`
		Finish *string `json:"finish_reason"`
		Tokens []int32 `json:"token_ids"`
	} `json:"choices"`
	Usage *usage `json:"usage"`
}

// reading is what has been read of an answer.
type reading struct {
	text bool // the answer's text is kept

	first, last time.Time // chunks with a choice
	chunks      []time.Time
	said        strings.Builder
	tokens      []int32
	usage       *usage
}

// stream reads an answer to its end, by a clock.
func (a *reading) stream(r io.Reader, now func() time.Time) error {
	ended := false
	err := events(r, func(data []byte) (bool, error) {
		at := now()
		if string(data) == done {
			ended = true
			return true, nil
		}
		var c chunk
		if err := jsonread.Decode(data, &c); err != nil {
			return false, fmt.Errorf("event %q: %w", clip(data), err)
		}
		return false, a.take(&c, at)
	})
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the stream ended without %s: %w", done, io.ErrUnexpectedEOF)
	case err != nil:
		return err
	case !ended || a.first.IsZero():
		return fmt.Errorf("the stream has no choices, expected an answer")
	}
	return nil
}

// take takes one event, which came at a time.
func (a *reading) take(c *chunk, at time.Time) error {
	if len(c.Error) > 0 && string(c.Error) != "null" {
		return fmt.Errorf("the server broke off: %s", message([]byte(`{"error":`+string(c.Error)+`}`)))
	}
	if c.Usage != nil {
		if err := c.Usage.check(); err != nil {
			return err
		}
		a.usage = c.Usage
	}
	if len(c.Choices) == 0 {
		return nil
	}
	choice := &c.Choices[0]
	if len(c.Choices) > 1 || choice.Index != 0 {
		return fmt.Errorf("found choice %d of %d, expected one answer", choice.Index, len(c.Choices))
	}
	if a.first.IsZero() {
		a.first = at
	}
	a.last = at
	text, opens := choice.Text, false
	carries := text != "" || len(choice.Tokens) > 0
	if d := choice.Delta; d != nil {
		text += d.Content
		carries = carries || d.Content != "" || d.Reasoning != "" || d.Thinking != "" || len(d.Calls) > 0 && string(d.Calls) != "null" && string(d.Calls) != "[]"
		opens = d.Role != ""
	}
	ends := choice.Finish != nil && *choice.Finish != ""
	if ends && (*choice.Finish == "abort" || *choice.Finish == "error") {
		return fmt.Errorf("the server broke off with finish_reason %q", *choice.Finish)
	}
	// an empty text that neither opens nor ends an answer is a token whose text is not whole yet
	if carries || !opens && !ends {
		a.chunks = append(a.chunks, at)
	}
	a.tokens = append(a.tokens, choice.Tokens...)
	if a.text {
		a.said.WriteString(text)
	}
	return nil
}

// answer is what was read, of a request.
func (a *reading) answer(r load.Request) load.Answer {
	out := load.Answer{First: a.first, End: a.last, Chunks: a.chunks, Prompt: r.Tokens(), Estimated: a.usage == nil}
	if len(a.chunks) > 0 {
		out.First = a.chunks[0]
	}
	out.Count, out.Tokens, out.Text = len(a.chunks), a.tokens, a.said.String()
	if a.usage != nil {
		out.Prompt, out.Cached, out.Count = a.usage.Prompt, a.usage.cached(), a.usage.Completion
	}
	if len(a.tokens) != out.Count {
		out.Tokens = nil
	}
	return out
}
