package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slimlab/kernels"
	"slimlab/lab/eval"
	"slimlab/lab/store"
	"slimlab/serve"
)

// Source finds what a MODEL names, for an evaluation with weights that are not quantized multiplied
// in dtype, one of eval.DTypes. Of its files only the config and the tensors' headers are read.
func (l *Lab) Source(name, dtype string) (eval.Source, error) {
	c, err := l.Open(name)
	if err != nil {
		return eval.Source{}, err
	}
	defer c.Close()
	stored := c.Bytes()
	load := func() (*eval.Model, error) {
		m, err := l.loadForEval(name, dtype)
		if err != nil {
			return nil, err
		}
		m.Stored = stored
		return m, nil
	}
	key := func() (string, error) {
		content, err := l.content(name)
		if err != nil {
			return "", fmt.Errorf("model %s: %w", name, err)
		}
		return artifactKey("eval", evalVersion, content, dtype), nil
	}
	return eval.Source{Name: name, Positions: c.Config().MaxPositions, Load: load, Key: key}, nil
}

// content names the content of a MODEL's files.
func (l *Lab) content(name string) (string, error) {
	if isGGUF(name) {
		sum, err := fsHash(os.DirFS(filepath.Dir(name)), filepath.Base(name))
		return store.Key("file", sum), err
	}
	folder, err := l.folder(name)
	if err != nil {
		return "", err
	}
	return folderHash(folder)
}

// loadForEval loads a model whose weights that are not quantized, keys and values are in dtype.
func (l *Lab) loadForEval(name, dtype string) (*eval.Model, error) {
	c, err := l.Open(name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	t, err := c.Tokenizer()
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("found no tokenizer, expected that with which the model was trained")
	}
	m, err := c.Model()
	if err != nil {
		return nil, err
	}
	out := &eval.Model{Model: m, Tokenizer: t}
	switch dtype {
	case "float32":
		out.Cache = kernels.KVFloat32
	case "bfloat16":
		out.Model, out.Cache = m.InBFloat16(), kernels.KVBFloat16
	default:
		return nil, fmt.Errorf("dtype %q, expected one of %q", dtype, eval.DTypes())
	}
	out.Generate = func(ctx context.Context, prompt []int32, tokens int, stop []int32) ([]int32, error) {
		o := serve.Options{KV: out.Cache, Pages: (len(prompt)+tokens)/16 + 1}
		e, err := serve.New(out.Model, o)
		if err != nil {
			return nil, err
		}
		defer e.Close()
		result, err := e.Do(ctx, serve.Request{Prompt: prompt, MaxTokens: tokens, Stop: stop})
		return result.Tokens, err
	}
	return out, nil
}

// evaluationFile holds what an evaluation keeps, in its artifact.
const evaluationFile = "evaluation.msgpack"

// evaluations is what the lab has kept of evaluations.
type evaluations struct{ lab *Lab }

// Evaluations keeps what was measured of models on files.
func (l *Lab) Evaluations() eval.Store { return evaluations{l} }

func (e evaluations) Get(key string) (data []byte, ok bool) {
	dir, found, _ := e.lab.artifact(key)
	if !found {
		return nil, false // a damaged one is set aside and measured anew
	}
	data, err := os.ReadFile(filepath.Join(dir, evaluationFile))
	return data, err == nil
}

func (e evaluations) Put(key, what string, data []byte) error {
	if err := e.lab.artifacts.Remove(key); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	_, err := e.lab.artifacts.Put(key, store.Meta{Recipe: "eval " + what, Version: e.lab.Version}, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, evaluationFile), data, 0o644)
	})
	return err
}
