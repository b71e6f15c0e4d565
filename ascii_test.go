package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"slimlab/tui/text"
)

// TestSignsHaveASCII: every sign of a text that the project prints has a replacement for --ascii.
// Left out are the signs of languages and of generated code, which no screen is made of.
func TestSignsHaveASCII(t *testing.T) {
	seen := 0
	goFiles(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") || slices.ContainsFunc([]string{"kernels/", "model/tokenizer/"}, func(of string) bool { return strings.HasPrefix(path, of) }) {
			return
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING && literal.Kind != token.CHAR {
				return true
			}
			value := strings.Trim(literal.Value, "'")
			if literal.Kind == token.STRING {
				value, _ = strconv.Unquote(literal.Value)
			}
			if !utf8.ValidString(value) {
				return true // the first bytes of a kind of file
			}
			for _, r := range value {
				if r < 0x80 || r == utf8.RuneError || !strconv.IsPrint(r) {
					continue
				}
				seen++
				if plain := text.ASCII(string(r)); strings.Contains(plain, "?") {
					t.Errorf("%s: %q (%U) is printed as %q with --ascii: asciiOf in tui/text lacks it", files.Position(literal.Pos()), r, r, plain)
				}
			}
			return true
		})
	})
	if seen < 100 {
		t.Errorf("found %d signs in the project's texts", seen)
	}
}
