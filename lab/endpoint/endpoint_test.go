package endpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/model/pretrained"
)

// The threads of kernels stay.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
}

// talker is the folder of a model with a chat template. What it says makes no sense.
func talker(t testing.TB) string {
	t.Helper()
	folder, err := pretrained.Open("recsys-student")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "talker")
	if err := os.CopyFS(dir, folder); err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{}
	name := filepath.Join(dir, "tokenizer_config.json")
	if data, err := os.ReadFile(name); err == nil {
		if err := json.Unmarshal(data, &settings); err != nil {
			t.Fatal(err)
		}
	}
	settings["chat_template"] = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}member"
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, name string, o Options) *Endpoint {
	t.Helper()
	e, err := Open(t.Context(), home.Open(t.TempDir(), "test"), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// studentTokens is the vocabulary of the student that is tested with.
const studentTokens = 541

func TestOpenSaysWhatItLoaded(t *testing.T) {
	for _, test := range []struct {
		o    Options
		name string
		says []string
	}{
		{Options{}, "recsys-student", []string{"pretrained:recsys-student: ", " in bfloat16: ", "KV cache in bfloat16: ", "no chat template"}},
		{Options{Head: "w8a8"}, "recsys-student", []string{"bfloat16, w8a8", "the head was rounded to w8a8 as it was loaded (--head)"}},
		{Options{RecallBytes: 4 * (studentTokens + 1)}, "recsys-student", []string{fmt.Sprintf("the logits after the latest prompts are kept, in %s: 1 at most, ", report.Bytes(4*(studentTokens+1))), "; none after a prompt of more than 1 token"}},
		{Options{RecallBytes: 1 << 30}, "recsys-student", []string{"kept, in 1.07GB: 256 at most, ", " and 4B for each of their tokens\n"}},
		{Options{DType: "float32", KV: "int8", CacheBytes: 1 << 20, Name: "mine"}, "mine", []string{" in float32: ", "KV cache in int8: ", "for 2176 tokens", "widened"}},
	} {
		e := open(t, "pretrained:recsys-student", test.o)
		if e.Name() != test.name {
			t.Errorf("the name is %q, want %q", e.Name(), test.name)
		}
		notes := strings.Join(e.Notes, "\n") + "\n"
		for _, want := range test.says {
			if !strings.Contains(notes, want) {
				t.Errorf("%+v: no %q in %s", test.o, want, notes)
			}
		}
		if size := e.facts["bytes_kv_cache"].(int64); test.o.CacheBytes > 0 && (size > test.o.CacheBytes || size < test.o.CacheBytes*9/10) {
			t.Errorf("a cache of %d bytes, want %d at most", size, test.o.CacheBytes)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	models := home.Open(t.TempDir(), "test")
	for want, try := range map[string]struct {
		name string
		o    Options
	}{
		"no such folder":    {"nowhere", Options{}},
		"expected at least": {"pretrained:recsys-student", Options{CacheBytes: 10}},
		"a prompt of one":   {"pretrained:recsys-student", Options{RecallBytes: 4 * studentTokens}},
		"running -1":        {"pretrained:recsys-student", Options{Running: -1}},
		"batch tokens -1":   {"pretrained:recsys-student", Options{BatchTokens: -1}},
		`eviction "fifo"`:   {"pretrained:recsys-student", Options{Eviction: "fifo"}},
		"head in w4a17":     {"pretrained:recsys-student", Options{Head: "w4a17"}},
		"KV cache":          {"pretrained:recsys-student", Options{KV: "int3"}},
		"float16":           {"pretrained:recsys-student", Options{DType: "float16"}},
	} {
		if _, err := Open(t.Context(), models, try.name, try.o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, %+v: %v, want an error with %q", try.name, try.o, err, want)
		}
	}
}

// A cache that the memory does not hold is refused before it is allocated, with both numbers, and
// so are those of a draft and the weights of ranks.
func TestTooLittleMemory(t *testing.T) {
	models := home.Open(t.TempDir(), "test")
	for _, test := range []struct {
		o    Options
		free []int64 // as it is asked for
		says string
	}{
		{Options{CacheBytes: 900e9}, []int64{1 << 30}, "the KV cache: found 900GB, expected at most 1.07GB, which is free: a smaller --cache-bytes"},
		{Options{CacheBytes: 2e9}, []int64{1 << 30}, "the KV cache: found 2.00GB for "},
		{Options{}, []int64{1000}, "which is free: a smaller --cache-bytes"},
		{Options{CacheBytes: 1e6, Ranks: 2}, []int64{1e6}, "of the weights of 2 ranks, expected at most"},
		{Options{CacheBytes: 1e6, Draft: "pretrained:recsys-student"}, []int64{1e6, 1e5}, "draft pretrained:recsys-student of model pretrained:recsys-student: the KV cache: found"},
		{Options{CacheBytes: 1e6}, []int64{1e6}, ""},
		{Options{CacheBytes: 1e6}, []int64{0}, ""},
	} {
		test.o.Memory = func() (free int64) {
			if free = test.free[0]; len(test.free) > 1 {
				test.free = test.free[1:]
			}
			return free
		}
		e, err := Open(t.Context(), models, "pretrained:recsys-student", test.o)
		if err == nil {
			e.Close()
		}
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v, expected %q", test.o, err, test.says)
		}
	}
}

func TestServedNames(t *testing.T) {
	for name, want := range map[string]string{"pretrained:a": "a", "run:last/b": "last/b", "/models/c": "c", "/models/d-q4.gguf": "d-q4", "/models/e/": "e"} {
		if got := servedName(name); got != want {
			t.Errorf("%s is served as %q, want %q", name, got, want)
		}
	}
}

// A chunk of one token makes a step of each of the prompt's, and the same answer.
func TestChunks(t *testing.T) {
	folder := talker(t)
	var answers []string
	var steps []int
	for _, o := range []Options{{DType: "float32"}, {DType: "float32", Chunk: 1, Eviction: "slru"}} {
		e := open(t, folder, o)
		c, err := e.Converse(ConversationOptions{MaxTokens: 7})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if _, err := c.Say(t.Context(), "likes item", func(piece string) { text.WriteString(piece) }); err != nil {
			t.Fatal(err)
		}
		stats, err := e.engine.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if want := stats.PromptTokens + stats.GeneratedTokens - 1; o.Chunk == 1 && stats.Steps != want {
			t.Errorf("%d steps, want %d", stats.Steps, want)
		}
		answers, steps = append(answers, text.String()), append(steps, stats.Steps)
	}
	if answers[0] != answers[1] || steps[0] >= steps[1] {
		t.Errorf("answers %q in %d steps", answers, steps)
	}
}

// A conversation's answers are those of the server to the same messages, and it keeps what was
// said.
func TestConversation(t *testing.T) {
	e := open(t, talker(t), Options{DType: "float32"})
	c, err := e.Converse(ConversationOptions{System: "be brief", MaxTokens: 7})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, question := range []string{"likes item", "clicks item"} {
		var pieces strings.Builder
		r, err := c.Say(t.Context(), question, func(text string) { pieces.WriteString(text) })
		if err != nil || r.Tokens < 1 || r.Tokens > 7 || r.TTFT <= 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if len(said) > 0 && r.Cached == 0 {
			t.Errorf("the second prompt of %d tokens found nothing in the cache", r.Prompt)
		}
		said = append(said, pieces.String())
	}
	want := []spoken{{"system", "be brief"}, {"user", "likes item"}, {"assistant", said[0]}, {"user", "clicks item"}, {"assistant", said[1]}}
	if len(c.messages) != len(want) {
		t.Fatalf("%v", c.messages)
	}
	for i := range want {
		if c.messages[i] != want[i] {
			t.Errorf("message %d is %v, want %v", i, c.messages[i], want[i])
		}
	}
	c.Clear()
	again := ""
	if _, err := c.Say(t.Context(), "likes item", func(text string) { again += text }); err != nil || again != said[0] {
		t.Errorf("after Clear the answer is %q, %v; want %q", again, err, said[0])
	}

	body := `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"likes item"}],"temperature":0,"max_tokens":7}`
	if got := serveOne(t, e, body); got != said[0] {
		t.Errorf("the server answers %q, the conversation %q", got, said[0])
	}
}

// serveOne starts a server, asks for one chat and ends the server.
func serveOne(t *testing.T, e *Endpoint, body string) string {
	t.Helper()
	o := ServerOptions{Keys: []string{"k"}, Drain: time.Minute}
	l, err := o.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(ctx, l, o) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer k")
	transport := &http.Transport{}
	got, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal(data, &answer); err != nil || len(answer.Choices) != 1 {
		t.Fatalf("%s: %v", data, err)
	}
	transport.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return answer.Choices[0].Message.Content
}

// A draft and ranks change how fast the answers come, and nothing of them.
func TestDraftAndRanks(t *testing.T) {
	body := `{"messages":[{"role":"user","content":"likes item"}],"temperature":0,"max_tokens":20}`
	dir := talker(t)
	want := serveOne(t, open(t, dir, Options{DType: "float32"}), body)
	for _, o := range []Options{{Draft: dir}, {Draft: "pretrained:recsys-fm", DraftTokens: 2}, {Ranks: 2}, {Draft: dir, Ranks: 2}} {
		o.DType = "float32"
		e := open(t, dir, o)
		if got := serveOne(t, e, body); got != want {
			t.Errorf("%+v: the answer is %q, want %q", o, got, want)
		}
		stats, err := e.engine.Stats()
		most := 0
		if o.Draft != "" {
			most = cmp.Or(o.DraftTokens, 4)
		}
		if err != nil || (stats.Drafted > 0) != (o.Draft != "") || stats.DraftTokens != most {
			t.Errorf("%+v: %+v, %v", o, stats, err)
		}
		if notes := strings.Join(e.Notes, "\n"); strings.Contains(notes, "foretells tokens; its KV cache takes ") != (o.Draft != "") {
			t.Errorf("%+v: the notes are %s", o, notes)
		}
	}
}

// An answer that is cut off says by what: the bound of its tokens, or the room that is left.
func TestConversationsAreCutOff(t *testing.T) {
	folder := talker(t)
	usual := open(t, folder, Options{})
	small := usual.facts["bytes_kv_cache"].(int64) / int64(usual.facts["kv_tokens"].(int)) * 2 * pageSize
	for _, test := range []struct {
		most int
		full bool
	}{{1, false}, {0, true}, {999, true}} {
		c, err := open(t, folder, Options{CacheBytes: small}).Converse(ConversationOptions{MaxTokens: test.most})
		if err != nil {
			t.Fatal(err)
		}
		c.endpoint.model.Ends = nil
		r, err := c.Say(t.Context(), "likes item", func(string) {})
		if err != nil || r.Tokens == 0 || !r.Cut || r.Full != test.full {
			t.Errorf("at most %d tokens: %+v, %v", test.most, r, err)
		}
	}
}

func TestConversationStops(t *testing.T) {
	e := open(t, talker(t), Options{})
	c, err := e.Converse(ConversationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	heard := ""
	_, err = c.Say(ctx, "likes item", func(text string) {
		heard += text
		stop()
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(c.messages) != 2 || !strings.HasPrefix(c.messages[1].Content, heard) || heard == "" {
		t.Errorf("after a stop the conversation is %v, %q was heard", c.messages, heard)
	}
	stats, err := e.engine.Stats()
	if err != nil || stats.Running+stats.Waiting != 0 {
		t.Errorf("%+v, %v: the engine goes on", stats, err)
	}
	if _, err := c.Say(t.Context(), strings.Repeat("item ", 5000), func(string) {}); err == nil || !strings.Contains(err.Error(), "/clear") {
		t.Errorf("a question beyond the model's positions: %v", err)
	}
	if len(c.messages) != 2 {
		t.Error("a question that could not be asked is kept")
	}
}

func TestNoTemplateSaysWhatToDo(t *testing.T) {
	if _, err := open(t, "pretrained:recsys-student", Options{}).Converse(ConversationOptions{}); err == nil || !strings.Contains(err.Error(), "/v1/completions") {
		t.Error(err)
	}
}
