package task

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/datafile"
)

// byteEncoder encodes a text as its bytes.
type byteEncoder struct{}

func (byteEncoder) Err() error { return nil }

func (byteEncoder) Encode(text string) (tokens []int32) {
	for i := range len(text) {
		tokens = append(tokens, int32(text[i]))
	}
	return tokens
}

func (byteEncoder) Decode(tokens []int32) string { return textOf(tokens) }

func (byteEncoder) Text(token int32) string { return textOf([]int32{token}) }

const endOfText = 256

func textOf(tokens []int32) string {
	var b strings.Builder
	for _, t := range tokens {
		if t == endOfText {
			b.WriteString("<eos>")
		} else {
			b.WriteByte(byte(t))
		}
	}
	return b.String()
}

// writeFile writes data.jsonl, or a file of another name.
func writeFile(t testing.TB, content string, name ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), append(name, "data.jsonl")[0])
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// manyLines is a file of n records with different prompts.
func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"prompt\": \"p%d?\", \"response\": \"r%d!\"}\n", i, i)
	}
	return b.String()
}

func newJSONL(t testing.TB, content string, change func(*JSONLConfig)) *JSONL {
	t.Helper()
	cfg := DefaultJSONL(writeFile(t, content))
	if change != nil {
		change(&cfg)
	}
	j, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// recordsOf reads the records of a file with a content.
func recordsOf(t testing.TB, content string, cfg JSONLConfig) ([]Record, error) {
	t.Helper()
	file, err := datafile.New(t.Context(), cfg.Path, strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	return (&recordReader{cfg: cfg}).readRecords(file)
}

func TestJSONLErrors(t *testing.T) {
	good := `{"prompt": "a", "response": "b"}` + "\n"
	for _, c := range []struct{ name, content, want string }{
		{"bad JSON", good + `{"prompt": "a", "response": }`, `data.jsonl:2: column 29: not JSON: found "}", expected a value`},
		{"cut off", good + `{"prompt": "a", "resp`, "data.jsonl:2: column 21: not JSON: the text ends within a string"},
		{"comma after the object", good[:len(good)-1] + ",\n", "data.jsonl:1: column 33: not JSON: found more text behind the value"},
		{"array in a line", good + `[{"prompt": "a", "response": "b"}]`, "data.jsonl:2: found a JSON array, expected a JSON object"},
		{"array of arrays", "[\n[" + good + "]]", "data.jsonl:1: found a JSON array, expected a JSON object"},
		{"text", "prompt: a", `data.jsonl:1: found the text "prompt: a", expected a JSON object`},
		{"string", `"prompt"`, "data.jsonl:1: found a string, expected a JSON object"},
		{"null", `null`, "data.jsonl:1: found null, expected a JSON object"},
		{"missing field", good + `{"prompt": "a", "respnse": "b"}`, `data.jsonl:2: no field "response", did you mean "respnse"?`},
		{"missing field, none alike", good + `{"prompt": "a", "x": "b"}`, `data.jsonl:2: no field "response" among "prompt", "x"`},
		{"empty response", good + `{"prompt": "a", "response": " \n"}`, `data.jsonl:2: field "response" is empty, expected a response`},
		{"number", good + `{"prompt": 1, "response": "b"}`, `data.jsonl:2: field "prompt" is a number, expected a string`},
		{"object", good + `{"prompt": "a", "response": {"text": "b"}}`, `data.jsonl:2: field "response" is an object, expected a string`},
		{"null field", good + `{"prompt": "a", "response": null}`, `data.jsonl:2: field "response" is null, expected a string`},
		{"unknown fields", `{"left": "a", "right": "b"}`, `data.jsonl:1: cannot distinguish prompt and response among the fields "left", "right"; set prompt_field and response_field`},
		{"names of 40 bytes and more", `{"a": "", "` + strings.Repeat("x", 40) + `": "", "` + strings.Repeat("y", 41) + `": "", "` + strings.Repeat("z", 39) + `ü": ""}`,
			`"a", "` + strings.Repeat("x", 40) + `", "` + strings.Repeat("y", 40) + `…", "` + strings.Repeat("z", 39) + `…"; set`},
		{"twelve names and more", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1}`, `"k", "l", …; set`},
		{"twelve names", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1}`, `"k", "l"; set`},
		{"unwanted answer", `{"prompt":"p","completion":"c","label":false}`, `data.jsonl:1: field "label" is false, which marks an answer that is not wanted (KTO)`},
		{"pair of answers", `{"prompt":"p","chosen":"c","rejected":"r"}`, "for preference training (DPO)"},
		{"tokens", `{"id":1,"input_ids":[1],"labels":[1]}`, "its texts are tokens already (input_ids)"},
		{"server's error", `{"error":"Unauthorized"}`, "a server's message in place of the file"},
		{"server's message", `{"message":"Not Found","status":"404"}`, "a server's message in place of the file"},
		{"request", `{"custom_id":"1","method":"POST","url":"/v1","body":{"messages":[]}}`, "it is a request of a batch"},
		{"message", `{"role":"user","content":"a"}`, "it is one message: write the messages of each conversation as a list"},
		{"messages as prompt", `{"prompt":[{"role":"user","content":"a"}],"completion":[{"role":"assistant","content":"b"}]}`, `field "prompt" is an array, expected a string: it holds messages, which are read as one list with the answer under "messages"`},
		{"empty object", `{}`, "among the fields (none)"},
		{"not UTF-8", good + "{\"prompt\": \"\xff\", \"response\": \"b\"}", "data.jsonl:2: not valid UTF-8"},
		{"empty file", "", "the file is empty"},
		{"blank file", "\n \n", "no records, expected JSON objects: one a line, or a JSON array of them"},
		{"empty array", "[]", "no records"},
		{"question", `{"goal": "g", "sol1": "a", "sol2": "b", "label": 1}`, "data.jsonl:1: found a question of the form of PIQA, expected a prompt and its response"},
		{"one prompt of many answers", strings.Repeat(good, 9), "found 9 records with 1 different prompt, expected at least 3"},
		{"one record", good, "found 1 record with 1 different prompt, expected at least 3, one for each split (training, validation, calibration)"},
	} {
		_, err := NewJSONL(t.Context(), DefaultJSONL(writeFile(t, c.content)), byteEncoder{}, endOfText, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v\nexpected %q", c.name, err, c.want)
		}
	}
	if _, err := ReadJSONL(t.Context(), DefaultJSONL(filepath.Join(t.TempDir(), "absent.jsonl"))); err == nil || !strings.Contains(err.Error(), "absent.jsonl") {
		t.Errorf("absent file: %v", err)
	}
	if _, err := ReadJSONL(t.Context(), DefaultJSONL(t.TempDir())); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("folder: %v", err)
	}
	for _, c := range []struct {
		change func(*JSONLConfig)
		want   string
	}{
		{func(c *JSONLConfig) { c.Path = "" }, "path is empty"},
		{func(c *JSONLConfig) { c.Template = "{response}{prompt}" }, "expected {prompt} and, after it, {response}"},
		{func(c *JSONLConfig) { c.Template = "{prompt}" }, "each once"},
		{func(c *JSONLConfig) { c.Template = "{prompt}{response}{response}" }, "each once"},
		{func(c *JSONLConfig) { c.MaxTokens = 1 }, "max_tokens is 1"},
		{func(c *JSONLConfig) { c.Limit = -1 }, "limit is -1"},
		{func(c *JSONLConfig) { c.ValidationShare = -1 }, "validation_share is -1"},
		{func(c *JSONLConfig) { c.ValidationShare, c.CalibrationShare = 0.5, 0.5 }, "their sum below 1"},
		{func(c *JSONLConfig) { c.PromptField, c.ResponseField = "x", "x" }, `both "x"`},
		{func(c *JSONLConfig) { c.MaxTokens = 2 }, "every prompt of the training split has 2 tokens or more; the longest example has 10 tokens; max_tokens 10 keeps all"},
	} {
		cfg := DefaultJSONL(writeFile(t, manyLines(100)))
		c.change(&cfg)
		if _, err := NewJSONL(t.Context(), cfg, byteEncoder{}, endOfText, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
}

func TestJSONLFields(t *testing.T) {
	for _, c := range []struct {
		line, prompt, response string
		change                 func(*JSONLConfig)
	}{
		{`{"question": "q", "answer": "a"}`, "q", "a", nil},
		{`{"prompt": "p", "completion": "c", "id": 7}`, "p", "c", nil},
		{`{"instruction": "i", "input": "", "output": "o"}`, "i", "o", nil},
		{`{"instruction": "i", "input": "more", "output": "o"}`, "i\nmore", "o", nil},
		{`{"instruction": "i", "output": "o"}`, "i", "o", nil},
		{`{"input": "i", "target": "t"}`, "i", "t", nil},
		{`{"prompt": "p", "response": "r", "left": "l"}`, "l", "r", func(c *JSONLConfig) { c.PromptField = "left" }},
		{`{"prompt": "p", "question": "q", "right": "r"}`, "p", "r", func(c *JSONLConfig) { c.ResponseField = "right" }},
		{`{"a": "é\n", "b": "\u00e9"}`, "é\n", "é", func(c *JSONLConfig) { c.PromptField, c.ResponseField = "a", "b" }},
	} {
		cfg := DefaultJSONL("x.jsonl")
		if c.change != nil {
			c.change(&cfg)
		}
		records, err := recordsOf(t, c.line, cfg)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if want := []Record{{Line: 1, Prompt: c.prompt, Response: c.response}}; !reflect.DeepEqual(records, want) {
			t.Errorf("%s: %+v, expected %+v", c.line, records, want)
		}
	}
}

func TestJSONLLines(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	content := "\ufeff" + `{"prompt": "1", "response": "a"}` + "\r\n\n  \n" + `{"prompt": "2", "response": "` + long + `"}` + "\n" + `{"prompt": "3", "response": "c"}`
	records, err := recordsOf(t, content, DefaultJSONL("x"))
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 3 || records[1].Line != 4 || len(records[1].Response) != len(long) || records[2].Line != 5 {
		t.Errorf("%d records", len(records))
	}
	cfg := DefaultJSONL("x")
	cfg.Limit = 2
	if records, err = recordsOf(t, content+"\nnonsense", cfg); err != nil || len(records) != 2 {
		t.Errorf("limit 2: %d records, %v", len(records), err)
	}
}

func TestJSONLExamples(t *testing.T) {
	j := newJSONL(t, manyLines(200), func(c *JSONLConfig) { c.Template = "Q: {prompt}\nA: {response}." })
	for i := range j.TrainSize() {
		e := j.Train(1, i)
		text := textOf(e.Tokens)
		read, answer, found := strings.Cut(text, "A: ")
		if !found || !strings.HasPrefix(read, "Q: p") || !strings.HasSuffix(answer, "!.<eos>") {
			t.Fatalf("text %q", text)
		}
		begin := len(read) + len("A: ")
		for at, is := range e.Answer {
			if is != (at >= begin) {
				t.Fatalf("answer mask %v of %q", e.Answer, text)
			}
		}
	}
	var epoch [2][]string
	for k := range epoch {
		for i := range j.TrainSize() {
			epoch[k] = append(epoch[k], textOf(j.Train(5, k*j.TrainSize()+i).Tokens))
		}
	}
	if slices.Equal(epoch[0], epoch[1]) {
		t.Error("two epochs have the same order")
	}
	slices.Sort(epoch[0])
	slices.Sort(epoch[1])
	if !slices.Equal(epoch[0], epoch[1]) || len(slices.Compact(epoch[0])) != j.TrainSize() {
		t.Error("an epoch is not every example once")
	}
	if n := len(j.Validation(0)); n == 0 || len(j.Validation(3)) != 3 || len(j.Validation(n+10)) != n {
		t.Errorf("%d validation examples", n)
	}
	if c, err := j.Calibration(InDomain, 4); err != nil || len(c) != 4 {
		t.Errorf("calibration: %d, %v", len(c), err)
	}
	if _, err := j.Calibration(Generic, 4); err == nil || !strings.Contains(err.Error(), `a file of records has only "in-domain"`) {
		t.Errorf("generic calibration: %v", err)
	}
	if corpus := j.Corpus(5); len(corpus) != 5 || !strings.HasPrefix(corpus[0], "Q: p") {
		t.Errorf("corpus %q", corpus)
	}
}

func TestJSONLSplits(t *testing.T) {
	prompts := func(records []Record) (p []string) {
		for _, r := range records {
			p = append(p, r.Prompt)
		}
		return p
	}
	read := func(content string, seed uint64) *Records {
		cfg := DefaultJSONL(writeFile(t, content))
		cfg.SplitSeed = seed
		d, err := ReadJSONL(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	lines := strings.SplitAfter(manyLines(1000), "\n")
	a := read(strings.Join(lines, ""), 0)
	slices.Reverse(lines)
	b := read(strings.Join(lines, ""), 0)
	if c := slices.Sorted(slices.Values(prompts(b.validation))); !slices.Equal(c, slices.Sorted(slices.Values(prompts(a.validation)))) {
		t.Error("the order of lines changes the splits")
	}
	if c := read(strings.Join(lines, ""), 1); slices.Equal(prompts(b.validation), prompts(c.validation)) {
		t.Error("the seed does not change the splits")
	}
	if v, c := len(a.validation), len(a.calibration); v < 70 || v > 130 || c < 70 || c > 130 || len(a.train)+v+c != 1000 {
		t.Errorf("%d validation, %d calibration, %d training records", v, c, len(a.train))
	}
	// Another response to the same prompt stays in its split.
	more := read(manyLines(1000)+doubled(1000), 0)
	in := map[string]string{}
	for name, records := range map[string][]Record{"training": more.train, "validation": more.validation, "calibration": more.calibration} {
		for _, r := range records {
			if before, ok := in[r.Prompt]; ok && before != name {
				t.Fatalf("prompt %q is in %s and %s", r.Prompt, before, name)
			}
			in[r.Prompt] = name
		}
	}
}

// TestFewRecordsReachEverySplit: from as many different prompts as splits on, each split has a
// record, equal prompts stay together, and a note says that shares were not kept; of records enough
// the shares are.
func TestFewRecordsReachEverySplit(t *testing.T) {
	for n := 3; n <= 200; n++ {
		for _, validation := range []float64{0.1, 0.85} {
			cfg := DefaultJSONL(writeFile(t, manyLines(n)+doubled(n)))
			cfg.ValidationShare = validation
			d, err := ReadJSONL(t.Context(), cfg)
			if err != nil {
				t.Fatalf("%d prompts: %v", n, err)
			}
			splits := map[string]string{}
			byHash := map[string]int{}
			for name, records := range map[string][]Record{"training": d.train, "validation": d.validation, "calibration": d.calibration} {
				if len(records) == 0 {
					t.Errorf("%d prompts, validation %v: no %s", n, validation, name)
				}
				for _, r := range records {
					if other := splits[r.Prompt]; other != "" && other != name {
						t.Errorf("%d prompts: %q is in %s and %s", n, r.Prompt, other, name)
					}
					splits[r.Prompt] = name
					switch at := place(r.Prompt, 0); {
					case at < validation:
						byHash["validation"]++
					case at < validation+cfg.CalibrationShare:
						byHash["calibration"]++
					default:
						byHash["training"]++
					}
				}
			}
			noted := strings.Contains(strings.Join(d.Notes(), "\n"), "records are few")
			if empty := len(byHash) < 3; noted != empty {
				t.Errorf("%d prompts, validation %v: by hash %v, a note: %v", n, validation, byHash, noted)
			} else if !empty && (byHash["validation"] != len(d.validation) || byHash["calibration"] != len(d.calibration)) {
				t.Errorf("%d prompts, validation %v: %d validation and %d calibration records, by hash %v", n, validation, len(d.validation), len(d.calibration), byHash)
			}
		}
	}
}

// TestTextsWithoutPromptsAreSplit: records of a text alone are split by their texts.
func TestTextsWithoutPromptsAreSplit(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "{\"text\": \"text number %d\"}\n", i/2) // each twice
	}
	d, err := ReadJSONL(t.Context(), DefaultJSONL(writeFile(t, b.String())))
	if err != nil {
		t.Fatal(err)
	}
	if v, c := len(d.validation), len(d.calibration); v < 60 || v > 140 || c < 60 || c > 140 || v%2+c%2 != 0 {
		t.Errorf("%d validation and %d calibration records of 1000, of which pairs are equal", v, c)
	}
}

// doubled is n records with the prompts of manyLines and other responses.
func doubled(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"prompt\": \"p%d?\", \"response\": \"another\"}\n", i)
	}
	return b.String()
}

