package jinja

import "strings"

// flow is how a list of nodes ended: at its end, at break or at continue.
type flow byte

const (
	atEnd flow = iota
	atBreak
	atContinue
)

func (r *rendering) write(s string) {
	r.spend(len(s))
	r.out.WriteString(s)
}

func (r *rendering) nodes(list []node) flow {
	for _, n := range list {
		r.spend(nodeWork)
		switch n := n.(type) {
		case textNode:
			r.write(n.text)
		case outputNode:
			r.line = n.line
			r.write(r.text(r.eval(n.x)))
		case ifNode:
			if f := r.branch(n); f != atEnd {
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
				return atBreak
			}
			return atContinue
		}
	}
	return atEnd
}

func (r *rendering) branch(n ifNode) flow {
	r.line = n.line
	for i, test := range n.tests {
		if truth(r.eval(test)) {
			return r.nodes(n.then[i])
		}
	}
	if len(n.then) > len(n.tests) {
		return r.nodes(n.then[len(n.tests)])
	}
	return atEnd
}

// bind assigns a value to one name, or its items to several.
func (r *rendering) bind(targets []string, v value) {
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

func (r *rendering) loop(n forNode) {
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
		end := atEnd
		r.spend(8 * nodeWork) // a scope costs more than a node
		r.within(outer, func() {
			r.bind(n.targets, item)
			r.scope.names["loop"] = &loopState{items, i}
			end = r.nodes(n.body)
		})
		if end == atBreak {
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
	case "depth": // of recursive loops, which are not supported
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
		return function{"loop.cycle", func(r *rendering, args arguments) value {
			if len(args.list) == 0 {
				r.fail("loop.cycle needs values")
			}
			return args.list[l.index%len(args.list)]
		}}
	}
	return undefined{"loop." + name}
}

func (r *rendering) set(n setNode) {
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

// capture returns the text of nodes, which run in a new scope.
func (r *rendering) capture(outer *scope, body []node) string {
	before := r.out
	r.out = &strings.Builder{}
	r.within(outer, func() { r.nodes(body) })
	text := r.out.String()
	r.out = before
	return text
}

// macro makes the function of a macro.
func (r *rendering) macro(n macroNode) value {
	home := r.scope
	return function{n.name, func(r *rendering, args arguments) value {
		if len(args.list) > len(n.params) {
			r.fail("macro %s takes %d arguments, found %d", n.name, len(n.params), len(args.list))
		}
		if r.calls++; r.calls > maxCalls {
			r.fail("calls of macros nest deeper than %d", maxCalls)
		}
		r.spend(8 * nodeWork)
		inner := &scope{map[string]value{}, home}
		r.parameters(n, args, inner)
		text := r.capture(inner, n.body)
		r.calls--
		return text
	}}
}

// parameters binds a macro's parameters to the arguments of a call or to their defaults.
func (r *rendering) parameters(n macroNode, args arguments, inner *scope) {
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
		r.fail("macro %s is called with an unknown name, or with one argument twice", n.name)
	}
}
