package run

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/tokenview"
	"slimlab/model"
	"slimlab/model/checkpoint"
)

// viewOf reads the view of a row that a run has measured.
func viewOf(t *testing.T, run func(lab.Event) bool, events []lab.Event, folder func(key string) string) *tokenview.View {
	t.Helper()
	for _, e := range events {
		if e.Kind == lab.KindRow && run(e) && e.Tokens != "" {
			v, err := tokenview.Read(folder(e.Tokens))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return nil
}

// TestTokensOfRows: a distilled row is beside its teacher, another one beside the baseline, the
// baseline beside none; what is kept is what kd.Positions says of the models' artifacts.
func TestTokensOfRows(t *testing.T) {
	h := newHome(t)
	var events []lab.Event
	file := filepath.Join(t.TempDir(), "data.jsonl")
	var b strings.Builder
	for range 8 {
		for _, n := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
			b.WriteString(`{"prompt":"after ` + n + string(rune('a'+b.Len()%26)) + string(rune('a'+b.Len()/26%26)) + ` comes","response":"the number behind ` + n + `"}` + "\n")
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(chain, "task: { kind: recsys, members: 40, candidates: 2 }", "task: { kind: jsonl, path: "+file+" }", 1)
	text = strings.Replace(strings.Replace(text, "{ validation: 8 }", "{ validation: 8, tokens: 2 }", 1), "serve: { members: 3, candidates: 3 }", "", 1)
	text = strings.Replace(text, "{ vocab: 600 }", "{ vocab: 300 }", 1)
	if _, err := work(t, h, parse(t, text, scenario.Options{}), Options{Sink: func(e lab.Event) { events = append(events, e) }}); err != nil {
		t.Fatal(err)
	}
	folder := func(key string) string { return filepath.Join(h.Folder, "artifacts", key) }
	row := func(name string) func(lab.Event) bool { return func(e lab.Event) bool { return e.Row == name } }
	if v := viewOf(t, row("teacher"), events, folder); v != nil {
		t.Errorf("the baseline is compared with %s", v.Teacher)
	}
	for student, teacher := range map[string]string{"student": "teacher", "pruned": "teacher", "w8a8": "teacher"} {
		v := viewOf(t, row(student), events, folder)
		if v == nil || v.Teacher != teacher || v.Student != student || v.Baseline != (student != "student") || len(v.Examples) != 2 {
			t.Fatalf("%s: %+v, expected 2 examples beside %s", student, v, teacher)
		}
		keys := map[string]string{}
		for _, e := range events {
			if e.Kind == lab.KindRow {
				keys[e.Row] = e.Key
			}
		}
		p, err := openArtifact(t, folder(keys[teacher]))
		if err != nil {
			t.Fatal(err)
		}
		q, err := openArtifact(t, folder(keys[student]))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range v.Examples {
			of := kd.Example{}
			for _, one := range e.Tokens {
				of.Tokens, of.Answer = append(of.Tokens, one.ID), append(of.Answer, one.At != nil)
			}
			want, err := kd.Positions(t.Context(), p, q, of, tokensTop)
			if err != nil {
				t.Fatal(err)
			}
			for i, one := range e.Answers() {
				w := want[i]
				if one.At.KL != w.ForwardKL || one.At.Teacher != w.Label.Teacher || one.At.StudentRank != w.Rank[1] || len(one.At.Top) != len(w.Top) {
					t.Errorf("%s, answer token %d: %+v, expected %+v", student, i, one.At, w)
				}
			}
			if len(want) < 2 || e.Teacher == nil || e.Student == nil || len(e.Student.Tokens) == 0 && !e.Student.Ended {
				t.Errorf("%s: an answer of %d tokens, samples %+v and %+v", student, len(want), e.Teacher, e.Student)
			}
			if e.Student != nil && len(e.Student.Tokens) > 0 && e.Student.Tokens[0] != e.Answers()[0].At.Likeliest(1, true)[0].ID {
				t.Errorf("%s: the sample begins with %d, and the likeliest first token is another", student, e.Student.Tokens[0])
			}
			if before, n := e.Before(); n == 0 || !strings.Contains(before, "after") {
				t.Errorf("the prompt is %q", before)
			}
		}
	}
}

func TestFirstAnswersCutsBehindThem(t *testing.T) {
	e := kd.Example{Tokens: []int32{1, 2, 3, 4, 5}, Answer: []bool{false, true, false, true, true}}
	for n, want := range map[int]int{1: 3, 2: 1, 3: 0, 4: 0} {
		got, cut := firstAnswers(e, n)
		if cut != want || len(got.Tokens) != 5-want || len(got.Answer) != 5-want {
			t.Errorf("%d answers: %d tokens cut, %v", n, cut, got)
		}
	}
}

// TestTokensKeyKeepsOldNames: with its default the key is in no text that names a run's scenario,
// and 0 keeps nothing.
func TestTokensKeyKeepsOldNames(t *testing.T) {
	plain := parse(t, chain, scenario.Options{}).Begin()
	set := parse(t, strings.Replace(chain, "validation: 8", "validation: 8, tokens: 4", 1), scenario.Options{}).Begin()
	other := parse(t, strings.Replace(chain, "validation: 8", "validation: 8, tokens: 5", 1), scenario.Options{}).Begin()
	if plain.Hash != set.Hash || plain.Hash == other.Hash {
		t.Errorf("hashes %s, %s with the default, %s with 5", plain.Hash, set.Hash, other.Hash)
	}
	if _, has := recipe.Of(parse(t, chain, scenario.Options{}).Cells[0].Point.Evaluate)["tokens"]; has {
		t.Error("the default is in a recipe")
	}
	var events []lab.Event
	none := parse(t, strings.Replace(chain, "validation: 8", "validation: 8, tokens: 0", 1), scenario.Options{})
	if _, err := work(t, newHome(t), none, Options{Sink: func(e lab.Event) { events = append(events, e) }}); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(events, func(e lab.Event) bool { return e.Tokens != "" }) {
		t.Error("tokens are kept of 0 examples")
	}
}

func openArtifact(t *testing.T, folder string) (*model.Model, error) {
	t.Helper()
	c, err := checkpoint.Open(folder)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Model(t.Context())
}
