package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"slimlab/internal/plural"
	"slimlab/serve"
)

// treeNodes bounds what /debug/tree shows.
const treeNodes = 1000

// tree shows the prefix cache and the requests as a text.
func (s *Server) tree(x *exchange) error {
	snapshot, err := s.model.Engine.Snapshot(x.r.Context(), treeNodes)
	if err != nil {
		return s.cause(err)
	}
	text, err := s.treeText(x.r.Context(), &snapshot)
	if err != nil {
		return err
	}
	return x.text(http.StatusOK, text)
}

// treeText describes a snapshot, unless nobody waits for it any more.
func (s *Server) treeText(ctx context.Context, v *serve.Snapshot) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d free, %d in the tree, %d of requests\n", plural.Of(s.model.Shape.Pages, "page"), v.Stats.FreePages, v.Stats.TreePages, v.Stats.PrivatePages)
	namespace := ""
	for _, n := range v.Tree.Nodes {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if n.Depth == 0 && n.Namespace != namespace {
			namespace = n.Namespace
			fmt.Fprintf(&b, "namespace %q\n", namespace)
		}
		fmt.Fprintf(&b, "%s%s, %s, %s, %s, last used %d ago: %q\n",
			strings.Repeat("  ", n.Depth), plural.Of(len(n.Tokens), "token"), plural.Of(n.Pages, "page"), plural.Of(n.Locks, "lock"), plural.Of(n.Hits, "hit"), v.Tree.Clock-n.Used, clip(s.model.Tokenizer.Decode(n.Tokens)))
	}
	if v.Tree.LeftOut > 0 {
		fmt.Fprintf(&b, "and %s\n", plural.Of(v.Tree.LeftOut, "more node"))
	}
	for _, r := range v.Requests {
		fmt.Fprintf(&b, "request %d: %s, prompt %d (%d cached), computed %d, generated %d of %d, %s (%d shared)\n",
			r.Number, r.State, r.Prompt, r.Cached, r.Computed, r.Generated, r.MaxTokens, plural.Of(r.Pages, "page"), r.SharedPages)
	}
	if v.LeftOut > 0 {
		fmt.Fprintf(&b, "and %s\n", plural.Of(v.LeftOut, "more request"))
	}
	return b.String(), nil
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
