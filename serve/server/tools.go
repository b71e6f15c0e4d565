package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/model/chat"
	"slimlab/serve/grammar"
)

// tool is a function that the model may call.
type tool struct {
	path       string // in the request
	Name       string
	Parameters json.RawMessage // a JSON Schema, or none
	strict     bool            // its arguments satisfy the schema wherever it is called
}

// toolShape is that of a chat's tools. Their parameters are JSON Schemas.
var toolShape = objectOf(jsonread.Keys(jsonread.Read, "type", "function"), map[string]*shape{
	"function": objectOf(jsonread.Keys(jsonread.Read, "name", "description", "parameters", "strict"), map[string]*shape{"description": aText}),
})

// choiceShape is that of a tool_choice which is an object.
func choiceShape(members map[string]json.RawMessage) *shape {
	named := objectOf(jsonread.Keys(jsonread.Read, "type", "function"), map[string]*shape{"function": objectOf(jsonread.Keys(jsonread.Read, "name"), nil)})
	if string(members["type"]) != `"allowed_tools"` {
		return named
	}
	return objectOf(jsonread.Keys(jsonread.Read, "type", "allowed_tools"), map[string]*shape{
		"allowed_tools": objectOf(jsonread.Keys(jsonread.Read, "mode", "tools"), map[string]*shape{"tools": listOf(named)}),
	})
}

// flatChoiceShape is choiceShape where functions are named beside the type.
func flatChoiceShape(members map[string]json.RawMessage) *shape {
	named := objectOf(jsonread.Keys(jsonread.Read, "type", "name"), nil)
	if string(members["type"]) != `"allowed_tools"` {
		return named
	}
	return objectOf(jsonread.Keys(jsonread.Read, "type", "mode", "tools"), map[string]*shape{"tools": listOf(named)})
}

