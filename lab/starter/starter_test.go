package starter

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRecordsKeepEveryWord: the records of a text have its words, in order, but for a last one that
// would stand alone; each is JSON with a text.
func TestRecordsKeepEveryWord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zé"\\]{1,9}`), 0, 200).Draw(rt, "words")
		text := strings.Join(words, rapid.SampledFrom([]string{" ", "\n", "\r\n\r\n", "\t "}).Draw(rt, "between"))
		jsonl, n, _ := Records(text)
		var got []string
		lines := strings.Split(strings.TrimSuffix(string(jsonl), "\n"), "\n")
		for _, line := range lines[:n] {
			var r struct{ Text string }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				rt.Fatal(err)
			}
			if len(strings.Fields(r.Text)) < 2 {
				rt.Fatalf("half a record: %s", line)
			}
			got = append(got, strings.Fields(r.Text)...)
		}
		for i := range got {
			if !slices.Contains(words, got[i]) {
				rt.Fatalf("%q is no word of the text", got[i])
			}
		}
		if len(words) > 1 && len(got) == 0 && n > 0 {
			rt.Fatal("no word is left")
		}
	})
	text := strings.Repeat("one two three four five six seven ", 100)
	jsonl, n, _ := Records(text)
	if n < 10 || len(jsonl) < len(text) {
		t.Errorf("%d records in %d bytes of a text of %d", n, len(jsonl), len(text))
	}
}

// TestCompressionFitsTheModel: groups divide all widths, formats that cannot be are left out with a
// note, and what no scenario can hold is refused.
func TestCompressionFitsTheModel(t *testing.T) {
	base := Compression{Name: "x", File: "x.yaml", Model: "/m", Data: "d.jsonl", Ratios: DefaultRatios, Schemes: DefaultSchemes}
	for _, c := range []struct {
		shape Shape
		parts []string
		notes int
	}{
		{Shape{Inputs: []int{128, 128}, MLP: []int{384}, Positions: 512}, []string{"align: 64", "group: 64", "scheme: [none, w8a8, w4a16, fp8]", "ratio: [0, 0.2, 0.4]", "max_tokens: 256"}, 0},
		{Shape{Inputs: []int{4096}, MLP: []int{14336}, Positions: 128}, []string{"align: 64", "group: 64", "max_tokens: 128"}, 0},
		{Shape{Inputs: []int{64}, MLP: []int{172}}, []string{"align: 4", "scheme: [none, w8a8, fp8]"}, 1},
		{Shape{Inputs: []int{96}, MLP: []int{256}}, []string{"align: 32", "group: 32"}, 1},
		{Shape{Inputs: []int{64}, MLP: []int{64}}, []string{"align: 8", "group: 8"}, 1},
		{Shape{Inputs: []int{64}, MLP: []int{128, 256}}, []string{"align: 16", "group: 16"}, 1},
		{Shape{Inputs: []int{64}, MLP: []int{72}}, []string{"align: 8", "group: 8", "scheme: [none, w8a8, w4a16, fp8]"}, 0},
		{Shape{Inputs: []int{64}, MLP: []int{171}}, []string{"align: 1", "scheme: [none, w8a8, fp8]"}, 1},
	} {
		one := base
		one.Shape = c.shape
		text, notes, err := one.Text("/schema.json")
		if err != nil || len(notes) != c.notes {
			t.Errorf("%+v: %v, notes %v", c.shape, err, notes)
		}
		for _, part := range append(c.parts, "# yaml-language-server: $schema=/schema.json\n") {
			if !strings.Contains(text, part) {
				t.Errorf("%+v: %q is not in\n%s", c.shape, part, text)
			}
		}
		if strings.Contains(strings.NewReplacer("${ratio}", "", "${scheme}", "", "${samples}", "").Replace(text), "${") {
			t.Errorf("something was not filled in:\n%s", text)
		}
	}
	for _, bad := range []func(*Compression){
		func(c *Compression) { c.Ratios = []float64{1} }, func(c *Compression) { c.Ratios = []float64{-0.1} }, func(c *Compression) { c.Ratios = []float64{0.2, 0.2} },
		func(c *Compression) { c.Ratios = nil }, func(c *Compression) { c.Schemes = []string{"w8a8", "w8a8"} }, func(c *Compression) { c.Model = "/m/${x}" },
		func(c *Compression) {
			c.Schemes, c.Shape = []string{"w4a16"}, Shape{Inputs: []int{4}, MLP: []int{12}}
		},
	} {
		one := base
		bad(&one)
		if _, _, err := one.Text(""); err == nil {
			t.Errorf("%+v was taken", one)
		}
	}
}

