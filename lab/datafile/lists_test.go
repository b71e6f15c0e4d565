package datafile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestOneListOfSeveralIsReadAndTheOthersNamed: of the lists of one JSON object, the one for the
// purpose is read and the others are named; where the purpose leaves a choice, all are named in an
// error.
func TestOneListOfSeveralIsReadAndTheOthersNamed(t *testing.T) {
	list := func(key string, n, first int) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"p":%d}`, first+i)
		}
		return fmt.Sprintf("%q:[%s]", key, strings.Join(items, ","))
	}
	object := func(lists ...string) string { return "{\"version\":1,\n" + strings.Join(lists, ",\n") + "}" }
	data, train, validation, test := list("data", 1, 10), list("train", 2, 20), list("validation", 3, 30), list("test", 1, 40)
	const ofTrain, ofValidation, ofTest = `{"p":20} {"p":21}`, `{"p":30} {"p":31} {"p":32}`, `{"p":40}`
	for _, c := range []struct {
		content           string
		training, heldOut string // the records, or the error
		note              string
	}{
		{object(train), ofTrain, ofTrain, `read as the list "train" of one JSON object, 2 records`},
		{object(validation), ofValidation, ofValidation, `read as the list "validation" of one JSON object, 3 records`},
		{object(test), ofTest, ofTest, `read as the list "test" of one JSON object, 1 record`},
		{object(validation, train), ofTrain, ofValidation, `left out: "`},
		{object(train, test), ofTrain, ofTest, `left out: "`},
		{object(list("Train", 2, 20), list("TEST", 1, 40)), ofTrain, ofTest, `left out: "`},
		{object(train, list("test", 0, 0)), ofTrain, ofTrain, `left out: "test" (0 records)`},
		{object(validation, train, test), ofTrain, `found the lists "validation" (3 records), "train" (2 records) and "test" (1 record)`, `left out: "validation" (3 records), "test" (1 record)`},
		{object(data, train), `found the lists "data" (1 record) and "train" (2 records) in one JSON object`, `found the lists "data" (1 record) and "train"`, ""},
		{object(data, test), `found the lists "data"`, `found the lists "data"`, ""},
		{object(data, list("rows", 2, 0)), `(jq -c '.data[]' FILE > OUT)`, `found the lists "data" (1 record) and "rows" (2 records)`, ""},
		{object(validation, test), `found the lists "validation" (3 records) and "test" (1 record)`, `found the lists "validation"`, ""},
		{object(train, list("training", 1, 0)), `found the lists "train" (2 records) and "training" (1 record)`, `found the lists "train"`, ""},
		{object(list("data", 0, 0)), "", "", `"data" of one JSON object, 0 records`},
	} {
		for purpose, want := range map[string]string{"training": c.training, "held out": c.heldOut} {
			f, err := New(t.Context(), "a", strings.NewReader(c.content))
			if err != nil {
				t.Fatal(err)
			}
			if purpose == "held out" {
				f.HeldOut()
			}
			var found []string
			for r, err := range f.Records() {
				if err != nil {
					found = []string{err.Error()}
					break
				}
				if line := 1 + strings.Count(c.content[:strings.Index(c.content, string(r.JSON))], "\n"); r.Line != line {
					t.Errorf("%s: record %s at line %d, expected %d", c.content, r.JSON, r.Line, line)
				}
				found = append(found, string(r.JSON))
			}
			got, notes := strings.Join(found, " "), strings.Join(f.Notes(), "\n")
			if got != want && (!strings.HasPrefix(got, "a:1: ") || !strings.Contains(got, want)) {
				t.Errorf("%s, %s: found %s\nexpected %s", c.content, purpose, got, want)
			}
			if !strings.HasPrefix(got, "a:1: ") && !strings.Contains(notes, c.note) {
				t.Errorf("%s, %s: notes %q, expected %q", c.content, purpose, notes, c.note)
			}
		}
	}
}

