package rollout

import (
	"slimlab/kd"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

// writer is a model that writes answers.
type writer struct {
	model  *model.Model
	origin kd.Origin
	vocab  int // tokens that it may write are below
	engine *serve.Engine
}

// ready starts the writer's engine, with room for the requests of a step at once, or empties the
// cache of the one that it has: its keys and values are those of other weights. A later step that
// needs more room waits for it within the engine.
func (w *writer) ready(asked []serve.Request) error {
	if w.engine != nil {
		return w.engine.Flush()
	}
	longest := host.PagesFor([]serve.Request{{MaxTokens: w.model.MaxPositions}}) // of a later step
	executor, err := host.New(w.model, host.Options{Pages: max(longest, host.PagesFor(asked))})
	if err != nil {
		return err
	}
	w.engine, err = serve.New(narrowed{executor, w.vocab}, serve.Defaults())
	return err
}

// narrowed is an executor of fewer tokens: the rows of a head beyond those that both models have
// are padding, or tokens that the other cannot read. Its requests ask for logits after last tokens
// alone.
type narrowed struct {
	serve.Executor
	vocab int
}

// Shape is the executor's, of fewer tokens.
func (n narrowed) Shape() serve.Shape {
	s := n.Executor.Shape()
	s.Vocabulary = n.vocab
	return s
}

// Extend is the executor's, of fewer logits.
func (n narrowed) Extend(batch []serve.Segment) ([][]float32, error) {
	logits, err := n.Executor.Extend(batch)
	for i := range logits {
		if batch[i].Logits {
			logits[i] = logits[i][:n.vocab]
		}
	}
	return logits, err
}
