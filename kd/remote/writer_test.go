package remote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// echo answers a prompt with its ids and settings.
func echo(w http.ResponseWriter, r *http.Request) {
	var q map[string]any
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v1/completions" {
		http.Error(w, "no such call", http.StatusNotFound)
		return
	}
	finish := "stop"
	if q["max_tokens"].(float64) < 3 {
		finish = "length"
	}
	json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"text": fmt.Sprint(q), "finish_reason": finish}}})
}

// TestWriter: prompts are answered in their order with their own settings, again after answers of a
// busy server, and what was cut did not end.
func TestWriter(t *testing.T) {
	var calls [20]atomic.Int64 // by prompt: requests come in any order
	c, _ := configOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var q struct{ Prompt []int }
		if err != nil || json.Unmarshal(body, &q) != nil {
			http.Error(w, "no request", http.StatusBadRequest)
			return
		}
		if i := q.Prompt[0]; i%3 == 0 && calls[i].Add(1) < 3 {
			http.Error(w, "busy", http.StatusTooManyRequests)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		echo(w, r)
	}))
	writer, err := NewWriter(c)
	if err != nil {
		t.Fatal(err)
	}
	var asks []Ask
	for i := range calls {
		asks = append(asks, Ask{Prompt: []int32{int32(i), 5}, MaxTokens: 2 + i%2, Temperature: 0.25 * float64(i), TopP: 0.5, TopK: i % 2, Seed: ^uint64(0)})
	}
	written, err := writer.Write(t.Context(), asks)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range written {
		want := fmt.Sprint(map[string]any{
			"model": "tiny", "prompt": []any{float64(i), 5.0}, "max_tokens": float64(2 + i%2), "temperature": 0.25 * float64(i), "top_p": 0.5, "seed": float64(1<<52 - 1),
		})
		if i%2 == 1 {
			want = strings.Replace(want, " top_p", " top_k:1 top_p", 1)
		}
		if w.Text != want || w.Ended != (i%2 == 1) {
			t.Errorf("answer %d is %q, ended %t; expected %q", i, w.Text, w.Ended, want)
		}
	}
}

// TestWriterErrors: an answer that cannot be used is an error that says what it lacks; but for one
// that is cut off it is not asked for again.
func TestWriterErrors(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:             "no text (choices[0].text)",
		`{"choices":[]}`: "no text (choices[0].text)",
		`{"choices":[{"text":null,"finish_reason":"stop"}]}`:          "no text (choices[0].text)",
		`{"choices":[{"text":"x"}]}`:                                  `ended by ""`,
		`{"choices":[{"text":"x","finish_reason":"content_filter"}]}`: `ended by "content_filter"`,
		`{"choices":[{"text":"x`:                                      "ends early",
		`<html>`:                                                      "invalid character",
		``:                                                            "ends early",
		`{"choices":[{"text":5,"finish_reason":"stop"}]}`:              "cannot unmarshal number",
		`{"choices":[{"text":"` + strings.Repeat("x", 2000) + `"}]}`:   "expected at most 1000 bytes",
		`{"error":{"message":"no such model"}}`:                        "no text",
		`{"choices":[{"message":{"content":"a chat"}}],"object":"c."}`: "no text",
	} {
		var calls atomic.Int64
		c, _ := configOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			fmt.Fprint(w, body)
		}))
		c.MaxAnswer = 1000
		writer, err := NewWriter(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(t.Context(), []Ask{{Prompt: []int32{1}, MaxTokens: 4}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, expected %q", body, err, want)
		}
		times := int64(1)
		if want == "ends early" {
			times = 6
		}
		if calls.Load() != times {
			t.Errorf("%.60s: asked %d times, expected %d", body, calls.Load(), times)
		}
	}
	if _, err := NewWriter(Config{URL: "ftp://x", Vocab: 9}); err == nil {
		t.Error("a URL that is no endpoint is taken")
	}
}