func TestTablesInOneObjectAreRefusedByTheirForm(t *testing.T) {
	for content, want := range map[string]string{
		`{"prompt":["a","b"],"response":["c","d"]}`:         `a table's columns ("prompt", "response"), expected records: write one JSON object a row (in Python: pandas.read_json(FILE).to_json(`,
		"{\n\"text\": [\"a\",\n\"b\"],\n\"label\": [0, 1]}": `a table's columns ("text", "label")`,
		`{"text":["a"]}`:                                                     `a table's columns ("text")`,
		`{"data":["a","b"]}`:                                                 `a table's columns ("data")`,
		`{"messages":[[{"role":"user"}]],"id":[1]}`:                          `a table's columns ("messages", "id")`,
		`{"prompt":{"0":"a","1":"b"},"response":{"0":"c","1":"d"}}`:          `a table's columns ("prompt", "response")`,
		`{"0":{"prompt":"a"},"1":{"prompt":"b"}}`:                            `rows by their index ("0", "1"), expected records: write one JSON object a row (in Python: pandas.read_json(FILE, orient="index")`,
		`{"columns":["prompt","response"],"index":[0],"data":[["a","b"]]}`:   `(FILE, orient="split")`,
		`{"train":{"prompt":["a"]},"test":{"prompt":["b"]}}`:                 `found one JSON object of splits ("train") whose values are no lists`,
		`{"rows":[{"row_idx":0,"row":{"prompt":"a"},"truncated_cells":[]}]}`: `(jq -c '.rows[].row' FILE > OUT)`,
	} {
		if _, _, err := readRecords(t, write(t, "a", content)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a:1: found ") {
			t.Errorf("%s: %v\nexpected %s", content, err, want)
		}
	}
	for _, content := range []string{
		`{"query":"q","choices":["a","b"],"gold":0}`, `{"messages":[{"role":"user"},{"role":"assistant"}]}`, `{"conversations":[{"from":"a"}],"tools":[{"f":1}]}`, `{}`,
		`{"a":["x"],"b":["y","z"]}`, `{"question":{"stem":"q"},"answerKey":"A"}`,
	} {
		if got, _, err := readRecords(t, write(t, "a", content)); err != nil || got != "1:"+content {
			t.Errorf("%s: %s, %v", content, got, err)
		}
	}
}

// TestRecordsWithoutLinesOfTheirOwn: records in a line together, behind separators, behind a mark
// or behind the end of a line of old files are the same records.
func TestRecordsWithoutLinesOfTheirOwn(t *testing.T) {
	const a, b, c = `{"p":"}{"}`, `{"p":2}`, `{"p":3}`
	for name, of := range map[string]struct{ content, want, note string }{
		"sequence":               {"\x1e" + a + "\n\x1e" + b + "\n\x1e" + c + "\n", "1 2 3", "RFC 7464"},
		"sequence behind a mark": {"\ufeff\x1e" + a + "\n\x1e" + b + "\n\x1e" + c + "\n", "1 2 3", "RFC 7464"},
		"sequence without ends":  {"\x1e" + a + "\x1e" + b + "\x1e" + c, "1 1 1", "RFC 7464"},
		"sequence over lines":    {"\x1e{\n\"p\":\"}{\"}\n\x1e{\n\"p\":2}\n\x1e" + c, "1 3 5", "RFC 7464"},
		"one line":               {a + b + c, "1 1 1", "line 1 holds several records"},
		"one line with spaces":   {a + " " + b + "\t" + c + "\n", "1 1 1", "line 1 holds several records"},
		"ends of old files":      {a + "\r" + b + "\r" + c + "\r", "1 1 1", "line 1 holds several records"},
		"joined files":           {a + "\n" + b + c + "\n", "1 2 2", "line 2 holds several records"},
		"joined, over lines":     {a + b + "{\n\"p\":3}", "1 1 1", "line 1 holds several records"},
		"joined with a mark":     {a + "\n\ufeff" + b + "\n" + c, "1 2 3", "line 2 begins with a byte order mark"},
		"marks on all lines":     {"\ufeff" + a + "\n\ufeff" + b + "\n\ufeff" + c, "1 2 3", "begins with a byte order mark"},
		"two marks":              {"\ufeff\ufeff" + a + "\n" + b + "\n" + c, "1 2 3", "line 1 begins with a byte order mark"},
		"blank lines":            {"\n\n" + a + "\n\n\r\n" + b + "\n \t\n" + c + "\n\n", "3 6 8", ""},
	} {
		f, err := New(t.Context(), "a", strings.NewReader(of.content))
		if err != nil {
			t.Fatal(err)
		}
		var lines, records []string
		for r, err := range f.Records() {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			lines, records = append(lines, fmt.Sprint(r.Line)), append(records, string(bytes.Join(bytes.Fields(r.JSON), nil)))
		}
		if got := strings.Join(lines, " "); got != of.want || strings.Join(records, " ") != a+" "+b+" "+c || f.Form() != Lines {
			t.Errorf("%s: form %v, %s at lines %s, expected %s", name, f.Form(), records, got, of.want)
		}
		if notes := f.Notes(); strings.Count(strings.Join(notes, "\n"), of.note) != 1 && of.note != "" || of.note == "" && len(notes) > 0 {
			t.Errorf("%s: notes %q, expected %q", name, notes, of.note)
		}
	}
	if got, _, err := readRecords(t, write(t, "a", a+"\n"+b+c+"{\"p\"\n")); err == nil || !strings.Contains(err.Error(), "a:2: ") || got != "1:"+a+" 2:"+b+" 2:"+c {
		t.Errorf("a line that ends within its third record: %s, %v", got, err)
	}
}
