package run

import "testing"

// TestSharesInPercent: a share of test records is written as every other one.
func TestSharesInPercent(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "0.2": 0.2, "20%": 0.2} {
		if share, path, err := testOf(text); err != nil || path != "" || share != want {
			t.Errorf("%q: %v, %q, %v", text, share, path, err)
		}
	}
	if _, path, err := testOf("20%.jsonl"); err != nil || path != "20%.jsonl" {
		t.Errorf("a file: %q, %v", path, err)
	}
	if _, _, err := testOf("120%"); err == nil {
		t.Error("120% is a share")
	}
}
