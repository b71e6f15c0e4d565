package scenario

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a scenario file: far above any real one, and low enough for a hostile one.
const (
	maxBytes = 128 << 10
	maxDepth = 16
	maxNodes = 20_000
)

// place is where a value is from: a position in a file, or the override that set it.
type place struct {
	file         string
	line, column int    // from 1; 0 for an override
	use          string // where in the file an override's param is used; empty for a direct one
}

func (p place) String() string {
	if p.use != "" {
		return p.file + ", used at " + p.use
	}
	if p.line == 0 {
		return p.file
	}
	return p.file + ":" + strconv.Itoa(p.line) + ":" + strconv.Itoa(p.column)
}

// usedBy is the place of an override's value that a param or axis brings to another place.
func (p place) usedBy(at place) place {
	if p.line == 0 && p.use == "" && at.line > 0 {
		p.use = at.String()
	}
	return p
}

// inFile is the place in the file, where the value is used if an override set it.
func (p place) inFile() string {
	if p.use != "" {
		return p.use
	}
	return p.String()
}

type shape uint8

const (
	null shape = iota
	scalar
	list
	mapping
)

func (s shape) String() string { return [...]string{"nothing", "a value", "a list", "a mapping"}[s] }

// node is one value of a scenario's tree.
type node struct {
	at     place
	shape  shape
	text   string   // of a scalar, or of a null that is written out
	quoted bool     // a scalar that was written as text: it is no number and no truth value
	varies bool     // a scalar that has a param's or an axis's value, or a list with one
	keys   []string // of a mapping, in order
	keyAt  []place
	items  []*node // of a list, or a mapping's values
}

// get returns a mapping's value, nil when the key is absent.
func (n *node) get(key string) *node {
	if n != nil {
		for i, k := range n.keys {
			if k == key {
				return n.items[i]
			}
		}
	}
	return nil
}

// set replaces or appends a mapping's value.
func (n *node) set(key string, at place, value *node) {
	for i, k := range n.keys {
		if k == key {
			n.items[i] = value
			return
		}
	}
	n.keys, n.keyAt, n.items = append(n.keys, key), append(n.keyAt, at), append(n.items, value)
}

func (n *node) clone() *node {
	out := *n
	out.keys = append([]string(nil), n.keys...)
	out.keyAt = append([]place(nil), n.keyAt...)
	out.items = make([]*node, len(n.items))
	for i, item := range n.items {
		out.items[i] = item.clone()
	}
	return &out
}

// describe says what a node is, for "found …".
func (n *node) describe() string {
	switch {
	case n.shape == null && n.text != "":
		return n.text // null or ~, as it is written
	case n.shape != scalar:
		return n.shape.String()
	case n.quoted:
		return fmt.Sprintf("the text %q", n.text)
	case n.text == "" || strings.ContainsFunc(n.text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == ',' }):
		return fmt.Sprintf("%q", n.text)
	}
	return n.text
}

// parse reads YAML into a tree.
func parse(file string, text []byte) (root *node, err error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d", file, len(text), maxBytes)
	}
	if text, err = decoded(file, text); err != nil {
		return nil, err
	}
	defer func() {
		// a scenario is untrusted: a defect of the YAML library must not end the program
		if recover() != nil {
			root, err = nil, fmt.Errorf("%s: cannot be read as YAML: expected lines of key: value, lists of - items, and texts with signs in quotes", file)
		}
	}()
	if err := checkNesting(file, text); err != nil {
		return nil, err
	}
	parsed, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(file, text, err)
	}
	var body ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			t := doc.Body.GetToken()
			return nil, fmt.Errorf("%s:%d:%d: a second document, expected one", file, t.Position.Line, t.Position.Column)
		}
		body = doc.Body
	}
	if body == nil {
		return nil, fmt.Errorf("%s:1:1: the file is empty, expected a scenario", file)
	}
	c := converter{file: file, lines: strings.Split(string(text), "\n")}
	return c.node(body, 0)
}

// decoded returns a text without the byte order mark that some editors begin a file with. One that
// is no UTF-8 is an error.
func decoded(file string, text []byte) ([]byte, error) {
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) {
		return nil, fmt.Errorf("%s:1:1: the file is UTF-16, expected UTF-8", file)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for i, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, fmt.Errorf("%s:%d: the line is no UTF-8, which a scenario must be", file, i+1)
		}
	}
	return text, nil
}

