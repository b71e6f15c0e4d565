package convert

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/wrongfile"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/refine"
	"slimlab/model/calibrate/statistics"
	"slimlab/model/checkpoint"
)

// Gathering says which statistics of the calibration text a method is given, and where they are
// kept.
type Gathering struct {
	Parallel bool    // of the model as it was, for all layers; else of the model as it becomes
	Target   float64 // the share of the dense model's outputs in what a linear layer is to reproduce
	Folder   string  // that statistics are kept in; "" is none
	// also those that depend on what was done to the layers before are kept
	All bool

	kept *statistics.Folder
	// why none are kept in the default folder
	unkept error
}

// Modes lists the orders in which statistics are gathered.
func Modes() []string { return []string{"sequential", "parallel"} }

// Set sets the mode and the target by their words, and the folder: one that is given keeps all
// statistics, the default one those of the model as it was; "none" keeps none.
func (g *Gathering) Set(mode, target, folder, byDefault string) error {
	if err := nearest.Check("--mode", mode, Modes()); err != nil {
		return err
	}
	g.Parallel = mode == "parallel"
	share, err := calibrate.ParseTarget(target)
	if err != nil {
		return fmt.Errorf("--target %s: %w", target, err)
	}
	g.Target = share
	if g.Parallel && g.Target > 0 {
		return fmt.Errorf("--target %s with --mode parallel: all inputs are the dense model's there, expected --target own or --mode sequential", target)
	}
	switch folder {
	case "":
		g.Folder = byDefault
	case "none":
		g.Folder = ""
	default:
		g.Folder, g.All = folder, true
	}
	return nil
}

// checkFolder refuses a folder that was given and cannot be one, or is in that of a model, the
// source or the target, before anything is measured. Without the default one, which nobody has
// asked for, nothing is kept.
func (g *Gathering) checkFolder(source, target string) error {
	if g.Folder == "" {
		return nil
	}
	err := wrongfile.FolderPlace(g.Folder)
	switch {
	case err != nil && g.All:
		return fmt.Errorf("--statistics %s: %w; or give none, which keeps no statistics", g.Folder, err)
	case err != nil:
		g.Folder, g.unkept = "", err
	case g.All:
		return g.checkApart(source, target)
	}
	return nil
}

// checkApart refuses a folder of statistics in that of a model.
func (g *Gathering) checkApart(source, target string) error {
	folder, err := filelock.TargetPath(g.Folder)
	if err != nil {
		return err
	}
	paths := [2]string{source, target}
	for i := range paths {
		if paths[i], err = filelock.TargetPath(paths[i]); err != nil {
			return err
		}
	}
	refused := func(of, what string) error {
		return fmt.Errorf("--statistics %s: it is in %s, %s: give a folder beside it, such as %s-statistics, or none, which keeps no statistics", g.Folder, of, what, paths[1])
	}
	for at := folder; ; at = filepath.Dir(at) {
		switch {
		case at == paths[1] || at == checkpoint.PartialFolder(paths[1]):
			return refused(target, "which the command writes as a new folder")
		case at == paths[0] || holdsModel(at):
			return refused(at, "which is a model's folder")
		case at == filepath.Dir(at):
			return nil
		}
	}
}

// checkRoom refuses a folder that was given and has no room for the statistics, of which some may
// be there. The default one keeps what it has room for.
func (g *Gathering) checkRoom(o *Options, needs int64) error {
	if !g.All || g.Folder == "" {
		return nil
	}
	free := o.Free(g.Folder)
	list, err := statistics.List(g.Folder)
	if free < 0 || err != nil {
		return err
	}
	for _, e := range list {
		needs -= e.Bytes
	}
	if needs > free {
		return fmt.Errorf("--statistics %s: %w on its disk: found %.3g MB, expected at least %.3g MB: make room, or give a folder on another disk, or none", g.Folder, ErrNoRoom, float64(free)/1e6, float64(needs)/1e6)
	}
	return nil
}

// holdsModel reports a folder with a model's config.json and weights.
func holdsModel(folder string) bool {
	if _, err := os.Stat(filepath.Join(folder, "config.json")); err != nil {
		return false
	}
	weights, err := filepath.Glob(filepath.Join(folder, "*.safetensors"))
	return err == nil && len(weights) > 0
}

// values are what the layers depend on.
func (g *Gathering) values() recipe.Values {
	mode := Modes()[0]
	if g.Parallel {
		mode = Modes()[1]
	}
	return recipe.Values{"mode": mode, "target": targetWord(g.Target)}
}

// statisticsVersion is that of what gathers statistics: raise it when they become others.
const statisticsVersion = 3

