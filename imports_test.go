package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed says, for each package, which others its product code may import. An entry covers its own
// subfolders unless they are listed themselves.
var allowed = map[string][]string{
	".":                     {"tui", "tui/text", "lab", "lab/*", "scenarios"},
	"tui":                   {"lab", "lab/*"},
	"lab":                   {"lab/stat"},
	"lab/scenario":          {"lab", "lab/stat"},
	"lab/stat":              {},
	"lab/recipe":            {},
	"lab/store":             {"lab", "lab/recipe"},
	"lab/report":            {"lab", "lab/stat", "lab/sweep"},
	"lab/loadreport":        {"lab/stat", "serve/load"},
	"lab/sweep":             {"lab", "lab/stat"},
	"lab/doctor":            {"lab", "lab/home", "lab/report", "serve", "serve/host", "model", "model/weight", "kernels", "kernels/machine", "kernels/parallel"},
	"lab/datafile":          {},
	"lab/starter":           {},
	"lab/task":              {"lab", "lab/datafile", "lab/stat"},
	"lab/eval":              {"lab", "lab/recipe", "lab/report", "lab/stat", "lab/task", "quant", "serve", "serve/host", "model", "model/*", "kernels"},
	"lab/loadtest":          {"lab", "lab/endpoint", "lab/loadreport", "lab/report", "lab/stat", "serve", "serve/hardware", "serve/load", "serve/load/*", "model/checkpoint"},
	"lab/abtest":            {"lab", "lab/datafile", "lab/loadtest", "lab/report", "lab/stat", "lab/task", "serve", "serve/load", "serve/load/openai"},
	"lab/endpoint":          {"lab", "lab/eval", "lab/report", "serve", "serve/host", "serve/load", "serve/pages", "serve/sample", "serve/server", "model", "model/chat", "kernels/machine"},
	"lab/convert":           {"lab/datafile", "lab/recipe", "lab/task", "kd", "pruning", "pruning/timing", "quant", "quant/transform", "model", "model/*", "kernels", "kernels/machine"},
	"lab/home":              {"lab", "lab/recipe", "lab/store", "lab/sweep", "model/calibrate/statistics", "model/checkpoint", "model/pretrained", "model/tokenizer", "kernels", "kernels/machine"},
	"lab/rollout":           {"kd", "serve", "serve/host", "serve/sample", "model", "kernels"},
	"lab/sensitivity":       {"kd", "pruning", "quant", "model", "model/calibrate", "kernels"},
	"lab/optimize":          {"lab", "lab/sensitivity", "quant"},
	"lab/tokenview":         {},
	"lab/run":               {"lab", "lab/*", "kd", "kd/*", "pruning", "pruning/timing", "quant", "quant/transform", "serve", "serve/*", "model", "model/*", "kernels", "kernels/machine"},
	"kd":                    {"model", "model/weight", "kernels"},
	"kd/remote":             {"kd", "model", "kernels"},
	"kd/teachercache":       {"kd", "model", "kernels"},
	"kd/kdtest":             {"kd", "model"},
	"pruning":               {"model", "model/weight", "model/calibrate", "model/calibrate/refine", "kernels", "kernels/matrix", "kernels/memory", "kernels/parallel"},
	"pruning/timing":        {"pruning", "model", "model/weight", "kernels", "kernels/machine", "kernels/matrix"},
	"quant":                 {"model", "model/*", "kernels", "kernels/matrix", "kernels/memory", "kernels/parallel"},
	"quant/transform":       {"quant", "model", "model/calibrate", "model/weight", "kernels", "kernels/parallel"},
	"serve":                 {"serve/pages", "serve/sample", "kernels"},
	"serve/grammar":         {"serve/grammar/pattern", "serve/grammar/schema"},
	"serve/grammar/pattern": {},
	"serve/grammar/schema":  {},
	"serve/hardware":        {"serve", "model", "kernels"},
	"serve/host":            {"serve", "model", "kernels"},
	"serve/load":            {"serve", "serve/hardware"},
	"serve/load/openai":     {"serve/load"},
	"serve/load/trace":      {"serve/load"},
	"serve/pages":           {},
	"serve/server":          {"serve", "serve/grammar", "serve/pages", "serve/sample", "model/chat", "model/tokenizer"},
	"serve/sample":          {"kernels", "kernels/parallel"},
	"model":                 {"model/weight", "kernels"},
	"model/weight":          {"kernels", "kernels/parallel"},
	"model/chat":            {"model/tokenizer"},
	"model/calibrate":       {"model", "model/weight", "kernels", "kernels/matrix", "kernels/memory", "kernels/parallel"},
	"model/checkpoint":      {"model", "model/weight", "model/tokenizer", "model/checkpoint/gguf", "model/checkpoint/safetensors", "kernels/parallel"},
	"model/checkpoint/gguf": {},
	"model/tokenizer":       {},
	"model/pretrained":      {},
	"kernels":               {"kernels/memory", "kernels/parallel"},
	"kernels/matrix":        {"kernels", "kernels/memory", "kernels/parallel"},
	"kernels/machine":       {"kernels/memory", "kernels/parallel"},
	"kernels/parallel":      {"kernels/memory"},
	"kernels/memory":        {},
	"scenarios":             {},

	"model/calibrate/statistics":   {"model", "model/calibrate", "kernels/matrix"},
	"model/calibrate/refine":       {"model", "model/calibrate", "model/weight", "kernels", "kernels/parallel"},
	"model/checkpoint/engines":     {"model", "model/checkpoint", "model/weight"},
	"pruning/timing/timingtest":    {"model", "pruning"},
	"kernels/machine/machinetest":  {"kernels", "kernels/machine", "kernels/parallel"},
	"model/checkpoint/lora":        {"model/checkpoint/safetensors", "kernels/parallel"},
	"model/checkpoint/safetensors": {"kernels/parallel"},
}