// checkNesting refuses text whose brackets or dashes nest too deep for a recursive parser.
func checkNesting(file string, text []byte) error {
	line, open := 1, 0
	dashes := regexp.MustCompile(`(?m)^\s*([-?]\s+){17}`)
	if dashes.Match(text) {
		return fmt.Errorf("%s: lists nest more than %d deep", file, maxDepth)
	}
	for _, b := range text {
		switch b {
		case '\n':
			line++
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		}
		if open > 200 {
			return fmt.Errorf("%s:%d: brackets nest more than %d deep", file, line, maxDepth)
		}
	}
	return nil
}

// converter turns the library's tree into nodes and counts them.
type converter struct {
	file  string
	lines []string
	nodes int
}

func (c *converter) at(n ast.Node) place {
	t := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) != 0 {
		t = m.Values[0].Key.GetToken() // a block mapping's own token is its first colon
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		t = m.Key.GetToken()
	}
	if t == nil || t.Position == nil {
		return place{file: c.file, line: 1, column: 1}
	}
	return place{file: c.file, line: t.Position.Line, column: t.Position.Column}
}

func (c *converter) node(n ast.Node, depth int) (*node, error) {
	at := c.at(n)
	c.nodes++
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: nested more than %d deep", at, maxDepth)
	}
	if c.nodes > maxNodes {
		return nil, fmt.Errorf("%s: more than %d values", at, maxNodes)
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return &node{at: at, text: c.null(at)}, nil
	case *ast.StringNode:
		quoted := n.Token != nil && (strings.HasPrefix(n.Token.Origin, `"`) || strings.HasPrefix(strings.TrimSpace(n.Token.Origin), `"`) ||
			strings.HasPrefix(strings.TrimSpace(n.Token.Origin), `'`))
		return &node{at: at, shape: scalar, text: n.Value, quoted: quoted}, nil
	case *ast.LiteralNode:
		return &node{at: at, shape: scalar, text: n.Value.Value, quoted: true}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return &node{at: at, shape: scalar, text: n.GetToken().Value}, nil
	case *ast.MappingNode:
		return c.mapping(at, n.Values, depth)
	case *ast.MappingValueNode:
		return c.mapping(at, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out := &node{at: at, shape: list}
		for _, v := range n.Values {
			item, err := c.node(v, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, item)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s: found %s", at, unsupported(n))
}

// unsupported says what a part of YAML is that scenarios do without, and what to write.
func unsupported(n ast.Node) string {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "a YAML anchor, alias or merge, expected a value: use params and ${…} for what stands in several places"
	case *ast.TagNode:
		return "a YAML tag, expected a value: write it without its tag, and a text of digits in quotes"
	case *ast.DirectiveNode:
		return "a YAML directive, expected key: value: remove the line that begins with %"
	}
	return "what no scenario has here, expected a value, a list or key: value"
}

// null is a null as it is written at a place, "" for a value that is left out.
func (c *converter) null(at place) string {
	line := c.lines[at.line-1]
	rest := line[min(len(line), at.column-1):]
	for _, word := range []string{"null", "Null", "NULL", "~"} {
		if strings.HasPrefix(rest, word) {
			return word
		}
	}
	return ""
}

func (c *converter) mapping(at place, values []*ast.MappingValueNode, depth int) (*node, error) {
	out := &node{at: at, shape: mapping}
	for _, v := range values {
		keyAt := c.at(v)
		token := v.Key.GetToken()
		if _, plain := v.Key.(ast.ScalarNode); !plain || token == nil || v.Key.IsMergeKey() {
			return nil, fmt.Errorf("%s: a key must be a plain name", keyAt)
		}
		if i := slices.Index(out.keys, token.Value); i >= 0 {
			return nil, fmt.Errorf("%s: key %q is given twice, first in line %d: remove one", keyAt, token.Value, out.keyAt[i].line)
		}
		item, err := c.node(v.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if item.shape == null && item.text == "" {
			item.at = keyAt
		}
		out.set(token.Value, keyAt, item)
	}
	return out, nil
}