func TestJSONLTruncates(t *testing.T) {
	content := manyLines(100) + `{"prompt": "short", "response": "` + strings.Repeat("long ", 40) + `"}` + "\n" + `{"prompt": "` + strings.Repeat("long ", 40) + `", "response": "r"}`
	j := newJSONL(t, content, func(c *JSONLConfig) { c.MaxTokens = 30 })
	notes := strings.Join(j.Notes(), "\n")
	for _, want := range []string{
		`fields "prompt" → "response"; 102 records:`,
		"1 of 102 examples was cut to max_tokens 30",
		"1 of 102 examples was dropped: its prompt alone has max_tokens 30 or more",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q\nexpected %q", notes, want)
		}
	}
	all, cut := 0, 0
	for _, examples := range j.examples {
		for _, e := range examples {
			all++
			if len(e.Tokens) > 30 || len(e.Answer) != len(e.Tokens) || !slices.Contains(e.Answer, true) || e.Answer[0] {
				t.Fatalf("example %q, mask %v", textOf(e.Tokens), e.Answer)
			}
			if e.Tokens[len(e.Tokens)-1] != endOfText {
				cut++
			}
		}
	}
	if all != 101 || cut != 1 {
		t.Errorf("%d examples, %d cut", all, cut)
	}
}

func TestJSONLAdvisesLengthsThatModelsHave(t *testing.T) {
	content := manyLines(100) + `{"prompt": "short", "response": "` + strings.Repeat("long ", 40) + `"}`
	for _, c := range []struct {
		most int
		want string
	}{
		{0, "the longest example has 207 tokens; max_tokens 207 keeps all"},
		{207, "the longest example has 207 tokens; max_tokens 207 keeps all"},
		{206, "the longest example has 207 tokens; max_tokens 206, the positions of the models, keeps the most"},
		{30, "the longest example has 207 tokens, and the models have 30 positions"},
	} {
		j := newJSONL(t, content, func(cfg *JSONLConfig) { cfg.MaxTokens, cfg.MostTokens = 30, c.most })
		if notes := j.Notes(); !strings.HasSuffix(notes[len(notes)-1], ": "+c.want) {
			t.Errorf("%d positions: notes %q, expected %q", c.most, notes, c.want)
		}
	}
}

