package tokenview

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// sample is a view with odd texts: a control sequence, a part of a character, a long prompt.
func sample() *View {
	at := func(kl, p, q float64) *Position {
		return &Position{KL: kl, Teacher: p, Student: q, TeacherRank: 1, StudentRank: 2, Top: []Candidate{
			{3, "yes", 0.6, 0.3}, {4, "\x1b[31m", 0.3, 0.65}, {5, "\xe4", 1e-5, 0.04},
		}}
	}
	return &View{Teacher: "FM", Student: "small", Examples: []Example{
		{Tokens: []Token{{1, Text(strings.Repeat("long ", 400)), nil}, {3, "yes", at(0.25, 0.6, 0.3)}, {5, "\xe4", at(1e-6, 1e-5, 0.04)}},
			Cut: 7, Teacher: &Sample{[]int32{3, 3}, "yes\tyes", true}, Student: &Sample{[]int32{4}, "\x1b[31m", false}},
		{Tokens: []Token{{1, "a", nil}, {3, "yes", at(0, 0.6, 0.3)}, {2, " then ", nil}, {4, "\x1b[31m", at(1, 0.3, 0.65)}}},
	}}
}

func TestViewReadsAsItWasSaved(t *testing.T) {
	folder, want := t.TempDir(), sample()
	if err := want.Save(folder); err != nil {
		t.Fatal(err)
	}
	got, err := Read(folder)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, expected %+v; %v", got, want, err)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a folder without a view is read")
	}
}

// TestTablesOfTokensAreHarmless: a table has no control character but line ends, a line for each
// answer token, the samples, and says what it leaves out.
func TestTablesOfTokensAreHarmless(t *testing.T) {
	r := Row{Run: "r\x1b1", Row: "small", Seeds: []Seed{{1, sample()}, {2, sample()}}}
	var b bytes.Buffer
	if err := r.Write("table", &b); err != nil {
		t.Fatal(err)
	}
	for _, c := range b.String() {
		if unicode.IsControl(c) && c != '\n' || c == unicode.ReplacementChar {
			t.Fatalf("the table has %q", c)
		}
	}
	for _, want := range []string{
		"seed 1 (of 2", "p: teacher FM   q: student small", "(600 of 2000 characters, 1 token) …", `yes\tyes`, "(no end within 1 token)", "7 more are not",
		"yes 0.600, \\x1b[31m 0.300, \\xe4 1e-5", `\x1b[31m 0.650, yes 0.300`, "0.250", "1e-6", "after", "yes …", " then ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

// TestExportsOfTokens: CSV has a line for each answer token of each seed, JSON all that is known.
func TestExportsOfTokens(t *testing.T) {
	r := Row{Run: "r", Row: "small", Seeds: []Seed{{1, sample()}, {2, sample()}}}
	var c, j bytes.Buffer
	if err := r.Write("csv", &c); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&c).ReadAll()
	if err != nil || len(records) != 1+2*4 {
		t.Errorf("%d records, expected 9; %v", len(records), err)
	}
	if err := r.Write("json", &j); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema string
		Seeds  []Seed
	}
	if err := json.Unmarshal(j.Bytes(), &got); err != nil || got.Schema != schema || len(got.Seeds) != 2 || !reflect.DeepEqual(got.Seeds[1].View, sample()) {
		t.Errorf("%+v; %v", got, err)
	}
	if err := r.Write("md", &j); err == nil {
		t.Error("an unknown format is written")
	}
}

func TestFirstAnswerEndsWhereTextIsRead(t *testing.T) {
	v := sample()
	for i, want := range []struct {
		begin, n int
		apart    bool
		answer   string
	}{{1, 2, false, "yes\xe4"}, {1, 1, true, "yes …\x1b[31m"}} {
		e := &v.Examples[i]
		if begin, n := e.FirstAnswer(); begin != want.begin || n != want.n || e.Apart() != want.apart || e.Answer() != want.answer {
			t.Errorf("example %d: %d, %d, %v, %q, expected %+v", i, begin, n, e.Apart(), e.Answer(), want)
		}
	}
}

// FuzzDecode: what is no view is an error and no panic, and what is one can be written.
func FuzzDecode(f *testing.F) {
	text, err := json.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(text), "{}", `{"examples":[{"tokens":[{"text":[256]}]}]}`, `{"examples":[{"tokens":[{"at":{"top":null}}],"student":{}}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := decode(text)
		if err != nil {
			return
		}
		for _, format := range Formats() {
			if err := (&Row{Seeds: []Seed{{1, v}}}).Write(format, new(bytes.Buffer)); err != nil {
				t.Error(fmt.Errorf("%s: %w", format, err))
			}
		}
	})
}

// TestWhiteSpaceIsSeen: a token of white space, or with some at an end, stands in quotes in a
// table, also among the likeliest; CSV has texts as they are.
func TestWhiteSpaceIsSeen(t *testing.T) {
	for text, want := range map[Text]string{"a": "a", "a b": "a b", " a": "' a'", "a ": "'a '", " ": "' '", "\u00a0": "'\u00a0'", "": "''"} {
		if got := text.Shown(); got != want {
			t.Errorf("%q is shown as %s, expected %s", string(text), got, want)
		}
	}
	at := &Position{Top: []Candidate{{1, " ", 0.5, 0.25}, {2, " a", 0.25, 0.5}}}
	r := Row{Seeds: []Seed{{1, &View{Examples: []Example{{Tokens: []Token{{7, "x", nil}, {1, " ", at}, {9, " ", nil}, {2, "b", at}}}}}}}}
	var table, list bytes.Buffer
	if err := errors.Join(r.Write("table", &table), r.Write("csv", &list)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n  x      ' '    ' ' 0.500, ' a' 0.250  ' a' 0.500, ' ' 0.250 ", "\n  ' '    b "} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &table)
		}
	}
	if !strings.Contains(list.String(), ",1, ,") && !strings.Contains(list.String(), `,1," ",`) {
		t.Errorf("CSV has another text:\n%s", &list)
	}
}
