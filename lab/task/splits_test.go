package task

import (
	"strings"
	"testing"
)

// TestTrainingAndEvaluationReadTheirSplits: of one file with splits, what trains or calibrates
// reads "train", and what evaluates reads "test"; each says which it left.
func TestTrainingAndEvaluationReadTheirSplits(t *testing.T) {
	path := writeFile(t, `{"test":[{"query":"held","choices":["a","b"],"gold":0,"text":"held out"}],"train":[{"query":"seen","choices":["a","b"],"gold":0,"text":"seen"}]}`)
	c, err := ReadChoice(t.Context(), ChoiceConfig{Path: path})
	if err != nil || c.Questions[0].Query != "held" || !strings.Contains(c.Notes[0], `"test" of one JSON object, 1 record; left out: "train" (1 record)`) {
		t.Errorf("questions: %+v, %v", c, err)
	}
	text, err := ReadText(t.Context(), path, 0)
	if err != nil || text.Content != "held out" || !strings.Contains(text.Notes[0], `left out: "train"`) {
		t.Errorf("a text to evaluate: %+v, %v", text, err)
	}
	plain, err := ReadPlain(t.Context(), path, 0, nil)
	if err != nil || plain.Text != "seen" || !strings.Contains(plain.Notes[0], `left out: "test"`) {
		t.Errorf("a text to calibrate with: %+v, %v", plain, err)
	}
	cfg := DefaultJSONL(path)
	cfg.ValidationShare, cfg.CalibrationShare = 0, 0
	records, err := ReadJSONL(t.Context(), cfg)
	if err != nil || records.train[0].Response != "seen" || !strings.Contains(records.Notes()[0], `left out: "test"`) {
		t.Errorf("records to train on: %+v, %v", records, err)
	}
}
