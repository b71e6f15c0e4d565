package lab

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// fill sets every field below v to something else than zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(2)
	default:
		panic(v.Kind())
	}
}

// TestEventJSONHasEveryField: a field that is forgotten in MarshalJSON fails here.
func TestEventJSONHasEveryField(t *testing.T) {
	written := map[string]bool{}
	for kind := KindBegin; kind <= KindSample; kind++ {
		var e Event
		fill(reflect.ValueOf(&e).Elem())
		e.Kind = kind
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		for name, value := range fields {
			written[name] = true
			of, nested := value.(map[string]any)
			for inner := range of {
				written[name+"."+inner] = nested
			}
		}
	}
	var want func(prefix string, of reflect.Type)
	want = func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" { // for comparisons alone
				continue
			}
			if !written[prefix+name] {
				t.Errorf("no kind of event writes %s%s", prefix, name)
			}
			if f.Type.Kind() == reflect.Pointer {
				want(prefix+name+".", f.Type.Elem())
			}
		}
	}
	want("", reflect.TypeFor[Event]())
}

// TestMatrix: a cell has the newest matrix of each stage and name, and what does not fit is a note.
func TestMatrix(t *testing.T) {
	b := NewBoard()
	b.Apply(Event{Kind: KindBegin, Begin: &Begin{Cells: []Cell{{ID: "seed=1", Seed: 1}}, Rows: []string{"FM"}}})
	heat := func(stage string, values ...float64) Event {
		return Event{Kind: KindMatrix, Time: 2, Cell: "seed=1", Stage: stage, Name: "error", Matrix: &Matrix{
			Rows: 2, Columns: len(values) / 2, RowLabels: []string{"q", "k"}, Values: values,
		}}
	}
	b.Apply(heat("prune", 1, 2, 3, 4, 5, 6))
	b.Apply(heat("quantize", 7, 8))
	before := b.Snapshot()
	b.Apply(heat("prune", 9, math.NaN()))
	view := b.Snapshot()
	c := view.Cell("seed=1")
	if len(c.Matrices) != 2 || c.Matrices[0].Stage != "prune" || c.Matrices[0].At(0, 0) != 9 || c.Matrices[1].At(1, 0) != 8 || view.Warnings != 0 {
		t.Fatalf("the board shows\n%s", view)
	}
	if m := before.Cell("seed=1").Matrices[0]; m.Columns != 3 || m.At(1, 0) != 4 || m.RowLabels[1] != "k" {
		t.Errorf("the snapshot before has changed: %+v", m.Matrix)
	}
	if text, err := json.Marshal(heat("prune", 9, math.NaN())); err != nil || !strings.Contains(string(text), `"row_labels":["q","k"],"values":[9,null]`) {
		t.Errorf("JSON %s, %v", text, err)
	}
	for _, bad := range []Event{
		{Kind: KindMatrix, Cell: "seed=1", Name: "none"},
		{Kind: KindMatrix, Cell: "seed=2", Name: "error", Matrix: heat("", 1, 2).Matrix},
		{Kind: KindMatrix, Cell: "seed=1", Matrix: &Matrix{Rows: 2, Columns: 2, Values: []float64{1}}},
		{Kind: KindMatrix, Cell: "seed=1", Matrix: &Matrix{Rows: 0, Columns: 2}},
		{Kind: KindMatrix, Cell: "seed=1", Matrix: &Matrix{Rows: math.MaxInt, Columns: math.MaxInt, Values: []float64{1}}},
		{Kind: KindMatrix, Cell: "seed=1", Matrix: &Matrix{Rows: 1, Columns: 1, RowLabels: []string{"a", "b"}, Values: []float64{1}}},
		{Kind: KindMatrix, Cell: "seed=1", Matrix: &Matrix{Rows: 1, Columns: 1, ColumnLabels: []string{"a", "b"}, Values: []float64{1}}},
	} {
		notes := len(b.Snapshot().Notes)
		b.Apply(bad)
		if after := b.Snapshot(); len(after.Notes) != notes+1 || len(after.Cell("seed=1").Matrices) != 2 {
			t.Errorf("%+v: the board shows\n%s", bad.Matrix, after)
		}
	}
}

