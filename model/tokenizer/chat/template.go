package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of a template and of what it does.
const (
	MaxSource = 1 << 18 // bytes of a template
	MaxWork   = 1 << 26 // for a rendering, beside inputWork for each byte of the input
	maxDepth  = 100     // of tags, of an expression, and of a value
	maxCalls  = 50      // of macros within one another
	maxNested = 2000    // of expressions that wait for one another, through macros too

	inputWork = 64
	nodeWork  = 16 // for a node that is evaluated
	// for an item of a list that is made; a byte that is made or looked through costs 1
	itemWork = 16
)

// ErrWork is the error of a template that does more than its bounds allow.
var ErrWork = errors.New("the template does more work than its bound")

// Template is a template that was read. It is safe for concurrent use.
type Template struct{ nodes []node }

// Parse reads a template. Its errors name the line, and what is not supported.
func Parse(source string) (t *Template, err error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("chat template: found %d bytes, expected at most %d", len(source), MaxSource)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	defer func() {
		if failed := recover(); failed != nil {
			e, ok := failed.(parseError)
			if !ok {
				panic(failed)
			}
			err = fmt.Errorf("chat template: %w", e.error)
		}
	}()
	p := &parser{tokens: tokens}
	nodes, _ := p.nodes()
	return &Template{nodes}, nil
}

// Input is a conversation and what else a template may ask for. Messages is a JSON array of
// objects, such as {"role": "user", "content": "Hello"}; Tools is a JSON array, or nil for none.
// Extra adds variables by name, such as enable_thinking.
type Input struct {
	Messages            json.RawMessage
	Tools               json.RawMessage
	AddGenerationPrompt bool
	BOS, EOS            string    // the tokens that begin and end a text
	Now                 time.Time // what strftime_now tells; it is not defined where this is zero
	Extra               map[string]json.RawMessage
}

// Render writes a conversation. An error names the line of the template: the template's own refusal
// (raise_exception), an operation that its values do not have, or ErrWork.
func (t *Template) Render(in Input) (text string, err error) {
	r := &run{out: &strings.Builder{}, left: MaxWork, filters: filterTable, tests: testTable, scope: &scope{names: map[string]value{}}}
	if r.scope.names["messages"], err = r.input("messages", in.Messages); err != nil {
		return "", err
	}
	if _, ok := r.scope.names["messages"].(*list); !ok {
		return "", fmt.Errorf("chat template: messages: found a value of type %s, expected an array", typeName(r.scope.names["messages"]))
	}
	for name, raw := range in.Extra {
		if r.scope.names[name], err = r.input(name, raw); err != nil {
			return "", err
		}
	}
	r.scope.names["tools"], r.scope.names["documents"] = nil, nil
	if len(in.Tools) > 0 {
		if r.scope.names["tools"], err = r.input("tools", in.Tools); err != nil {
			return "", err
		}
	}
	r.scope.names["add_generation_prompt"] = in.AddGenerationPrompt
	r.scope.names["bos_token"], r.scope.names["eos_token"] = in.BOS, in.EOS
	for name, f := range globals {
		r.scope.names[name] = function{name, f}
	}
	if !in.Now.IsZero() {
		r.scope.names["strftime_now"] = function{"strftime_now", func(r *run, args arguments) value {
			return r.strftime(in.Now, r.argString("strftime_now", args, 0, "format", nil))
		}}
	}
	defer func() {
		if failed := recover(); failed != nil {
			e, ok := failed.(renderError)
			if !ok {
				panic(failed)
			}
			text, err = "", fmt.Errorf("chat template: line %d: %w", r.line, e.error)
		}
	}()
	r.nodes(t.nodes)
	return r.out.String(), nil
}

// input reads one value and adds its size to what may be done.
func (r *run) input(name string, raw json.RawMessage) (value, error) {
	v, err := fromJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("chat template: %s: %w", name, err)
	}
	r.left += inputWork * len(raw)
	return v, nil
}

// run is one rendering. What goes wrong is panicked as a renderError and caught in Render.
type run struct {
	out     *strings.Builder
	scope   *scope
	left    int // of the work that may be done
	line    int
	calls   int
	filters map[string]filter
	tests   map[string]test
	depth   int // of expressions within one another, through macros too
}

type renderError struct{ error }

func (r *run) fail(format string, args ...any) {
	panic(renderError{fmt.Errorf(format, args...)})
}

// spend takes from the work that may be done; call it before the work.
func (r *run) spend(work int) {
	if work < 0 || work > r.left {
		panic(renderError{ErrWork})
	}
	r.left -= work
}

// scope holds the names of a loop's body or a macro's, and leads to those around it.
type scope struct {
	names map[string]value
	outer *scope
}

