package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model/checkpoint"
)

// TestTokenizerThatIsLargerThanTheEmbedding: a loaded model without rows for the last tokens of its
// tokenizer is used, with a note, by all steps, where no record has one of them; else it is refused
// by the token's name.
func TestTokenizerThatIsLargerThanTheEmbedding(t *testing.T) {
	data := writeJSONL(t, "")
	folder := savedTeacher(t)
	m, err := checkpoint.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	config := m.Config()
	highest := int32(0)
	for i := range 82 {
		for _, id := range tok.Encode(fmt.Sprintf("what comes after %d?\nafter %d comes %d", i, i, i+1)) {
			highest = max(highest, id)
		}
	}
	if int(highest)+1 >= tok.Vocab() || tok.EOS() > highest {
		t.Fatalf("the data have token %d of %d: nothing is tested", highest, tok.Vocab())
	}
	for _, c := range []struct {
		rows  int
		fails bool
	}{{int(highest) + 1, false}, {tok.Vocab() - 1, false}, {int(highest), true}} {
		config.Vocab = c.rows
		small := savedTeacher(t)
		saveRandom(t, small, config)
		text := fmt.Sprintf(onFiles, data, small)
		h, plan := newHome(t), parse(t, text, scenario.Options{})
		if _, _, err := Check(t.Context(), h, plan); c.fails {
			if want := fmt.Sprintf("the data have token %d (%q), expected ids below %d", highest, tok.Token(highest), c.rows); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d rows: %v, expected %s", c.rows, err, want)
			}
			continue
		}
		ended := mustWork(t, h, plan, Options{Now: clock()})
		noted := 0
		for _, n := range ended.Board.Snapshot().Notes {
			if n.Level == lab.Info && strings.Contains(n.Text, fmt.Sprintf("the embedding has %d rows", c.rows)) {
				noted++
			}
		}
		if noted != 1 {
			t.Errorf("%d rows: %d notes, expected one", c.rows, noted)
		}
	}
}
