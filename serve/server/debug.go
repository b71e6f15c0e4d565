package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"slimlab/serve"
	"slimlab/serve/pages"
)

// Debug is what /debug/engine says: what the engine is doing at one moment. Times are in seconds.
type Debug struct {
	Model   string      `json:"model"`
	Now     float64     `json:"now"` // by the engine's clock
	Paused  bool        `json:"paused"`
	Policy  string      `json:"policy"`
	Pages   DebugPages  `json:"pages"`
	Counts  DebugCounts `json:"counts"`
	Running int         `json:"running"`
	Waiting int         `json:"waiting"`
	// Following of those that wait do so for a prefix that another request computes.
	Following int `json:"following"`
	// Batch and BatchTokens are the parts and the tokens of the last step.
	Batch       int `json:"batch"`
	BatchTokens int `json:"batch_tokens"`

	Requests []DebugRequest `json:"requests"`
	Ended    []DebugEnded   `json:"ended"` // the last, the newest first
	Tree     []DebugNode    `json:"tree"`  // depth first, parents before children
	// What there was no room for.
	RequestsLeftOut int `json:"requests_left_out"`
	NodesLeftOut    int `json:"nodes_left_out"`
}

// DebugPages are the pages of the KV cache.
type DebugPages struct {
	All     int `json:"all"`
	Tokens  int `json:"tokens"` // of a page
	Free    int `json:"free"`
	Tree    int `json:"tree"`
	Locked  int `json:"locked"`  // of Tree, those that requests share
	Private int `json:"private"` // of single requests
}

// DebugCounts are counted from the engine's start.
type DebugCounts struct {
	Steps       int `json:"steps"`
	Requests    int `json:"requests"` // that ended
	Hits        int `json:"hits"`     // that began with cached tokens
	Recalled    int `json:"recalled"` // that began with the logits after the whole prompt
	Begun       int `json:"begun"`
	Aborted     int `json:"aborted"`
	Refused     int `json:"refused"`
	TimedOut    int `json:"timed_out"`
	Retractions int `json:"retractions"`
	Evicted     int `json:"evicted_pages"`
	Prompt      int `json:"prompt_tokens"`
	Cached      int `json:"cached_tokens"`
	Computed    int `json:"computed_tokens"`
	Generated   int `json:"generated_tokens"`
}

// DebugRequest is a request in flight.
type DebugRequest struct {
	Number      int     `json:"number"`
	State       string  `json:"state"`
	Following   *int    `json:"following,omitempty"` // the number of the request that computes its prefix
	Namespace   string  `json:"namespace,omitempty"`
	NoReuse     bool    `json:"no_reuse,omitempty"`
	Prompt      int     `json:"prompt_tokens"`
	Cached      int     `json:"cached_tokens"`
	Computed    int     `json:"computed_tokens"`
	Prefill     int     `json:"prefill_tokens"` // to compute before it generates
	Generated   int     `json:"generated_tokens"`
	MaxTokens   int     `json:"max_tokens"`
	Pages       int     `json:"pages"`
	SharedPages int     `json:"shared_pages"`
	Passes      int     `json:"passes"`
	Retractions int     `json:"retractions"`
	Age         float64 `json:"age"`
	TTFT        float64 `json:"ttft"` // 0 where there is no first token
	TPOT        float64 `json:"tpot"` // so far; 0 where there is no second one
}

// DebugEnded is a request that has ended.
type DebugEnded struct {
	Number    int     `json:"number"`
	Namespace string  `json:"namespace,omitempty"`
	Finish    string  `json:"finish"`
	Prompt    int     `json:"prompt_tokens"`
	Cached    int     `json:"cached_tokens"`
	Generated int     `json:"generated_tokens"`
	TTFT      float64 `json:"ttft"` // 0 where there was no first token
	TPOT      float64 `json:"tpot"` // 0 where there was no second one
	Ago       float64 `json:"ago"`
}

// DebugNode is an edge of the prefix tree.
type DebugNode struct {
	Namespace string `json:"namespace,omitempty"`
	Depth     int    `json:"depth"`
	Text      string `json:"text"` // of its first tokens, and of its last where it is long
	Tokens    int    `json:"tokens"`
	Pages     int    `json:"pages"`
	Locks     int    `json:"locks"`
	Hits      int    `json:"hits"`
	Unused    uint64 `json:"unused"` // uses of the tree since this one was used
}

// How much /debug/engine says.
const (
	usualDebug = 256  // requests, and nodes, where nothing is asked for
	mostDebug  = 4096 // at most
	debugText  = 32   // tokens of an edge whose text is given, of its beginning and of its end
)

