package eval

import (
	"context"
	"fmt"
	"maps"

	"github.com/vmihailenco/msgpack/v5"

	"slimlab/internal/msgpackread"
	"slimlab/lab/recipe"
)

// retention is what the store keeps of one model.
type retention struct {
	store  Store // nil keeps nothing
	fresh  bool
	model  recipe.Recipe // what all figures of the model depend on
	unkept func(error)   // is called where store cannot keep; nil makes it an error
}

// retention finds what the store keeps of a model; without a store, nothing is kept.
func (r *run) retention(ctx context.Context, source Source) (retention, error) {
	if r.options.Store == nil {
		return retention{}, nil
	}
	of, err := source.Recipe(ctx)
	parameters := recipe.Values{"bos": r.options.BOS}
	maps.Copy(parameters, of.Parameters)
	of.Parameters = parameters
	kept := retention{store: r.options.Store, fresh: r.options.Fresh, model: of}
	if report := r.options.Unkept; report != nil {
		kept.unkept = func(err error) {
			if !r.unkept {
				report(err)
			}
			r.unkept = true
		}
	}
	return kept, err
}

// get reads what was kept into a value. What cannot be read is measured anew.
func (k retention) get(part recipe.Values, into any) bool {
	if k.store == nil || k.fresh {
		return false
	}
	data, ok := k.store.Get(k.recipe(part))
	return ok && msgpackread.Decode(data, into) == nil
}

func (k retention) put(part recipe.Values, title string, value any) error {
	if k.store == nil {
		return nil
	}
	data, err := msgpack.Marshal(value)
	if err == nil {
		err = k.store.Put(k.recipe(part), title, data)
	}
	switch {
	case err == nil:
		return nil
	case k.unkept == nil:
		return fmt.Errorf("keep %s: %w", title, err)
	}
	k.unkept(err)
	return nil
}

// recipe is the recipe of one part of the model's figures.
func (k retention) recipe(part recipe.Values) recipe.Recipe {
	r := k.model
	r.Parameters = maps.Clone(r.Parameters)
	maps.Copy(r.Parameters, part)
	return r
}
