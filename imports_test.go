package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// allowed says, for each room of the house, which other rooms its product code may import. A room
// covers its own subfolders unless they are listed themselves.
var allowed = map[string][]string{
	".":                     {"tui", "lab", "lab/*", "scenarios"},
	"tui":                   {"lab", "lab/*", "scenarios"},
	"lab":                   {"lab/stat"},
	"lab/scenario":          {"lab"},
	"lab/stat":              {},
	"lab/recipe":            {},
	"lab/store":             {"lab", "lab/recipe"},
	"lab/report":            {"lab", "lab/stat"},
	"lab/doctor":            {"lab", "lab/report", "serve", "serve/host", "model", "model/weight", "kernels", "kernels/machine", "kernels/parallel"},
	"lab/task":              {"lab", "lab/stat"},
	"lab/eval":              {"lab", "lab/recipe", "lab/report", "lab/stat", "lab/task", "serve", "serve/host", "model", "model/*", "kernels"},
	"lab/convert":           {"lab/task", "kd", "pruning", "quant", "model", "model/*", "kernels"},
	"lab/home":              {"lab", "lab/recipe", "lab/store", "model/checkpoint", "model/pretrained", "model/tokenizer", "kernels", "kernels/machine"},
	"lab/run":               {"lab", "lab/*", "kd", "pruning", "quant", "serve", "serve/*", "model", "model/*", "kernels"},
	"kd":                    {"model", "model/*", "kernels"},
	"pruning":               {"model", "model/weight", "model/calibrate", "kernels", "kernels/matrix", "kernels/parallel"},
	"quant":                 {"model", "model/*", "kernels", "kernels/matrix", "kernels/parallel"},
	"serve":                 {"serve/pages", "serve/sample"},
	"serve/host":            {"serve", "model", "kernels"},
	"serve/load":            {"serve"},
	"serve/pages":           {},
	"serve/sample":          {"kernels", "kernels/parallel"},
	"model":                 {"model/weight", "kernels"},
	"model/weight":          {"kernels", "kernels/parallel"},
	"model/chat":            {"model/tokenizer"},
	"model/calibrate":       {"model", "model/weight", "kernels", "kernels/matrix", "kernels/parallel"},
	"model/checkpoint":      {"model", "model/weight", "model/tokenizer", "model/checkpoint/gguf", "model/checkpoint/safetensors", "kernels/parallel"},
	"model/checkpoint/gguf": {},
	"model/tokenizer":       {},
	"model/pretrained":      {"model", "model/checkpoint", "model/tokenizer"},
	"kernels":               {"kernels/memory", "kernels/parallel"},
	"kernels/matrix":        {"kernels", "kernels/memory", "kernels/parallel"},
	"kernels/machine":       {"kernels/memory", "kernels/parallel"},
	"kernels/parallel":      {"kernels/memory"},
	"kernels/memory":        {},
	"scenarios":             {},

	"model/checkpoint/safetensors": {"kernels/parallel"},
}

// TestImportsRunOneWay holds the house to its plan: main → tui → lab/* → methods → model → kernels,
// rooms on one floor apart, and bubbletea in tui alone.
func TestImportsRunOneWay(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "gen" || name == "internal" && filepath.Dir(path) == ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		room := roomOf(filepath.ToSlash(filepath.Dir(path)))
		if room == "" {
			t.Errorf("%s: the house has no room for this folder; add it to the table", path)
			return nil
		}
		seen[room] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			for _, screen := range []string{"bubbletea", "bubbles", "lipgloss"} {
				if strings.HasPrefix(name, "github.com/charmbracelet/"+screen) && room != "tui" {
					t.Errorf("%s imports %s: only tui may", path, name)
				}
			}
			if name == "C" {
				t.Errorf("%s uses cgo", path)
			}
			inner, ok := strings.CutPrefix(name, "slimlab/")
			if !ok {
				continue
			}
			if strings.HasPrefix(inner, "internal/") {
				if permits([]string{"internal/shareddata"}, inner) {
					t.Errorf("%s imports %s: it is for tests", path, name)
				}
				continue // tools of every room, which import nothing of the house
			}
			target := roomOf(inner)
			if target == room && inner != "" && strings.HasPrefix(inner, room) {
				continue
			}
			if !permits(allowed[room], inner) {
				t.Errorf("%s imports slimlab/%s: %s may import %v", path, inner, room, allowed[room])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range allowed {
		if !seen[room] {
			t.Errorf("room %s is in the table but has no Go files", room)
		}
	}
}

// roomOf finds the most specific room that holds the folder.
func roomOf(folder string) string {
	for dir := folder; ; dir = filepath.Dir(dir) {
		if _, ok := allowed[dir]; ok && (dir != "." || folder == ".") {
			return dir
		}
		if dir == "." || dir == "/" {
			return ""
		}
	}
}

func permits(rooms []string, target string) bool {
	for _, r := range rooms {
		if r == target {
			return true
		}
		if prefix, ok := strings.CutSuffix(r, "/*"); ok && strings.HasPrefix(target, prefix+"/") {
			return true
		}
	}
	return false
}
