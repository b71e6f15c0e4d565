package grammar

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

func nested(open, inside, shut string, n int) string {
	return strings.Repeat(open, n) + inside + strings.Repeat(shut, n)
}

// explosions are schemas that would be huge if they were written out.
var explosions = map[string]string{
	"deep":           nested(`{"items":`, `true`, `}`, 250),
	"too deep":       nested(`{"items":`, `true`, `}`, 100_000),
	"many items":     `{"type":"array","items":{"type":"integer"},"minItems":1000000000,"maxItems":2000000000}`,
	"long string":    `{"type":"string","minLength":1000000,"maxLength":1000000000}`,
	"long pattern":   `{"type":"string","pattern":"^[a-z]{1,100000}$"}`,
	"two counts":     `{"type":"string","pattern":"^[a-z]{1,100000}$","format":"hostname"}`,
	"and pattern":    `{"type":"string","pattern":"(a|b)*a(a|b){1000}","minLength":100000}`,
	"nested count":   `{"type":"string","pattern":"^(((a{1,1000}){1,1000}){1,1000}b?)*$"}`,
	"huge enum":      `{"enum":[` + strings.Join(manyWords(50_000), ",") + `]}`,
	"doubling":       doubling(20),
	"all pairs":      allPairs(12),
	"itself":         `{"$ref":"#"}`,
	"itself later":   `{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"allOf":[{"$ref":"#"}]}}}`,
	"two lists":      `{"enum":[` + strings.Join(manyWords(50_000), ",") + `],"allOf":[{"enum":[` + strings.Join(manyWords(50_000), ",") + `]}]}`,
	"many of itself": `{"oneOf":[` + strings.Join(ofItself(40), ",") + `]}`,
	"many of all":    `{"anyOf":[{"minimum":1},{"maximum":0},{"minLength":1}],"allOf":[` + strings.Repeat(`{"anyOf":[{"minItems":1},{"minItems":2}]},`, 7) + strings.Repeat(`{"maxItems":1000},`, 20_000) + `true]}`,
	"no end":         `{"type":"array","items":{"$ref":"#"},"minItems":1}`,
	"many members":   `{"properties":{` + strings.Join(manyMembers(3000), ",") + `}}`,
	"count":          `{"properties":{` + strings.Join(manyMembers(400), ",") + `},"minProperties":200,"maxProperties":300,"additionalProperties":false}`,
	"name classes":   `{"patternProperties":{` + strings.Join(manyMembers(40), ",") + `}}`,
	"exponent":       `{"minimum":1e999999999}`,
	"factor":         `{"type":"integer","multipleOf":1000000007}`,
	"hard factor":    `{"type":"integer","multipleOf":4093,"minimum":1e300,"maximum":1e301}`,
	"impossible":     `{"type":"string","pattern":"^(a{1000})*$","allOf":[{"pattern":"^(a{999})*b$"}]}`,
}

func manyWords(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(`"word %d of a list"`, i*7919))
	}
	return list
}

func manyMembers(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(`"name%d":{"type":"integer"}`, i))
	}
	return list
}

func ofItself(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(`{"type":"object","properties":{"a":{"$ref":"#"},"b":{"$ref":"#/oneOf/%d/properties/c"},"c":{"anyOf":[{"$ref":"#"},{"const":%d}]},"k":{"const":%d}},"required":["a","b","c","k"]}`, i, i, i))
	}
	return list
}

// doubling has 2^n alternatives when they are multiplied out.
func doubling(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"anyOf":[{"required":["a%d"]},{"required":["b%d"]}]}`, i, i))
	}
	return `{"allOf":[` + strings.Join(all, ",") + `]}`
}

// allPairs has many sets of schemas that a value must satisfy together.
func allPairs(n int) string {
	var definitions []string
	for i := range n {
		var members []string
		for j := range n {
			if (i*j+i+j)%3 > 0 {
				members = append(members, fmt.Sprintf(`"m%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, j, (i+j)%n, (i*j+1)%n))
			}
		}
		definitions = append(definitions, fmt.Sprintf(`"d%d":{"type":"object","properties":{%s}}`, i, strings.Join(members, ",")))
	}
	return `{"$ref":"#/$defs/d0","$defs":{` + strings.Join(definitions, ",") + `}}`
}

