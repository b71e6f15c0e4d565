package convert

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"slimlab/internal/plural"
	"slimlab/internal/wrongfile"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model/checkpoint"
)

// Versions of the verbs' code. A verb that writes something else from the same inputs gets a higher
// version, so that it does not continue the work of the old code.
const (
	pruneVersion    = 7
	quantizeVersion = 8
	transferVersion = 1
)

// recipe begins the recipe of what a verb writes of the checkpoint from. The content of the source
// is part of it, as a whole and file by file: config, tokenizer and weights. Layers are continued
// under the same recipe alone.
func (o *Options) recipe(ctx context.Context, verb string, version int, from string) (recipe.Recipe, error) {
	inputs := map[string]string{}
	var once sync.Once // the content is named again where a file seems to change
	content, err := o.watch.Name(ctx, func(ctx context.Context) (string, error) {
		info, err := os.Stat(from)
		if err != nil || !info.IsDir() {
			return o.Content(ctx, from)
		}
		files, err := recipe.Files(ctx, wrongfile.Folder(from))
		if err != nil {
			return "", err
		}
		once.Do(func() {
			for name, sum := range files {
				inputs[fileOfModel+name] = sum
			}
		})
		return recipe.ContentOf(files), nil
	})
	inputs["model"] = content
	return recipe.Recipe{Stage: verb, Version: version, Inputs: inputs, Parameters: recipe.Values{"dtype": string(o.DType)}}, err
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
	if c.plain != nil {
		of.Inputs["calibration"] = c.plain.Sum
	}
	return of, nil
}

// fileOfModel begins the roles of the source's files among the inputs of a recipe.
const fileOfModel = "model/"

// changed says in people's words what the work of a folder was begun with and what is asked for
// now, where they differ. A model whose files are listed is not reported a second time as a whole.
func changed(differences []recipe.Difference) []string {
	var lines []string
	byFile := slices.ContainsFunc(differences, func(d recipe.Difference) bool { return strings.HasPrefix(d.Field, "inputs."+fileOfModel) })
	for _, d := range differences {
		role, input := strings.CutPrefix(d.Field, "inputs.")
		name, was, is := named(d.Field), cmp.Or(d.Found, "none"), cmp.Or(d.Expected, "none")
		switch {
		case input && role == "model" && byFile:
		case input && d.Found == "":
			lines = append(lines, "the "+inputName(role)+" is new: it was not there when the work began")
		case input && d.Expected == "":
			lines = append(lines, "the "+inputName(role)+" is gone: it was there when the work began")
		case input:
			lines = append(lines, "the content of the "+inputName(role)+" has changed: "+was+" when the work began, now "+is)
		default:
			lines = append(lines, name+": begun with "+was+", now "+is)
		}
	}
	return lines
}

// givenBy finds the flag, or what else of a command line, that gives a field of a recipe. A field
// within another has that one's where it has none of its own.
func givenBy(field string) string {
	if field == "kernels" {
		return "SLIMLAB_KERNELS"
	}
	for field != "" {
		for _, flags := range []map[string]string{floatFlags, calibrationFlags, gatheringFlags, pruneFlags, quantizeFlags, exportFlags} {
			if flag, ok := flags[field]; ok {
				return flag
			}
		}
		field = field[:max(0, strings.LastIndexByte(field, '.'))]
	}
	return ""
}

// named is a field of a recipe beside what gives it: "mlp.ratio (--mlp)".
func named(field string) string {
	name := strings.TrimPrefix(field, "parameters.")
	if by := givenBy(name); by != "" {
		return name + " (" + by + ")"
	}
	return name
}

// inputName names an input of a recipe: the model, one of its files, a text.
func inputName(role string) string {
	if file, ok := strings.CutPrefix(role, fileOfModel); ok {
		return "model's " + file
	}
	if role == "calibration" {
		return "calibration text"
	}
	return role
}

// explain says which fields differ in the recipe of a folder that was begun.
func explain(err error, expected recipe.Recipe) error {
	var unfinished *checkpoint.UnfinishedError
	if !errors.As(err, &unfinished) {
		return err
	}
	differences, bad := recipe.Diff(unfinished.Recipe, expected)
	switch {
	case !json.Valid(unfinished.Recipe) || bad == nil && len(differences) == 0:
		return fmt.Errorf("%s is damaged, %s that no version of slimlab writes: what the finished layers beside it were made of is not known: remove the folder %s, and the command begins anew", unfinished.File(), plural.Of(len(unfinished.Recipe), "byte"), unfinished.Folder)
	case bad != nil:
		return fmt.Errorf("%s was begun by another version of slimlab, whose layers cannot be continued: remove the folder", unfinished.Folder)
	}
	return fmt.Errorf("%s holds the unfinished work of another command (%s): give what it was begun with to finish it, or remove the folder to begin anew", unfinished.Folder, strings.Join(changed(differences), "; "))
}
