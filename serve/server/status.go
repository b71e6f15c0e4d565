package server

import (
	"net/http"
	"runtime"
	"time"

	"slimlab/serve"
)

// modelCard is a model in OpenAI's list, with what vLLM adds.
type modelCard struct {
	ID       string `json:"id"`
	Object   string `json:"object"`
	Created  int64  `json:"created"`
	OwnedBy  string `json:"owned_by"`
	Root     string `json:"root"`
	MaxModel int    `json:"max_model_len"`
}

func (s *Server) card() modelCard {
	return modelCard{ID: s.model.Name, Object: "model", Created: s.begun.Unix(), OwnedBy: "slimlab", Root: s.model.Name, MaxModel: s.positions()}
}

func (s *Server) models(x *exchange) error {
	return x.write(http.StatusOK, map[string]any{"object": "list", "data": []modelCard{s.card()}})
}

func (s *Server) oneModel(x *exchange) error {
	name := x.r.PathValue("id")
	if err := s.checkModel(&name); err != nil {
		return err
	}
	return x.write(http.StatusOK, s.card())
}

// health says that the process lives, and the engine: without it the process is to be restarted.
func (s *Server) health(x *exchange) error {
	if err := s.fault(); err != nil {
		return fault(http.StatusServiceUnavailable, serverError, "engine_ended", "the engine has ended: %v", err)
	}
	return x.text(http.StatusOK, "ok\n")
}

// ready says whether a request would be served: not once the server is ending, and not when the
// engine has died.
func (s *Server) ready(x *exchange) error {
	if err := s.open(); err != nil {
		return err
	}
	if err := s.model.Engine.Err(); err != nil {
		return fault(http.StatusServiceUnavailable, serverError, "engine_ended", "the engine has ended: %v", err)
	}
	return x.text(http.StatusOK, "ready\n")
}

// state is what /server_info says.
type state struct {
	Version  string         `json:"version"`
	Model    modelCard      `json:"model"`
	Facts    map[string]any `json:"facts,omitempty"`
	Uptime   float64        `json:"uptime_seconds"`
	Draining bool           `json:"draining"`
	Requests int            `json:"requests_in_flight"`
	Pool     poolState      `json:"kv_cache"`
	Engine   engineState    `json:"engine"`
	Runtime  runtimeState   `json:"runtime"`
}

type poolState struct {
	Pages     int `json:"pages"`
	PageSize  int `json:"page_size"`
	FreePages int `json:"free_pages"`
	TreePages int `json:"tree_pages"`
}

// engineState are the engine's counters since its start, and what it has now.
type engineState struct {
	Requests  int `json:"requests"`
	Running   int `json:"running"`
	Waiting   int `json:"waiting"`
	Steps     int `json:"steps"`
	Prompt    int `json:"prompt_tokens"`
	Cached    int `json:"cached_tokens"`
	Computed  int `json:"computed_tokens"`
	Generated int `json:"generated_tokens"`
	Evicted   int `json:"evicted_pages"`
}

func newEngineState(s serve.Stats) engineState {
	return engineState{s.Requests, s.Running, s.Waiting, s.Steps, s.PromptTokens, s.CachedTokens, s.ComputedTokens, s.GeneratedTokens, s.EvictedPages}
}

type runtimeState struct {
	Goroutines int    `json:"goroutines"`
	HeapBytes  uint64 `json:"heap_bytes"`
}

func (s *Server) info(x *exchange) error {
	stats, err := s.model.Engine.Stats()
	if err != nil {
		return s.cause(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	draining, inFlight := s.gate.state()
	return x.write(http.StatusOK, state{
		Version: s.options.Version, Model: s.card(), Facts: s.options.Facts, Uptime: time.Since(s.begun).Seconds(), Draining: draining, Requests: inFlight,
		Pool:   poolState{s.model.Shape.Pages, s.model.Shape.PageSize, stats.FreePages, stats.TreePages},
		Engine: newEngineState(stats), Runtime: runtimeState{runtime.NumGoroutine(), memory.HeapAlloc},
	})
}

// flush empties the prefix cache of all that no request holds.
func (s *Server) flush(x *exchange) error {
	if err := s.model.Engine.Flush(); err != nil {
		return s.cause(err)
	}
	return x.write(http.StatusOK, map[string]bool{"flushed": true})
}