// TestSchemesNameTheirGroups: where a scheme is asked for with the size of its groups, the others
// with groups get theirs as an ending, no key contradicts them, and kept neurons are a multiple.
func TestSchemesNameTheirGroups(t *testing.T) {
	for _, c := range []struct {
		schemes []string
		shape   Shape
		parts   []string
	}{
		{[]string{"w4a16-g16", "w4a16", "none"}, Shape{Inputs: []int{64}, MLP: []int{256}}, []string{"scheme: [w4a16-g16, w4a16-g64, none]", "align: 64"}},
		{[]string{"w4a8-rtn-g128"}, Shape{Inputs: []int{128}, MLP: []int{256}}, []string{"scheme: [w4a8-rtn-g128]", "align: 128"}},
		{[]string{"w4a16-g24", "w8a8"}, Shape{Inputs: []int{96}, MLP: []int{192}}, []string{"scheme: [w4a16-g24, w8a8]", "align: 192"}},
		{[]string{"w4a16-g40"}, Shape{Inputs: []int{64}, MLP: []int{64}}, []string{"scheme: [w4a16-g40]", "align: 64"}},
	} {
		text, _, err := Compression{Name: "x", Ratios: []float64{0}, Schemes: c.schemes, Shape: c.shape}.Text("")
		if err != nil || strings.Contains(text, "group: ") {
			t.Errorf("%v: %v in\n%s", c.schemes, err, text)
		}
		for _, part := range c.parts {
			if !strings.Contains(text, part) {
				t.Errorf("%v: %q is not in\n%s", c.schemes, part, text)
			}
		}
	}
}

// TestRecordsHaveTwoWords: a piece that ends behind a word's white space is no record of that word.
func TestRecordsHaveTwoWords(t *testing.T) {
	for _, text := range []string{"\"\"\r\n\r\n\"\r\n\r\n\"", "a.\n\nb.\n\nc.", "one! \t two"} {
		jsonl, n, _ := Records(text)
		for _, line := range strings.Split(string(jsonl), "\n")[:n] {
			var r struct{ Text string }
			if err := json.Unmarshal([]byte(line), &r); err != nil || len(strings.Fields(r.Text)) < 2 {
				t.Errorf("%q: %s, %v", text, line, err)
			}
		}
	}
}

// TestRecordsHaveTheirShape: a text of any length makes records enough, none longer than it must
// be.
func TestRecordsHaveTheirShape(t *testing.T) {
	const longest = len("responsibility ")
	for _, words := range []int{100, 1000, 8000, 40_000} {
		text := strings.Repeat("a responsibility of one ", words/4)
		jsonl, n, _ := Records(text)
		size := max(leastOfRecord, min(len(text)/enoughRecords, mostOfRecord))
		if least := len(text) / (size + longest); n < least || n > len(text)/size+1 {
			t.Errorf("%d bytes: %d records, expected %d to %d", len(text), n, least, len(text)/size+1)
		}
		// the last one is short
		for i, line := range strings.Split(strings.TrimSpace(string(jsonl)), "\n")[:n-1] {
			var r struct{ Text string }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if whole := len(r.Text); whole < size || whole > size+longest {
				t.Errorf("%d bytes, record %d has %d, expected %d", len(text), i, whole, size)
			}
		}
	}
}

// TestShortTextsMakeRecordsEnough: a text of a few words makes the least number of records that
// differ; one of fewer words says how many it makes.
func TestShortTextsMakeRecordsEnough(t *testing.T) {
	line := "the quick brown fox jumps over the lazy dog. 0123456789 hello world, this is a test of tokens\n"
	for text, want := range map[string]int{
		strings.Repeat(line, 3): LeastRecords, line: LeastRecords, "one two three four five six": LeastRecords, strings.Repeat("a b c d e f g h i ", 30): LeastRecords,
		"one two three four five": 2, "one two": 1, "one": 0, "": 0, strings.Repeat("same ", 500): 2,
	} {
		if _, n, prompts := Records(text); n < prompts || prompts < want || want < LeastRecords && prompts != want {
			t.Errorf("%.40q makes %d records with %d prompts, expected %d", text, n, prompts, want)
		}
	}
}

// TestParametersAreRead: their number is in the words of a comment.
func TestParametersAreRead(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999_999: "999999", 1_000_000: "1.0 million", 358_250_000: "358.2 million", 999_949_999: "999.9 million", 1_000_000_000: "1.0 billion", 7_240_000_000: "7.2 billion"} {
		c := Compression{Ratios: DefaultRatios, Schemes: DefaultSchemes, Shape: Shape{Parameters: n, Inputs: []int{64}, MLP: []int{64}}}
		if text, _, err := c.Text(""); err != nil || !strings.Contains(text, ", "+want+" parameters.") {
			t.Errorf("%d: %v, expected %q in\n%s", n, err, want, text)
		}
	}
}

// Pieces end where paragraphs or sentences do, if one ends in good time.
func TestPiecesEndWithSentences(t *testing.T) {
	word := strings.Repeat("word ", 15) // 75 bytes, more than the least of a record
	for _, c := range []struct{ text, first string }{
		{word + "end. " + word, word + "end."},
		{word + "end. More.\n\n" + word, word + "end. More."},
		{word + "said \"so.\" " + word, word + "said \"so.\""},
		{"Short. " + word + word, "Short. " + strings.TrimSpace(word[:60-len("Short. ")+2])},
	} {
		jsonl, _, _ := records(c.text, leastOfRecord)
		var r struct{ Text string }
		if err := json.Unmarshal([]byte(strings.SplitN(string(jsonl), "\n", 2)[0]), &r); err != nil {
			t.Fatal(err)
		}
		if c.first != "" && r.Text != c.first {
			t.Errorf("%q: the first piece is %q, expected %q", c.text, r.Text, c.first)
		}
		if len(r.Text) > 2*leastOfRecord {
			t.Errorf("%q: a piece of %d bytes", c.text, len(r.Text))
		}
	}
}
