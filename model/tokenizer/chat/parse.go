package chat

import (
	"fmt"
	"slices"
	"strconv"
)

// Statements.
type (
	textNode   struct{ text string }
	outputNode struct {
		line int
		x    expression
	}
	ifNode struct {
		line  int
		tests []expression // one for each body, and one body more where there is an else
		then  [][]node
	}
	forNode struct {
		line    int
		targets []string
		items   expression
		filter  expression // nil is none
		body    []node
		empty   []node
	}
	setNode struct {
		line      int
		targets   []string
		attribute string // of the one target, a namespace
		x         expression
		body      []node // instead of x: the text that it writes
	}
	macroNode struct {
		line     int
		name     string
		params   []string
		defaults map[string]expression
		body     []node
	}
	loopNode struct { // break or continue
		line int
		stop bool
	}
	node any
)

// Expressions.
type (
	constant struct{ v value }
	nameExpr struct{ name string }
	listExpr struct {
		items []expression
		tuple bool
	}
	dictExpr struct{ keys, values []expression }
	unary    struct {
		op string
		x  expression
	}
	binary struct {
		op   string
		a, b expression
	}
	comparison struct {
		first expression
		ops   []string
		rest  []expression
	}
	conditional struct{ test, then, otherwise expression } // otherwise may be nil
	attribute   struct {
		x    expression
		name string
	}
	subscript struct{ x, index expression }
	sliceExpr struct{ x, start, stop, step expression }
	callExpr  struct {
		x    expression
		args callArguments
	}
	filterExpr struct {
		x    expression
		name string
		args callArguments
	}
	testExpr struct {
		x    expression
		name string
		args callArguments
		not  bool
	}
	expression interface{ eval(r *run) value }
)

type callArguments struct {
	list  []expression
	names []string
	named []expression
}

// parser reads tokens to nodes. A mistake is panicked as a parseError and caught in Parse.
type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int // how many loops, within the current macro, are around
}

type parseError struct{ error }

func (p *parser) fail(format string, args ...any) {
	panic(parseError{fmt.Errorf("line %d: %s", p.peek().line, fmt.Sprintf(format, args...))})
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != endToken {
		p.at++
	}
	return t
}

func (p *parser) is(kind tokenKind, text string) bool {
	t := p.peek()
	return t.kind == kind && t.text == text
}

