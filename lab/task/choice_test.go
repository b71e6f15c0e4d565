package task

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/datafile"
)

// pairsEncoder is a tokenizer of bytes that joins the pairs it lists, from the left.
type pairsEncoder []string

func (pairsEncoder) Err() error { return nil }

func (p pairsEncoder) Encode(text string) []int32 {
	ids := []int32{}
	for text != "" {
		n := 1
		for i, pair := range p {
			if strings.HasPrefix(text, pair) {
				ids, n = append(ids, int32(1000+i)), len(pair)
				break
			}
		}
		if n == 1 {
			ids = append(ids, int32(text[0]))
		}
		text = text[n:]
	}
	return ids
}

// The boundary between context and continuation, with and without a BOS.
func TestPair(t *testing.T) {
	enc := pairsEncoder{"ab", " c", ": "}
	for _, c := range []struct {
		name                  string
		begin                 Beginning
		context, continuation string
		tokens                []int32
		at                    int
	}{
		{"plain", Beginning{-1, -1}, "xy", " c", []int32{'x', 'y', 1001}, 2},
		{"bos", Beginning{7, 7}, "xy", " c", []int32{7, 'x', 'y', 1001}, 3},
		{"spaces of the context move over", Beginning{-1, -1}, "x \t", "c", []int32{'x', ' ', '\t', 'c'}, 1},
		{"a moved space joins", Beginning{-1, -1}, "x ", "c", []int32{'x', 1001}, 1},
		{"a token across the boundary", Beginning{-1, -1}, "xa", "bz", []int32{'x', 1000, 'z'}, 2},
		{"cue", Beginning{-1, -1}, "x:", " c", []int32{'x', 1002, 'c'}, 2},
		{"no context", Beginning{-1, 3}, "", " c", []int32{3, 1001}, 1},
		{"no context but a bos", Beginning{7, 7}, "", " c", []int32{7, 1001}, 1},
		{"only spaces", Beginning{-1, 3}, "\n", "c", []int32{3, '\n', 'c'}, 1},
	} {
		s, err := c.begin.pair(enc, c.context, c.continuation)
		if err != nil || !slices.Equal(s.Tokens, c.tokens) || s.Begin != c.at {
			t.Errorf("%s: %v from %d, %v; want %v from %d", c.name, s.Tokens, s.Begin, err, c.tokens, c.at)
		}
	}
	if _, err := (Beginning{-1, -1}).pair(enc, "", "c"); err == nil {
		t.Error("no context and nothing to begin with: no error")
	}
}

