package main

import (
	"slices"
	"strings"
	"testing"

	"slimlab/lab/home"
	"slimlab/tui"
)

// TestAttach: a model that slimlab has is found, loaded and asked from the workbench; what cannot
// be attached to says why.
func TestAttach(t *testing.T) {
	t.Chdir(t.TempDir())
	b := newBench(home.Open(t.TempDir(), "test"), "")
	found, err := b.Servable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(found, func(c tui.Candidate) bool { return c.Path == "pretrained:recsys-student" && c.About != "" }) {
		t.Errorf("found %+v", found)
	}
	e, err := b.Attach(t.Context(), "pretrained:recsys-student")
	if err != nil {
		t.Fatal(err)
	}
	answer := ""
	if err := e.Complete(t.Context(), "likes item", 5, func(piece string) { answer += piece }); err != nil || answer == "" {
		t.Errorf("answered %q, %v", answer, err)
	}
	if s, err := e.State(t.Context()); err != nil || s.Model != "recsys-student" || s.Counts.Generated == 0 || e.Place() != "" {
		t.Errorf("%+v, %v, at %q", s, err, e.Place())
	}
	e.Close()
	if _, err := e.State(t.Context()); err == nil {
		t.Error("an engine that was left answers")
	}
	for target, want := range map[string]string{"nowhere": "no such", "pretrained:none": "none", "http://127.0.0.1:1": "refused", "ftp://x": "expected the URL"} {
		if e, err := b.Attach(t.Context(), target); err == nil || e != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, expected an error with %q", target, e, err, want)
		}
	}
}