// TestMachineOfARow: each row says where it was measured; in logs of old it is where the run was.
func TestMachineOfARow(t *testing.T) {
	b := NewBoard()
	b.Apply(Event{Kind: KindBegin, Begin: &Begin{Machine: "here", Cells: []Cell{{ID: "a", Seed: 1}, {ID: "b", Seed: 2}}, Rows: []string{"FM", "w8a8"}}})
	if got := b.Snapshot().Machines(); len(got) != 1 || got[0] != "here" {
		t.Errorf("machines %q before a row", got)
	}
	for _, e := range []Event{{Cell: "a", Row: "FM"}, {Cell: "b", Row: "FM", Machine: "there"}, {Cell: "b", Row: "w8a8", Machine: "there"}} {
		e.Kind, e.Values = KindRow, map[string]Measure{"bytes": {Value: 1}}
		b.Apply(e)
		b.Apply(e) // again, as after a measurement of the baseline
	}
	v := b.Snapshot()
	if got := strings.Join(v.Rows[0].Machines, ",") + ";" + strings.Join(v.Rows[1].Machines, ",") + ";" + strings.Join(v.Machines(), ","); got != "here,there;there;here,there" {
		t.Errorf("machines %s", got)
	}
}

// TestSamples: a cell holds its newest samples, a snapshot those of its time, and what does not fit
// is a note.
func TestSamples(t *testing.T) {
	b := NewBoard()
	b.Apply(Event{Kind: KindBegin, Begin: &Begin{Cells: []Cell{{ID: "seed=1", Seed: 1}}, Rows: []string{"two"}}})
	one := func(step int) Event {
		return Event{Kind: KindSample, Time: 2, Cell: "seed=1", Stage: "two", Step: step, Sample: &Sample{Prompt: "1+1=", Answer: fmt.Sprint(step), Tokens: 2, Ended: true, By: ByTeacher}}
	}
	for step := range maxSamples {
		b.Apply(one(step + 1))
	}
	before := b.Snapshot()
	for step := range 3 {
		b.Apply(one(maxSamples + step + 1))
	}
	view := b.Snapshot()
	c := view.Cell("seed=1")
	if len(c.Samples) != maxSamples || c.Forgotten != 3 || c.Samples[0].Step != 4 || c.Samples[maxSamples-1].Answer != fmt.Sprint(maxSamples+3) || view.Warnings != 0 {
		t.Fatalf("the board shows\n%s", view)
	}
	if c := before.Cell("seed=1"); c.Samples[0].Step != 1 || c.Samples[maxSamples-1].Step != maxSamples || c.Forgotten != 0 {
		t.Error("the snapshot before has changed")
	}
	if text, err := json.Marshal(one(7)); err != nil || !strings.Contains(string(text), `"kind":"sample"`) || !strings.Contains(string(text), `"sample":{"prompt":"1+1=","answer":"7","tokens":2,"ended":true,"by":"teacher"}`) {
		t.Errorf("JSON %s, %v", text, err)
	}
	for _, bad := range []Event{
		{Kind: KindSample, Cell: "seed=1"},
		{Kind: KindSample, Cell: "seed=2", Sample: one(1).Sample},
		{Kind: KindSample, Cell: "seed=1", Sample: &Sample{By: "nobody"}},
		{Kind: KindSample, Cell: "seed=1", Sample: &Sample{By: ByStudent, Tokens: -1}},
		{Kind: KindSample, Cell: "seed=1", Sample: &Sample{By: ByStudent, Prompt: strings.Repeat("日", SamplePrompt+1)}},
		{Kind: KindSample, Cell: "seed=1", Sample: &Sample{By: ByStudent, Answer: strings.Repeat("a", SampleAnswer+1)}},
	} {
		notes := len(b.Snapshot().Notes)
		b.Apply(bad)
		if after := b.Snapshot(); len(after.Notes) != notes+1 || after.Cell("seed=1").Forgotten != 3 {
			t.Errorf("%+v: the board shows\n%s", bad.Sample, after)
		}
	}
}

// TestSampleIsCut: of a prompt the end is kept, of an answer the beginning, whole characters of
// each, and what is cut is counted.
func TestSampleIsCut(t *testing.T) {
	long := strings.Repeat("日", SampleAnswer)
	s := Sample{Prompt: "a" + long, Answer: long + "z", By: ByStudent}
	if s.Check() == nil {
		t.Error("texts of any length are taken")
	}
	s.Cut()
	if s.Prompt != long[:3*SamplePrompt] || s.PromptCut != 1+SampleAnswer-SamplePrompt || s.Answer != long || s.AnswerCut != 1 || s.Check() != nil {
		t.Errorf("%+v, %v", s, s.Check())
	}
	whole := Sample{Prompt: "p", Answer: "a", By: ByBoth}
	cut := whole
	if cut.Cut(); cut != whole {
		t.Errorf("%+v became %+v", whole, cut)
	}
}
