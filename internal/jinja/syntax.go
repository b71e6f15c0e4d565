package jinja

// Statements.
type (
	textNode   struct{ text string }
	outputNode struct {
		line int
		x    expression
	}
	ifNode struct {
		line  int
		tests []expression // one for each body; else adds a body without a test
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
		attribute string // of the only target, a namespace
		x         expression
		body      []node // instead of x: its text is the value
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
	expression interface{ eval(r *rendering) value }
)

type callArguments struct {
	list  []expression
	names []string
	named []expression
}
