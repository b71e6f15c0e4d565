package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared/constant"
)

const flatTools = `"tools":[
	{"type":"function","name":"weather","description":"d","strict":true,"parameters":{"type":"object","properties":{"place":{"enum":["here","there"]},"days":{"type":"integer","minimum":1,"maximum":9}},"required":["place","days"],"additionalProperties":false}},
	{"type":"function","name":"stop","strict":false,"parameters":{"properties":{},"additionalProperties":false}}]`

// OpenAI's client gets the same whole and streamed: text and calls, and the answer to the result of
// a call.
func TestOpenAIsClientResponds(t *testing.T) {
	answers := map[string]string{
		"weather":   script["weather"],
		"hello":     script["hello"],
		"weather<>": "x",
	}
	x := start(t, answers, Options{Keys: []string{"key"}}, withTemplate(t, calling))
	client := x.client()
	ask := responses.ResponseNewParams{
		Model: "tiny", Temperature: openai.Float(0), Store: openai.Bool(false),
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("weather")},
		Tools: []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "weather", Strict: openai.Bool(false), Parameters: map[string]any{"type": "object"}}}},
	}
	whole, err := client.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, r *responses.Response) {
		if r.Status != "completed" || r.OutputText() != "Let me look." || len(r.Output) != 2 {
			t.Fatalf("%s: %s, %q, %d items", name, r.Status, r.OutputText(), len(r.Output))
		}
		call := r.Output[1].AsFunctionCall()
		if call.Name != "weather" || call.Arguments != `{"place": "Łódź"}` || call.CallID == "" || call.Status != "completed" {
			t.Errorf("%s: %+v", name, call)
		}
		if r.Usage.InputTokens == 0 || r.Usage.TotalTokens != r.Usage.InputTokens+r.Usage.OutputTokens {
			t.Errorf("%s: %+v", name, r.Usage)
		}
	}
	check("whole", whole)
	stream := client.Responses.NewStreaming(t.Context(), ask)
	var streamed *responses.Response
	text, arguments, kinds := "", "", []string{}
	for number := int64(0); stream.Next(); number++ {
		e := stream.Current()
		if e.SequenceNumber != number {
			t.Errorf("event %d, %s, has the number %d", number, e.Type, e.SequenceNumber)
		}
		switch e.Type {
		case "response.output_text.delta":
			text += e.Delta
		case "response.function_call_arguments.delta":
			arguments += e.Delta
		case "response.completed":
			streamed = &e.Response
		}
		if len(kinds) == 0 || kinds[len(kinds)-1] != e.Type {
			kinds = append(kinds, e.Type)
		}
	}
	if err := stream.Err(); err != nil || streamed == nil {
		t.Fatal(err)
	}
	check("stream", streamed)
	if text != "Let me look." || arguments != `{"place": "Łódź"}` {
		t.Errorf("the deltas are %q and %q", text, arguments)
	}
	want := "response.created response.in_progress " +
		"response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done " +
		"response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done response.output_item.done response.completed"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("the events are\n%s, want\n%s", got, want)
	}
	if d := streamed.Usage.InputTokensDetails; d.CachedTokens == 0 || whole.Usage.InputTokensDetails.CachedTokens != 0 {
		t.Errorf("the same prompt again: %+v, first %+v", d, whole.Usage.InputTokensDetails)
	}
	if u := whole.Usage; u.InputTokensDetails.CacheWriteTokens != u.InputTokens-u.InputTokens%4 {
		t.Errorf("%+v: want whole pages of 4 to be written", u)
	}

	// What it said goes back with the result of the call, as one message of the assistant.
	call := whole.Output[1].AsFunctionCall()
	items := responses.ResponseInputParam{
		responses.ResponseInputItemParamOfMessage("weather", responses.EasyInputMessageRoleUser),
		responses.ResponseInputItemParamOfOutputMessage([]responses.ResponseOutputMessageContentUnionParam{{OfOutputText: &responses.ResponseOutputTextParam{Text: whole.OutputText()}}}, "msg_1", responses.ResponseOutputMessageStatusCompleted),
		responses.ResponseInputItemParamOfFunctionCall(call.Arguments, call.CallID, call.Name),
		{OfFunctionCallOutput: &responses.ResponseInputItemFunctionCallOutputParam{CallID: openai.String(call.CallID), Output: responses.ResponseInputItemFunctionCallOutputOutputUnionParam{OfString: openai.String("rain")}}},
		responses.ResponseInputItemParamOfMessage("hello", responses.EasyInputMessageRoleUser),
	}
	ask.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: items}
	ask.Instructions = openai.String("be brief")
	next, err := client.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if next.OutputText() != script["hello"] || next.Instructions.OfString != "be brief" {
		t.Errorf("%q, %+v", next.OutputText(), next.Instructions)
	}
	ask.ToolChoice = responses.ResponseNewParamsToolChoiceUnion{OfFunctionTool: &responses.ToolChoiceFunctionParam{Name: "weather", Type: constant.Function("function")}}
	ask.Include, ask.ParallelToolCalls = nil, param.NewOpt(false)
	ask.Tools[0].OfFunction.Parameters = map[string]any{"type": "object", "additionalProperties": false}
	forced, err := client.Responses.New(t.Context(), ask)
	if err != nil || len(forced.Output) != 1 || forced.Output[0].AsFunctionCall().Arguments != "{}" {
		t.Errorf("%+v, %v, want a call without arguments", forced, err)
	}
	x.idle(t)
}

