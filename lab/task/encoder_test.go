package task

import (
	"errors"
	"strings"
	"testing"
)

// stuckEncoder has no ids for texts with an x in them.
type stuckEncoder struct {
	byteEncoder
	stuck bool
}

func (e *stuckEncoder) Encode(text string) []int32 {
	e.stuck = e.stuck || strings.Contains(text, "x")
	return e.byteEncoder.Encode(text)
}

func (e *stuckEncoder) Err() error {
	if e.stuck {
		return errors.New("stuck")
	}
	return nil
}

// A text that the tokenizer has no ids for is an error of every task, which names its place.
func TestTextsWithoutIDs(t *testing.T) {
	cfg := DefaultJSONL(writeFile(t, "{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\": \"c\", \"response\": \"x\"}\n"))
	cfg.ValidationShare, cfg.CalibrationShare = 0, 0
	if _, err := NewJSONL(t.Context(), cfg, &stuckEncoder{}, endOfText, nil); err == nil || !strings.HasSuffix(err.Error(), "data.jsonl:2: stuck") {
		t.Errorf("records: %v", err)
	}
	for _, q := range []Question{{Query: "x", Choices: []string{"a", "b"}}, {Query: "a", Choices: []string{"b", "x"}}, {Contexts: []string{"a", "x"}, Choices: []string{"b", "c"}}} {
		q.Line = 7
		c := &Choice{ChoiceConfig: ChoiceConfig{Path: "f"}, Questions: []Question{q}}
		if _, _, err := c.Spans(&stuckEncoder{}, Beginning{-1, -1}, 100); err == nil || !strings.HasSuffix(err.Error(), "f:7: stuck") {
			t.Errorf("choices: %v", err)
		}
	}
	if _, err := NewRecsys(DefaultRecsys(), &stuckEncoder{stuck: true}); err == nil || err.Error() != "recsys: stuck" {
		t.Errorf("ranking: %v", err)
	}
}
