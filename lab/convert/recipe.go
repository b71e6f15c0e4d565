package convert

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"slimlab/internal/plural"
	"slimlab/internal/wrongfile"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model/calibrate/refine"
	"slimlab/model/checkpoint"
)

// Versions of the verbs' code. A verb that writes something else from the same inputs gets a higher
// version, so that it does not continue the work of the old code.
const (
	pruneVersion    = 8
	quantizeVersion = 9
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
		maps.Copy(of.Parameters, recipe.Values{"samples": c.Samples, "length": c.Length, "seed": c.Seed})
	}
	if c.Random {
		of.Parameters["random_calibration"] = true
	}
	if c.plain != nil {
		of.Inputs["calibration"] = c.plain.Sum
	}
	return of, nil
}

// fileOfModel begins the roles of the source's files among the inputs of a recipe.
const fileOfModel = "model/"

// changed says in people's words what the work of a folder was begun with and what is asked for
// now, where they differ, each option once. A model whose files are listed is not reported a second
// time as a whole, nor is what follows from something else that differs: a default that one command
// alone has, and the alignment of another number of neurons.
func changed(differences []recipe.Difference) []string {
	var lines, defaults []string
	differs := func(prefix string) bool {
		return slices.ContainsFunc(differences, func(d recipe.Difference) bool { return strings.HasPrefix(d.Field, prefix) })
	}
	byFile, neurons := differs("inputs."+fileOfModel), differs("parameters.mlp") || differs("parameters.budget")
	for _, d := range differences {
		role, input := strings.CutPrefix(d.Field, "inputs.")
		name, was, is := flagOf(d.Field), valueOf(d.Field, d.Found), valueOf(d.Field, d.Expected)
		switch {
		// the stage says the packing
		case input && role == "model" && byFile, d.Field == "parameters.align" && neurons, d.Field == "parameters.packing":
		case input && d.Found == "":
			lines = append(lines, "the "+inputName(role)+" is new: it was not there when the work began")
		case input && d.Expected == "":
			lines = append(lines, "the "+inputName(role)+" is gone: it was there when the work began")
		case input:
			lines = append(lines, "the content of the "+inputName(role)+" has changed: "+d.Found+" when the work began, now "+d.Expected)
		case was == "" && hasDefault(d.Field):
			defaults = append(defaults, name+": begun without it, now with "+is)
		case is == "" && hasDefault(d.Field):
			defaults = append(defaults, name+": begun with "+was+", now without it")
		case was == "":
			lines = append(lines, name+": begun without it, now with "+is)
		case is == "":
			lines = append(lines, name+": begun with "+was+", now without it")
		default:
			lines = append(lines, name+": begun with "+was+", now "+is)
		}
	}
	if len(lines) == 0 {
		return defaults
	}
	return lines
}

// hasDefault reports a field whose flag has a value also where it is not given, in commands that it
// is of.
func hasDefault(field string) bool {
	return slices.Contains([]string{
		"samples", "length", "seed", "mode", "target", "refine_rate", "method", "widths", "budget_rows", "align", "step", "local_search", "starts", "damping",
		"group", "order", "start", "range", "sweeps", "outliers", "outliers_shape",
	}, strings.TrimPrefix(field, "parameters."))
}

// flagOf names what gives a field of a recipe: the flag of its name, if it is a parameter.
func flagOf(field string) string {
	key, parameter := strings.CutPrefix(field, "parameters.")
	if field == "stage" { // of one verb
		key, parameter = "as", true
	}
	switch {
	case field == "kernels":
		return "kernels (SLIMLAB_KERNELS)"
	case parameter:
		return "--" + strings.ReplaceAll(key, "_", "-")
	}
	return field
}

// valueOf is a value of a field as its flag has it; "" is none.
func valueOf(field, value string) string {
	value = strings.Trim(value, `"`)
	switch {
	case field == "parameters.refine_rate" && value == twoRates:
		return fmt.Sprintf("the default, which is 2 / the number of steps for weights on a grid and %g for biases", refine.FloatRate)
	case field == "parameters.dtype":
		return strings.ToLower(value)
	case field == "stage":
		_, form, _ := strings.Cut(value, " ")
		return cmp.Or(form, "hf")
	case value == "true": // a flag without a value
		return "it"
	}
	return value
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

// checkUnfinished refuses a verb that goes on from nothing where another one has left finished
// layers of the folder to.
func checkUnfinished(verb, to string) error {
	begun := checkpoint.UnfinishedError{Folder: checkpoint.PartialFolder(to)}
	text, err := checkpoint.UnfinishedRecipe(to)
	if err != nil || text == nil {
		return err
	}
	var of struct {
		Stage string `json:"stage"`
	}
	if err := json.Unmarshal(text, &of); err != nil || of.Stage == "" {
		return fmt.Errorf("%s holds the unfinished work of another command: finish that, or remove the folder", begun.Folder)
	}
	return ofAnotherVerb(begun.Folder, of.Stage, verb)
}

// ofAnotherVerb is the error of a folder whose layers a verb has begun, by the stage of its recipe,
// and which is not the present one.
func ofAnotherVerb(folder, stage, verb string) error {
	begun, _, _ := strings.Cut(stage, " ")
	return fmt.Errorf("%s holds the unfinished work of `slimlab %s`: repeat that command to finish it, or remove the folder to begin `slimlab %s` anew", folder, begun, verb)
}

// explain says which fields differ in the recipe of a folder that was begun.
func explain(err error, expected recipe.Recipe) error {
	var unfinished *checkpoint.UnfinishedError
	if !errors.As(err, &unfinished) {
		return err
	}
	differences, bad := recipe.Diff(unfinished.Recipe, expected)
	if !json.Valid(unfinished.Recipe) || bad == nil && len(differences) == 0 {
		return fmt.Errorf("%s is damaged, %s that no version of slimlab writes: what the finished layers beside it were made of is not known: remove the folder %s, and the command begins anew", unfinished.File(), plural.Of(len(unfinished.Recipe), "byte"), unfinished.Folder)
	}
	verb, _, _ := strings.Cut(expected.Stage, " ")
	version := bad != nil
	for _, d := range differences {
		stage := strings.Trim(d.Found, `"`)
		switch begun, _, _ := strings.Cut(stage, " "); {
		case d.Field == "stage" && begun != verb:
			return ofAnotherVerb(unfinished.Folder, stage, verb)
		case d.Field == "version" || d.Field == "recipe":
			version = true
		}
	}
	if version {
		return fmt.Errorf("%s was begun by another version of slimlab, whose layers cannot be continued: remove the folder, and the command begins anew", unfinished.Folder)
	}
	return fmt.Errorf("%s holds the unfinished work of another command (%s): give what it was begun with to finish it, or remove the folder to begin anew", unfinished.Folder, strings.Join(changed(differences), "; "))
}
