package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slimlab/kd/kdtest"
	"slimlab/lab/scenario"
	"slimlab/model/tokenizer"
)

// remoteSteps are two students of one model: in memory, and at a URL.
const remoteSteps = `
name: remote
task: { kind: jsonl, path: %q, max_tokens: 64 }
models:
  big: { load: %q }
  small: { hidden: 16, head_dim: 8, layers: 1, heads: 2, kv_heads: 1, mlp: 24 }
pipeline:
  - baseline: { name: base, model: big }
  - distil: { name: near, into: small, teacher: big, steps: 6, batch: 4, learning_rate: 1e-2%[4]s }
  - distil: { name: far, into: small, steps: 6, batch: 4, learning_rate: 1e-2, remote: { url: "%[3]s/v1", model: tiny%[5]s }%[4]s }
evaluate: { validation: 4 }
columns: [loss, kl]
`

// served is a folder's model behind a URL.
type served struct {
	*kdtest.Endpoint
	folder, url string
	tokenizer   *tokenizer.Tokenizer
}

func serveFixed(t *testing.T) *served {
	t.Helper()
	s := &served{folder: fixedModel(t)}
	c, err := newHome(t).OpenModel(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.tokenizer, err = c.Tokenizer(); err != nil {
		t.Fatal(err)
	}
	s.Endpoint = &kdtest.Endpoint{Model: m, Given: true, Decoded: func(id int32) string { return s.tokenizer.Text(id) }}
	server := httptest.NewServer(s.Endpoint)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// plan is that of remoteSteps, with more keys of both steps and of the remote teacher.
func (s *served) plan(t *testing.T, data, both, remote string) *scenario.Plan {
	t.Helper()
	return parse(t, fmt.Sprintf(remoteSteps, data, s.folder, s.url, both, remote), scenario.Options{})
}

// noWait passes the time between two attempts at once.
func noWait(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// TestRemoteTeacher: a student that asks a URL for the whole vocabulary has the weights of one
// whose teacher is in memory, bit for bit; also from a file, and on its own answers.
func TestRemoteTeacher(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	for _, keys := range []string{
		"", ", loss: rkl, temperature: 2", ", sequence: 0.3, sequence_loss: mixture, loss: jsd:0.3", ", cache: exact", ", samples: { fraction: 1, tokens: 5 }",
	} {
		h := newHome(t)
		out := mustWork(t, h, s.plan(t, data, keys, ""), Options{Sleep: noWait})
		if !bytes.Equal(titledWeights(t, h, "distil near"), titledWeights(t, h, "distil far")) {
			t.Errorf("%s: the URL trains another student", keys)
		}
		for _, text := range []string{"answers for given tokens: asked for all", "far: the weights behind a URL cannot be seen: tiny at http://", "far: its teacher, tiny at http://"} {
			if !said(out.Board, text) {
				t.Errorf("%s: %q is not said: %v", keys, text, out.Board.Snapshot().Notes)
			}
		}
		for _, row := range out.Board.Snapshot().Rows[1:] {
			if kl, ok := row.Metric("kl"); !ok || !(kl.Value > 0) {
				t.Errorf("%s: row %s has KL %v", keys, row.Name, kl.Value)
			}
		}
		calls, _ := s.Calls()
		sameFigures(t, mustWork(t, h, s.plan(t, data, keys, ", concurrent: 2, timeout: 7"), Options{}).Board, out.Board, 1)
		if again, _ := s.Calls(); again != calls {
			t.Errorf("%s: a finished student asks again", keys)
		}
	}
}

// TestRemoteTokens: asked for the student's likeliest tokens, or for the teacher's, the endpoint
// trains another student with another recipe.
func TestRemoteTokens(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	seen := map[string]bool{}
	for _, remote := range []string{"", ", ask: 8", ", ask: 9", ", ask: 8, top_k: 4"} {
		h := newHome(t)
		out := mustWork(t, h, s.plan(t, data, ", loss: rkl", remote), Options{Sleep: noWait})
		weights := string(titledWeights(t, h, "distil far"))
		if seen[weights] {
			t.Errorf("%s: the student of another setting", remote)
		}
		seen[weights] = true
		if strings.Contains(remote, "ask") && !said(out.Board, "asked for the student's, the rest as one outcome") {
			t.Errorf("%s: notes %v", remote, out.Board.Snapshot().Notes)
		}
	}
	s.Given = false // as vLLM
	h := newHome(t)
	out := mustWork(t, h, s.plan(t, data, "", ", top_k: 5"), Options{Sleep: noWait})
	if !said(out.Board, "answers for its own 5 most likely tokens") {
		t.Errorf("notes %v", out.Board.Snapshot().Notes)
	}
	if _, err := work(t, newHome(t), s.plan(t, data, ", loss: rkl", ""), Options{Sleep: noWait}); err == nil || !strings.Contains(err.Error(), "loss rkl needs the teacher's probabilities of the student's likely tokens") {
		t.Errorf("a loss that the endpoint cannot serve: %v", err)
	}
	if _, err := work(t, newHome(t), s.plan(t, data, ", cache: exact", ""), Options{Sleep: noWait}); err == nil || !strings.Contains(err.Error(), "lists of tokens, expected whole rows") {
		t.Errorf("a file of an endpoint's own tokens: %v", err)
	}
}

// TestCheckAsksNoEndpoint: neither does a run whose key is not there, which is refused before it is
// begun.
func TestCheckAsksNoEndpoint(t *testing.T) {
	const variable = "SLIMLAB_TEST_ENDPOINT_KEY"
	t.Setenv(variable, "")
	s, data := serveFixed(t), sums(t)
	plan := s.plan(t, data, "", ", key: "+variable)
	if _, _, err := Check(t.Context(), newHome(t), plan); err != nil {
		t.Error(err)
	}
	_, err := Start(t.Context(), newHome(t), plan, Options{Now: clock()})
	var input InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "step far's remote.key is "+variable+", an environment variable that is empty") || !strings.Contains(err.Error(), "test.yaml:10:") {
		t.Errorf("found %v", err)
	}
	if calls, _ := s.Calls(); calls != 0 {
		t.Errorf("%d calls", calls)
	}
	const secret = "s3cr3t-of-the-test"
	t.Setenv(variable, secret)
	var keyed atomic.Int32
	s.Before = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer "+secret {
			keyed.Add(1)
		}
		return false
	}
	h := newHome(t)
	mustWork(t, h, plan, Options{Sleep: noWait})
	if calls, _ := s.Calls(); int(keyed.Load()) != calls || calls == 0 {
		t.Errorf("%d of %d calls have the key", keyed.Load(), calls)
	}
	err = filepath.WalkDir(h.Folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s has the key", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRemoteFailures end the cell with the URL and the reason. What was trained until then is kept,
// however short it was, and the next run goes on from there, to the same weights.
func TestRemoteFailures(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	plan := s.plan(t, data, "", "")
	whole := newHome(t)
	want := mustWork(t, whole, plan, Options{Sleep: noWait})
	all, _ := s.Calls()
	for name, c := range map[string]struct {
		fail func(http.ResponseWriter, *http.Request)
		want string
	}{
		"429": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", http.StatusTooManyRequests) }, "no answer in 6 attempts; the last: status 429 Too Many Requests: slow down"},
		"500": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of memory", http.StatusInternalServerError)
		}, "status 500 Internal Server Error: out of memory"},
		"404":            {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusNotFound) }, "status 404 Not Found: gone"},
		"no logprobs":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"choices": [{"text": "a"}]}`) }, "no log-probabilities of the prompt"},
		"the connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		h := newHome(t)
		from := all
		s.SetBefore(func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n <= from+17 { // the first question, a look at the first batch, and three steps
				return false
			}
			c.fail(w, r)
			return true
		})
		_, err := work(t, h, plan, Options{Sleep: noWait, Now: func() time.Time { return time.Unix(1e9, 0) }})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), s.url+"/v1/completions") || !strings.Contains(err.Error(), "step far: ") {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
		if stateOf(t, h) == "" {
			t.Errorf("%s: no state is kept", name)
		}
		s.SetBefore(nil)
		out := mustWork(t, h, plan, Options{Sleep: noWait})
		if !said(out.Board, "far: goes on after step 3, where an unfinished training stood") {
			t.Errorf("%s: notes %v", name, out.Board.Snapshot().Notes)
		}
		sameFigures(t, out.Board, want.Board, 1)
		if !bytes.Equal(titledWeights(t, h, "distil far"), titledWeights(t, whole, "distil far")) {
			t.Errorf("%s: other weights than without the failure", name)
		}
		all, _ = s.Calls()
	}
	s.url = "http://127.0.0.1:1" // where nothing listens
	if _, err := work(t, newHome(t), s.plan(t, data, "", ""), Options{Sleep: noWait}); err == nil || !strings.Contains(err.Error(), "no answer in 6 attempts") || !strings.Contains(err.Error(), "127.0.0.1:1/v1/completions") {
		t.Errorf("an endpoint that is not there: %v", err)
	}
}

// TestOtherTokensAtTheEndpoint are refused by name, where they can be seen.
func TestOtherTokensAtTheEndpoint(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	s.Decoded = func(id int32) string {
		if id == 300 {
			return "elsewhere"
		}
		return s.tokenizer.Text(id)
	}
	_, err := work(t, newHome(t), s.plan(t, data, "", ""), Options{Sleep: noWait})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("its token 300 is %q, and the student's %q", "elsewhere", s.tokenizer.Text(300))) {
		t.Errorf("found %v", err)
	}
	check := tokenCheck(s.tokenizer)
	for id := range int64(s.tokenizer.Vocab()) {
		text := s.tokenizer.Text(int32(id))
		for _, given := range []string{"", text, s.tokenizer.Token(int32(id)), strings.TrimLeft(text, " "), "\ufffd"} {
			if err := check(id, given); err != nil {
				t.Errorf("%q: %v", given, err)
			}
		}
	}
	if err := check(int64(s.tokenizer.Vocab()), ""); err == nil || !strings.Contains(err.Error(), "tokens: expected an endpoint whose model") {
		t.Errorf("a token beyond the tokenizer: %v", err)
	}
}

// TestRemoteWritesAnswers: the teacher at a URL writes a share of the answers, which are labels.
func TestRemoteWritesAnswers(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	var asked atomic.Int32
	s.Before = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var q map[string]any
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		if _, is := q["temperature"]; !is {
			return false
		}
		asked.Add(1)
		fmt.Fprint(w, `{"choices": [{"text": "7+7=14", "finish_reason": "stop"}]}`)
		return true
	}
	for tokens, ended := range map[int]string{20: "100%", 2: "0%"} { // the second are cut
		asked.Store(0)
		text := fmt.Sprintf(remoteSteps, data, s.folder, s.url, "", "")
		text = strings.Replace(text, "model: tiny }", fmt.Sprintf("model: tiny }, samples: { fraction: 1, teacher: 1, tokens: %d }", tokens), 1)
		out := mustWork(t, newHome(t), parse(t, text, scenario.Options{}), Options{Sleep: noWait})
		if asked.Load() < 24 || !said(out.Board, "far: 24 answers sampled, "+ended+" of them ended") {
			t.Errorf("%d answers asked for; notes %v", asked.Load(), out.Board.Snapshot().Notes)
		}
	}
}

// TestRemotesThatCannotBe are refused when the scenario is loaded, with what would do.
func TestRemotesThatCannotBe(t *testing.T) {
	path := sums(t)
	const good = "url: http://host:8000/v1"
	for settings, want := range map[string]string{
		"remote: { " + good + " }": "and teacher is teacher: expected one of them",
		"teacher: ":                "teacher",
		"!, steps: 3":              "has no teacher: expected teacher, teachers or remote",
		"!, remote: { " + good + ", key: sk-abc-123 }":                          "is no name of an environment variable",
		"!, remote: { model: x }":                                               "has no url",
		"!, remote: host":                                                       "expected one such as http://host:8000/v1",
		"!, remote: { url: ftp://host }":                                        "expected one such as http://host:8000/v1",
		"!, remote: { url: \"http://me:pw@host/v1\" }":                          "name or a password",
		"!, remote: { " + good + ", concurrent: 0 }":                            "concurrent is 0",
		"!, remote: { " + good + ", timeout: 0 }":                               "timeout is 0",
		"!, remote: { " + good + ", ask: -1 }":                                  "ask is -1",
		"!, remote: { " + good + ", asks: 1 }":                                  "asks",
		"!, temperature: 2, remote: { " + good + ", ask: 5 }":                   "expected ask: 0, the whole vocabulary",
		"!, cache: exact, remote: { " + good + ", ask: 5 }":                     "expected neither ask nor top_k, or no cache",
		"!, cache: exact, remote: { " + good + ", top_k: 5 }":                   "expected neither ask nor top_k, or no cache",
		"!, samples: { fraction: 1, speculative: 3 }, remote: { " + good + " }": "which the teacher judges each token as it comes",
	} {
		text := fmt.Sprintf(onPolicy, path, settings)
		if rest, bare := strings.CutPrefix(settings, "!, "); bare {
			text = strings.Replace(fmt.Sprintf(onPolicy, path, rest), "from: one, teacher: teacher,", "from: one,", 1)
			text = strings.Replace(text, "steps: 3, steps: 6", "steps: 6", 1)
		}
		_, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.yaml:") {
			t.Errorf("%s: error %v, expected %q", settings, err, want)
		}
	}
	for _, settings := range []string{"remote: \"http://host:8000/v1\"", "remote: { " + good + ", key: KEY, ask: 5 }, loss: rkl", "remote: { " + good + " }, temperature: 2", "remote: { " + good + " }, samples: { fraction: 0.5, teacher: 1 }"} {
		text := strings.Replace(fmt.Sprintf(onPolicy, path, settings), "from: one, teacher: teacher,", "from: one,", 1)
		if _, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()}); err != nil {
			t.Errorf("%s: %v", settings, err)
		}
	}
}