// TestImportsRunOneWay holds the layers: main → tui → lab/* → methods → model → kernels, methods
// apart from each other, and bubbletea in tui alone. A permission that no import uses is an error,
// so that the table says what is.
func TestImportsRunOneWay(t *testing.T) {
	seen, used := map[string]bool{}, map[string]bool{}
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
		pkg := packageOf(filepath.ToSlash(filepath.Dir(path)))
		if pkg == "" {
			t.Errorf("%s: this folder has no entry in the table of imports; add one", path)
			return nil
		}
		seen[pkg] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			for _, screen := range []string{"bubbletea", "bubbles", "lipgloss"} {
				if strings.HasPrefix(name, "github.com/charmbracelet/"+screen) && pkg != "tui" {
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
				if slices.Contains([]string{"internal/shareddata", "internal/behaviour", "internal/golden", "internal/jsonmutant"}, inner) {
					t.Errorf("%s imports %s: it is for tests", path, name)
				}
				continue // tools of every package, which import nothing of the project
			}
			target := packageOf(inner)
			if target == pkg && inner != "" && strings.HasPrefix(inner, pkg) {
				continue
			}
			if i := permission(allowed[pkg], inner); i >= 0 {
				used[pkg+" → "+allowed[pkg][i]] = true
			} else {
				t.Errorf("%s imports slimlab/%s: %s may import %v", path, inner, pkg, allowed[pkg])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, entries := range allowed {
		if !seen[pkg] {
			t.Errorf("%s is in the table but has no Go files", pkg)
		}
		for _, e := range entries {
			if !used[pkg+" → "+e] {
				t.Errorf("%s may import %s, and does not: take the permission out of the table", pkg, e)
			}
		}
	}
}

// packageOf finds the most specific entry that holds the folder.
func packageOf(folder string) string {
	for dir := folder; ; dir = filepath.Dir(dir) {
		if _, ok := allowed[dir]; ok && (dir != "." || folder == ".") {
			return dir
		}
		if dir == "." || dir == "/" {
			return ""
		}
	}
}

// permission returns the index of the entry that permits the target, or -1: the package itself, or
// all below a folder.
func permission(entries []string, target string) int {
	return slices.IndexFunc(entries, func(e string) bool {
		prefix, below := strings.CutSuffix(e, "/*")
		return e == target || below && strings.HasPrefix(target, prefix+"/")
	})
}