func (p *parser) op(text string) bool {
	if p.is(operatorToken, text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) word(text string) bool {
	if p.is(nameToken, text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(kind tokenKind, what string) token {
	t := p.peek()
	if t.kind != kind || kind == operatorToken && t.text != what {
		p.fail("found %v, expected %s", t, what)
	}
	return p.next()
}

// deeper counts what lies in one another, so that no template exhausts the stack.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail("tags or expressions nest deeper than %d", maxDepth)
	}
	return func() { p.depth-- }
}

// nodes reads up to a block that begins with one of the words of ends, and past that word; at the
// top, up to the end of the template.
func (p *parser) nodes(ends ...string) (list []node, end string) {
	defer p.deeper()()
	for {
		t := p.next()
		switch t.kind {
		case endToken:
			if len(ends) > 0 {
				p.fail("the template ends, expected %s", ends[len(ends)-1])
			}
			return list, ""
		case textToken:
			list = append(list, textNode{t.text})
		case outputBegin:
			list = append(list, outputNode{t.line, p.tuple()})
			p.expect(outputEnd, "}}")
		case blockBegin:
			name := p.expect(nameToken, "the name of a tag")
			if slices.Contains(ends, name.text) {
				return list, name.text
			}
			if n := p.statement(name.text, t.line); n != nil {
				list = append(list, n...)
			}
		default:
			p.at--
			p.fail("unexpected %v", t)
		}
	}
}

func (p *parser) blockEnd() { p.expect(blockEnd, "%}") }

func (p *parser) statement(name string, line int) []node {
	switch name {
	case "if":
		return []node{p.ifTag(line)}
	case "for":
		return []node{p.forTag(line)}
	case "set":
		return []node{p.setTag(line)}
	case "macro":
		return []node{p.macroTag(line)}
	case "generation": // marks what the model says; writes nothing of its own
		p.blockEnd()
		body, _ := p.nodes("endgeneration")
		p.blockEnd()
		return body
	case "break", "continue":
		if p.loops == 0 {
			p.fail("%s stands outside of a loop", name)
		}
		p.blockEnd()
		return []node{loopNode{line, name == "break"}}
	case "include", "import", "from", "extends", "block", "call", "filter", "with", "autoescape", "do", "trans":
		p.fail("tag %q is not supported", name)
	default:
		p.fail("tag %q is not known here", name)
	}
	return nil
}

func (p *parser) ifTag(line int) node {
	n := ifNode{line: line}
	for {
		n.tests = append(n.tests, p.tuple())
		p.blockEnd()
		body, end := p.nodes("elif", "else", "endif")
		n.then = append(n.then, body)
		if end == "elif" {
			continue
		}
		p.blockEnd()
		if end == "else" {
			body, _ := p.nodes("endif")
			n.then = append(n.then, body)
			p.blockEnd()
		}
		return n
	}
}

func (p *parser) forTag(line int) node {
	n := forNode{line: line, targets: p.targets()}
	if !p.word("in") {
		p.fail("found %v, expected in", p.peek())
	}
	n.items = p.tupleOf(p.or) // an if after it is the loop's
	if p.word("if") {
		n.filter = p.expression()
	}
	if p.is(nameToken, "recursive") {
		p.fail("recursive loops are not supported")
	}
	p.blockEnd()
	p.loops++
	var end string
	n.body, end = p.nodes("else", "endfor")
	p.loops--
	p.blockEnd()
	if end == "else" {
		n.empty, _ = p.nodes("endfor")
		p.blockEnd()
	}
	return n
}

func (p *parser) targets() (names []string) {
	bracket := p.op("(")
	for {
		names = append(names, p.expect(nameToken, "a name").text)
		if !p.op(",") {
			break
		}
	}
	if bracket {
		p.expect(operatorToken, ")")
	}
	return names
}

func (p *parser) setTag(line int) node {
	n := setNode{line: line, targets: p.targets()}
	if len(n.targets) == 1 && p.op(".") {
		n.attribute = p.expect(nameToken, "an attribute").text
	}
	if p.op("=") {
		n.x = p.tuple()
		p.blockEnd()
		return n
	}
	if len(n.targets) > 1 || p.peek().kind != blockEnd {
		p.fail("found %v, expected =", p.peek())
	}
	p.blockEnd()
	n.body, _ = p.nodes("endset")
	p.blockEnd()
	return n
}

func (p *parser) macroTag(line int) node {
	n := macroNode{line: line, name: p.expect(nameToken, "the macro's name").text, defaults: map[string]expression{}}
	p.expect(operatorToken, "(")
	for !p.op(")") {
		if len(n.params) > 0 {
			p.expect(operatorToken, ",")
		}
		name := p.expect(nameToken, "a parameter").text
		if slices.Contains(n.params, name) {
			p.fail("parameter %q stands twice", name)
		}
		n.params = append(n.params, name)
		if p.op("=") {
			n.defaults[name] = p.expression()
		} else if len(n.defaults) > 0 {
			p.fail("parameter %q needs a default, as the one before it has", name)
		}
	}
	p.blockEnd()
	outer := p.loops
	p.loops = 0
	n.body, _ = p.nodes("endmacro")
	p.loops = outer
	p.blockEnd()
	return n
}

// tuple is an expression, or several with commas between.
func (p *parser) tuple() expression { return p.tupleOf(p.expression) }

func (p *parser) tupleOf(item func() expression) expression {
	x := item()
	if !p.is(operatorToken, ",") {
		return x
	}
	t := listExpr{[]expression{x}, true}
	for p.op(",") {
		if k := p.peek(); k.kind == blockEnd || k.kind == outputEnd || k.kind == operatorToken && (k.text == ")" || k.text == "=") {
			break
		}
		t.items = append(t.items, item())
	}
	return t
}

func (p *parser) expression() expression {
	defer p.deeper()()
	x := p.or()
	for p.word("if") {
		c := conditional{test: p.or(), then: x}
		if p.word("else") {
			c.otherwise = p.expression()
		}
		x = c
	}
	return x
}

func (p *parser) or() expression {
	x := p.and()
	for p.word("or") {
		x = p.pair("or", x, p.and())
	}
	return x
}

func (p *parser) and() expression {
	x := p.not()
	for p.word("and") {
		x = p.pair("and", x, p.not())
	}
	return x
}

// pair makes a binary node. A long chain of them nests to the left, so it counts towards the depth
// until the expression ends.
func (p *parser) pair(op string, a, b expression) expression {
	if heightOf(a) >= maxDepth*8 {
		p.fail("more than %d operators stand in a row", maxDepth*8)
	}
	return binary{op, a, b}
}

// heightOf counts the operators and postfixes that stand in a row at the left of an expression.
func heightOf(x expression) int {
	for n := 0; ; n++ {
		switch y := x.(type) {
		case binary:
			x = y.a
		case attribute:
			x = y.x
		case subscript:
			x = y.x
		case sliceExpr:
			x = y.x
		case callExpr:
			x = y.x
		case filterExpr:
			x = y.x
		case testExpr:
			x = y.x
		default:
			return n
		}
	}
}

func (p *parser) not() expression {
	defer p.deeper()()
	if p.word("not") {
		return unary{"not", p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expression {
	c := comparison{first: p.sum()}
	for {
		op := ""
		switch t := p.peek(); {
		case t.kind == operatorToken && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			op = p.next().text
		case p.word("in"):
			op = "in"
		case t.kind == nameToken && t.text == "not" && p.tokens[p.at+1].kind == nameToken && p.tokens[p.at+1].text == "in":
			p.at += 2
			op = "not in"
		}
		if op == "" {
			break
		}
		c.ops, c.rest = append(c.ops, op), append(c.rest, p.sum())
	}
	if len(c.ops) == 0 {
		return c.first
	}
	return c
}

// chain reads operands of one precedence, from the left.
func (p *parser) chain(operand func() expression, ops ...string) expression {
	x := operand()
	for t := p.peek(); t.kind == operatorToken && slices.Contains(ops, t.text); t = p.peek() {
		p.at++
		x = p.pair(t.text, x, operand())
	}
	return x
}

func (p *parser) sum() expression     { return p.chain(p.concat, "+", "-") }
func (p *parser) concat() expression  { return p.chain(p.product, "~") }
func (p *parser) product() expression { return p.chain(p.power, "*", "/", "//", "%") }
func (p *parser) power() expression {
	return p.chain(func() expression { return p.unary(true) }, "**")
}

func (p *parser) unary(filters bool) expression {
	defer p.deeper()()
	var x expression
	switch {
	case p.op("-"):
		x = unary{"-", p.unary(false)}
	case p.op("+"):
		x = unary{"+", p.unary(false)}
	default:
		x = p.primary()
	}
	return p.postfix(x, filters)
}

func (p *parser) primary() expression {
	t := p.next()
	switch t.kind {
	case nameToken:
		switch t.text {
		case "true", "True":
			return constant{true}
		case "false", "False":
			return constant{false}
		case "none", "None":
			return constant{nil}
		}
		return nameExpr{t.text}
	case stringToken:
		text := t.text
		for p.peek().kind == stringToken {
			text += p.next().text
		}
		return constant{text}
	case integerToken:
		i, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			p.fail("number %s is out of range", t.text)
		}
		return constant{i}
	case floatToken:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			p.fail("number %s is out of range", t.text)
		}
		return constant{f}
	case operatorToken:
		switch t.text {
		case "(":
			if p.op(")") {
				return listExpr{tuple: true}
			}
			x := p.tuple()
			p.expect(operatorToken, ")")
			return x
		case "[":
			l := listExpr{}
			for !p.op("]") {
				if len(l.items) > 0 {
					p.expect(operatorToken, ",")
					if p.op("]") {
						break
					}
				}
				l.items = append(l.items, p.expression())
			}
			return l
		case "{":
			d := dictExpr{}
			for !p.op("}") {
				if len(d.keys) > 0 {
					p.expect(operatorToken, ",")
					if p.op("}") {
						break
					}
				}
				d.keys = append(d.keys, p.expression())
				p.expect(operatorToken, ":")
				d.values = append(d.values, p.expression())
			}
			return d
		}
	}
	if t.kind != endToken {
		p.at--
	}
	p.fail("found %v, expected a value", t)
	return nil
}

// postfix reads attributes, subscripts and calls, and then filters and tests, which bind tighter
// than any operator.
func (p *parser) postfix(x expression, filters bool) expression {
	for n := heightOf(x); ; n++ {
		if n > maxDepth*8 {
			p.fail("more than %d operators stand in a row", maxDepth*8)
		}
		switch {
		case p.op("."):
			t := p.next()
			switch t.kind {
			case nameToken:
				x = attribute{x, t.text}
			case integerToken:
				i, err := strconv.ParseInt(t.text, 10, 64)
				if err != nil {
					p.fail("number %s is out of range", t.text)
				}
				x = subscript{x, constant{i}}
			default:
				p.fail("found %v, expected an attribute", t)
			}
		case p.op("["):
			x = p.index(x)
		case p.op("("):
			x = callExpr{x, p.arguments()}
		case filters && p.op("|"):
			f := filterExpr{x: x, name: p.expect(nameToken, "a filter").text}
			if p.op("(") {
				f.args = p.arguments()
			}
			if _, ok := filterTable[f.name]; !ok {
				p.fail("filter %q is not supported", f.name)
			}
			x = f
		case filters && p.word("is"):
			x = p.test(x)
		default:
			return x
		}
	}
}

func (p *parser) index(x expression) expression {
	var parts [3]expression
	n := 0
	for !p.is(operatorToken, "]") {
		if p.op(":") {
			if n++; n > 2 {
				p.fail("a slice has more than three parts")
			}
			continue
		}
		if parts[n] != nil {
			p.fail("found %v, expected ]", p.peek())
		}
		parts[n] = p.tuple()
	}
	p.expect(operatorToken, "]")
	if n == 0 {
		if parts[0] == nil {
			p.fail("a subscript is empty")
		}
		return subscript{x, parts[0]}
	}
	return sliceExpr{x, parts[0], parts[1], parts[2]}
}

func (p *parser) arguments() (a callArguments) {
	for !p.op(")") {
		if len(a.list)+len(a.named) > 0 {
			p.expect(operatorToken, ",")
			if p.op(")") {
				break
			}
		}
		if p.is(operatorToken, "*") || p.is(operatorToken, "**") {
			p.fail("arguments of * and ** are not supported")
		}
		if t := p.peek(); t.kind == nameToken && p.tokens[p.at+1].kind == operatorToken && p.tokens[p.at+1].text == "=" {
			p.at += 2
			a.names, a.named = append(a.names, t.text), append(a.named, p.expression())
			continue
		}
		if len(a.named) > 0 {
			p.fail("an argument without a name follows one with a name")
		}
		a.list = append(a.list, p.expression())
	}
	return a
}

func (p *parser) test(x expression) expression {
	t := testExpr{x: x, not: p.word("not")}
	t.name = p.expect(nameToken, "a test").text
	if _, ok := testTable[t.name]; !ok {
		p.fail("test %q is not supported", t.name)
	}
	if p.op("(") {
		t.args = p.arguments()
		return t
	}
	switch k := p.peek(); {
	case k.kind == nameToken && !slices.Contains([]string{"else", "or", "and", "if", "is", "in", "not"}, k.text),
		k.kind == stringToken, k.kind == integerToken, k.kind == floatToken,
		k.kind == operatorToken && (k.text == "[" || k.text == "{"):
		t.args.list = []expression{p.postfix(p.primary(), false)}
	}
	return t
}