func TestChoiceSpans(t *testing.T) {
	file := writeFile(t, `{"query":"Q: ab\n","choices":["c","ab"],"gold":1}`+"\n\n"+`{"query":"longer than the model","choices":["c","cc"],"gold":0}`)
	enc := pairsEncoder{"ab", " c"}
	read := func(cue string) *Choice {
		c, err := ReadChoice(t.Context(), ChoiceConfig{Path: file, Cue: cue})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := read(DefaultCue)
	if got := c.Context(c.Questions[0], 0); got != "Q: ab\nAnswer:" {
		t.Errorf("context %q", got)
	}
	if c := read(" =>"); c.Context(c.Questions[0], 0) != "Q: ab\n =>" {
		t.Errorf("context %q", c.Context(c.Questions[0], 0))
	}
	spans, cut, err := c.Spans(enc, Beginning{-1, -1}, 16)
	if err != nil {
		t.Fatal(err)
	}
	if cut != 1 || len(spans) != 2 || c.Questions[1].Line != 3 {
		t.Errorf("%d questions, %d cut, the second on line %d", len(spans), cut, c.Questions[1].Line)
	}
	for i, question := range spans {
		for k, s := range question {
			whole := enc.Encode(c.Context(c.Questions[i], k) + " " + c.Questions[i].Choices[k])
			if len(s.Tokens) > 17 || !slices.Equal(s.Tokens, whole[len(whole)-len(s.Tokens):]) {
				t.Errorf("question %d, choice %d: %v is no end of %v that 16 positions read", i, k, s.Tokens, whole)
			}
			if want := len(enc.Encode(" " + c.Questions[i].Choices[k])); s.Targets() != want {
				t.Errorf("question %d, choice %d: %d targets, want %d", i, k, s.Targets(), want)
			}
		}
	}
	if _, _, err := c.Spans(enc, Beginning{-1, -1}, 1); err == nil || !strings.Contains(err.Error(), file+":1: choice 1 has 2 tokens, the model has 1 positions") {
		t.Errorf("too few positions: %v", err)
	}
}

// Lengths in characters and bytes, and the first of equals.
func TestAnswer(t *testing.T) {
	q := Question{Choices: []string{"aa", "éé", "bbbbbb", "cc"}}
	for _, c := range []struct {
		likelihood []float64
		want       Answer
	}{
		{[]float64{-4, -4, -4, -4}, Answer{0, 2, 2}},
		{[]float64{-4, -3, -12, -4}, Answer{1, 1, 1}},
		{[]float64{-3, -3.2, -30, -3}, Answer{0, 0, 1}},
		{[]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1), -9}, Answer{3, 3, 3}},
		{[]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1), math.Inf(-1)}, Answer{0, 0, 0}},
	} {
		if got, err := q.Answer(c.likelihood); err != nil || got != c.want {
			t.Errorf("%v: %+v, %v; want %+v", c.likelihood, got, err, c.want)
		}
	}
	for _, bad := range [][]float64{{-1, -1, -1}, {-1, math.NaN(), -1, -1}, {-1, -1, -1, math.Inf(1)}} {
		if _, err := q.Answer(bad); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
	c := &Choice{ChoiceConfig: ChoiceConfig{Path: "f"}, Questions: []Question{{Line: 5, Choices: []string{"a", "b"}}}}
	if _, err := c.Answers([][]float64{{0, math.NaN()}}); err == nil || !strings.Contains(err.Error(), "f:5: the log-likelihood of choice 1 is NaN") {
		t.Errorf("NaN: %v", err)
	}
}

func TestReadChoiceErrors(t *testing.T) {
	const good = `{"query":"q","choices":["a","b"],"gold":0}` + "\n"
	for _, c := range []struct{ content, want string }{
		{"", ": the file is empty"},
		{"\n\n", ": the file has no questions, expected JSON objects with query, choices and gold"},
		{good + "\n{", ":3: column 1: not JSON: the text ends within an object"},
		{good + "[1]", ":2: found a JSON array"},
		{good + "null", ":2: found null"},
		{good + "\"\xff\"", ":2: not valid UTF-8"},
		{`{"querry":"q","choices":["a","b"],"gold":0}`, `:1: no field "query", did you mean "querry"?`},
		{`{"query":1,"choices":["a","b"],"gold":0}`, `field "query" is a number, expected a string`},
		{`{"query":"q","gold":0}`, `no field "choices"`},
		{`{"query":"q","choices":"ab","gold":0}`, `field "choices" is a string, expected an array`},
		{`{"query":"q","choices":{"a":1},"gold":0}`, `field "choices" is an object`},
		{`{"query":"q","choices":["a",null],"gold":0}`, `field "choices", item 1 is null`},
		{`{"query":"q","choices":["a"],"gold":0}`, `found 1 choice, expected 2 to 256`},
		{`{"query":"q","choices":["a"` + strings.Repeat(`,"a"`, 256) + `],"gold":0}`, `found 257 choices, expected 2 to 256`},
		{`{"query":"q","choices":["a",""],"gold":0}`, "choice 1 is empty"},
		{`{"query":"q","choices":["a","b"]}`, `no field "gold"`},
		{`{"query":"q","choices":["a","b"],"gold":2}`, `field "gold" is 2, expected 0 to 1`},
		{`{"query":"q","choices":["a","b"],"gold":-1}`, `field "gold" is -1, expected 0 to 1`},
		{`{"query":"q","choices":["a","b"],"gold":null}`, `field "gold" is null`},
		{`{"query":"q","choices":["a","b"],"gold":"B"}`, `field "gold" is "B", expected the index`},
		{`{"query":"q","choices":["a","b"],"gold":0.5}`, `field "gold" is 0.5`},
		{`{"query":"q","choices":["a","b"],"gold":1e40}`, `field "gold" is 1e40`},
		{`{"query":"q","choices":["a","b"],"gold":"` + strings.Repeat("é", 99) + `"}`, "…, expected the index"},
	} {
		_, err := ReadChoice(t.Context(), ChoiceConfig{Path: writeFile(t, c.content)})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "data.jsonl:") {
			t.Errorf("%q: error %v, want %q in it", c.content, err, c.want)
		}
	}
	if _, err := ReadChoice(t.Context(), ChoiceConfig{Path: filepath.Join(t.TempDir(), "none")}); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("a missing file: %v", err)
	}
	// Lines after the limit are not read.
	if c, err := ReadChoice(t.Context(), ChoiceConfig{Path: writeFile(t, "\ufeff"+good+good+"{"), Limit: 2}); err != nil || len(c.Questions) != 2 {
		t.Errorf("with a limit: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = inner.Unwrap()
	}
}