// readTools reads the tools of a chat.
func readTools(raw json.RawMessage) ([]tool, error) {
	if isNull(raw) {
		return nil, nil
	}
	var list []struct {
		Type     *string `json:"type"`
		Function struct {
			Name       *string         `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
			Strict     *bool           `json:"strict"`
		} `json:"function"`
	}
	if err := jsonread.Decode(raw, &list); err != nil {
		return nil, unreadable("tools", err)
	}
	tools := make([]tool, len(list))
	for i, t := range list {
		if t.Type == nil || *t.Type != "function" {
			return nil, refuse(at("tools", i)+".type", "found %s, expected function", quoted(t.Type))
		}
		if t.Function.Name == nil {
			return nil, refuse(at("tools", i)+".function.name", "found none, expected a name")
		}
		tools[i] = tool{at("tools", i) + ".function", *t.Function.Name, t.Function.Parameters, t.Function.Strict != nil && *t.Function.Strict}
		if err := tools[i].check(tools[:i]); err != nil {
			return nil, err
		}
	}
	return tools, nil
}

// check refuses what OpenAI does too, and a name that one of the tools before it has.
func (t *tool) check(before []tool) error {
	if !functionName.MatchString(t.Name) {
		return refuse(t.path+".name", "found %.80q, expected 1 to 64 of the letters a to z and A to Z, digits, _ and -", t.Name)
	}
	if i := slices.IndexFunc(before, func(b tool) bool { return b.Name == t.Name }); i >= 0 {
		return refuse(t.path+".name", "found %q, which %s has, expected another name", t.Name, before[i].path)
	}
	if kind := kindOf(t.Parameters); kind != '{' && !isNull(t.Parameters) {
		return refuse(t.path+".parameters", "found %s, expected a JSON Schema of an object", jsonread.Clip(t.Parameters))
	}
	return nil
}

var functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// callPlan is which tools the model may call, or must.
type callPlan struct {
	tools  []tool // one at least
	must   bool   // the answer is a call, or several
	single bool   // and no more than one
	some   bool   // of the request's tools; the others must not be called
}

func (p *callPlan) names() (names []string) {
	for _, t := range p.tools {
		names = append(names, t.Name)
	}
	return names
}

// planCalls reads a tool_choice; nil is no call. Its objects name functions under "function", or,
// where that is flat, themselves.
func planCalls(tools []tool, choice json.RawMessage, parallel *bool, flat bool) (*callPlan, error) {
	const expected = `expected "none", "auto", "required", a function or allowed_tools`
	p := &callPlan{tools: tools, single: parallel != nil && !*parallel}
	word := "auto"
	if len(tools) == 0 {
		word = "none"
	}
	switch {
	case isNull(choice):
	case choice[0] == '"':
		if err := jsonread.Decode(choice, &word); err != nil {
			return nil, unreadable(toolChoice, err)
		}
	default:
		var object struct {
			chosenTool
			allowedTools
			Allowed allowedTools `json:"allowed_tools"`
		}
		if err := jsonread.Decode(choice, &object); err != nil {
			return nil, unreadable(toolChoice, err)
		}
		kind := ""
		if object.Type != nil {
			kind = *object.Type
		}
		switch kind {
		case "function":
			one, err := object.chosenTool.find(tools, toolChoice, flat)
			return &callPlan{tools: one, must: true, single: true}, err
		case "allowed_tools":
			allowed, path := object.Allowed, toolChoice+".allowed_tools"
			if flat {
				allowed, path = object.allowedTools, toolChoice
			}
			return p, p.allow(allowed, path, flat)
		}
		return nil, refuse(toolChoice+".type", "found %s, %s", quoted(object.Type), expected).coded("unsupported_parameter")
	}
	switch word {
	case "none":
		return nil, nil
	case "required":
		p.must = true
	case "auto":
	default:
		return nil, refuse(toolChoice, "found %q, %s", word, expected).coded("unsupported_parameter")
	}
	if len(tools) == 0 {
		return nil, refuse(toolChoice, "found %q without tools, expected tools beside it", word)
	}
	return p, nil
}

// chosenTool names a function.
type chosenTool struct {
	Type     *string `json:"type"`
	Name     *string `json:"name"`
	Function struct {
		Name *string `json:"name"`
	} `json:"function"`
}

// find returns the tool that is named, alone.
func (c *chosenTool) find(tools []tool, path string, flat bool) ([]tool, error) {
	if c.Type == nil || *c.Type != "function" {
		return nil, refuse(path+".type", "found %s, expected function", quoted(c.Type)).coded("unsupported_parameter")
	}
	name, path := c.Function.Name, path+".function.name"
	if flat {
		name, path = c.Name, strings.TrimSuffix(path, ".function.name")+".name"
	}
	i := slices.IndexFunc(tools, func(t tool) bool { return name != nil && t.Name == *name })
	if i < 0 {
		return nil, refuse(path, "found %s, expected the name of one of the %d tools", quoted(name), len(tools))
	}
	return tools[i : i+1], nil
}

// allowedTools are those of the request that may be called.
type allowedTools struct {
	Mode  *string      `json:"mode"`
	Tools []chosenTool `json:"tools"`
}

// allow bounds the plan to some of its tools.
func (p *callPlan) allow(a allowedTools, path string, flat bool) error {
	if a.Mode == nil || *a.Mode != "auto" && *a.Mode != "required" {
		return refuse(path+".mode", "found %s, expected auto or required", quoted(a.Mode))
	}
	p.must = *a.Mode == "required"
	if len(a.Tools) == 0 {
		return refuse(path+".tools", "found none, expected one tool or more")
	}
	var tools []tool
	for i := range a.Tools {
		one, err := a.Tools[i].find(p.tools, at(path+".tools", i), flat)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(tools, func(t tool) bool { return t.Name == one[0].Name }) {
			tools = append(tools, one...)
		}
	}
	p.some, p.tools = len(tools) < len(p.tools), tools
	return nil
}

// calls compiles the form of an answer that has to be a call.
func (s *Server) calls(ctx context.Context, p *callPlan) (*grammar.Grammar, error) {
	form, err := s.callForm()
	if err != nil {
		return nil, refuse(toolChoice, "a call cannot be required of this model: %v", err).coded("unsupported_parameter")
	}
	form.Several = form.Several && !p.single
	return compileCalls(ctx, form, p.tools)
}

const toolChoice = "tool_choice"

// strictCalls compiles the form of calls, of the plan's tools alone, in an answer that need not
// have any.
func (s *Server) strictCalls(ctx context.Context, p *callPlan) (*strictForm, error) {
	form, err := s.callForm()
	behind, tagged := strings.CutPrefix(form.Before, openTag)
	if err == nil && !tagged {
		err = fmt.Errorf("its calls begin with %q, as other text may", form.Before)
	}
	if err != nil {
		i := slices.IndexFunc(p.tools, func(t tool) bool { return t.strict })
		if i < 0 {
			return nil, refuse(toolChoice, "found some of the tools: calls of this model are held to them only where tool_choice requires calls: %v", err).coded("unsupported_parameter")
		}
		return nil, refuse(p.tools[i].path+".strict", "found true: calls of this model are held to their schemas only where tool_choice requires them: %v", err).coded("unsupported_parameter")
	}
	form.Before, form.Several = behind, false
	tools := slices.Clone(p.tools)
	for i := range tools {
		if !tools[i].strict {
			tools[i].Parameters = nil
		}
	}
	g, err := compileCalls(ctx, form, tools)
	if err != nil {
		return nil, err
	}
	return s.newStrictForm(g), nil
}

// compileCalls makes the grammar of calls of tools.
func compileCalls(ctx context.Context, form chat.CallForm, tools []tool) (*grammar.Grammar, error) {
	calls := make([]grammar.Call, len(tools))
	for i, t := range tools {
		arguments, err := t.object()
		if err != nil {
			return nil, err
		}
		calls[i] = grammar.Call{Name: t.Name, Arguments: arguments}
	}
	g, err := grammar.Calls(ctx, grammar.Frame(form), calls, grammar.Single)
	if failed := (*grammar.CallError)(nil); errors.As(err, &failed) {
		return nil, formError(tools[failed.Call].path+".parameters", failed.Err)
	}
	return g, formError("tools", err)
}

// object is the schema of a tool's arguments, which are an object where it says nothing else.
func (t *tool) object() (json.RawMessage, error) {
	param := t.path + ".parameters"
	if isNull(t.Parameters) {
		return json.RawMessage(`{"type":"object"}`), nil
	}
	members := jsonread.Members(t.Parameters)
	switch kind := string(members["type"]); kind {
	case `"object"`:
		return t.Parameters, nil
	case "":
		members["type"] = json.RawMessage(`"object"`)
		return json.Marshal(members)
	default:
		return nil, refuse(param+".type", "found %s, expected \"object\"", jsonread.Clip(members["type"]))
	}
}

// newCallForm finds how the model's template writes calls, and whether the server finds such calls
// in an answer.
func newCallForm(m *Model) (chat.CallForm, error) {
	if m.Template == nil {
		return chat.CallForm{}, errors.New(m.NoTemplate)
	}
	form, err := m.Template.CallForm()
	if err != nil {
		return form, err
	}
	call := toolCall{Name: "name", Arguments: `{"key": 1}`}
	text, want := form.Call(call.Name, call.Arguments), []toolCall{call}
	if form.Several {
		text, want = text+form.Separator+text, []toolCall{call, call}
	}
	reader := callReader{tools: []string{call.Name}}
	content, found := reader.push(text)
	rest, more := reader.flush(false)
	if content += rest; content != "" || !slices.Equal(append(found, more...), want) {
		return form, fmt.Errorf("its chat template writes calls in a form that this server does not read: %q", text)
	}
	return form, nil
}