// What a conversation of items says is what the same conversation says as messages of a chat.
func TestItemsAreMessages(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	items := `[{"role":"developer","content":"s"},{"type":"message","role":"user","content":[{"type":"input_text","text":"u"}]},` +
		`{"type":"message","id":"m","status":"completed","role":"assistant","content":[{"type":"output_text","text":"t","annotations":[]}]},` +
		`{"type":"function_call","id":"fc","call_id":"c1","name":"weather","arguments":"{\"a\":1}","status":"completed"},{"type":"function_call","call_id":"c2","name":"stop","arguments":""},` +
		`{"type":"function_call_output","call_id":"c1","output":"rain"},{"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"sun"}]},` +
		`{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"user","content":"hello"}]`
	messages := `[{"role":"system","content":"i"},{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"t","tool_calls":[` +
		`{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","function":{"name":"stop","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"c1","content":"rain"},{"role":"tool","tool_call_id":"c2","content":"sun"},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"hello"}]`
	var q responseRequest
	instructions := "i"
	q.Input, q.Instructions = json.RawMessage(items), &instructions
	got, err := q.messages()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := x.server.renderMessages("input", got, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := decode[tokenization](t, x.post(t, "/tokenize", `{"messages":`+messages+`}`)).Tokens
	if !slices.Equal(ids, want) {
		t.Errorf("the items are read as\n%s, the messages as\n%s", x.tokenizer.DecodeText(ids), x.tokenizer.DecodeText(want))
	}
}

// The text of a response is that of a chat; its log-probabilities are those of its text.
func TestResponses(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	type body struct {
		Status     string
		Incomplete *incompleteDetails `json:"incomplete_details"`
		Store      *bool
		Metadata   map[string]string
		ToolChoice any `json:"tool_choice"`
		Output     []outputItem
		Usage      responseUsage
	}
	ask := func(more string) body {
		return decode[body](t, x.post(t, "/v1/responses", `{"temperature":0,`+more+`}`))
	}
	got := ask(`"input":"hello","metadata":{"a":"b"},"store":false,"truncation":"disabled","text":{"format":{"type":"text"},"verbosity":"medium"},"include":["message.output_text.logprobs"],"top_logprobs":2`)
	part := got.Output[0].Content[0]
	if got.Status != "completed" || got.Incomplete != nil || got.Store == nil || *got.Store || got.Metadata["a"] != "b" || part.Text != script["hello"] || got.ToolChoice != "auto" {
		t.Errorf("%+v", got)
	}
	text := ""
	for _, l := range part.Logprobs {
		if text += l.Token; len(l.Top) != 2 || l.Logprob > 0 {
			t.Errorf("%+v", l)
		}
	}
	if text != script["hello"] || got.Usage.Output != len(part.Logprobs) {
		t.Errorf("log-probabilities of %q, %d tokens", text, got.Usage.Output)
	}
	cut := ask(`"input":"hello","max_output_tokens":3`)
	if cut.Status != "incomplete" || cut.Incomplete == nil || cut.Incomplete.Reason != "max_output_tokens" || cut.Output[0].Status != "incomplete" || cut.Usage.Output != 3 {
		t.Errorf("%+v", cut)
	}
	// The tokens of a call are no text's.
	called := ask(`"input":"weather","include":["message.output_text.logprobs"],"tools":[{"type":"function","name":"weather","parameters":null,"strict":null}]`)
	if len(called.Output) != 2 || called.Output[1].Type != "function_call" || len(called.Output[0].Content[0].Logprobs) == 0 || strings.Contains(fmt.Sprint(called.Output[0].Content[0].Logprobs), "arguments") {
		t.Errorf("%+v", called.Output)
	}
	formed := ask(`"input":"hello","text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":{"enum":["fox"]}}}`)
	if formed.Output[0].Content[0].Text != `"fox"` {
		t.Errorf("%+v", formed.Output)
	}
	if none := ask(`"input":"weather","tool_choice":"none",` + flatTools); len(none.Output) != 1 || none.Output[0].Content[0].Text != script["weather"] {
		t.Errorf("%+v", none.Output)
	}
	x.idle(t)
}

func TestResponsesAreRefused(t *testing.T) {
	x := start(t, script, Options{}, withTemplate(t, calling))
	for _, c := range []struct{ body, says string }{
		{`"input":"a","store":true`, "store: found true: an answer that is kept is not supported, expected no such key or null or false"},
		{`"input":"a","previous_response_id":"resp_1"`, `previous_response_id: found "resp_1"`},
		{`"input":"a","conversation":"c"`, "conversation: "},
		{`"input":"a","background":true`, "background: "},
		{`"input":"a","reasoning":{"effort":"low"}`, `reasoning.effort: found "low"`},
		{`"input":"a","reasoning":"low"`, "reasoning: found a string, expected an object"},
		{`"input":"a","prompt":{"id":"p"}`, "prompt: "},
		{`"input":"a","truncation":"auto"`, "truncation: "},
		{`"input":"a","max_tool_calls":2`, "max_tool_calls: "},
		{`"input":"a","moderation":{"model":"m"}`, "moderation: "},
		{`"input":"a","stream":true,"stream_options":{"include_obfuscation":true}`, "stream_options.include_obfuscation: found true"},
		{`"input":"a","include":["reasoning.encrypted_content"]`, `include[0]: found "reasoning.encrypted_content"`},
		{`"input":"a","top_logprobs":3`, "top_logprobs: found 3 without them"},
		{`"input":"a","include":["message.output_text.logprobs"],"top_logprobs":30`, "top_logprobs: found 30"},
		{`"input":"a","metadata":{"a":1}`, "metadata.a: found a number"},
		{`"input":"a","text":{"verbosity":"low"}`, `text.verbosity: found "low"`},
		{`"input":"a","text":{"format":{"type":"xml"}}`, `text.format.type: found "xml"`},
		{`"input":"a","text":{"format":{"type":"json_schema","schema":{}}}`, "text.format.name: found none"},
		{`"input":"a","text":{"format":{"type":"json_schema","name":"a"}}`, "text.format.schema: found none"},
		{`"input":"a","text":{"format":{"type":"json_schema","name":"a","schema":{"not":{}}}}`, `text.format.schema: JSON Schema at "": the keyword "not"`},
		{`"input":"a","text":[]`, "text: found a list, expected an object"},
		{`"input":"a","text":{"format":7}`, "text.format: found a number, expected an object"},
		{`"input":[{"role":"user","content":"a"},7]`, "input[1]: found a number, expected an item"},
		{`"input":"a","tools":["f"]`, "tools[0]: found a string, expected an object"},
		{`"input":[{"role":"user","Content":"a"}]`, "input[0].Content: found another spelling of content"},
		{`"input":"a","tools":[{"type":"web_search"}]`, `tools[0].type: found "web_search", expected function`},
		{`"input":"a","tools":[{"type":"function","name":""}]`, `tools[0].name: found ""`},
		{`"input":"a","tools":[{"type":"function","name":"f","defer_loading":true}]`, "tools[0].defer_loading: "},
		{`"input":"a","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"g"}`, `tool_choice.name: found "g"`},
		{`"input":"a","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"}]}`, `tool_choice.tools[0].name: found "g"`},
		{`"input":"a","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"some"}`, `tool_choice.mode: found "some"`},
		{`"input":"a","tools":[{"type":"function","name":"f","strict":true,"parameters":{"not":{}}}]`, "tools[0].parameters: JSON Schema"},
		{`"input":"a","tools":7`, "tools: found a number"},
		{`"input":"a","temperature":3`, "temperature: found 3"},
		{`"input":"a","max_output_tokens":0`, "max_output_tokens: found 0"},
		{`"input":"a","max_output_tokens":1000`, "for the answer (max_output_tokens)"},
		{`"instructions":"a"`, "input: found none"},
		{`"input":7`, "input: found 7"},
		{`"input":[]`, "input: found an empty list"},
		{`"input":[{"type":"reasoning"}]`, `input[0].type: found "reasoning", expected message, function_call or function_call_output`},
		{`"input":[{"type":"item_reference","id":"a"}]`, "input[0].type"},
		{`"input":[{"role":"tool","content":"a"}]`, `input[0].role: found "tool"`},
		{`"input":[{"role":"user","content":[{"type":"input_image"}]}]`, `input[0].content[0].type: found "input_image"`},
		{`"input":[{"type":"function_call","name":"f","arguments":"{}"}]`, "input[0].call_id: found none"},
		{`"input":[{"type":"function_call","call_id":"c","arguments":"{}"}]`, "input[0].name: found none"},
		{`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{"}]`, "input[0].arguments: found "},
		{`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}","status":7}]`, "input[0].status: found 7"},
		{`"input":[{"type":"function_call_output","call_id":"c","output":"a","id":[]}]`, "input[0].id: found a list, expected a string"},
		{`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]`, `input[1].call_id: found "c", which input[0] has, expected another`},
		{`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]`, `input[2].call_id: found "c", which input[0] has, expected another`},
		{`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"a"},{"type":"function_call_output","call_id":"c","output":"a"}]`, `input[2].call_id: found "c", which input[1] has, expected another`},
		{`"input":[{"role":"user","content":[{"type":"output_text","text":"a"}]}]`, `input[0].content[0].type: found "output_text", expected input_text in a content of the user`},
		{`"input":[{"role":"developer","content":[{"type":"output_text","text":"a"}]}]`, `input[0].content[0].type: found "output_text", expected input_text in a content of the developer`},
		{`"input":[{"role":"user","content":[{"type":"text","text":"a"}]}]`, `input[0].content[0].type: found "text", expected input_text`},
		{`"input":[{"role":"assistant","content":[{"type":"input_text","text":"a"}]}]`, `input[0].content[0].type: found "input_text", expected output_text or refusal in a content of the assistant`},
		{`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"output_text","text":"a"}]}]`, `input[1].output[0].type: found "output_text", expected input_text in a content of the tool`},
		{`"input":[{"role":"user","content":"a","status":"done"}]`, `input[0].status: found "done"`},
		{`"input":[{"role":"user","content":[{"type":"refusal","refusal":"no"}]}]`, `input[0].content[0].type: found "refusal"`},
		{`"input":[{"role":"assistant","content":[{"type":"refusal"}]}]`, "input[0].content[0].refusal: found none"},
		{`"input":[{"type":"function_call_output","call_id":"c","output":"a"}]`, `input[0].call_id: found "c", expected the call_id of a function_call before it`},
		{`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c"}]`, "input[1].output: found none"},
	} {
		got := x.post(t, "/v1/responses", `{`+c.body+`}`)
		if p := refusal(t, got); got.status != http.StatusBadRequest || !strings.Contains(p.Message, c.says) {
			t.Errorf("%s: %d %s, want 400 with %q", c.body, got.status, p.Message, c.says)
		} else if field, _, ok := strings.Cut(c.says, ": "); ok && !strings.Contains(c.says, "(") && (p.Param == nil || *p.Param != field) {
			t.Errorf("%s: the error is one of %v, want %s", c.body, p.Param, field)
		}
	}
	if got := x.post(t, "/v1/responses", `{"input":"hello","colour":"red"}`); got.status != http.StatusOK || got.header.Get("X-Ignored-Fields") != "colour" {
		t.Errorf("%d, ignored: %s", got.status, got.header.Get("X-Ignored-Fields"))
	}
}

// A response that is cut off in a call has it as far as it came, and incomplete.
func TestAResponseThatIsCutOffInACall(t *testing.T) {
	x := start(t, nil, Options{}, withTemplate(t, calling))
	cut := 0
	for most := 1; most < 40; most += 3 {
		got := decode[response](t, x.post(t, "/v1/responses", fmt.Sprintf(`{"input":"hello","tools":[{"type":"function","name":"look","parameters":{"type":"object","properties":{"place":{"enum":["the brown fox jumps"]}},"required":["place"]},"strict":true}],"tool_choice":"required","max_output_tokens":%d}`, most)))
		for i, item := range got.Output {
			last := i == len(got.Output)-1
			switch {
			case item.Type == "message" && (len(item.Content) != 1 || item.Content[0].Text != ""):
				t.Errorf("%d tokens: a text %+v", most, item.Content)
			case item.Type == "function_call" && last && got.Status == stateIncomplete && !strings.HasSuffix(*item.Arguments, "}"):
				if cut++; item.Status != stateIncomplete || item.Name != "look" {
					t.Errorf("%d tokens: %+v", most, item)
				}
			case item.Type == "function_call" && !last && item.Status != stateCompleted:
				t.Errorf("%d tokens: call %d of %d is %s", most, i, len(got.Output), item.Status)
			}
		}
	}
	if cut == 0 {
		t.Error("no response was cut off in a call")
	}
}

// A stream that ends before its answer says so in its last event.
func TestAResponseThatFails(t *testing.T) {
	turn := make(chan struct{}, 10) // steps
	for range cap(turn) {
		turn <- struct{}{}
	}
	over := make(chan struct{})
	x := start(t, nil, Options{}, func(f *fake, _ *Model) {
		f.before = func() {
			select {
			case <-turn:
			case <-over:
			}
		}
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.http.URL+"/v1/responses", strings.NewReader(`{"input":"endless","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	got, err := x.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	go x.engine.Close() // in the step that waits
	waitFor(t, func() bool {
		select {
		case over <- struct{}{}:
		default:
		}
		return x.engine.Err() != nil
	})
	var all strings.Builder
	if _, err := io.Copy(&all, got.Body); err != nil {
		t.Fatal(err)
	}
	reply{got.StatusCode, got.Header, all.String()}.conformity(t, "/v1/responses")
	events := strings.Split(strings.TrimSpace(all.String()), "\n\n")
	if last := events[len(events)-1]; !strings.HasPrefix(last, "event: response.failed\n") || !strings.Contains(last, `"error":{"code":"server_error","message":"the server is ending"}`) {
		t.Errorf("the last event is %s", last)
	}
}
