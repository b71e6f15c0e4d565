package task

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// weightedRuns returns an example's answers as runs of text with their weights: "2:ok 0:no".
func weightedRuns(e Example) string {
	var runs []string
	var text string
	last := float32(-1)
	end := func() {
		if text != "" {
			runs = append(runs, fmt.Sprintf("%v:%s", last, text))
		}
		text = ""
	}
	for i, token := range e.Tokens {
		if !e.Answer[i] {
			end()
			continue
		}
		w := float32(1)
		if e.Weights != nil {
			w = e.Weights[i]
		}
		if w != last {
			end()
		}
		last = w
		text += textOf([]int32{token})
	}
	end()
	return strings.Join(runs, " ")
}

// onlyTraining keeps no record from training.
func onlyTraining(c *JSONLConfig) { c.ValidationShare, c.CalibrationShare = 0, 0 }

func weightFields(c *JSONLConfig) { c.WeightField, c.MaskField = "w", "m" }

func TestWeightsOfRecords(t *testing.T) {
	for _, c := range []struct {
		name, record, want, note string
		prompt                   float32 // weight of the first token, which is of the prompt
	}{
		{"a weight", `{"prompt":"p","response":"ab","w":2.5}`, "2.5:ab<eos>", "1 of 2 examples has weights other than 1; 0 of 5 answer tokens have weight 0", 2.5},
		{"a weight of 1", `{"prompt":"p","response":"ab","w":1}`, "1:ab<eos>", "", 1},
		{"no weight", `{"prompt":"p","response":"ab"}`, "1:ab<eos>", `1 of 2 records has no "w": their weight is 1`, 1},
		{"null", `{"prompt":"p","response":"ab","w":null,"m":null}`, "1:ab<eos>", `1 of 2 records has no "w"`, 1},
		{"a mask", `{"prompt":"p","response":"abc","m":[[0,1]]}`, "0:a 1:bc<eos>", "1 of 2 examples has weights other than 1; 1 of 6 answer tokens has weight 0", 1},
		{"a mask and a weight", `{"prompt":"p","response":"abcd","w":3,"m":[[0,1],[2,3]]}`, "0:a 3:b 0:c 3:d<eos>", "2 of 7 answer tokens have weight 0", 3},
		{"spans that touch", `{"prompt":"p","response":"abcd","m":[[1,2],[2,3]]}`, "1:a 0:bc 1:d<eos>", "", 1},
		{"an empty span", `{"prompt":"p","response":"abcd","m":[[1,1],[2,3]]}`, "1:ab 0:c 1:d<eos>", "", 1},
		{"an empty mask", `{"prompt":"p","response":"ab","m":[]}`, "1:ab<eos>", "", 1},
		{"characters of more bytes", `{"prompt":"p","response":"é世b","m":[[1,2]]}`, "1:é 0:世 1:b<eos>", "3 of 9 answer tokens have weight 0", 1},
	} {
		other := `{"prompt":"other","response":"o","w":1,"m":[]}` + "\n"
		j := newJSONL(t, c.record+"\n"+other, func(cfg *JSONLConfig) { onlyTraining(cfg); weightFields(cfg) })
		e := j.examples[0][0]
		if got := weightedRuns(e); got != c.want {
			t.Errorf("%s: %s, expected %s", c.name, got, c.want)
		}
		if c.prompt != 1 && e.Weights[0] != c.prompt || c.prompt == 1 && e.Weights != nil && e.Weights[0] != 1 {
			t.Errorf("%s: the prompt's weights are %v, expected %v", c.name, e.Weights, c.prompt)
		}
		if notes := strings.Join(j.Notes(), "\n"); !strings.Contains(notes, c.note) || strings.Contains(notes, "other fields") {
			t.Errorf("%s: notes %s\nexpected %q", c.name, notes, c.note)
		}
	}
}

