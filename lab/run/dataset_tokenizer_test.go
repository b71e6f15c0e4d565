package run

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
)

// A loaded model without a tokenizer is refused by every kind of task, unless one is to be trained,
// which is said; with that of another loaded model it goes on, which is said too.
func TestLoadedModelWithoutTokenizer(t *testing.T) {
	h := newHome(t)
	folder := filepath.Join(t.TempDir(), "none")
	if err := checkpoint.WriteRandom(context.Background(), folder, odd(64), 1); err != nil {
		t.Fatal(err)
	}
	const text = "name: x\ntask: %s\ntokenizer: { vocab: 300%s }\nmodels: { own: { load: %q } }\npipeline:\n  - baseline: { name: whole, model: own }\n"
	for _, task := range []string{fmt.Sprintf("{ kind: text, path: %q, length: 32 }", story(t, 120)), "{ kind: recsys, members: 4 }", "{ kind: reasoning, problems: 4 }"} {
		_, _, err := Check(t.Context(), h, parse(t, fmt.Sprintf(text, task, "", folder), scenario.Options{}))
		if err == nil || !strings.Contains(err.Error(), folder+": the model has no tokenizer, so no text can be read") || !strings.Contains(err.Error(), "tokenizer: { train: true }") {
			t.Errorf("%s: %v", task, err)
		}
	}
	task := fmt.Sprintf("{ kind: text, path: %q, length: 32 }", story(t, 120))
	_, notes, err := Check(t.Context(), h, parse(t, fmt.Sprintf(text, task, ", train: true", folder), scenario.Options{}))
	if err != nil || !slices.ContainsFunc(notes, func(e lab.Event) bool {
		return e.Level == lab.Warning && strings.Contains(e.Text, "as was asked for, one is trained")
	}) {
		t.Errorf("a tokenizer that is to be trained: %v, notes %+v", err, notes)
	}
	own := filepath.Join(t.TempDir(), "own")
	c := odd(64)
	if err := checkpoint.WriteRandom(context.Background(), own, c, 1); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Train(slices.Values([]string{"the cat sleeps and then the dog eats"}), 270, nil)
	if err == nil {
		err = tok.Save(own)
	}
	if err != nil {
		t.Fatal(err)
	}
	both := fmt.Sprintf("name: x\ntask: %s\nmodels: { a: { load: %q }, b: { load: %q } }\npipeline:\n  - baseline: { name: whole, model: a }\n  - baseline: { name: other, model: b }\n", task, folder, own)
	if _, notes, err = Check(t.Context(), h, parse(t, both, scenario.Options{})); err != nil || !slices.ContainsFunc(notes, func(e lab.Event) bool {
		return e.Level == lab.Warning && strings.Contains(e.Text, folder+" has no tokenizer: it is given that of "+own)
	}) {
		t.Errorf("another's tokenizer: %v, notes %+v", err, notes)
	}
}
