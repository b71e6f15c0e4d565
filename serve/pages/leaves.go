package pages

import "container/heap"

// leaves is a heap of the nodes that can be evicted next, ordered by last use. No two were last
// used at the same time, as the nodes that one request uses are on one path; so eviction is the
// same in every run. Every node knows its place in it.
type leaves []*node

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

func (h leaves) Len() int { return len(h) }

func (h leaves) Less(i, j int) bool { return h[i].used < h[j].used }

func (h leaves) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].leaf, h[j].leaf = i+1, j+1
}

// Push and Pop are for package heap.
func (h *leaves) Push(x any) {
	n := x.(*node)
	*h = append(*h, n)
	n.leaf = len(*h)
}

func (h *leaves) Pop() any {
	old := *h
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	n.leaf = 0
	return n
}