func (s *scope) get(name string) (value, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// within runs f in a new scope inside another, and comes back.
func (r *run) within(outer *scope, f func()) {
	before := r.scope
	r.scope = &scope{map[string]value{}, outer}
	f()
	r.scope = before
}

// flow says how a list of nodes ended: at its end, or at a break or continue.
type flow byte

const (
	onward flow = iota
	stopped
	skipped
)

func (r *run) write(s string) {
	r.spend(len(s))
	r.out.WriteString(s)
}

func (r *run) nodes(list []node) flow {
	for _, n := range list {
		r.spend(nodeWork)
		switch n := n.(type) {
		case textNode:
			r.write(n.text)
		case outputNode:
			r.line = n.line
			r.write(r.text(r.eval(n.x)))
		case ifNode:
			if f := r.branch(n); f != onward {
				return f
			}
		case forNode:
			r.line = n.line
			r.loop(n)
		case setNode:
			r.line = n.line
			r.set(n)
		case macroNode:
			r.line = n.line
			r.scope.names[n.name] = r.macro(n)
		case loopNode:
			if n.stop {
				return stopped
			}
			return skipped
		}
	}
	return onward
}

func (r *run) branch(n ifNode) flow {
	r.line = n.line
	for i, test := range n.tests {
		if truth(r.eval(test)) {
			return r.nodes(n.then[i])
		}
	}
	if len(n.then) > len(n.tests) {
		return r.nodes(n.then[len(n.tests)])
	}
	return onward
}

// bind gives a value to names: to one as it is, to several item by item.
func (r *run) bind(targets []string, v value) {
	if len(targets) == 1 {
		r.scope.names[targets[0]] = v
		return
	}
	items := r.items(v, "several names")
	if len(items) != len(targets) {
		r.fail("found %d values for %d names", len(items), len(targets))
	}
	for i, name := range targets {
		r.scope.names[name] = items[i]
	}
}

func (r *run) loop(n forNode) {
	items := r.items(r.eval(n.items), "for")
	outer := r.scope
	if n.filter != nil {
		var kept []value
		for _, item := range items {
			r.within(outer, func() {
				r.bind(n.targets, item)
				if truth(r.eval(n.filter)) {
					r.spend(itemWork)
					kept = append(kept, item)
				}
			})
		}
		items = kept
	}
	if len(items) == 0 {
		r.within(outer, func() { r.nodes(n.empty) })
		return
	}
	for i, item := range items {
		end := onward
		r.spend(8 * nodeWork) // a scope is dearer than a node
		r.within(outer, func() {
			r.bind(n.targets, item)
			r.scope.names["loop"] = &loopState{items, i}
			end = r.nodes(n.body)
		})
		if end == stopped {
			break
		}
	}
}

// loopState is the variable loop.
type loopState struct {
	items []value
	index int
}

func (l *loopState) attribute(name string) value {
	n, i := int64(len(l.items)), int64(l.index)
	switch name {
	case "index":
		return i + 1
	case "index0":
		return i
	case "revindex":
		return n - i
	case "revindex0":
		return n - i - 1
	case "first":
		return i == 0
	case "last":
		return i == n-1
	case "length":
		return n
	case "depth": // of recursive loops, which there are none of
		return int64(1)
	case "depth0":
		return int64(0)
	case "previtem":
		if i > 0 {
			return l.items[i-1]
		}
	case "nextitem":
		if i < n-1 {
			return l.items[i+1]
		}
	case "cycle":
		return function{"loop.cycle", func(r *run, args arguments) value {
			if len(args.list) == 0 {
				r.fail("loop.cycle needs values")
			}
			return args.list[l.index%len(args.list)]
		}}
	}
	return undefined{"loop." + name}
}

func (r *run) set(n setNode) {
	var v value
	if n.x != nil {
		v = r.eval(n.x)
	} else {
		v = r.capture(r.scope, n.body)
	}
	if n.attribute == "" {
		r.bind(n.targets, v)
		return
	}
	target, _ := r.scope.get(n.targets[0])
	ns, ok := target.(*namespace)
	if !ok {
		r.fail("%s is of type %s: only a namespace's attributes may be set", n.targets[0], typeName(target))
	}
	ns.attributes[n.attribute] = v
}

// capture returns what nodes write, in a scope of their own.
func (r *run) capture(outer *scope, body []node) string {
	before := r.out
	r.out = &strings.Builder{}
	r.within(outer, func() { r.nodes(body) })
	text := r.out.String()
	r.out = before
	return text
}

func (r *run) macro(n macroNode) value {
	home := r.scope
	return function{n.name, func(r *run, args arguments) value {
		if len(args.list) > len(n.params) {
			r.fail("macro %s takes %d arguments, found %d", n.name, len(n.params), len(args.list))
		}
		if r.calls++; r.calls > maxCalls {
			r.fail("macros call each other deeper than %d", maxCalls)
		}
		r.spend(8 * nodeWork)
		inner := &scope{map[string]value{}, home}
		used := 0
		for i, name := range n.params {
			v, named := args.named[name]
			switch {
			case i < len(args.list):
				v = args.list[i]
			case named:
				used++
			case n.defaults[name] != nil:
				before := r.scope
				r.scope = inner
				v = r.eval(n.defaults[name])
				r.scope = before
			default:
				v = undefined{name}
			}
			inner.names[name] = v
		}
		if used < len(args.named) {
			r.fail("macro %s is called with a name that it does not have, or twice with one", n.name)
		}
		text := r.capture(inner, n.body)
		r.calls--
		return text
	}}
}
