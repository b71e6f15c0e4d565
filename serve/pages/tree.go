package pages

import (
	"maps"
	"slices"
)

// Tree is the prefixes of a cache at one moment, for a screen.
type Tree struct {
	Nodes   []Node // depth first, parents before children; namespaces by name, siblings by tokens
	LeftOut int    // nodes beyond the number that was asked for
	Clock   uint64 // what Node.Used is compared with
}

// Node is one edge of a tree.
type Node struct {
	Namespace string
	Depth     int     // 0 for the beginning of a prefix
	Tokens    []int32 // of the edge; read only
	Pages     int     // that they take
	Locks     int     // leases whose prefix goes through it
	Hits      int     // requests that were admitted with it
	Used      uint64  // the tree's clock when it was last used
}

// Tree lists the tree's nodes, at most so many. Without a tree it has none.
func (p *Pages) Tree(most int) (t Tree) {
	if p.tree == nil {
		return t
	}
	t.Clock = p.tree.clock
	var down func(namespace string, n *node, depth int)
	down = func(namespace string, n *node, depth int) {
		if len(t.Nodes) >= most {
			t.LeftOut += n.descendants()
			return
		}
		for _, c := range n.children {
			if len(t.Nodes) < most {
				t.Nodes = append(t.Nodes, Node{namespace, depth, c.held(), len(c.pages), c.locks, c.hits, c.used})
			} else {
				t.LeftOut++
			}
			down(namespace, c, depth+1)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.tree.roots)) {
		down(name, p.tree.roots[name], 0)
	}
	return t
}

// held are the tokens of a node's pages, of which the last may not be whole.
func (n *node) held() []int32 {
	if end := slices.Index(n.tokens, nothing); end >= 0 {
		return n.tokens[:end]
	}
	return n.tokens
}

// descendants counts the nodes below a node.
func (n *node) descendants() (count int) {
	for _, c := range n.children {
		count += 1 + c.descendants()
	}
	return count
}
