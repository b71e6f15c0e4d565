package run

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"slimlab/lab"
	"slimlab/lab/store"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/pretrained"
	"slimlab/quant"
)

// Versions of the stages' code. Whoever changes what a stage computes raises its version, and artifacts of the old one are made anew.
const (
	taskVersion      = "1"
	tokenizerVersion = "1"
	trainVersion     = "1"
	pruneVersion     = "1"
	quantizeVersion  = "1"
	evaluateVersion  = "1"
	serveVersion     = "1"
)

// artifact returns the folder of an artifact, making it when it is not there. made reports that this run made it.
func (r *Run) artifact(key, what string, build func(dir string) error) (dir string, made bool, err error) {
	defer r.building.lock(key)()
	_, ours := r.made.Load(key)
	if r.options.Fresh && !ours {
		if err := r.lab.artifacts.Remove(key); err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", false, err
		}
	}
	dir, found := r.lab.artifacts.Get(key)
	for _, doubt := range r.lab.takeDoubts() {
		r.note("", lab.Warning, fmt.Sprintf("%s: %s; it is made anew", what, doubt))
	}
	if found {
		return dir, ours, nil
	}
	dir, err = r.lab.artifacts.Put(key, store.Meta{Recipe: what, Version: r.lab.Version}, build)
	if err != nil {
		return "", false, err
	}
	r.made.Store(key, true)
	return dir, true, nil
}

// artifactModel is a model on disk that is read when it is needed.
type artifactModel struct {
	key string
	// origin is the shape that the model had before anything was pruned.
	origin model.Config
	folder fs.FS // nil until the artifact is there
	load   func() (*model.Model, error)
}

// open says where the model is.
func (m *artifactModel) open(folder fs.FS) {
	m.folder = folder
	m.load = sync.OnceValues(func() (*model.Model, error) { return checkpoint.LoadModel(folder, ".", loadOptions) })
}

// loadOptions make quantized weights multiply in their own format.
var loadOptions = checkpoint.LoadOptions{
	Int8: func(q []int8, scale []float32, out, in int) (model.Weight, error) {
		return quant.NewInt8(q, scale, out, in)
	},
	Int4: func(q []int8, scale []float32, out, in, group int) (model.Weight, error) {
		return quant.NewInt4(q, scale, out, in, group)
	},
}

// folder opens what a MODEL names: pretrained:NAME, run:ID/ROW or a Hugging Face folder.
func (l *Lab) folder(name string) (fs.FS, error) {
	if rest, ok := strings.CutPrefix(name, "pretrained:"); ok {
		return pretrained.Open(rest)
	}
	if rest, ok := strings.CutPrefix(name, "run:"); ok {
		return l.rowFolder(rest)
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("model %s: no such folder; expected a Hugging Face folder, pretrained:NAME or run:ID/ROW", name)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("model %s: found a file, expected a Hugging Face folder with config.json and model.safetensors", name)
	}
	return os.DirFS(name), nil
}

// rowFolder finds the artifact of a run's row: "ID/ROW", the first seed's.
func (l *Lab) rowFolder(name string) (fs.FS, error) {
	id, row, ok := strings.Cut(name, "/")
	if !ok {
		return nil, fmt.Errorf("model run:%s: expected run:ID/ROW", name)
	}
	log, err := l.Log(id)
	if err != nil {
		return nil, fmt.Errorf("model run:%s: %w", name, err)
	}
	var rows []string
	for _, e := range log.Events {
		if e.Kind != lab.KindRow || e.Text == "" {
			continue
		}
		if e.Row == row {
			dir, found := l.artifacts.Get(e.Text)
			if !found {
				return nil, fmt.Errorf("model run:%s: its artifact is gone or damaged; run the scenario again", name)
			}
			return os.DirFS(dir), nil
		}
		rows = append(rows, e.Row)
	}
	return nil, fmt.Errorf("model run:%s: the run has no row %q; it has: %s", name, row, strings.Join(rows, ", "))
}

// loadModel opens a model by name. Its key is the hash of the folder's content.
func (l *Lab) loadModel(name string) (*artifactModel, error) {
	folder, err := l.folder(name)
	if err != nil {
		return nil, err
	}
	key, err := folderHash(folder)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	m := &artifactModel{key: key}
	m.open(folder)
	m.origin, err = checkpoint.ReadConfig(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	return m, nil
}

// isModelFile reports whether a file of a folder is part of the model: not what the lab keeps beside it.
func isModelFile(name string) bool {
	switch filepath.Ext(name) {
	case ".safetensors":
		return true
	case ".json":
		return name != factsFile
	}
	return false
}

// folderHash names the content of a model's files.
func folderHash(folder fs.FS) (string, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return "", err
	}
	parts := []string{"folder"}
	for _, e := range entries {
		if e.IsDir() || !isModelFile(e.Name()) {
			continue
		}
		sum, err := fsHash(folder, e.Name())
		if err != nil {
			return "", err
		}
		parts = append(parts, e.Name(), sum)
	}
	return store.Key(parts...), nil
}

// saveModel writes a model as an artifact's content: float weights in bfloat16, as a checkpoint is shipped, and quantized ones in their format.
func saveModel(dir string, m *model.Model, d *dataset, facts any) error {
	if err := checkpoint.Save(dir, m, d.tokenizer, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		return err
	}
	return writeFacts(dir, facts)
}

// factsFile holds what a stage knows of its artifact beside the model.
const factsFile = "slimlab.json"

func writeFacts(dir string, facts any) error {
	text, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, factsFile), append(text, '\n'), 0o644)
}

func readFacts(dir string, facts any) error {
	text, err := os.ReadFile(filepath.Join(dir, factsFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, facts); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, factsFile), err)
	}
	return nil
}

// fsHash is the SHA-256 of a file in a file system.
func fsHash(folder fs.FS, name string) (string, error) {
	f, err := folder.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
