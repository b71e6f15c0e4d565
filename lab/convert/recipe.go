package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model/checkpoint"
)

// Versions of the verbs' code. A verb that writes something else from the same inputs gets a higher
// version, so that it does not continue the work of the old code.
const (
	pruneVersion    = 1
	quantizeVersion = 1
	transferVersion = 1
)

// recipe begins the recipe of what a verb writes of the checkpoint from. The content of the source
// is part of it: config, tokenizer and weights. Layers are continued under the same recipe alone.
func (o *Options) recipe(ctx context.Context, verb string, version int, from string) (recipe.Recipe, error) {
	content, err := o.watch.Name(ctx, func(ctx context.Context) (string, error) { return o.Content(ctx, from) })
	return recipe.Recipe{
		Stage: verb, Version: version,
		Inputs: map[string]string{"model": content}, Parameters: recipe.Values{"dtype": string(o.DType)},
	}, err
}

// compression is the recipe of a verb whose output depends on the kernels and a calibration text.
func (o *Options) compression(ctx context.Context, verb string, version int, from string, c Calibration) (recipe.Recipe, error) {
	of, err := o.recipe(ctx, verb, version, from)
	if err != nil {
		return of, err
	}
	of.Kernels, of.Arch = kernels.Implementation(), recipe.Arch()
	if c.given() {
		of.Parameters["calibration"] = recipe.Values{"random": c.Random, "samples": c.Samples, "length": c.Length, "seed": c.Seed}
	}
	if c.File != "" {
		if of.Inputs["calibration"], err = recipe.File(ctx, c.File); err != nil {
			return of, fmt.Errorf("calibration: %w", err)
		}
	}
	return of, nil
}

// inputNames are what people call the inputs of a recipe, where the role alone does not say it.
var inputNames = map[string]string{"calibration": "calibration text"}

// explain says which fields differ in the recipe of a folder that was begun.
func explain(err error, expected recipe.Recipe) error {
	var unfinished *checkpoint.UnfinishedError
	if !errors.As(err, &unfinished) {
		return err
	}
	differences, bad := recipe.Diff(unfinished.Recipe, expected)
	if bad != nil {
		return fmt.Errorf("%s was begun by another version of slimlab, whose layers cannot be continued: remove the folder", unfinished.Folder)
	}
	for i, line := range differences {
		role, values, ok := strings.Cut(strings.TrimPrefix(line, "inputs."), ": ")
		if ok && strings.HasPrefix(line, "inputs.") {
			differences[i] = fmt.Sprintf("the content of the %s has changed: %s", cmp.Or(inputNames[role], role), values)
		}
	}
	return fmt.Errorf("%s holds the unfinished work of another command (%s): finish that, or remove the folder", unfinished.Folder, strings.Join(differences, "; "))
}
