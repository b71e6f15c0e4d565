package server

import (
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slimlab/kernels"
	"slimlab/model/chat"
	"slimlab/model/tokenizer"
	"slimlab/serve"
)

// The fake model is asked between <u> and <a>, and answers from a script, or with tokens without
// end where the script has no answer. Its pages hold the tokens themselves.
type fake struct {
	shape     serve.Shape
	pages     [][]int32
	tokenizer *tokenizer.Tokenizer
	ask, tell int32 // <u> and <a>
	answers   map[string][]int32
	before    func() // of each step; may be nil
	options   serve.Options
}

const vocabulary = 330

const template = `<bos>{% if tools %}{% for t in tools %}<tool {{ t.function.name }}>{% endfor %}{% endif %}` +
	`{% for m in messages %}{% if m.role == 'user' %}<u>{% else %}<{{ m.role }}>{% endif %}{{ m.content }}` +
	`{% if m.tool_calls %}{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}`

const sentences = "The quick brown fox jumps over the lazy dog. The dog sleeps, and the fox runs over the hill! Łódź 你好 🙂 is where the rain falls.\n"

func newTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{sentences}), 300, []string{"<bos>", "<eos>", "<u>", "<a>"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.SetSpecial("", "<eos>"); err != nil {
		t.Fatal(err)
	}
	return tok
}

func newFake(t testing.TB, answers map[string]string) *fake {
	t.Helper()
	f := &fake{shape: serve.Shape{Vocabulary: vocabulary, Positions: 512, Pages: 128, PageSize: 4, Hidden: 8}, tokenizer: newTokenizer(t), answers: map[string][]int32{}, options: serve.Defaults()}
	f.ask, _ = f.tokenizer.ID("<u>")
	f.tell, _ = f.tokenizer.ID("<a>")
	for range f.shape.Pages {
		f.pages = append(f.pages, make([]int32, f.shape.PageSize))
	}
	for question, answer := range answers {
		f.answers[question] = f.tokenizer.Encode(answer)
	}
	return f
}

func (f *fake) Shape() serve.Shape { return f.shape }
func (f *fake) Now() time.Time     { return time.Now() }

func (f *fake) Extend(batch []serve.Segment) ([][]float32, error) {
	if f.before != nil {
		f.before()
	}
	logits := make([][]float32, len(batch))
	for _, forks := range []bool{false, true} {
		for _, s := range batch {
			if (s.Fork != nil) == forks {
				f.store(s)
			}
		}
	}
	for i, s := range batch {
		sequence := make([]int32, s.Start+len(s.Tokens))
		for p := range sequence {
			sequence[p] = f.pages[s.Pages[p/f.shape.PageSize]][p%f.shape.PageSize]
		}
		for at := s.From; s.Each != nil && at < len(s.Tokens); at++ {
			row := f.logits(sequence[:s.Start+at+1])
			if s.States {
				row = row[:f.shape.Hidden]
			}
			s.Each(at, row)
		}
		whole := f.logits(sequence)
		switch {
		case s.Logits:
			for end := len(sequence) - max(1, s.Rows) + 1; end <= len(sequence); end++ {
				logits[i] = append(logits[i], f.logits(sequence[:end])...)
			}
		case len(s.Labels) > 0:
			for _, l := range s.Labels {
				logits[i] = append(logits[i], whole[l])
			}
		}
	}
	return logits, nil
}

// CopyPages copies pages, one after another.
func (f *fake) CopyPages(copies []kernels.PageCopy) {
	for _, c := range copies {
		copy(f.pages[c.To], f.pages[c.From])
	}
}

// store writes a segment's tokens to its pages; one that forks inside a page takes that page first.
func (f *fake) store(s serve.Segment) {
	size := f.shape.PageSize
	if at := s.Start / size; s.Fork != nil && s.Start%size > 0 {
		copy(f.pages[s.Pages[at]], f.pages[s.Fork[at]])
	}
	for j, token := range s.Tokens {
		p := s.Start + j
		f.pages[s.Pages[p/size]][p%size] = token
	}
}

// logits are those after a sequence: the token that follows is e²⁰ times likelier than another.
func (f *fake) logits(sequence []int32) []float32 {
	logits := make([]float32, vocabulary)
	h := fnv.New64a()
	for _, t := range sequence {
		h.Write([]byte{byte(t), byte(t >> 8)})
	}
	sum := h.Sum64()
	for i := range logits {
		logits[i] = float32((sum>>(i%40))&15) / 16
	}
	logits[f.next(sequence, sum)] = 20
	return logits
}

func (f *fake) next(sequence []int32, sum uint64) int32 {
	tell := lastIndex(sequence, f.tell)
	question := f.tokenizer.DecodeText(sequence[lastIndex(sequence[:max(tell, 0)], f.ask)+1 : max(tell, 0)])
	answer, scripted := f.answers[question]
	if written := len(sequence) - tell - 1; scripted {
		if written < len(answer) {
			return answer[written]
		}
		return f.tokenizer.EOS()
	}
	return int32(sum%250) + 10
}

func lastIndex(list []int32, of int32) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == of {
			return i
		}
	}
	return -1
}

// fixture is a server of a fake model.
type fixture struct {
	*fake
	engine *serve.Engine
	server *Server
	http   *httptest.Server
	log    *strings.Builder
}

// start starts a server whose model has answers.
func start(t testing.TB, answers map[string]string, o Options, change ...func(*fake, *Model)) *fixture {
	t.Helper()
	f := newFake(t, answers)
	parsed, err := chat.Parse(template, "<bos>", "<eos>")
	if err != nil {
		t.Fatal(err)
	}
	m := Model{Name: "tiny", Shape: f.shape, Tokenizer: f.tokenizer, Ends: []int32{f.tokenizer.EOS()}, Template: parsed}
	for _, c := range change {
		c(f, &m)
	}
	if m.Engine, err = serve.New(f, f.options); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(&locked{w: &log}, nil))
	}
	s, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	x := &fixture{f, m.Engine, s, httptest.NewServer(s.Handler()), &log}
	t.Cleanup(func() {
		x.http.Close()
		x.engine.Close()
	})
	return x
}

// locked is a writer for several goroutines.
type locked struct {
	mutex sync.Mutex
	w     io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.w.Write(p)
}

// reply is an answer as it came.
type reply struct {
	status int
	header http.Header
	body   string
}

func (x *fixture) send(t testing.TB, method, path, body string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, x.http.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got, err := x.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := reply{got.StatusCode, got.Header, string(data)}
	answer.conformity(t, path)
	return answer
}

func (x *fixture) post(t testing.TB, path, body string) reply {
	t.Helper()
	return x.send(t, http.MethodPost, path, body)
}
