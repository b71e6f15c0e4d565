package server

import (
	"fmt"
	"net/http"
	"strings"

	"slimlab/serve"
)

// treeNodes bounds what /debug/tree shows.
const treeNodes = 1000

// tree shows the prefix cache and the requests as a text.
func (s *Server) tree(x *exchange) error {
	snapshot, err := s.model.Engine.Snapshot(treeNodes)
	if err != nil {
		return s.cause(err)
	}
	return x.text(http.StatusOK, s.treeText(&snapshot))
}

func (s *Server) treeText(v *serve.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d pages: %d free, %d in the tree, %d of requests\n", s.model.Shape.Pages, v.Stats.FreePages, v.Stats.TreePages, v.Stats.PrivatePages)
	namespace := ""
	for _, n := range v.Tree.Nodes {
		if n.Depth == 0 && n.Namespace != namespace {
			namespace = n.Namespace
			fmt.Fprintf(&b, "namespace %q\n", namespace)
		}
		fmt.Fprintf(&b, "%s%d tokens, %d pages, %d locks, %d hits, last used %d ago: %q\n",
			strings.Repeat("  ", n.Depth), len(n.Tokens), n.Pages, n.Locks, n.Hits, v.Tree.Clock-n.Used, clip(s.model.Tokenizer.Decode(n.Tokens)))
	}
	if v.Tree.LeftOut > 0 {
		fmt.Fprintf(&b, "and %d more nodes\n", v.Tree.LeftOut)
	}
	for _, r := range v.Requests {
		fmt.Fprintf(&b, "request %d: %s, prompt %d (%d cached), computed %d, generated %d of %d, %d pages (%d shared)\n",
			r.Number, r.State, r.Prompt, r.Cached, r.Computed, r.Generated, r.MaxTokens, r.Pages, r.SharedPages)
	}
	if v.LeftOut > 0 {
		fmt.Fprintf(&b, "and %d more requests\n", v.LeftOut)
	}
	return b.String()
}

// clip is the beginning and the end of a text.
func clip(text string) string {
	const most = 60
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most/2]) + "…" + string(runes[len(runes)-most/2:])
}