// TestExplosions: each ends within seconds and bounded memory, with a grammar that can be used or
// with an error of a known type.
func TestExplosions(t *testing.T) {
	v := byteTokens()
	for name, text := range explosions {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			g, err := JSON(t.Context(), []byte(text), Single)
			spent := time.Since(start)
			runtime.ReadMemStats(&after)
			if spent > 20*time.Second || after.Sys > before.Sys+1<<30 {
				t.Errorf("%v and %d MiB", spent, (after.Sys-before.Sys)>>20)
			}
			t.Logf("%v, %d MiB allocated: %.150v", spent, (after.TotalAlloc-before.TotalAlloc)>>20, err)
			var unsupported *Unsupported
			var invalid *Invalid
			var limit *LimitError
			if err != nil && !errors.As(err, &unsupported) && !errors.As(err, &invalid) && !errors.As(err, &limit) && !strings.Contains(err.Error(), "the schema cannot be read") {
				t.Errorf("an unknown error: %v", err)
			}
			if err != nil {
				return
			}
			m := g.Matcher(v)
			bits := make([]uint64, v.words())
			random := rand.New(rand.NewPCG(1, 1))
			for range 300 {
				m.Allowed(bits)
				if m.Err() != nil {
					break
				}
				if token := anyOf(bits, random); token == v.ends[0] || accept(m, token) != nil {
					break
				}
			}
			t.Logf("300 tokens: %v", m.Err())
		})
	}
}

// TestCancelled: a compilation ends when its context does.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the client is gone")
	cancel(cause)
	if _, err := JSON(ctx, []byte(explosions["huge enum"]), Single); !errors.Is(err, cause) {
		t.Errorf("%v, expected the cause", err)
	}
	if _, err := Compile(ctx, strings.Repeat(`(ab|cd)[x-z]*\p{L}`, 500)); !errors.Is(err, cause) {
		t.Errorf("%v, expected the cause", err)
	}
}

// TestAmbiguousCounts: counts within counts whose states have ever more alternatives end with an
// error of a limit at the token that would take long, and the grammar still serves other texts.
func TestAmbiguousCounts(t *testing.T) {
	v := byteTokens()
	bits := make([]uint64, v.words())
	for _, n := range []int{10, 100, 1000} {
		for _, expression := range []string{"((a{0,%d}){0,%[1]d}){0,%[1]d}", "((a{1,%d}b?){0,%[1]d}){2,%[1]d}", "(a?b?){%d}((a{0,%[1]d}){0,%[1]d}){2,%[1]d}"} {
			g, err := JSON(t.Context(), fmt.Appendf(nil, `{"type":"string","pattern":%q}`, fmt.Sprintf(expression, n)), Compact)
			if err != nil {
				if !IsLimit(err) {
					t.Errorf(expression+": %v", n, err)
				}
				continue
			}
			m, longest := g.Matcher(v), 0
			for _, b := range []byte(`"` + strings.Repeat("a", 60)) {
				m.Accept(int32(b))
				m.Allowed(bits)
				longest = max(longest, g.pool.work)
				if m.Err() != nil {
					break
				}
			}
			t.Logf(expression+": at most %d of work, %v", n, longest, m.Err())
			if err := m.Err(); err != nil && !IsLimit(err) {
				t.Errorf(expression+": %v", n, err)
			}
			if other := g.Matcher(v); other.Err() != nil {
				t.Errorf(expression+": another text: %v", n, other.Err())
			} else if other.Allowed(bits); other.Err() != nil {
				t.Errorf(expression+": another text: %v", n, other.Err())
			}
		}
	}
}