// doing answers with what the engine is doing.
func (s *Server) doing(x *exchange) error {
	most := usualDebug
	if asked := x.r.URL.Query().Get("most"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 0 || n > mostDebug {
			return refuse("most", "found %.20q, expected 0 to %d", asked, mostDebug)
		}
		most = n
	}
	snapshot, err := s.model.Engine.Snapshot(x.r.Context(), most)
	if err != nil {
		return s.cause(err)
	}
	s.watched(snapshot.Stats.Paused)
	state, err := s.debug(x.r.Context(), snapshot)
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, state)
}

// driven does something to the engine and answers with what that is doing then.
func (s *Server) driven(do func(*serve.Engine) error) endpoint {
	return func(x *exchange) error {
		err := do(s.model.Engine)
		if errors.Is(err, serve.ErrNotPaused) {
			return fault(http.StatusConflict, invalidRequest, "not_paused", "found an engine that is not paused, expected POST /debug/pause before a step")
		}
		if err != nil {
			return s.cause(err)
		}
		return s.doing(x)
	}
}

// debug describes a snapshot, whose texts take a while, unless nobody waits for it any more.
func (s *Server) debug(ctx context.Context, from serve.Snapshot) (Debug, error) {
	n, shape := from.Stats, s.model.Shape
	d := Debug{
		Model: s.model.Name, Now: float64(from.Now.UnixNano()) / 1e9, Paused: n.Paused, Policy: string(n.Policy), Running: n.Running, Waiting: n.Waiting,
		Following: n.Following, Batch: n.Batch, BatchTokens: n.BatchTokens,
		Pages: DebugPages{All: shape.Pages, Tokens: shape.PageSize, Free: n.FreePages, Tree: n.TreePages, Locked: n.LockedPages, Private: n.PrivatePages},
		Counts: DebugCounts{
			Steps: n.Steps, Requests: n.Requests, Hits: n.Hits, Recalled: n.Recalled, Begun: n.Begun, Aborted: n.Aborted, Refused: n.Refused, TimedOut: n.TimedOut, Retractions: n.Retractions,
			Evicted: n.EvictedPages, Prompt: n.PromptTokens, Cached: n.CachedTokens, Computed: n.ComputedTokens, Generated: n.GeneratedTokens,
		},
		Requests: []DebugRequest{}, Ended: []DebugEnded{}, Tree: []DebugNode{},
		RequestsLeftOut: from.LeftOut, NodesLeftOut: from.Tree.LeftOut,
	}
	for _, r := range from.Requests {
		d.Requests = append(d.Requests, debugRequest(r, from.Now))
	}
	for _, e := range from.Ended {
		d.Ended = append(d.Ended, DebugEnded{
			Number: e.Number, Namespace: e.Namespace, Finish: string(e.Finish), Prompt: e.Prompt, Cached: e.Cached, Generated: e.Generated,
			TTFT: e.TTFT.Seconds(), TPOT: e.TPOT.Seconds(), Ago: from.Now.Sub(e.At).Seconds(),
		})
	}
	for _, n := range from.Tree.Nodes {
		if err := ctx.Err(); err != nil {
			return Debug{}, err
		}
		d.Tree = append(d.Tree, s.debugNode(n, from.Tree.Clock))
	}
	return d, nil
}

func debugRequest(r serve.RequestState, now time.Time) DebugRequest {
	d := DebugRequest{
		Number: r.Number, State: string(r.State), Namespace: r.Namespace, NoReuse: r.NoReuse, Prompt: r.Prompt, Cached: r.Cached, Computed: r.Computed, Prefill: r.Prefill,
		Generated: r.Generated, MaxTokens: r.MaxTokens, Pages: r.Pages, SharedPages: r.SharedPages, Passes: r.Passes, Retractions: r.Retractions, Age: now.Sub(r.Submitted).Seconds(),
		TTFT: r.TTFT.Seconds(), TPOT: r.TPOT.Seconds(),
	}
	if r.State == serve.StateFollowing {
		d.Following = &r.Following
	}
	return d
}

func (s *Server) debugNode(n pages.Node, clock uint64) DebugNode {
	text := s.model.Tokenizer.Decode(n.Tokens[:min(len(n.Tokens), debugText)])
	if left := n.Tokens[min(len(n.Tokens), debugText):]; len(left) > debugText {
		text += "…" + s.model.Tokenizer.Decode(left[len(left)-debugText:])
	} else {
		text = s.model.Tokenizer.Decode(n.Tokens)
	}
	return DebugNode{
		Namespace: n.Namespace, Depth: n.Depth, Text: text,
		Tokens: len(n.Tokens), Pages: n.Pages, Locks: n.Locks, Hits: n.Hits, Unused: clock - n.Used,
	}
}
