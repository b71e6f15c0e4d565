package jinja

import (
	"fmt"
	"slices"
)

// parser turns tokens into nodes. Failures are panics of a parseError, which Parse recovers.
type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int // nested loops within the current macro
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

// deeper bounds nesting, so that no template exhausts the stack.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail("tags or expressions nest deeper than %d", maxDepth)
	}
	return func() { p.depth-- }
}

// nodes reads up to and including the first word of a block that is one of ends; without ends, up
// to the end of the template.
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
	case "generation": // marks the assistant's text for training; writes nothing itself
		p.blockEnd()
		body, _ := p.nodes("endgeneration")
		p.blockEnd()
		return body
	case "break", "continue":
		if p.loops == 0 {
			p.fail("%s is outside of a loop", name)
		}
		p.blockEnd()
		return []node{loopNode{line, name == "break"}}
	case "include", "import", "from", "extends", "block", "call", "filter", "with", "autoescape", "do", "trans":
		p.fail("tag %q is not supported", name)
	default:
		p.fail("tag %q is unknown", name)
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
	n.items = p.tupleOf(p.or) // a following "if" belongs to the loop
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
			p.fail("parameter %q is declared twice", name)
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
