package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"slimlab/kernels"
	"slimlab/lab/eval"
	"slimlab/model/checkpoint"
	"slimlab/quant"
	"slimlab/serve"
)

// Source finds what a MODEL names, for an evaluation with weights that are not quantized multiplied in dtype, one of eval.DTypes. Of its files only the config
// and the tensors' headers are read.
func (l *Lab) Source(name, dtype string) (eval.Source, error) {
	folder, err := l.folder(name)
	if err != nil {
		return eval.Source{}, err
	}
	named := func(err error) error { return fmt.Errorf("model %s: %w", name, err) }
	config, err := checkpoint.ReadConfig(folder, ".")
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("found no config.json, expected a Hugging Face folder with config.json and model.safetensors")
	}
	if err != nil {
		return eval.Source{}, named(err)
	}
	stored, err := checkpoint.StoredBytes(folder, ".")
	if err != nil {
		return eval.Source{}, named(err)
	}
	if _, err := fs.Stat(folder, "tokenizer.json"); err != nil {
		return eval.Source{}, named(errors.New("found no tokenizer.json, expected the tokenizer that the model was trained with"))
	}
	load := func() (*eval.Model, error) {
		m, err := loadForEval(folder, dtype)
		if err != nil {
			return nil, err
		}
		m.Stored = stored
		return m, nil
	}
	return eval.Source{Name: name, Positions: config.MaxPositions, Load: load}, nil
}

// loadForEval loads a model whose weights that are not quantized, keys and values are in dtype.
func loadForEval(folder fs.FS, dtype string) (*eval.Model, error) {
	m, t, err := checkpoint.LoadFS(folder, ".", quant.LoadOptions())
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fmt.Errorf("tokenizer.json: %w", fs.ErrNotExist)
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
