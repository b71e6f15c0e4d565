package task

import (
	"slices"
	"strings"
	"testing"
)

// publishedQuestions are questions in their published forms, and how they are asked.
var publishedQuestions = []struct {
	name, content string
	contexts      []string // one before each choice, or the same for all
	choices       []string
	gold          int
}{
	{
		"WinoGrande", `{"sentence":"Ann called Eve because _ was late.","option1":"Ann","option2":"Eve","answer":"2"}`,
		[]string{"Ann called Eve because Ann", "Ann called Eve because Eve"}, []string{"was late.", "was late."}, 1,
	},
	{
		"HellaSwag", `{"activity_label":"Baking","ctx_a":"[header] A man stands. [title] Then","ctx_b":"he","ctx":"x","endings":["runs.","sits [substeps] down.","sings.","eats."],"label":"3"}`,
		[]string{"Baking: A man stands.. Then He"}, []string{"runs.", "sits down.", "sings.", "eats."}, 3,
	},
	{"HellaSwag", `{"ctx":"A man","endings":["runs","sits"],"label":1}`, []string{"A man"}, []string{"runs", "sits"}, 1},
	{
		"ARC", `{"id":"1","question":"What?","choices":{"text":["air","fire"],"label":["1","2"]},"answerKey":"2"}`,
		[]string{"Question: What?\nAnswer:"}, []string{"air", "fire"}, 1,
	},
	{
		"ARC", `{"id":"1","question":"What?","choices":{"text":["air","fire","rain"],"label":["1","2","3"]},"answerKey":3}`,
		[]string{"Question: What?\nAnswer:"}, []string{"air", "fire", "rain"}, 2,
	},
	{
		"ARC", `{"question":{"stem":"What?","choices":[{"text":"air","label":"A"},{"text":"fire","label":"B"}]},"answerKey":"B"}`,
		[]string{"Question: What?\nAnswer:"}, []string{"air", "fire"}, 1,
	},
	{
		"OpenBookQA", `{"question_stem":"The sun","choices":{"text":["is hot","is cold"],"label":["A","B"]},"answerKey":"A"}`,
		[]string{"The sun"}, []string{"is hot", "is cold"}, 0,
	},
	{
		"OpenBookQA", `{"question_stem":"The sun","choices":{"text":["is hot","is cold"],"label":["A","B"]},"answerKey":" B"}`,
		[]string{"The sun"}, []string{"is hot", "is cold"}, 1,
	},
	{
		"CommonsenseQA", `{"id":"1","question":" Where? ","question_concept":"place","choices":{"label":["A","B","C"],"text":["here","there","away"]},"answerKey":"C"}`,
		[]string{"Question: Where?\nA. here\nB. there\nC. away\nAnswer:"}, []string{"A", "B", "C"}, 2,
	},
	{
		"SciQ", `{"question":"What?","distractor1":"air","distractor2":"fire","distractor3":"rain","correct_answer":"ice","support":" It is cold."}`,
		[]string{"It is cold.\nQuestion: What?\nAnswer:"}, []string{"air", "fire", "rain", "ice"}, 3,
	},
	{
		"SciQ", `{"question":"What?","distractor1":"air","distractor2":"fire","distractor3":"rain","correct_answer":"ice","support":""}`,
		[]string{"\nQuestion: What?\nAnswer:"}, []string{"air", "fire", "rain", "ice"}, 3,
	},
	{"PIQA", `{"goal":"Open a jar","sol1":"Turn it.","sol2":"Eat it.","label":0}`, []string{"Question: Open a jar\nAnswer:"}, []string{"Turn it.", "Eat it."}, 0},
	{"BoolQ", `{"passage":"Fire is hot.","question":"is fire hot","answer":true}`, []string{"Fire is hot.\nQuestion: is fire hot?\nAnswer:"}, []string{"no", "yes"}, 1},
	{"BoolQ", `{"passage":"Fire is hot.","question":"is fire cold?","label":0}`, []string{"Fire is hot.\nQuestion: is fire cold?\nAnswer:"}, []string{"no", "yes"}, 0},
	{"COPA", `{"premise":"It rained.","choice1":"The road was wet.","choice2":"I slept.","question":"effect","label":0}`, []string{"It rained therefore"}, []string{"the road was wet.", "i slept."}, 0},
	{
		"MMLU", `{"question":"1+1?","choices":["1","2","3","4"],"answer":1,"subject":"high_school_algebra"}`,
		[]string{"The following are multiple choice questions (with answers) about high school algebra.\n\n1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"}, []string{"A", "B", "C", "D"}, 1,
	},
	{"MMLU", `{"question":"1+1?","choices":["1","2","3"],"answer":"B"}`, []string{"1+1?\nA. 1\nB. 2\nC. 3\nAnswer:"}, []string{"A", "B", "C"}, 1},
}

