package grammar

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/serve/grammar/schema"
)

// suiteGroup is a schema of JSON-Schema-Test-Suite with its tests.
type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

func suiteFiles(t testing.TB, pattern string) map[string][]suiteGroup {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(shareddata.Path(t, "json-schema-test-suite", "tests", "draft2020-12"), pattern))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	files := map[string][]suiteGroup{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var groups []suiteGroup
		if err := json.Unmarshal(text, &groups); err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".json")] = groups
	}
	return files
}

// orders are the compact texts of a value with its names in any order.
func orders(v *schema.Value) []string {
	switch {
	case len(v.Items) > 0:
		texts := []string{"["}
		for i, item := range v.Items {
			sep := ","
			if i == 0 {
				sep = ""
			}
			texts = products(texts, sep, orders(item))
		}
		return products(texts, "]", []string{""})
	case len(v.Names) > 0:
		var all []string
		permute(v.Names, func(names []string) {
			texts := []string{"{"}
			for i, name := range names {
				sep := ","
				if i == 0 {
					sep = ""
				}
				texts = products(texts, sep+schema.Quote(name)+":", orders(v.Members[name]))
			}
			all = append(all, products(texts, "}", []string{""})...)
		})
		return all
	}
	return []string{v.Canonical()}
}

func products(heads []string, sep string, tails []string) (all []string) {
	for _, head := range heads {
		for _, tail := range tails {
			all = append(all, head+sep+tail)
		}
	}
	return all
}

func permute(names []string, use func([]string)) {
	names = append([]string(nil), names...)
	var from func(i int)
	from = func(i int) {
		if i == len(names) {
			use(names)
		}
		for j := i; j < len(names); j++ {
			names[i], names[j] = names[j], names[i]
			from(i + 1)
			names[i], names[j] = names[j], names[i]
		}
	}
	from(0)
}

// accepts says whether a grammar accepts a value in some order of its names.
func accepts(g *Grammar, v *schema.Value) bool {
	for _, text := range orders(v) {
		if g.pool.matches(g.root, text) {
			return true
		}
	}
	return false
}

// refusable are the keywords for which schemas of the suite are refused, and how many are.
var refusable = map[string]int{
	"$dynamicRef": 13, "$ref": 21, "$schema": 2, "contains": 20, "else": 2, "format": 15, "if": 19, "maxContains": 1, "minContains": 1, "minProperties": 1, "multipleOf": 1, "not": 11, "oneOf": 8, "then": 3,
	"unevaluatedItems": 22, "unevaluatedProperties": 40, "uniqueItems": 3,
}

// TestSuite: of every schema of the suite whose keywords are supported, each valid instance is
// accepted and each invalid one refused. All others are refused by the name of a keyword.
func TestSuite(t *testing.T) {
	refused := map[string]int{}
	schemas, tests := 0, 0
	for _, pattern := range []string{"*.json", "optional/format/*.json"} {
		for file, groups := range suiteFiles(t, pattern) {
			if file == "format" {
				continue // there format is an annotation; in the folder of optional tests it is not
			}
			for _, group := range groups {
				schemas++
				g, err := JSON(t.Context(), group.Schema, Compact)
				var unsupported *Unsupported
				if errors.As(err, &unsupported) {
					refused[unsupported.Keyword]++
					continue
				}
				if err != nil && !strings.Contains(err.Error(), "no value satisfies the schema") {
					t.Errorf("%s: %s: %v", file, group.Description, err)
					continue
				}
				for _, test := range group.Tests {
					tests++
					v, problem := schema.Parse(test.Data)
					if problem != nil {
						t.Errorf("%s: %s: %v", file, test.Data, problem)
						continue
					}
					want := test.Valid && !(file == "hostname" && strings.HasPrefix(v.Text, "xn--"))
					if got := err == nil && accepts(g, v); got != want {
						t.Errorf("%s: %s: %s: %s: accepted %v, expected %v", file, group.Description, test.Description, test.Data, got, want)
					}
				}
			}
		}
	}
	t.Logf("%d schemas with %d tests; refused: %v", schemas, tests, refused)
	if !maps.Equal(refused, refusable) {
		t.Errorf("refused: %v, expected %v", refused, refusable)
	}
}