func TestWeightsOfMessages(t *testing.T) {
	talk := func(first, second string) string {
		return `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"` + first + `},{"role":"user","content":"c"},{"role":"assistant","content":"d"` + second + `}],"w":2}`
	}
	for _, c := range []struct{ name, record, want string }{
		{"none", talk("", ""), "2:b</> 2:d</>"},
		{"a fraction", talk(`,"weight":0.25`, ""), "0.5:b</> 2:d</>"},
		{"the first alone", talk("", `,"weight":0.0`), "2:b</> 0:d</>"},
		{"the most", talk(`,"weight":1e3`, `,"weight":null`), "2000:b</> 2:d</>"},
		{"ShareGPT", `{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b","weight":0},{"from":"human","value":"a","weight":0},{"from":"gpt","value":"d","weight":3}],"w":1}`, "0:b</> 3:d</>"},
		{"a list of texts", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","weight":3,"content":[{"type":"text","text":"b"}]}],"w":1}`, "3:b</>"},
	} {
		cfg := DefaultJSONL(writeFile(t, c.record))
		onlyTraining(&cfg)
		cfg.WeightField = "w"
		j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, tagged{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := weightedRuns(j.Train(1, 0)); got != c.want {
			t.Errorf("%s: %s, expected %s", c.name, got, c.want)
		}
	}
}

// TestWeightsOfOneAreNone: records that say that all their weights are 1 are the examples of those
// that say nothing, in the same splits.
func TestWeightsOfOneAreNone(t *testing.T) {
	var plain, weighted strings.Builder
	for i := range 60 {
		fmt.Fprintf(&plain, `{"messages":[{"content":"q%d","role":"user"},{"content":"r%d","role":"assistant"}]}`+"\n", i, i)
		fmt.Fprintf(&weighted, `{"weight":1.0,"messages":[{"content":"q%d","role":"user","weight":0},{"content":"r%d","role":"assistant","weight":1}]}`+"\n", i, i)
	}
	read := func(content, field string) *JSONL {
		cfg := DefaultJSONL(writeFile(t, content))
		cfg.WeightField = field
		j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, tagged{})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	without, with := read(plain.String(), ""), read(weighted.String(), "weight")
	if !reflect.DeepEqual(without.examples, with.examples) || len(with.examples[1]) == 0 {
		t.Error("weights of 1 change the examples, or their splits")
	}
	if without.MessageWeights() || !with.MessageWeights() {
		t.Error("MessageWeights does not say which messages have weights")
	}
}

// TestRecordsWithoutLoss: a record whose weights are all 0 is left out, and said; so is an example
// whose tokens up to the longest that is allowed have weight 0.
func TestRecordsWithoutLoss(t *testing.T) {
	const good = `{"prompt":"p","response":"ok","w":1,"m":[]}` + "\n"
	for _, c := range []struct{ name, record, note string }{
		{"a weight of 0", `{"prompt":"q","response":"x","w":0}`, "1 of 2 records is left out, the first in line 2: the weights of their answers are all 0"},
		{"a whole mask", `{"prompt":"q","response":"xyz","m":[[0,2],[2,3]]}`, "1 of 2 records is left out"},
		{"what is cut off alone counts", `{"prompt":"q","response":"0123456789012345","m":[[0,14]]}`, "1 of 2 examples was dropped: all its answer tokens have weight 0"},
	} {
		j := newJSONL(t, good+c.record, func(cfg *JSONLConfig) { onlyTraining(cfg); weightFields(cfg); cfg.MaxTokens = 12 })
		if notes := strings.Join(j.Notes(), "\n"); j.TrainSize() != 1 || !strings.Contains(notes, c.note) {
			t.Errorf("%s: %d examples, notes %s\nexpected 1, %q", c.name, j.TrainSize(), notes, c.note)
		}
	}
	test := writeFile(t, good+`{"prompt":"q","response":"x","w":0}`, "test.jsonl")
	j := newJSONL(t, good, func(cfg *JSONLConfig) { onlyTraining(cfg); cfg.WeightField = "w"; cfg.TestPath = test })
	if notes := strings.Join(j.Notes(), "\n"); len(j.Test()) != 1 || !strings.Contains(notes, "test.jsonl: 1 of 2 records is left out, the first in line 2") {
		t.Errorf("%d test records, notes %s", len(j.Test()), notes)
	}
}

func TestWeightErrors(t *testing.T) {
	const good = `{"prompt":"a","response":"b","w":1,"m":[]}` + "\n"
	const talk = `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}` + "\n"
	record := func(w, m string) string { return good + `{"prompt":"c","response":"dé","w":` + w + `,"m":` + m + `}` }
	answer := func(weight string) string {
		return talk + `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":` + weight + `}]}`
	}
	const most = "expected 0, or a number from 1e-06 to 1000"
	for _, c := range []struct{ content, want string }{
		{record(`"1"`, "[]"), `data.jsonl:2: field "w" is "1", ` + most},
		{record(`true`, "[]"), `data.jsonl:2: field "w" is true, ` + most},
		{record(`-0.5`, "[]"), `field "w" is -0.5, ` + most},
		{record(`1e308`, "[]"), `field "w" is 1e308, ` + most},
		{record(`1e999`, "[]"), `field "w" is 1e999, ` + most},
		{record(`1e-40`, "[]"), `field "w" is 1e-40, ` + most},
		{record(`[1]`, "[]"), `field "w" is [1], ` + most},
		{record(`NaN`, "[]"), `data.jsonl:2: `},
		{record(`1`, `[[0,3]]`), `data.jsonl:2: field "m" has span 0, [0, 3], expected 0 ≤ from ≤ to ≤ 2, the characters of the response`},
		{record(`1`, `[[0,1],[-1,2]]`), `has span 1, [-1, 2], expected 0 ≤ from`},
		{record(`1`, `[[1,0]]`), `has span 0, [1, 0], expected 0 ≤ from`},
		{record(`1`, `[[1,2],[0,1]]`), `field "m" has span 1, [0, 1], after one that ends at 2, expected spans in their order and apart`},
		{record(`1`, `[[0]]`), `has a span 0 of 1 numbers, expected 2`},
		{record(`1`, `[0,1]`), `field "m" is [0,1], expected a list of spans of the response's characters, such as [[0, 12], [20, 31]]`},
		{record(`1`, `[[0.5,1]]`), `field "m" is [[0.5,1]], expected a list of spans`},
		{record(`1`, `"0-1"`), `field "m" is "0-1", expected a list of spans`},
		{`{"prompt":"a","response":"b","w":0,"m":[]}` + "\n", "data.jsonl: the weights of all 1 records are 0, expected an answer of a weight above 0"},
		{`{"prompt":"a","response":"b","W":1,"m":[]}` + "\n", `data.jsonl: weight_field is "w", and none of 1 records has it, did you mean "W"?`},
		{`{"prompt":"a","response":"b","w":1,"mask":[]}` + "\n", `data.jsonl: mask_field is "m", and none of 1 records has it`},
		{talk, `data.jsonl:1: found a conversation, and mask_field is "m", which lists parts of a response`},
		{answer(`"0"`), `data.jsonl:2: field "messages", message 1: field "weight" is "0", ` + most},
		{answer(`1001`), `message 1: field "weight" is 1001, ` + most},
		{answer(`1e400`), `message 1: field "weight" is 1e400, ` + most},
		{talk + `{"messages":[{"role":"user","content":"a","weight":2},{"role":"assistant","content":"b"}]}`, `data.jsonl:2: field "messages", message 0: field "weight" is 2 on a message of role "user", expected a weight on the assistant's messages alone`},
		{`{"messages":[{"role":"assistant","content":"b","weight":0}]}`, "data.jsonl: the weights of all 1 records are 0"},
	} {
		cfg := DefaultJSONL(writeFile(t, c.content))
		onlyTraining(&cfg)
		if !strings.Contains(c.content, `"weight"`) {
			weightFields(&cfg)
		}
		_, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, tagged{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v\nexpected %q", c.content, err, c.want)
		}
	}
	for _, change := range []func(*JSONLConfig){
		func(c *JSONLConfig) { c.WeightField = "m" }, func(c *JSONLConfig) { c.ResponseField = "m" }, func(c *JSONLConfig) { c.PromptField = "m" },
	} {
		cfg := DefaultJSONL("f")
		cfg.MaskField = "m"
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), `mask_field are both "m"`) {
			t.Errorf("a field that is two things: %v", err)
		}
	}
}

