package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// CallForm is how a template writes an assistant's calls of functions: each as Before, the name,
// Between, its arguments as a JSON object, After.
type CallForm struct {
	Before, Between, After string
	Separator              string // between two calls of one answer
	Several                bool   // an answer may have several
}

// Call is how a call with arguments, a JSON object, is written.
func (f *CallForm) Call(name, arguments string) string {
	return f.Before + name + f.Between + arguments + f.After
}

// What the form is read from, which no template writes by itself.
const (
	sampleName  = "sample_function_name"
	sampleKey   = "sample_argument_key"
	sampleText  = "sample answer of the assistant"
	sampleTools = `[{"type":"function","function":{"name":"` + sampleName + `","description":"d","parameters":{"type":"object","properties":{"` + sampleKey + `":{"type":"integer"}}}}}]`
	sampleCall  = `{"id":"call12345","type":"function","function":{"name":"` + sampleName + `","arguments":{"` + sampleKey + `":1}}}`
	sampleAsk   = `{"role":"user","content":"u"}`
)

// CallForm finds the form by what the template writes for a conversation with a call. What may
// stand before the calls in an answer, such as thoughts, is no part of it.
func (t *Template) CallForm() (CallForm, error) {
	text, err := t.Render(Conversation{Messages: json.RawMessage("[" + sampleAsk + `,{"role":"assistant","content":"` + sampleText + `"}]`), Tools: json.RawMessage(sampleTools)})
	if err != nil {
		return CallForm{}, err
	}
	_, end, ok := strings.Cut(text, sampleText)
	if !ok {
		return CallForm{}, errors.New("chat template: it does not write the assistant's answer")
	}
	one, err := t.answerOf(sampleCall, end)
	if err != nil {
		return CallForm{}, err
	}
	before, behind, ok := strings.Cut(one, sampleName)
	start, stop := strings.Index(behind, "{\""+sampleKey), strings.Index(behind, "}")
	if !ok || start < 0 || stop < start || strings.Contains(behind[stop:], sampleKey) {
		return CallForm{}, fmt.Errorf("chat template: a call is written as %q, expected its name and then its arguments as JSON", one)
	}
	f := CallForm{Before: before, Between: behind[:start], After: behind[stop+1:]}
	if _, behind, ok := strings.Cut(f.Before, "</think>"); ok {
		f.Before = behind
	}
	f.Before = strings.TrimLeft(f.Before, whiteSpace)
	// With two calls the template shows what stands between them, or refuses.
	if two, err := t.answerOf(sampleCall+","+sampleCall, end); err == nil {
		call := f.Call(sampleName, behind[start:stop+1])
		if second, ok := strings.CutPrefix(two, one); ok {
			f.Separator, f.Several = strings.CutSuffix(second, call)
		}
	}
	return f, nil
}

const whiteSpace = " \t\r\n"

// answerOf is what the template writes for an answer of calls, before the end of the turn.
func (t *Template) answerOf(calls, end string) (string, error) {
	asked := Conversation{Messages: json.RawMessage("[" + sampleAsk + "]"), Tools: json.RawMessage(sampleTools), AddGenerationPrompt: true}
	prompt, err := t.Render(asked)
	if err != nil {
		return "", err
	}
	asked.Messages = json.RawMessage("[" + sampleAsk + `,{"role":"assistant","content":"","tool_calls":[` + calls + `]}]`)
	asked.AddGenerationPrompt = false
	whole, err := t.Render(asked)
	if err != nil {
		return "", err
	}
	answer, ok := strings.CutPrefix(whole, prompt)
	if !ok || !strings.Contains(answer, sampleName) {
		return "", errors.New("chat template: it does not write calls where the assistant's answer begins")
	}
	return strings.TrimSuffix(answer, end), nil
}
