package openai

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"slimlab/serve/load"
)

func eventsOf(r io.Reader) (list []string, err error) {
	err = events(r, func(data []byte) (bool, error) {
		list = append(list, string(data))
		return string(data) == done, nil
	})
	return list, err
}

func TestEvents(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
		says string // of the error; "" is none
	}{
		{"data: a\n\ndata: [DONE]\n\n", []string{"a", done}, ""},
		{"data:a\r\n\r\ndata:[DONE]\r\n\r\n", []string{"a", done}, ""},
		{": ping\n\nevent: x\nid: 1\nretry: 5\ndata: a\ndata: b\n\n\n\ndata: [DONE]\n\n", []string{"a\nb", done}, ""},
		{"data\n\ndata: [DONE]\n\n", []string{"", done}, ""},
		{"data: [DONE]\n", []string{done}, ""},
		{"data: [DONE]", []string{done}, ""},
		{"data: [DONE]\n\ndata: later\n\n", []string{done}, ""},
		{"", nil, "unexpected EOF"},
		{"data: a\n\n", []string{"a"}, "unexpected EOF"},
		{"data: a\n", nil, "unexpected EOF"},
		{"data: a\n\ndata: [DO", []string{"a"}, "unexpected EOF"},
		{"{\"a\":1}\n", nil, `line 1 of the stream: found "{\"a\":1}"`},
		{"data: a\n\nnonsense: b\n\n", []string{"a"}, "line 3 of the stream"},
		{"error: {\"message\":\"lost\"}\n\n", nil, "broke off: lost"},
	} {
		got, err := eventsOf(strings.NewReader(test.text))
		if !slices.Equal(got, test.want) || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %q, %v, expected %q and an error with %q", test.text, got, err, test.want, test.says)
		}
	}
	long := "data: " + strings.Repeat("x", 200_000)
	if got, err := eventsOf(strings.NewReader(long + "\n\ndata: [DONE]\n\n")); err != nil || len(got) != 2 || len(got[0]) != 200_000 {
		t.Errorf("a long line: %d events, %v", len(got), err)
	}
	huge := io.MultiReader(strings.NewReader("data: "), io.LimitReader(repeated('x'), maxLine+10))
	if _, err := eventsOf(huge); err == nil || !strings.Contains(err.Error(), "more than 16777216 bytes") {
		t.Errorf("a line without end: %v", err)
	}
	if _, err := eventsOf(iotest.TimeoutReader(strings.NewReader("data: a\n\n"))); !errors.Is(err, iotest.ErrTimeout) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a connection that breaks: %v", err)
	}
}

type repeated byte

func (r repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r)
	}
	return len(b), nil
}

// Events are what was written, whatever the pieces in which they come.
func TestEventsComeInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		want := rapid.SliceOfN(rapid.StringMatching(`[a-z{}":é,]{0,30}(\n[a-z]{1,10})?`), 0, 10).Draw(t, "events")
		for _, e := range want {
			for _, part := range strings.Split(e, "\n") {
				text.WriteString("data: " + part + end)
			}
			text.WriteString(end)
		}
		text.WriteString("data: [DONE]" + end + end)
		for _, reader := range []io.Reader{strings.NewReader(text.String()), iotest.OneByteReader(strings.NewReader(text.String())), iotest.DataErrReader(strings.NewReader(text.String()))} {
			got, err := eventsOf(reader)
			if err != nil || !slices.Equal(got, append(slices.Clone(want), done)) {
				t.Fatalf("%q, %v, expected %q", got, err, want)
			}
		}
	})
}

func FuzzStream(f *testing.F) {
	for _, text := range []string{
		"data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\ndata: " + usageEvent + "\r\n\r\ndata: [DONE]\r\n\r\n",
		"data: {\"error\":{\"message\":\"x\"}}\n\n", ": c\nevent: x\ndata: 1\n\n", "error: {}\n\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clock := time.Unix(0, 0)
		now := func() time.Time { clock = clock.Add(time.Millisecond); return clock }
		a := reading{text: true}
		err := a.stream(strings.NewReader(text), now)
		if err != nil {
			return
		}
		answer := a.answer(load.Request{Text: "x"})
		if !strings.Contains(text, done) || answer.First.IsZero() || answer.End.Before(answer.First) || answer.Count < 0 || answer.Cached > answer.Prompt || !slices.IsSortedFunc(answer.Chunks, time.Time.Compare) {
			t.Errorf("%+v", answer)
		}
	})
}