func TestReadPublishedChoices(t *testing.T) {
	for name, want := range map[string]struct{ questions, most int }{"arc_easy": {2376, 4}, "arc_challenge": {1172, 4}, "piqa": {1838, 2}} {
		c, err := ReadChoice(t.Context(), ChoiceConfig{Path: shareddata.Path(t, "datasets", "choice", name+".jsonl"), Cue: DefaultCue})
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for _, q := range c.Questions {
			most = max(most, len(q.Choices))
			context := c.Context(q, 0)
			if !strings.HasPrefix(context, "Question: ") || !strings.HasSuffix(context, "\nAnswer:") || strings.HasSuffix(context, "\n\nAnswer:") {
				t.Fatalf("%s:%d: context %q", name, q.Line, context)
			}
		}
		if len(c.Questions) != want.questions || most != want.most {
			t.Errorf("%s: %d questions of up to %d choices, want %+v", name, len(c.Questions), most, want)
		}
	}
}

// FuzzReadChoice: no input panics; what is accepted can be asked, and reads back the same when it
// is written; an error names the file, and a line that it has.
func FuzzReadChoice(f *testing.F) {
	f.Add(`{"query":"q","choices":["a","b"],"gold":0}`)
	f.Add("\ufeff\n{\"query\":\"Question: \\u00e9\\n\",\"choices\":[\"a\",\"b\",\"\\ud800\"],\"gold\":2,\"more\":[]}\n\n")
	f.Add(`{"query":"q","choices":["a",1],"gold":0}`)
	f.Add(`{"query":"q","choices":["a","b"],"gold":9223372036854775808}`)
	f.Add("[")
	for _, c := range publishedQuestions {
		f.Add(c.content)
	}
	f.Add("{\"query\":\"\xff\"}")
	f.Fuzz(func(t *testing.T, content string) {
		read := func(content string) (*Choice, error) {
			file, err := datafile.New(t.Context(), "name", strings.NewReader(content))
			if err != nil {
				return nil, err
			}
			return readChoice(file, ChoiceConfig{Cue: DefaultCue})
		}
		c, err := read(content)
		if err != nil {
			checkPlace(t, err, "name", 1+strings.Count(content, "\n"), []byte(content))
			return
		}
		if _, _, err := c.Spans(pairsEncoder{"ab", " c"}, Beginning{1, 1}, 1<<20); err != nil {
			t.Fatal(err)
		}
		questions := c.Questions
		if questions[0].Bare || questions[0].Contexts != nil {
			return // not of the form that is written below
		}
		var again strings.Builder
		for _, q := range questions {
			text, err := json.Marshal(map[string]any{"query": q.Query, "choices": q.Choices, "gold": q.Gold})
			if err != nil {
				t.Fatal(err)
			}
			again.Write(append(text, '\n'))
		}
		second, err := read(again.String())
		if err != nil || len(second.Questions) != len(questions) {
			t.Fatalf("written anew: %v", err)
		}
		reread := second.Questions
		for i, q := range questions {
			if reread[i].Query != q.Query || reread[i].Gold != q.Gold || !slices.Equal(reread[i].Choices, q.Choices) {
				t.Fatalf("question %d: %+v, written anew %+v", i, q, reread[i])
			}
		}
	})
}
