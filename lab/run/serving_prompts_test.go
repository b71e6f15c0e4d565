package run

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/internal/shareddata"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model/tokenizer"
	"slimlab/serve/load"
)

// workloadOf is the workload of a scenario's first cell, with its tokenizer and the notes.
func workloadOf(t *testing.T, text string) (load.Prompts, *tokenizer.Tokenizer, string, error) {
	t.Helper()
	plan := parse(t, text, scenario.Options{})
	r := &Run{home: newHome(t), plan: plan, Board: lab.NewBoard(), options: Options{Now: time.Now}, readOnly: true}
	defer r.letGo()
	w := &worker{run: r, cell: &plan.Cells[0]}
	if _, err := w.plan(t.Context()); err != nil {
		return load.Prompts{}, nil, "", err
	}
	of, err := w.workload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var notes strings.Builder
	for _, e := range r.unlogged {
		fmt.Fprintln(&notes, e.Text)
	}
	return of.(load.Prompts), w.data.tokenizer, notes.String(), nil
}

// write makes a file of lines.
func write(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServedPrompts: a record is asked up to its response, and of a text the first half.
func TestServedPrompts(t *testing.T) {
	const section = "serve: { prompts: 3, answer_tokens: 9 }\n"
	records := fmt.Sprintf(onRecords, writeJSONL(t, ""))
	p, tok, notes, err := workloadOf(t, records+section)
	if err != nil || len(p.Prompts) != 3 || p.Answer != 9 || strings.Contains(notes, "serve:") {
		t.Fatalf("%+v, %v\n%s", p, err, notes)
	}
	for _, prompt := range p.Prompts {
		if text := tok.Decode(prompt); !strings.HasPrefix(text, "what comes after ") || !strings.HasSuffix(text, "?\n") {
			t.Errorf("asked %q", text)
		}
	}
	p, _, _, err = workloadOf(t, fmt.Sprintf(onText, story(t, 120))+section)
	if err != nil || len(p.Prompts) != 3 {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, prompt := range p.Prompts {
		if len(prompt) != 16 {
			t.Errorf("a window of 32 tokens asks %d", len(prompt))
		}
	}
	var texts []string
	for i := range 40 {
		texts = append(texts, fmt.Sprintf(`{"text": "the number %d comes after the number %d, as numbers do"}`, i+1, i))
	}
	p, tok, notes, err = workloadOf(t, fmt.Sprintf(onRecords, write(t, texts...))+"serve: { prompts: 1000 }\n")
	if err != nil || len(p.Prompts) < 2 || len(p.Prompts) > 20 || !strings.Contains(notes, fmt.Sprintf("serve: prompts is 1000, and the validation examples give %d", len(p.Prompts))) {
		t.Fatalf("%d prompts, %v\n%s", len(p.Prompts), err, notes)
	}
	if text := tok.Decode(p.Prompts[0]); !strings.HasPrefix(text, "the number ") || strings.HasSuffix(text, "do") || len(text) < 20 {
		t.Errorf("of a text %q is asked", text)
	}
	p, tok, _, err = workloadOf(t, onChains+section)
	if err != nil || len(p.Prompts) != 3 || tok.Decode(p.Prompts[0]) == "" {
		t.Errorf("of chains %+v, %v", p, err)
	}
}

// TestPromptsThatLeaveNoRoom are left out, with a note; where that is all, the plan is refused.
func TestPromptsThatLeaveNoRoom(t *testing.T) {
	var lines []string
	for i := range 60 { // odd ones are long
		lines = append(lines, fmt.Sprintf(`{"prompt": "%d%s", "response": "yes %d"}`, i, strings.Repeat(" and on", 30*(i%2)), i))
	}
	text := strings.Replace(fmt.Sprintf(onRecords, write(t, lines...)), "max_tokens: 48", "max_tokens: 500", 1)
	p, _, notes, err := workloadOf(t, text+"serve: { answer_tokens: 490 }\n")
	if err != nil || len(p.Prompts) == 0 || !strings.Contains(notes, "left out: with 490 answer tokens there are more than the 512 positions of the models") {
		t.Errorf("%d prompts, %v\n%s", len(p.Prompts), err, notes)
	}
	for _, prompt := range p.Prompts {
		if len(prompt) > 512-490 {
			t.Errorf("a prompt of %d tokens is served", len(prompt))
		}
	}
	_, _, _, err = workloadOf(t, text+"serve: { answer_tokens: 512 }\n")
	if err == nil || !strings.HasPrefix(err.Error(), "test.yaml:10:25: serve's answer_tokens is 512, and no prompt leaves room") {
		t.Errorf("no room at all: %v", err)
	}
}

// colours writes records whose responses are words of their prompts.
func colours(t *testing.T) string {
	t.Helper()
	var lines []string
	for i := range 60 {
		colour := []string{"red", "blue", "green"}[i*7%3]
		lines = append(lines, fmt.Sprintf(`{"prompt": "%d say %s", "response": "the %s."}`, i, colour, colour))
	}
	return write(t, lines...)
}

const onColours = `
name: colours
task: { kind: jsonl, path: %q, max_tokens: 48, validation: 0.3 }
tokenizer: { vocab: 290 }
models: { little: { layers: 2, hidden: 32, heads: 2, kv_heads: 1, head_dim: 16, mlp: 64 } }
pipeline:
  - train: { name: unlearned, into: little, steps: 1, batch: 4 }
  - train: { name: learned, into: little, steps: 150, batch: 8, learning_rate: 1e-2 }
evaluate: { validation: 8, answers: 12 }
serve: { prompts: 5, answer_tokens: 4 }
`

// TestOwnDataIsServedAndAnswered: rows on records have the figures of serving and of answers, a
// model that has learned answers right, and a run that finds them says whose the timings are.
func TestOwnDataIsServedAndAnswered(t *testing.T) {
	h, text := newHome(t), fmt.Sprintf(onColours, colours(t))
	out := mustWork(t, h, parse(t, text, scenario.Options{}), Options{})
	row := func(b *lab.Board, i int) map[string]lab.SeedMeasure {
		of := map[string]lab.SeedMeasure{}
		for _, m := range lab.Metrics() {
			if s, ok := b.Snapshot().Rows[i].Metric(m.Key); ok {
				of[m.Key] = s.Seeds[0]
			}
		}
		return of
	}
	counts := map[string]int{"ttft_cold_p50": 5, "ttft_cold_p99": 5, "tpot_p50": 5, "tpot_p99": 5, "tokens_per_s": 5, "exact": 12, "f1": 12}
	for i := range 2 {
		of := row(out.Board, i)
		for key, n := range counts {
			if m, ok := of[key]; !ok || m.N != n {
				t.Errorf("row %d: %s is %+v, expected one of %d", i, key, m, n)
			}
		}
		if _, ok := of["ttft_hot_p50"]; ok {
			t.Error("prompts are served hot")
		}
	}
	unlearned, learned := row(out.Board, 0), row(out.Board, 1)
	if unlearned["exact"].Value != 0 || !(learned["exact"].Value > 0.7 && learned["f1"].Value >= learned["exact"].Value && learned["exact"].Low > 0.3) || !strings.Contains(learned["f1"].Warning, "12 validation records") {
		t.Errorf("exact is %+v, then %+v; F1 %+v, then %+v", unlearned["exact"], learned["exact"], unlearned["f1"], learned["f1"])
	}
	again := mustWork(t, h, parse(t, text, scenario.Options{}), Options{Sink: func(e lab.Event) {
		if e.Text == "serve" || e.Text == "answers" {
			t.Errorf("stage %s: %s is done again", e.Stage, e.Text)
		}
	}})
	sameFigures(t, again.Board, out.Board, 1)
	for _, key := range []string{"tpot_p50", "memory_peak", "tokens_per_s"} {
		if m, ok := row(again.Board, 1)[key]; ok && !strings.Contains(m.Warning, "timing of run "+out.Run) {
			t.Errorf("%s says %q, expected whose timing it is", key, m.Warning)
		}
	}
}

// TestAnswersThatCannotBe: records without prompts, and none that is whole, are refused before
// anything runs; what was cut is left out with a note.
func TestAnswersThatCannotBe(t *testing.T) {
	texts := write(t, `{"text": "one two three"}`, `{"text": "four five six"}`, `{"text": "seven eight nine"}`, `{"text": "ten and eleven"}`)
	whole := strings.Replace(fmt.Sprintf(onColours, texts), "serve: { prompts: 5, answer_tokens: 4 }\n", "", 1)
	answered := func(isLong func(i int) bool) string {
		var lines []string
		for i := range 60 {
			response := "yes"
			if isLong(i) {
				response += strings.Repeat(" and on", 30)
			}
			lines = append(lines, fmt.Sprintf(`{"prompt": "say %d", "response": "%s"}`, i, response))
		}
		return strings.Replace(fmt.Sprintf(onColours, write(t, lines...)), "answers: 12", "answers: 50", 1)
	}
	long := answered(func(int) bool { return true })
	for text, want := range map[string]string{
		whole: "own.jsonl are texts without prompts: expected records with a prompt and a response, or leave it out",
		long:  "validation records were all cut to max_tokens 48, so that no response is whole",
	} {
		if _, _, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{})); err == nil || !strings.HasPrefix(err.Error(), "test.yaml:9:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	_, notes, err := Check(t.Context(), newHome(t), parse(t, answered(func(i int) bool { return i%2 > 0 }), scenario.Options{}))
	if err != nil || !slices.ContainsFunc(notes, func(e lab.Event) bool {
		return strings.HasPrefix(e.Text, "exact and F1 are of ") && strings.HasSuffix(e.Text, " more were cut to max_tokens and have no whole response")
	}) {
		t.Errorf("cut responses: %v, %v", notes, err)
	}
}

// TestServedAsStored: the checkpoint of the shared data is served with the prompts of a file of
// text, in each format, and the narrower one takes less memory.
func TestServedAsStored(t *testing.T) {
	text := fmt.Sprintf(`
name: stored
task: { kind: text, path: %q, length: 128, limit: 600 }
models: { T: { load: %q } }
pipeline:
  - baseline: { name: T, model: T }
  - quantize: { name: w8a8, scheme: w8a8 }
evaluate: { validation: 2 }
serve: { prompts: 3, answer_tokens: 5 }
columns: [bytes, ttft_cold_p50, tpot_p50, tokens_per_s, memory_peak]
`, shareddata.Path(t, "datasets", "wikitext-2", "valid.txt"), shareddata.Path(t, "models", "TinyStories-656K"))
	view := mustWork(t, newHome(t), parse(t, text, scenario.Options{}), Options{}).Board.Snapshot()
	for i := range view.Rows {
		for key, least := range map[string]float64{"ttft_cold_p50": 1e-6, "tpot_p50": 1e-6, "tokens_per_s": 1, "memory_peak": 500_000} {
			if s, ok := view.Rows[i].Metric(key); (runtime.GOOS == "linux" || key != "memory_peak") && (!ok || s.Value < least) {
				t.Errorf("row %s: %s is %v, expected at least %v", view.Rows[i].Name, key, s.Value, least)
			}
		}
	}
}

// TestSaid: an answer ends at the end token, which need not be special, or at a special one.
func TestSaid(t *testing.T) {
	_, tok, _, err := workloadOf(t, fmt.Sprintf(onRecords, writeJSONL(t, ""))+"serve: {}\n")
	if err != nil {
		t.Fatal(err)
	}
	ids := tok.Encode("after 3")
	for end, eos := range map[int32]int32{tok.EOS(): -1, ids[len(ids)-1]: ids[len(ids)-1]} {
		d := &dataset{tokenizer: tok, eos: eos}
		want := "after 3"
		if eos >= 0 {
			want = tok.Decode(ids[:len(ids)-1])
		}
		if got := d.said(append(slices.Clone(ids), end, ids[0])); got != want {
			t.Errorf("end %d: %q, expected %q", end, got, want)
		}
	}
}

// TestAccuracyBesideAGuess: rows on records with one of two responses have an accuracy, which says
// where a guess has it too.
func TestAccuracyBesideAGuess(t *testing.T) {
	var lines []string
	for i := range 90 {
		lines = append(lines, fmt.Sprintf(`{"prompt": "is %d odd?", "response": "%s"}`, i, []string{"no", "yes"}[i%2]))
	}
	text := fmt.Sprintf(onRecords, write(t, lines...))
	view := mustWork(t, newHome(t), parse(t, strings.Replace(text, "columns: [loss]", "columns: [accuracy]", 1), scenario.Options{}), Options{}).Board.Snapshot()
	s, ok := view.Rows[0].Metric("accuracy")
	if m := s.Seeds[0]; !ok || m.N < 5 || !(m.Low < m.High) || !strings.Contains(m.Warning, "as a guess: the commoner answer is right in 0.") {
		t.Errorf("accuracy is %+v", s.Seeds)
	}
}