// TestWeightsOfOtherRoles: weight 0 says of a message that is not the assistant's what is so, and
// weight 1 is noted.
func TestWeightsOfOtherRoles(t *testing.T) {
	for weight, want := range map[string]string{"0": "", "1": "1 message of other roles than the assistant's has weight 1, the first in line 2: they are read, and not learned"} {
		cfg := DefaultJSONL(writeFile(t, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`+"\n"+`{"messages":[{"role":"user","content":"c","weight":`+weight+`},{"role":"assistant","content":"d"}]}`))
		onlyTraining(&cfg)
		j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, tagged{})
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(j.Notes(), "\n"); !strings.Contains(notes, want) || want == "" && strings.Contains(notes, "weight") {
			t.Errorf("weight %s: notes %s, expected %q", weight, notes, want)
		}
	}
}

// wordsEncoder has a token for each word with the space before it, and one for a space alone; as
// SentencePiece does, it puts a space before a text, and removes one from the beginning of what it
// decodes.
type wordsEncoder struct{ words *[]string }

func (wordsEncoder) Err() error { return nil }

func (e wordsEncoder) Encode(text string) (tokens []int32) {
	for _, word := range strings.SplitAfter(" "+text, " ") {
		// a space is cut off the end of each, and is the beginning of the next
		word = " " + strings.TrimSuffix(word, " ")
		if len(tokens) == 0 && word == " " {
			continue
		}
		at := slices.Index(*e.words, word)
		if at < 0 {
			at = len(*e.words)
			*e.words = append(*e.words, word)
		}
		tokens = append(tokens, int32(at))
	}
	return tokens
}

func (e wordsEncoder) Text(token int32) string { return (*e.words)[token] }

func (e wordsEncoder) Decode(tokens []int32) string {
	text := ""
	for _, token := range tokens {
		text += e.Text(token)
	}
	return strings.TrimPrefix(text, " ")
}

// TestMasksCutNoToken: a token counts where any of its bytes is outside of all spans. Masks are
// laid at every place of a text, and compared with the bytes of each token.
func TestMasksCutNoToken(t *testing.T) {
	const text = "one two  three"
	enc := wordsEncoder{words: &[]string{}}
	ids := enc.Encode(text)
	// the bytes of tokens, by hand
	ends := [][2]int{{0, 3}, {3, 7}, {7, 8}, {8, 14}}
	if len(ids) != len(ends) || enc.Decode(ids) != text {
		t.Fatalf("%d tokens of %q", len(ids), enc.Decode(ids))
	}
	for from := range len(text) {
		for to := from + 1; to <= len(text); to++ {
			s := segment{text: text, masked: [][2]int{{from, to}}}
			weights := []float32{1, 1, 1, 1}
			if err := s.mask(ids, enc, weights); err != nil {
				t.Fatal(err)
			}
			for i, of := range ends {
				want := float32(0)
				for at := of[0]; at < of[1]; at++ {
					if at < from || at >= to {
						want = 1
					}
				}
				if weights[i] != want {
					t.Fatalf("mask [%d, %d]: token %d has weight %v, expected %v", from, to, i, weights[i], want)
				}
			}
		}
	}
}

// lowerEncoder changes the text that it encodes.
type lowerEncoder struct{ byteEncoder }

func (lowerEncoder) Encode(text string) []int32 {
	return byteEncoder{}.Encode(strings.ToLower(text))
}

// silentEncoder does not say what its tokens stand for.
type silentEncoder struct{}

func (silentEncoder) Err() error { return nil }

func (silentEncoder) Encode(text string) []int32 { return byteEncoder{}.Encode(text) }

// TestMasksOfChangedTexts: where a tokenizer changes a response its masked tokens cannot be known,
// which is an error of that record and of no other.
func TestMasksOfChangedTexts(t *testing.T) {
	for _, c := range []struct {
		enc  Encoder
		mask string
		want string
	}{
		{lowerEncoder{}, `[[0,1]]`, `data.jsonl:1: the tokenizer changes the response, so none of its tokens can be masked: it reads "an answer Yes" as "an answer yes"`},
		{silentEncoder{}, `[[0,1]]`, `data.jsonl:1: the tokenizer does not say which text its tokens stand for`},
		{lowerEncoder{}, `[]`, ""},
	} {
		cfg := DefaultJSONL(writeFile(t, `{"prompt":"p","response":"an answer Yes","m":`+c.mask+`}`))
		onlyTraining(&cfg)
		cfg.MaskField = "m"
		_, err := NewJSONL(t.Context(), cfg, c.enc, endOfText, nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("error %v\nexpected %q", err, c.want)
		}
	}
}

func TestTaskWeightErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                        `found "", expected weights such as "like feed=2, share feed=0.5"`,
		"like feed":               `found "like feed", expected weights such as`,
		"like feed=2,":            `found "", expected`,
		"=2":                      `found "=2", expected`,
		"like fed=2":              `did you mean "like feed"?`,
		"comment=2":               `task "comment": expected one of like feed, like mail`,
		"share mail=2":            `task "share mail" is held out, so it has no loss, expected one of "like feed", "like mail", "share feed", "save mail"`,
		"like feed=2,like feed=1": `task "like feed" has two weights, expected one`,
		"like feed=NaN":           `the weight of task "like feed" is "NaN", expected 0, or a number from 1e-06 to 1000`,
		"like feed=-1":            `is "-1", expected`,
		"like feed=1e308":         `is "1e308", expected`,
		"like feed=":              `is "", expected`,
		"like feed=0,like mail=0,share feed=0,save mail=0": "all weights are 0, expected one above",
	} {
		if _, err := ParseTaskWeights(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, expected %q", text, err, want)
		}
	}
	got, err := ParseTaskWeights(" share  feed = 0.5,like feed=2")
	if want := (TaskWeights{2, 1, 0.5, 1}); err != nil || got != want {
		t.Errorf("weights %v, expected %v; %v", got, want, err)
	}
}

// TestRecsysWeights: each outcome has the weight of its own task, which the words before it name;
// the example's task is the candidate's, and the test set is that without weights.
func TestRecsysWeights(t *testing.T) {
	cfg := DefaultRecsys()
	cfg.Members = 40
	enc := wordsEncoder{words: &[]string{}}
	plain, err := NewRecsys(cfg, enc)
	if err != nil {
		t.Fatal(err)
	}
	weights := TaskWeights{2, 0, 0.5, 3}
	weighted := plain.Weighted(weights)
	taskOf := func(action, surface string) int {
		for task := range inDomainTasks {
			p := taskParts[task]
			if slices.Contains(actionWords[p.action], action) && slices.Contains(surfaceWords[p.surface], surface) {
				return task
			}
		}
		t.Fatalf("no task of %q and %q", action, surface)
		return 0
	}
	seen := map[int]bool{}
	for i := range 40 {
		given, e := plain.Train(3, i), weighted.Train(3, i)
		if !slices.Equal(given.Tokens, e.Tokens) || !slices.Equal(given.Answer, e.Answer) || given.Weights != nil || given.Task != e.Task {
			t.Fatal("weights change an example's tokens")
		}
		words := strings.Fields(enc.Decode(e.Tokens))
		if len(words) != len(e.Tokens) {
			t.Fatal("a word is not a token")
		}
		last := -1
		for at, answer := range e.Answer {
			want := float32(1)
			if answer {
				last = taskOf(words[at-4], words[at-3])
				want = weights[last]
			}
			if e.Weights[at] != want {
				t.Fatalf("word %q after %q has weight %v, expected %v", words[at], words[max(0, at-4):at], e.Weights[at], want)
			}
		}
		if e.Task != last {
			t.Fatalf("task %d, expected that of the candidate, %d", e.Task, last)
		}
		seen[last] = true
	}
	if len(seen) != inDomainTasks || !reflect.DeepEqual(plain.cases, weighted.cases) || weighted.Validation(2)[1].Weights == nil {
		t.Errorf("candidates of %d tasks, expected %d; or the test set or the validation set is another", len(seen), inDomainTasks)
	}
}
