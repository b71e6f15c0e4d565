package main

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goFiles calls visit for every Go file of the project, those of the generator included.
func goFiles(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCommentsAreWrapped: a line that is a comment ends within 100 columns, a tab counted as four.
// Indented lines of a comment are tables and formulas, and may be wider.
func TestCommentsAreWrapped(t *testing.T) {
	goFiles(t, func(path string) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for n := 1; lines.Scan(); n++ {
			text, comment := strings.CutPrefix(strings.TrimLeft(lines.Text(), "\t"), "// ")
			if !comment || strings.HasPrefix(text, " ") {
				continue
			}
			width := 0
			for _, r := range lines.Text() {
				if width++; r == '\t' {
					width += 3
				}
			}
			if width > 100 {
				t.Errorf("%s:%d: the comment is %d columns wide, expected at most 100", path, n, width)
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	})
}

// TestPackages: each package has a doc comment and a name that says what it is, and nothing runs
// before main.
func TestPackages(t *testing.T) {
	documented := map[string]bool{}
	goFiles(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		folder := filepath.Dir(path)
		documented[folder] = documented[folder] || file.Doc != nil
		if slices.Contains([]string{"utils", "util", "common", "types", "helpers"}, file.Name.Name) {
			t.Errorf("%s: package %s says nothing of what it holds", path, file.Name.Name)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init runs before main: make a table or a call of it", path)
			}
		}
	})
	for folder, ok := range documented {
		if !ok {
			t.Errorf("%s: no file has a package comment", folder)
		}
	}
}
