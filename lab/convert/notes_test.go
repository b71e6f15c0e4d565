package convert

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
)

// Every verb says what the source's files said that was not read as one might expect.
func TestVerbsPassNotesOn(t *testing.T) {
	const note = "config.json: wonder is no key that slimlab knows, and was not read"
	for name, run := range everyVerb(t) {
		t.Run(name, func(t *testing.T) {
			from, text := source(t, checkpoint.BF16)
			config := filepath.Join(from, "config.json")
			data, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			var keys map[string]any
			if err := json.Unmarshal(data, &keys); err != nil {
				t.Fatal(err)
			}
			keys["wonder"] = 1
			if data, err = json.Marshal(keys); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(config, data, 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := run(t.Context(), from, text, filepath.Join(t.TempDir(), "to"), Options{Open: open})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(r.Notes, note) || !strings.Contains(strings.Join(r.Lines(), "\n"), note) {
				t.Errorf("notes %q, expected %q", r.Notes, note)
			}
		})
	}
	from, _ := source(t, checkpoint.BF16)
	if in, err := Inspect(from, open); err != nil || len(in.Notes) != 0 {
		t.Errorf("a plain folder: notes %q, %v", in.Notes, err)
	}
}
