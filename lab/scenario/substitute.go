package scenario

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"slimlab/internal/nearest"
)

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// values are the values of ${…} at one point of the sweep.
type values struct {
	names []string // all valid names
	of    map[string]*node
	used  map[string]bool
	bar   map[string]string // names that are not allowed here → why
}

// substitute returns a copy of the tree with every ${name} in a text replaced. A value that is only
// ${name} also gets the param's type.
func (v *values) substitute(n *node, bad *problems) *node {
	out := *n
	if n.shape == scalar && strings.Contains(n.text, "${") {
		v.text(&out, bad)
		out.varies = true
	}
	out.items = make([]*node, len(n.items))
	for i, item := range n.items {
		out.items[i] = v.substitute(item, bad)
		out.varies = out.varies || out.items[i].varies
	}
	return &out
}

func (v *values) text(n *node, bad *problems) {
	whole := placeholder.FindString(n.text) == n.text
	n.quoted = false
	here := n.at
	n.text = placeholder.ReplaceAllStringFunc(n.text, func(match string) string {
		name := match[2 : len(match)-1]
		if why, barred := v.bar[name]; barred {
			bad.add(here, "${%s} %s", name, why)
			return match
		}
		value := v.of[name]
		if value == nil {
			bad.add(here, "%v", nearest.Unknown("unknown param or axis", name, v.names))
			return match
		}
		v.used[name] = true
		if value.at.line == 0 && n.at == here { // what is wrong with it is the override's
			n.at = value.at.usedBy(here)
		}
		if whole {
			n.quoted = value.quoted
		}
		return value.text
	})
	if rest := placeholder.ReplaceAllString(n.text, ""); strings.Contains(rest, "${") {
		bad.add(here, "${ without its }")
	}
}

// problem is one error of a scenario.
type problem struct {
	at   place
	text string
}

// problems collects errors, each once.
type problems struct {
	all   []problem
	seen  map[string]bool
	added int // also those that were seen before, at another point of the sweep
}

// maxProblems bounds the reported errors.
const maxProblems = 20

func (p *problems) add(at place, format string, args ...any) {
	p.added++
	one := problem{at, fmt.Sprintf(format, args...)}
	key := one.at.String() + one.text
	if p.seen[key] {
		return
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[key] = true
	p.all = append(p.all, one)
}

// err returns all problems, one line each, in order of place.
func (p *problems) err() error {
	if len(p.all) == 0 {
		return nil
	}
	slices.SortStableFunc(p.all, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.at.file, b.at.file), cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column))
	})
	var lines []string
	for i, one := range p.all {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("… and %d more", len(p.all)-i))
			break
		}
		lines = append(lines, one.at.String()+": "+one.text)
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}
