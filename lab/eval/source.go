package eval

import (
	"context"
	"fmt"

	"slimlab/internal/nearest"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model/checkpoint"
	"slimlab/quant"
	"slimlab/serve"
	"slimlab/serve/host"
)

// Models opens what a MODEL names. Its errors name the MODEL.
type Models interface {
	OpenModel(name string) (*checkpoint.Checkpoint, error)
	// Content names the content of the model's files.
	Content(ctx context.Context, name string) (string, error)
}

// version is raised whenever the same models and files would be measured otherwise.
const version = 6 // 5 split texts of folders without a class by GPT-2

// NewSource finds a MODEL, whose weights that are not quantized will be multiplied in dtype, one of
// DTypes, and its keys and values kept in kv, one of Caches; "" is dtype. head is a number format
// for a float head, one of Heads; "" leaves it. Of its files only the config and the tensors'
// headers are read.
func NewSource(models Models, name, dtype, kv, head string) (Source, error) {
	c, err := models.OpenModel(name)
	if err != nil {
		return Source{}, err
	}
	defer c.Close()
	cache, err := cacheOf(dtype, kv)
	if err == nil {
		err = cache.Check(pageSize, c.Config().HeadDim)
	}
	if err != nil {
		return Source{}, fmt.Errorf("model %s: KV cache: %w", name, err)
	}
	stored := c.Bytes()
	load := func(ctx context.Context) (*Model, error) {
		m, err := load(ctx, models, name, dtype, head, cache)
		if err != nil {
			return nil, err
		}
		m.Stored = stored
		return m, nil
	}
	of := func(ctx context.Context) (recipe.Recipe, error) {
		content, err := models.Content(ctx, name)
		parameters := recipe.Values{"dtype": dtype}
		if kv != "" {
			parameters["kv"] = kv
		}
		if head != "" {
			parameters["head"] = head
		}
		return recipe.Recipe{
			Stage: "eval", Version: version, Kernels: kernels.Implementation(), Arch: recipe.Arch(),
			Inputs: map[string]string{"model": content}, Parameters: parameters,
		}, err
	}
	return Source{Name: name, Positions: c.Config().MaxPositions, Vocab: c.Config().Vocab, Notes: c.Notes(), Settings: c.GenerationSettings(), Load: load, Recipe: of}, nil
}

// Caches lists the formats that keys and values can be kept in.
func Caches() []string {
	var names []string
	for _, f := range kernels.KVFormats() {
		names = append(names, f.String())
	}
	return names
}

// Heads lists the number formats that a float head can be rounded to as it is loaded.
func Heads() []string { return []string{"w8a8", "w8a16"} }

// cacheOf is the KV cache of that name, or that of a dtype where there is none.
func cacheOf(dtype, kv string) (kernels.KVFormat, error) {
	if kv != "" {
		return kernels.ParseKVFormat(kv)
	}
	if dtype == "float32" {
		return kernels.KVFloat32, nil
	}
	return kernels.KVBFloat16, nil
}

// load loads a model whose weights that are not quantized are in dtype.
func load(ctx context.Context, models Models, name, dtype, head string, cache kernels.KVFormat) (*Model, error) {
	c, err := models.OpenModel(name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	t, err := c.Tokenizer()
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fmt.Errorf("model %s: found no tokenizer, expected that with which the model was trained", name)
	}
	m, err := c.Model(ctx)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	if head != "" {
		scheme, err := quant.ParseScheme(head)
		if err == nil {
			err = quant.Head(ctx, m, scheme, kernels.BFloat16)
		}
		if err != nil {
			return nil, fmt.Errorf("model %s: head in %s: %w", name, head, err)
		}
	}
	out := &Model{Model: m, Tokenizer: t, Cache: cache}
	switch dtype {
	case "float32":
	case "bfloat16":
		out.Model = m.InBFloat16()
	default:
		return nil, nearest.Unknown("dtype", dtype, DTypes())
	}
	out.Generate = func(ctx context.Context, prompt []int32, tokens int, stop []int32) ([]int32, error) {
		return generate(ctx, out, prompt, tokens, stop)
	}
	out.why = func(ctx context.Context, err error) error {
		c, opening := models.OpenModel(name)
		if opening != nil {
			return err
		}
		defer c.Close()
		if found, _ := c.AllNotFinite(ctx); found != "" {
			return fmt.Errorf("tensors of its files have numbers that are NaN or infinite, %s: %w", found, err)
		}
		return err
	}
	return out, nil
}

// generate continues a prompt on an engine of its own.
func generate(ctx context.Context, m *Model, prompt []int32, tokens int, stop []int32) ([]int32, error) {
	request := serve.Request{Prompt: prompt, MaxTokens: tokens, Stop: stop}
	o := host.Options{KV: m.Cache, Pages: host.PagesFor([]serve.Request{request})}
	e, err := host.NewEngine(m.Model, o, serve.Options{})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	result, err := e.Do(ctx, request)
	return result.Tokens, err
}
