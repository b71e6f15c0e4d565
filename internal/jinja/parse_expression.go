package jinja

import (
	"slices"
	"strconv"
)

// tuple is an expression, or several separated by commas.
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

// pair makes a binary node. A chain of them nests to the left, so its length is bounded.
func (p *parser) pair(op string, a, b expression) expression {
	if heightOf(a) >= maxDepth*8 {
		p.fail("found more than %d operators in a row", maxDepth*8)
	}
	return binary{op, a, b}
}

// heightOf counts the operators and postfixes in a row at the left of an expression.
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

// chain reads left-associative operators of one precedence.
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
func (p *parser) power() expression   { return p.chain(p.operand, "**") }

// operand is a value with its postfixes, filters and tests; a filter applies to the signed value.
func (p *parser) operand() expression {
	defer p.deeper()()
	return p.postfixes(p.signed(), p.access, p.filter)
}

// unary is a value with its sign and postfixes, without filters.
func (p *parser) unary() expression {
	defer p.deeper()()
	return p.postfixes(p.signed(), p.access)
}

func (p *parser) signed() expression {
	switch {
	case p.op("-"):
		return unary{"-", p.unary()}
	case p.op("+"):
		return unary{"+", p.unary()}
	}
	return p.primary()
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
		return p.integer(t)
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
			return p.list()
		case "{":
			return p.dict()
		}
	}
	if t.kind != endToken {
		p.at--
	}
	p.fail("found %v, expected a value", t)
	return nil
}

func (p *parser) integer(t token) constant {
	i, err := strconv.ParseInt(t.text, 10, 64)
	if err != nil {
		p.fail("number %s is out of range", t.text)
	}
	return constant{i}
}

// members reads the members of a collection up to its closing bracket; a comma may follow the last.
func (p *parser) members(end string, member func()) {
	for first := true; !p.op(end); first = false {
		if !first {
			p.expect(operatorToken, ",")
			if p.op(end) {
				break
			}
		}
		member()
	}
}

func (p *parser) list() expression {
	l := listExpr{}
	p.members("]", func() { l.items = append(l.items, p.expression()) })
	return l
}

func (p *parser) dict() expression {
	d := dictExpr{}
	p.members("}", func() {
		d.keys = append(d.keys, p.expression())
		p.expect(operatorToken, ":")
		d.values = append(d.values, p.expression())
	})
	return d
}

// postfixes applies the readers to x until none of them finds its token.
func (p *parser) postfixes(x expression, readers ...func(expression) (expression, bool)) expression {
	for n := heightOf(x); ; n++ {
		if n > maxDepth*8 {
			p.fail("found more than %d operators in a row", maxDepth*8)
		}
		found := false
		for _, read := range readers {
			if x, found = read(x); found {
				break
			}
		}
		if !found {
			return x
		}
	}
}

// access reads an attribute, a subscript or a call.
func (p *parser) access(x expression) (expression, bool) {
	switch {
	case p.op("."):
		t := p.next()
		switch t.kind {
		case nameToken:
			return attribute{x, t.text}, true
		case integerToken:
			return subscript{x, p.integer(t)}, true
		}
		p.fail("found %v, expected an attribute", t)
	case p.op("["):
		return p.index(x), true
	case p.op("("):
		return callExpr{x, p.arguments()}, true
	}
	return x, false
}

// filter reads a filter or a test.
func (p *parser) filter(x expression) (expression, bool) {
	switch {
	case p.op("|"):
		f := filterExpr{x: x, name: p.expect(nameToken, "a filter").text}
		if p.op("(") {
			f.args = p.arguments()
		}
		if _, ok := filters[f.name]; !ok {
			p.fail("filter %q is not supported", f.name)
		}
		return f, true
	case p.word("is"):
		return p.test(x), true
	}
	return x, false
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
	p.members(")", func() {
		if p.is(operatorToken, "*") || p.is(operatorToken, "**") {
			p.fail("arguments of * and ** are not supported")
		}
		t, follower := p.peek(), p.tokens[min(p.at+1, len(p.tokens)-1)]
		switch {
		case t.kind == nameToken && follower.kind == operatorToken && follower.text == "=":
			p.at += 2
			a.names, a.named = append(a.names, t.text), append(a.named, p.expression())
		case len(a.named) > 0:
			p.fail("an argument without a name follows one with a name")
		default:
			a.list = append(a.list, p.expression())
		}
	})
	return a
}

func (p *parser) test(x expression) expression {
	t := testExpr{x: x, not: p.word("not")}
	t.name = p.expect(nameToken, "a test").text
	if _, ok := tests[t.name]; !ok {
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
		t.args.list = []expression{p.postfixes(p.primary(), p.access)}
	}
	return t
}
