package pages

import "container/heap"

// leaves is a heap of the nodes that can be evicted next, in the order of an Eviction. No two were
// last used at the same time, as the nodes that one request uses are on one path; so eviction is
// the same in every run. Every node knows its place in it.
type leaves struct {
	nodes  []*node
	before func(a, b *node) bool
}

// add adds a node that is not in it yet.
func (h *leaves) add(n *node) {
	if n.leaf == 0 {
		heap.Push(h, n)
	}
}

// remove removes a node if it is in it.
func (h *leaves) remove(n *node) {
	if n.leaf != 0 {
		heap.Remove(h, n.leaf-1)
	}
}

// fix restores the order after a node, if it is in it, has changed.
func (h *leaves) fix(n *node) {
	if n.leaf != 0 {
		heap.Fix(h, n.leaf-1)
	}
}

func (h *leaves) Len() int { return len(h.nodes) }

func (h *leaves) Less(i, j int) bool { return h.before(h.nodes[i], h.nodes[j]) }

func (h *leaves) Swap(i, j int) {
	h.nodes[i], h.nodes[j] = h.nodes[j], h.nodes[i]
	h.nodes[i].leaf, h.nodes[j].leaf = i+1, j+1
}

// Push and Pop are for package heap.
func (h *leaves) Push(x any) {
	n := x.(*node)
	h.nodes = append(h.nodes, n)
	n.leaf = len(h.nodes)
}

func (h *leaves) Pop() any {
	last := len(h.nodes) - 1
	n := h.nodes[last]
	h.nodes[last] = nil
	h.nodes = h.nodes[:last]
	n.leaf = 0
	return n
}