// settings are those of a pass of a model of a content, with some sequences.
func (g *Gathering) settings(ctx context.Context, of recipe.Recipe, sequences []calibrate.Sequence) (calibrate.Settings, error) {
	s := calibrate.Settings{Parallel: g.Parallel, Target: g.Target}
	if g.Folder == "" || len(sequences) == 0 {
		return s, ctx.Err()
	}
	content := recipe.Recipe{Stage: "statistics", Version: statisticsVersion, Kernels: kernels.Implementation(), Arch: recipe.Arch(),
		Inputs: map[string]string{"model": of.Inputs["model"], "sequences": calibrate.Sum(sequences)}, Parameters: recipe.Values{"dtype": of.Parameters["dtype"]}}
	g.kept = statistics.New(g.Folder, content.Key(), !g.All)
	s.Store = g.kept
	return s, ctx.Err()
}

// notes say what was kept and what was found.
func (g *Gathering) notes() []string {
	const another = "; --statistics names another folder, or none"
	switch {
	case g.unkept != nil:
		return []string{fmt.Sprintf("statistics are not kept, and the work went on without: %v", g.unkept) + another}
	case g.kept == nil:
		return nil
	}
	text := g.counts()
	if n := g.kept.Damaged(); n > 0 {
		text += fmt.Sprintf("; %s there %s damaged, and what %s held was gathered again", plural.Of(n, "file"), plural.Words(n, "was", "were"), plural.Words(n, "it", "they"))
	}
	switch problem := g.kept.Problem(); {
	case problem != nil && text == "":
		text = fmt.Sprintf("statistics are not kept, and the work went on without: %v", problem) + another
	case problem != nil:
		text += fmt.Sprintf("; others could not be kept, and the work went on without: %v", problem) + another
	case text != "" && g.kept.Passed() > 0:
		text += fmt.Sprintf("; those of %s were gathered from what other layers had become, and not kept: --statistics FOLDER keeps them", plural.Of(g.kept.Passed(), "other"))
	}
	if text == "" {
		return nil
	}
	return []string{text}
}

// counts say how many were kept and found.
func (g *Gathering) counts() string {
	read, written := g.kept.Read(), g.kept.Written()
	switch {
	case read == 0 && written == 0:
		return ""
	case written == 0 && g.kept.Passed() == 0:
		return fmt.Sprintf("statistics of %s were read from %s, none were gathered", plural.Of(read, "input"), g.Folder)
	case written == 0:
		return fmt.Sprintf("statistics of %s were read from %s", plural.Of(read, "input"), g.Folder)
	case read == 0:
		return fmt.Sprintf("statistics of %s were kept in %s", plural.Of(written, "input"), g.Folder)
	}
	return fmt.Sprintf("statistics of %s were read from %s, those of %d more were kept there", plural.Of(read, "input"), g.Folder, written)
}

// Refining is gradient steps on the output of each compressed layer.
type Refining = refine.Options

// refining are the parameters of a recipe, none without steps; byDefault is the rate where none was
// given.
func refining(r Refining, byDefault string) recipe.Values {
	if r.Steps == 0 {
		return nil
	}
	rate := byDefault
	if r.Rate != 0 {
		rate = strconv.FormatFloat(r.Rate, 'g', -1, 64)
	}
	return recipe.Values{"refine": r.Steps, "refine_rate": rate}
}

// maxRefining bounds the steps, as in scenarios.
const maxRefining = 100_000

// checkRefining refuses steps that need a calibration text where there is none, and rates that are
// none.
func checkRefining(r Refining, c Calibration) error {
	switch {
	case r.Steps < 0 || r.Steps > maxRefining:
		return fmt.Errorf("--refine %d: expected 0, none, to %d steps", r.Steps, maxRefining)
	case !(r.Rate >= 0 && r.Rate <= 1):
		return wrongRate(r.Rate)
	case r.Steps == 0 && r.Rate > 0:
		return fmt.Errorf("--refine-rate %g: it is of the steps of --refine, which there are none of", r.Rate)
	case r.Steps > 0:
		return c.require("--refine")
	}
	return nil
}

// checkGivenRate refuses a rate of 0 that is given: the field's 0 stands for the default.
func checkGivenRate(r Refining, given func(flag string) bool) error {
	if given("refine-rate") && r.Rate == 0 {
		return wrongRate(0)
	}
	return nil
}

// wrongRate says what a rate of refining is.
func wrongRate(rate float64) error {
	return fmt.Errorf("--refine-rate %g: expected a share of a weight's root mean square, or of the step of its grid, above 0 and at most 1", rate)
}

// refinedLine says what the steps did to one layer or more.
func refinedLine(reports []refine.Report) string {
	before, after := 0.0, 0.0
	for _, r := range reports {
		before, after = before+r.Before/float64(len(reports)), after+r.After/float64(len(reports))
	}
	return fmt.Sprintf("refined: mean relative error of a layer's output %.4g, %.4g before the steps", after, before)
}

// noteUnimproved notes the layers in which no step was kept.
func (r *Result) noteUnimproved(of Refining, reports []refine.Report) {
	if text := of.Unimproved(reports, "--refine-rate"); text != "" {
		r.Notes = append(r.Notes, "--refine: "+text)
	}
}