func TestJSONLOnRealFile(t *testing.T) {
	path := shareddata.Path(t, "datasets", "gsm8k", "train.jsonl")
	j, err := NewJSONL(t.Context(), DefaultJSONL(path), byteEncoder{}, endOfText, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(strings.Join(j.Notes(), "\n"))
	if !strings.Contains(j.Notes()[0], `"question" → "answer"`) || j.TrainSize() < 5000 {
		t.Errorf("%q, %d training examples", j.Notes(), j.TrainSize())
	}
}

// newRecords reads a file with its splits.
func newRecords(t testing.TB, content string, cfg JSONLConfig) (*Records, error) {
	t.Helper()
	file, err := datafile.New(t.Context(), cfg.Path, strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	return NewRecords(cfg, file)
}

// Texts have no prompt: they are split by what they say, and keep their splits when others come.
func TestTextsAreSplitByThemselves(t *testing.T) {
	var lines strings.Builder
	splits := func(n int) (kept map[string]int) {
		lines.Reset()
		for i := range n {
			fmt.Fprintf(&lines, "{\"text\": \"text number %d of them\"}\n", i)
		}
		d, err := newRecords(t, lines.String(), DefaultJSONL("texts.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		kept = map[string]int{}
		for split, records := range [][]Record{d.train, d.validation, d.calibration} {
			for _, r := range records {
				kept[r.Response] = split
			}
		}
		return kept
	}
	few, many := splits(100), splits(200)
	counts := [3]int{}
	for text, split := range few {
		counts[split]++
		if many[text] != split {
			t.Errorf("%q moved from split %d to %d", text, split, many[text])
		}
	}
	if len(few) != 100 || slices.Min(counts[:]) < 3 || counts[0] < 60 {
		t.Errorf("%d texts in splits of %v", len(few), counts)
	}
}

// beginningEncoder puts a token before every text.
type beginningEncoder struct{ byteEncoder }

func (beginningEncoder) Beginning() []int32 { return []int32{7} }

// What a tokenizer puts before a text stands before each prompt and text, once, and is not learned.
func TestBeginningOfExamples(t *testing.T) {
	for _, c := range []struct {
		record, template string
		want             string
		learned          int // the first token that is
	}{
		{`{"prompt":"ab","response":"cd"}`, "{prompt}{response}", "\aabcd", 3},
		{`{"prompt":"\u0007ab","response":"cd"}`, "{prompt}{response}", "\aabcd", 3},
		{`{"text":"abcd"}`, "{prompt}{response}", "\aabcd", 1},
		{`{"text":"\u0007abcd"}`, "{prompt}{response}", "\aabcd", 1},
	} {
		cfg := DefaultJSONL("one.jsonl")
		cfg.Template, cfg.ValidationShare, cfg.CalibrationShare = c.template, 0, 0
		d, err := newRecords(t, c.record, cfg)
		if err != nil {
			t.Fatal(err)
		}
		j, err := d.Tokenize(t.Context(), beginningEncoder{}, endOfText, nil)
		if err != nil {
			t.Fatal(err)
		}
		e := j.Train(1, 0)
		if got := textOf(e.Tokens); got != c.want && got != c.want+textOf([]int32{endOfText}) {
			t.Errorf("%s: tokens %q, expected %q", c.record, got, c.want)
		}
		if first := slices.Index(e.Answer, true); first != c.learned {
			t.Errorf("%s: learned from token %d, expected %d", c.record, first, c.learned)
		}
		if said := strings.Join(j.Notes(), "\n"); !strings.Contains(said, "token 7 comes before each prompt, or text") {
			t.Errorf("%s: notes %q", c.record, said)
		}
	}
}
