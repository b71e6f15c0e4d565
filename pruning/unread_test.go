package pruning

import (
	"context"
	"slices"
	"strings"
	"testing"

	"slimlab/model/calibrate/refine"
)

// TestUnreadInputs: methods that read no inputs keep the same units without a calibration text as
// with one, report no errors without it, and the others refuse to work without it.
func TestUnreadInputs(t *testing.T) {
	m := newModel(t, config("Qwen2ForCausalLM"))
	for _, name := range Methods() {
		method := Method(name)
		o := Options{Method: method, Cuts: cuts(Cut{Ratio: 0.5}, Cut{Count: 1}), Seed: 3}
		if method.Differentiates() {
			o.Whole = m
		}
		unread, report, err := inMemory(context.Background(), m, nil, o, nil)
		switch {
		case method.Reads():
			if err == nil || !strings.Contains(err.Error(), "no calibration sequences") {
				t.Errorf("%s without a text: error %v", method, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", method, err)
			continue
		}
		read, measured := prune(t, m, o)
		if !slices.Equal(flat(read), flat(unread)) {
			t.Errorf("%s keeps other units without a text", method)
		}
		if report.Tokens != 0 || len(report.Layers) != len(measured.Layers) {
			t.Fatalf("%s: %d tokens, %d halves, expected 0 and %d", method, report.Tokens, len(report.Layers), len(measured.Layers))
		}
		for i, l := range report.Layers {
			want := measured.Layers[i]
			if want.Masked == (Error{}) {
				t.Errorf("%s: layer %d has no error with a text", method, l.Layer)
			}
			want.Masked, want.Updated = Error{}, Error{}
			if !slices.Equal(l.Support, want.Support) || l.Before != want.Before || l.Kept != want.Kept || l.Masked != want.Masked || l.Updated != want.Updated {
				t.Errorf("%s: %+v, expected %+v", method, l, want)
			}
		}
		o.Refine = refine.Options{Steps: 1}
		if _, _, err := inMemory(context.Background(), m, nil, o, nil); err == nil {
			t.Errorf("%s is refined without a text", method)
		}
	}
}

// TestQueryHeadsUnread: the same of query heads.
func TestQueryHeadsUnread(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	o := Options{Method: MagnitudeL1, Cuts: Uniform(2, LayerCut{QueryHeads: Cut{Count: 1}})}
	unread, _, err := inMemory(context.Background(), m, nil, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if read, _ := prune(t, m, o); !slices.Equal(flat(read), flat(unread)) {
		t.Error("other query heads stay without a text")
	}
}