func TestPublishedFormsOfQuestions(t *testing.T) {
	for _, q := range publishedQuestions {
		for _, content := range []string{q.content, "[" + q.content + ",\n" + q.content + "]", `{"data":[` + q.content + `]}`} {
			c, err := ReadChoice(t.Context(), ChoiceConfig{Path: writeFile(t, content), Cue: DefaultCue})
			if err != nil {
				t.Errorf("%s: %v", q.name, err)
				continue
			}
			got := c.Questions[0]
			for k := range got.Choices {
				if want := q.contexts[min(k, len(q.contexts)-1)]; c.Context(got, k) != want {
					t.Errorf("%s: context %q, expected %q", q.name, c.Context(got, k), want)
				}
			}
			if !slices.Equal(got.Choices, q.choices) || got.Gold != q.gold {
				t.Errorf("%s: choices %q, right %d, expected %q, %d", q.name, got.Choices, got.Gold, q.choices, q.gold)
			}
			if !strings.Contains(strings.Join(c.Notes, "\n"), "of the form of "+q.name+": ") {
				t.Errorf("%s: notes %q", q.name, c.Notes)
			}
			if _, _, err := c.Spans(byteEncoder{}, Beginning{-1, -1}, 1000); err != nil {
				t.Errorf("%s: %v", q.name, err)
			}
		}
	}
}

func TestErrorsOfPublishedForms(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{`{"sentence":"A _ b.","option1":"x","option2":"y","answer":""}`, `field "answer" is "": a set without its answers`},
		{`{"sentence":"A _ b.","option1":"x","option2":"y","answer":"3"}`, `field "answer" is "3", expected the index of a choice, a whole number from 1 to 2`},
		{`{"sentence":"No gap.","option1":"x","option2":"y","answer":"1"}`, `field "sentence" has no gap`},
		{`{"ctx":"A","endings":["a","b"],"label":""}`, "a set without its answers"},
		{`{"ctx":"A","endings":["a","b"],"label":"x"}`, `field "label" is "x", expected the index of a choice, a whole number from 0 to 1`},
		{`{"question":"q","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":"C"}`, `field "answerKey" is "C", expected one of the choices' labels ["A" "B"]`},
		{`{"question":"q","choices":{"text":["a","b"],"label":["A"]},"answerKey":"A"}`, `field "choices" has 2 texts and 1 labels`},
		{`{"question":"q","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":0}`, `field "answerKey" is 0, expected one of the choices' labels ["A" "B"]`},
		{`{"question":"q","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":""}`, `field "answerKey" is "": a set without its answers`},
		{`{"question":"q","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":"\ud800x"}`, `found the escape \ud800 alone`},
		{`{"question":"q","choices":[],"answerKey":"A"}`, `field "answerKey" is "A", expected one of the choices' labels []`},
		{`{"question_stem":"q","choices":{"text":[],"label":[]},"answerKey":0}`, `field "answerKey" is 0, expected one of the choices' labels []`},
		{`{"question":{"stem":"q"},"answerKey":"A"}`, `no field "choices"`},
		{`{"goal":"g","sol1":"a","sol2":"b","label":-1}`, "a set without its answers"},
		{`{"passage":"p","question":"q","answer":"maybe"}`, `field "answer" is "maybe", expected true or false`},
		{`{"premise":"p","choice1":"a","choice2":"b","question":"why","label":0}`, `field "question" is "why", expected cause or effect`},
		{`{"question":"q","choices":["a","b"],"answer":"C"}`, `field "answer" is "C", expected the index of a choice, a whole number from 0 to 1`},
		{`{"article":"a","question":"q","options":["a","b"],"answer":"A"}`, "a question of the form of RACE, which is not read: write query, choices and gold"},
		{`{"question":"q","mc1_targets":{}}`, "the form of TruthfulQA"},
		{`{"question_id":1,"question":"q","options":["a","b"],"answer":"A","answer_index":0,"category":"x"}`, "the form of MMLU-Pro, which is not read"},
		{`{"Question":"q","Correct Answer":"a","Incorrect Answer 1":"b"}`, "the form of GPQA, which is not read"},
		{`{"context":"c","question":"q","answerA":"a","answerB":"b","answerC":"c","label":"1"}`, "the form of Social IQa, which is not read"},
		{`{"sent1":"a","sent2":"b","ending0":"a","ending1":"b","label":0}`, "the form of SWAG, which is not read"},
		{`{"question":"q","correct_answer":"a","distractor1":"b"}`, "the form of SciQ, which is not read"},
		{`{"question":"q","question_concept":"x","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":""}`, "a set without its answers"},
		{`{"prompt":"p","response":"r"}`, `found the fields "prompt", "response", expected query, choices and gold, or those of WinoGrande, HellaSwag, CommonsenseQA, ARC, OpenBookQA, PIQA, BoolQ, COPA, MMLU, SciQ`},
	} {
		_, err := ReadChoice(t.Context(), ChoiceConfig{Path: writeFile(t, c.content)})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "data.jsonl:1: ") {
			t.Errorf("%s: error %v\nexpected %q", c.content, err, c.want)
		}
	}
}
