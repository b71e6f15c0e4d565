package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"slimlab/internal/filelock"
	"slimlab/lab/convert"
	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/lab/run"
)

// rehearse runs the whole search on a twin of the model, small, in a home of its own. Its goals are
// not judged.
func (p *program) rehearse(ctx context.Context, of *search, f optimizeFlags) error {
	start := time.Now()
	folder, err := rehearsalFolder(start)
	if err != nil {
		return broke(err)
	}
	defer os.RemoveAll(folder)
	if release, err := filelock.LockFolder(folder); err == nil { // a filesystem without locks: none is removed
		defer release()
	}
	twin := filepath.Join(folder, "twin")
	task, _ := of.sections["task"].(map[string]any)
	own, err := convert.Twin(ctx, of.model, twin, task["kind"] == "jsonl", of.schemes, convert.Options{Open: p.home.OpenModel})
	if err != nil {
		return usage(fmt.Errorf("--rehearse: %w", err))
	}
	f.samples, f.examples, f.candidates, f.recover = min(f.samples, 8), min(f.examples, 4), min(f.candidates, 2), min(f.recover, 2)
	f.time, f.rehearsing = 0, true
	fmt.Fprintln(p.stderr, "rehearsal: everything runs on a random model of two layers first")
	small := *of
	small.model, small.folder, small.sections = twin, filepath.Join(folder, "out"), rehearsed(of.sections)
	if !own {
		small.sections["tokenizer"] = map[string]any{"train": true}
	}
	c, err := p.home.OpenModel(twin)
	if err != nil {
		return broke(err)
	}
	shape := c.Config()
	c.Close()
	small.mlp = slices.DeleteFunc(slices.Clone(of.mlp), func(share string) bool { return run.CheckShare(share, shape) != nil })
	there := &program{stdout: p.stdout, stderr: p.stderr, progressTo: p.progressTo, home: home.Open(filepath.Join(folder, "home"), p.home.Version)}
	if err := there.optimize(ctx, &small, f); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "the rehearsal on a random model of two layers came to its end in %s; its figures say nothing\n", report.Duration(time.Since(start).Seconds()))
	return nil
}

// rehearsalFolder makes a folder for a rehearsal, and removes those that killed processes left.
func rehearsalFolder(now time.Time) (string, error) {
	const prefix, settled = "slimlab-rehearsal-", time.Minute // by when a new folder is locked
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, folder := range left {
		info, err := os.Stat(folder)
		if err != nil || now.Sub(info.ModTime()) < settled {
			continue
		}
		if release, err := filelock.TryLockPath(folder); err == nil {
			_ = os.RemoveAll(folder) // of what is not removed nothing depends
			release()
		}
	}
	return os.MkdirTemp("", prefix+"*")
}

// Of a text in a rehearsal: the tokens of a window; of records: how many are read.
const (
	rehearsedLength  = 32
	rehearsedRecords = 1000
)

// rehearsed are the sections of a task with few examples, members and requests to measure on.
func rehearsed(sections map[string]any) map[string]any {
	sections = maps.Clone(sections)
	small := func(section string, values map[string]any) {
		of, _ := sections[section].(map[string]any)
		few := maps.Clone(of)
		if few == nil {
			few = map[string]any{}
		}
		maps.Copy(few, values)
		sections[section] = few
	}
	evaluate, _ := sections["evaluate"].(map[string]any)
	few := map[string]any{"validation": 4, "tokens": 0}
	if evaluate["choice"] != nil {
		few["choice_limit"] = 4
	}
	small("evaluate", few)
	task, _ := sections["task"].(map[string]any)
	delete(sections, "tokenizer") // a twin has its own, or the usual one is trained
	if sections["serve"] != nil {
		small("serve", map[string]any{"members": 2})
	}
	switch task["kind"] {
	case "recsys":
		small("task", map[string]any{"members": 16})
	case "reasoning":
		small("task", map[string]any{"problems": 16})
	case "jsonl":
		if limit, _ := task["limit"].(uint64); limit == 0 || limit > rehearsedRecords {
			small("task", map[string]any{"limit": rehearsedRecords})
		}
	case "text":
		if length, given := task["length"].(uint64); !given || length > rehearsedLength {
			small("task", map[string]any{"length": rehearsedLength})
		}
	}
	return sections
}
