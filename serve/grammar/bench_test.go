package grammar

import (
	"encoding/json"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"slimlab/internal/shareddata"
)

// qwen is the vocabulary of Qwen2.5, 151,643 tokens, as bytes.
func qwen(t testing.TB) *Vocabulary {
	t.Helper()
	text, err := os.ReadFile(shareddata.Path(t, "tokenizers", "qwen2", "vocab.derived.json"))
	if err != nil {
		t.Fatal(err)
	}
	var ids map[string]int
	if err := json.Unmarshal(text, &ids); err != nil {
		t.Fatal(err)
	}
	byteOf := map[rune]byte{}
	next := rune(256)
	for b := range 256 {
		if b > ' ' && b < 0x7f || b > 0xa0 && b != 0xad {
			byteOf[rune(b)] = byte(b)
		} else {
			byteOf[next] = byte(b)
			next++
		}
	}
	tokens := make([][]byte, len(ids)+1)
	for word, n := range ids {
		for _, r := range word {
			tokens[n] = append(tokens[n], byteOf[r])
		}
	}
	return NewVocabulary(tokens, int32(len(ids)))
}

// tools are schemas as calls of tools have them.
var tools = map[string]string{
	"weather": `{"type":"object","properties":{"location":{"type":"string","description":"City"},"unit":{"enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["location","unit"],"additionalProperties":false}`,
	"mail":    `{"type":"object","properties":{"to":{"type":"array","items":{"type":"string","format":"email"},"minItems":1,"maxItems":20},"subject":{"type":"string","maxLength":120},"body":{"type":"string","minLength":1,"maxLength":4000},"priority":{"enum":["low","normal","high"]},"send_at":{"type":"string","format":"date-time"}},"required":["to","subject","body"],"additionalProperties":false}`,
	"order":   `{"type":"object","$defs":{"item":{"type":"object","properties":{"sku":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"},"quantity":{"type":"integer","minimum":1},"price":{"type":"number","minimum":0,"multipleOf":0.01},"options":{"type":"object","additionalProperties":{"type":"string"}}},"required":["sku","quantity"],"additionalProperties":false}},"properties":{"customer":{"type":"string","pattern":"^[a-z0-9_-]{3,32}$"},"items":{"type":"array","items":{"$ref":"#/$defs/item"},"minItems":1},"note":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["customer","items","note"],"additionalProperties":false}`,
	"tree":    `{"type":"object","properties":{"name":{"type":"string"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["name","children"],"additionalProperties":false}`,
	"any":     `{"type":"object"}`,
}

// answers are texts of the schemas of tools.
var answers = map[string]string{
	"weather": `{"location": "Paris, France", "unit": "celsius", "days": 7}`,
	"mail":    `{"to": ["ada.lovelace@example.org", "charles@analytical.example"], "subject": "Notes on the engine", "body": "Dear Charles,\n\nthe tables that you sent are printed; the third column is wrong from row 12 on.\n\nYours, Ada", "priority": "high", "send_at": "2026-11-30T08:30:00Z"}`,
	"order":   `{"customer": "ada_lovelace", "items": [{"sku": "ABC-1234", "quantity": 2, "price": 19.99, "options": {"colour": "dark red", "gift": "yes"}}, {"sku": "XYZ-0001", "quantity": 10}], "note": null}`,
	"tree":    `{"name": "root", "children": [{"name": "left leaf", "children": []}, {"name": "right", "children": [{"name": "deep", "children": []}]}]}`,
	"any":     `{"title": "A list of things", "tags": ["one", "two", "three"], "nested": {"count": 12, "ok": true, "ratio": 0.25}}`,
}

// BenchmarkAnswer reports the times of the masks of one answer to each tool, all with new grammars,
// so that nothing is kept from an earlier answer.
func BenchmarkAnswer(b *testing.B) {
	v := qwen(b)
	ids := map[string]int32{}
	for n, token := range v.tokens {
		ids[string(token)] = int32(n)
	}
	mask := make([]uint64, v.words())
	var first, all []time.Duration
	for b.Loop() {
		for name, answer := range answers {
			g, err := JSON(b.Context(), []byte(tools[name]), Single)
			if err != nil {
				b.Fatal(err)
			}
			m := g.Matcher(v)
			for begun := true; answer != ""; begun = false {
				start := time.Now()
				m.Allowed(mask)
				spent := time.Since(start)
				if all = append(all, spent); begun {
					first = append(first, spent)
				}
				n := min(len(answer), 16) // the longest token, as tokenizers mostly choose
				for n > 1 && ids[answer[:n]] == 0 {
					n--
				}
				if err := accept(m, ids[answer[:n]]); err != nil {
					b.Fatalf("%s: before %s: %v", name, answer, err)
				}
				answer = answer[n:]
			}
		}
	}
	report(b, "mask", all)
	report(b, "first", first)
}

// BenchmarkMask writes random texts of the schemas of tools with Qwen's vocabulary and reports the
// time of each mask: the first one of a schema, all others, and the compilation.
func BenchmarkMask(b *testing.B) {
	v := qwen(b)
	for name, text := range tools {
		b.Run(name, func(b *testing.B) {
			var compile, first, all []time.Duration
			mask := make([]uint64, v.words())
			random := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				start := time.Now()
				g, err := JSON(b.Context(), []byte(text), Single)
				if err != nil {
					b.Fatal(err)
				}
				compile = append(compile, time.Since(start))
				for range 10 {
					m := g.Matcher(v)
					for n := range 200 {
						start := time.Now()
						m.Allowed(mask)
						spent := time.Since(start)
						if n == 0 && len(first) < len(compile) {
							first = append(first, spent)
						}
						all = append(all, spent)
						token := anyOf(mask, random)
						if token == int32(len(v.tokens)-1) || accept(m, token) != nil {
							break
						}
					}
				}
			}
			report(b, "mask", all)
			report(b, "first", first)
			report(b, "compile", compile)
		})
	}
}

// anyOf is a random set bit.
func anyOf(set []uint64, random *rand.Rand) int32 {
	start := random.IntN(len(set))
	for i := range set {
		n := (start + i) % len(set)
		if set[n] != 0 {
			turn := random.IntN(64)
			return int32(n*64 + (bits.TrailingZeros64(bits.RotateLeft64(set[n], -turn))+turn)%64)
		}
	}
	panic("no token is allowed")
}

// report reports the median, the 99th percentile and the mean of times.
func report(b *testing.B, name string, times []time.Duration) {
	slices.Sort(times)
	sum := time.Duration(0)
	for _, t := range times {
		sum += t
	}
	for _, m := range []struct {
		of   string
		time time.Duration
	}{{"P50", times[len(times)/2]}, {"P99", times[len(times)*99/100]}, {"mean", sum / time.Duration(len(times))}} {
		b.ReportMetric(float64(m.time.Nanoseconds())/1000, name+"-"+m.of+"-µs")
	}
}
