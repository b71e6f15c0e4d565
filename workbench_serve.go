package main

import (
	"context"
	"os"
	"strings"

	"slimlab/lab/endpoint"
	"slimlab/lab/home"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/tui"
)

// Servable lists the models of the working directory, then those that slimlab has itself.
func (b *bench) Servable(ctx context.Context) ([]tui.Candidate, error) {
	found, err := b.Candidates(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range run.Vocabulary().Names[scenario.Pretrained] {
		found.Models = append(found.Models, tui.Candidate{Path: "pretrained:" + p.Name, About: p.About})
	}
	return found.Models, nil
}

// Attach starts an engine on a model, which is kept from being removed while it is served, or
// attaches to a server by its URL, with the key that the environment has for it.
func (b *bench) Attach(ctx context.Context, target string) (tui.Engine, error) {
	if strings.Contains(target, "://") {
		c, err := endpoint.Dial(ctx, target, os.Getenv(keyVariable))
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	return serveHere(ctx, b.home, target)
}

// hosted is a model that is served to the workbench alone.
type hosted struct {
	*endpoint.Client
	endpoint *endpoint.Endpoint
	release  func()
}

func serveHere(ctx context.Context, h *home.Home, name string) (tui.Engine, error) {
	release, err := h.Hold(ctx, name)
	if err != nil {
		return nil, err
	}
	e, err := endpoint.Open(ctx, h, name, endpoint.Options{})
	if err != nil {
		release()
		return nil, err
	}
	return &hosted{e.Inside(), e, release}, nil
}

// Close ends the engine and frees its memory.
func (h *hosted) Close() {
	h.Client.Close()
	h.endpoint.Close()
	h.release()
}
