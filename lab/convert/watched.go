package convert

import (
	"context"
	"fmt"
	"strings"

	"slimlab/lab/datafile"
	"slimlab/lab/recipe"
)

// watched are the inputs of Distil, which reads them whole before the first step.
type watched []input

type input struct {
	name  string // what it is to the student, with its path
	watch *recipe.Watch
}

// watch names the contents of all inputs before any is read. The student's files have been watched
// since they were opened.
func (d Distillation) watch(ctx context.Context, student, teacher string, o Options) (watched, error) {
	model := func(name string) func(ctx context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return o.Content(ctx, name) }
	}
	all := watched{{"the student " + student, o.watch}, {"the data " + d.Data, recipe.NewWatch(d.Data)}}
	contents := []func(ctx context.Context) (string, error){model(student), func(ctx context.Context) (string, error) { return contentOf(ctx, d.Data) }}
	if teacher != "" {
		all = append(all, input{"the teacher " + teacher, recipe.NewWatch(teacher)})
		contents = append(contents, model(teacher))
	}
	for i, in := range all {
		if !in.watch.Files() { // a pipe, or an artifact, which is locked
			continue
		}
		if _, err := in.watch.Name(ctx, contents[i]); err != nil {
			return nil, fmt.Errorf("distil: %w", err)
		}
	}
	return all, nil
}

// contentOf names the content of a data file.
func contentOf(ctx context.Context, path string) (string, error) {
	file, err := datafile.Open(ctx, path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return file.Sum()
}

// check reports an input that was written while it was read.
func (w watched) check(ctx context.Context) error {
	for _, in := range w {
		if err := in.watch.Check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// noteChanges warns of inputs that were written after they had been read: the result is whole, and
// the same command would not give it again.
func (w watched) noteChanges(ctx context.Context, r *Result) error {
	for _, in := range w {
		changed, err := in.watch.Changed(ctx)
		if err != nil {
			return err
		}
		if len(changed) > 0 {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s: %s changed after it was read: the student learned from what it held before", in.name, strings.Join(changed, ", ")))
		}
	}
	return nil
}
