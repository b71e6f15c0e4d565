package home

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"slimlab/internal/wrongfile"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/store"
	"slimlab/lab/sweep"
	"slimlab/model/checkpoint"
	"slimlab/model/pretrained"
	"slimlab/model/tokenizer"
)

// OpenModel opens what a MODEL names. No weight is read yet.
func (h *Home) OpenModel(name string) (*checkpoint.Checkpoint, error) {
	if checkpoint.IsGGUF(name) {
		return checkpoint.Open(name)
	}
	folder, err := h.modelFolder(name)
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.OpenFS(folder, ".")
	if errors.Is(err, fs.ErrNotExist) && holdsNoModel(folder) {
		return nil, fmt.Errorf("model %s: found an artifact without a model, a measurement or a tokenizer; run:ID/ROW names the model of a row", name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("expected a Hugging Face folder with config.json and model.safetensors: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	c.Name("model " + name)
	return c, nil
}

// holdsNoModel reports whether a folder is an artifact of another thing than a model.
func holdsNoModel(folder fs.FS) bool {
	_, made := fs.Stat(folder, recipe.FileName)
	_, config := fs.Stat(folder, "config.json")
	return made == nil && errors.Is(config, fs.ErrNotExist)
}

// Tokenizer returns the tokenizer of a MODEL, a .gguf file among them, or of a tokenizer's own
// file: tokenizer.json, tokenizer.model, tekken.json or vocab.json.
func (h *Home) Tokenizer(name string) (*tokenizer.Tokenizer, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		if checkpoint.IsGGUF(name) {
			return checkpoint.GGUFTokenizer(name)
		}
		return tokenizer.Load(name)
	}
	folder, err := h.modelFolder(name)
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.LoadFS(folder, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("model %s: found no tokenizer, expected tokenizer.json, tokenizer.model, tekken.json, or vocab.json and merges.txt", name)
	}
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	return t, nil
}

// modelFolder opens the folder of a MODEL that is no GGUF file.
func (h *Home) modelFolder(name string) (fs.FS, error) {
	if rest, ok := strings.CutPrefix(name, "pretrained:"); ok {
		return pretrained.Open(rest)
	}
	if rest, ok := strings.CutPrefix(name, "run:"); ok {
		folder, err := h.rowFolder(rest)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", name, err)
		}
		return folder, nil
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := wrongfile.Check(name); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("model %w", err)
		}
		if strings.HasPrefix(name, "random:") {
			return nil, fmt.Errorf("model %s: a shape is no model yet: `slimlab import %s FOLDER` writes one with random weights, expected that folder", name, name)
		}
		return nil, fmt.Errorf("model %s: no such folder; expected a Hugging Face folder, pretrained:NAME or run:ID/ROW", name)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("model %s: found %s, expected a Hugging Face folder with config.json and model.safetensors", name, cmp.Or(wrongfile.Kind(info.Mode()), "a file"))
	}
	return wrongfile.Folder(name), nil
}

// Hold keeps other processes from removing the artifact that a MODEL names, until release is
// called. Other MODELs are none.
func (h *Home) Hold(ctx context.Context, name string) (release func(), err error) {
	row, ok := strings.CutPrefix(name, "run:")
	if !ok {
		return func() {}, nil
	}
	if _, release, err = h.useRow(ctx, row); err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	return release, nil
}

// rowFolder opens the artifact of a run's row, "ID/ROW".
func (h *Home) rowFolder(name string) (fs.FS, error) {
	folder, release, err := h.useRow(context.Background(), name)
	if err != nil {
		return nil, err
	}
	release()
	return folder, nil
}

// useRow finds the artifact of a run's row, "ID/ROW": ROW is the row's step, with values of axes
// where a sweep has several rows of it (sweep.Table.Find), and of several seeds the first that has
// reported it. It is kept from being removed until release is called.
func (h *Home) useRow(ctx context.Context, name string) (folder fs.FS, release func(), err error) {
	id, row, ok := h.splitRow(name)
	if !ok {
		return nil, nil, fmt.Errorf("found %q, expected ID/ROW", name)
	}
	board := lab.NewBoard()
	log, err := h.Logs.Scan(id, board.Apply)
	if err != nil {
		return nil, nil, err
	}
	table := sweep.Of(board.Snapshot())
	at, err := table.Find(row)
	damage := ""
	if log.Problem != nil {
		damage = fmt.Sprintf(", and its log is damaged behind what was read (%v)", log.Problem)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("run %s: %w%s", log.ID, err, damage)
	}
	for _, key := range table.Rows[at].Keys {
		if key != "" {
			return h.useKey(ctx, table.FullLabel(&table.Rows[at]), key)
		}
	}
	return nil, nil, fmt.Errorf("run %s has not measured the row %s%s", log.ID, table.FullLabel(&table.Rows[at]), damage)
}

// splitRow splits "ID/ROW". A scenario's name, which can stand for its newest run, may hold
// slashes: the first part counts that names a run.
func (h *Home) splitRow(name string) (id, row string, ok bool) {
	first, rest, ok := strings.Cut(name, "/")
	for at := len(first); ok; {
		if _, err := h.Logs.Find(name[:at]); err == nil {
			return name[:at], name[at+1:], true
		}
		next := strings.IndexByte(name[at+1:], '/')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return first, rest, ok
}

// useKey opens the model of a row by its key: an artifact, which is kept from being removed until
// release is called, or, of a row that measures a model as it was loaded, the name of its content.
func (h *Home) useKey(ctx context.Context, row, key string) (folder fs.FS, release func(), err error) {
	dir, release, err := h.Artifacts.Use(ctx, key)
	var format *store.FormatError
	switch {
	case err == nil:
		return os.DirFS(dir), release, nil
	case errors.As(err, &format), ctx.Err() != nil:
		return nil, nil, fmt.Errorf("row %s: %w", row, err)
	}
	for _, name := range pretrained.Names() {
		folder, openErr := pretrained.Open(name)
		if openErr != nil {
			continue
		}
		if content, hashErr := recipe.Content(ctx, folder); hashErr == nil && content == key {
			return folder, func() {}, nil
		}
	}
	var damaged *store.DamagedError
	if errors.As(err, &damaged) {
		return nil, nil, fmt.Errorf("the artifact of row %s is damaged (%w); run the scenario again", row, err)
	}
	return nil, nil, fmt.Errorf("row %s: %w: a model that the run built is gone, run the scenario again; one that it loaded is not kept in the home, name its own folder or file instead", row, err)
}
