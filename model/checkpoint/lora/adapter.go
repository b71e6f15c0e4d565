package lora

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/plural"
	"slimlab/internal/wrongfile"
	"slimlab/model/checkpoint/safetensors"
)

// The tensors whose number of rows an adapter may change.
const (
	Embedding = "model.embed_tokens.weight"
	Head      = "lm_head.weight"
)

// Adapter is an open adapter that fits a model. It is safe for concurrent use.
type Adapter struct {
	config  config
	files   *safetensors.Folder
	changes map[string]*change // by name of the model's tensor
	shapes  map[string][]int   // of the model's tensors after the change
	notes   []string
}

// change is what an adapter does to one tensor.
type change struct {
	replacement string // the tensor that takes its place first; "" for none
	a, b        string // the factors; "" for none
	embedding   bool   // whose factors are those of the transpose
	rank        int
	scale       float32
	magnitude   string // the lengths of the rows; "" for none
	bias        string // of b, which is added with the scale
}

// Open opens the adapter of a folder for a model whose tensors have the given shapes, by their
// Hugging Face names; a matrix is [rows, in]. The head is listed also where it is the embedding.
func Open(dir string, shapes map[string][]int) (*Adapter, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		found := "a file"
		if err != nil {
			found = "no such folder"
		}
		return nil, fmt.Errorf("adapter %s: found %s, expected a folder with %s and %s", dir, found, ConfigFile, weightsFile)
	}
	a, err := OpenFS(wrongfile.Folder(dir), shapes)
	if err != nil {
		return nil, fmt.Errorf("adapter %s: %w", dir, err)
	}
	return a, nil
}

// OpenFS is Open of a file system's root.
func OpenFS(fsys fs.FS, shapes map[string][]int) (*Adapter, error) {
	data, err := jsonread.ReadFile(fsys, ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("found no %s, expected a folder that PEFT wrote", ConfigFile)
	}
	if err != nil {
		return nil, err
	}
	a := &Adapter{changes: map[string]*change{}, shapes: map[string][]int{}}
	if a.config, err = parseConfig(data); err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	for name, shape := range shapes {
		a.shapes[name] = shape
	}
	if a.files, err = openWeights(fsys); err != nil {
		return nil, err
	}
	err = a.place()
	if err == nil {
		err = a.check(shapes)
	}
	if err != nil {
		return nil, errors.Join(err, a.files.Close())
	}
	a.describe()
	return a, nil
}

func openWeights(fsys fs.FS) (*safetensors.Folder, error) {
	if _, err := fs.Stat(fsys, weightsFile); errors.Is(err, fs.ErrNotExist) {
		if _, err := fs.Stat(fsys, pickleFile); err == nil {
			return nil, fmt.Errorf("found %s, a pickle, which is not read: save the adapter as %s", pickleFile, weightsFile)
		}
		return nil, fmt.Errorf("found no %s beside %s", weightsFile, ConfigFile)
	}
	return safetensors.OpenFiles(fsys, weightsFile)
}

// Close closes the files.
func (a *Adapter) Close() error { return a.files.Close() }

// Base is the model that the adapter was trained on, as its config names it; "" where it does not.
func (a *Adapter) Base() string { return a.config.Base }

// TiesHead reports whether the adapter asks that a tied head follow its embedding.
func (a *Adapter) TiesHead() bool { return a.config.TiedWithHead }

// Notes says what the adapter holds, and what of it was dropped or guessed.
func (a *Adapter) Notes() []string { return slices.Clone(a.notes) }

// Changes reports whether a tensor of the model is changed.
func (a *Adapter) Changes(name string) bool { return a.changes[name] != nil }

// Replaces reports whether a tensor of the model is replaced by one of the adapter.
func (a *Adapter) Replaces(name string) bool {
	return a.Changes(name) && a.changes[name].replacement != ""
}

// Shape is that of a tensor of the model after the change.
func (a *Adapter) Shape(name string) []int { return a.shapes[name] }

// place finds, for each tensor of the adapter, the tensor of the model that it changes.
func (a *Adapter) place() error {
	dropped := 0
	for _, t := range a.files.Tensors() {
		module, p := parse(t.Name)
		if p == partOriginal {
			dropped++
			continue
		}
		if p == 0 {
			return fmt.Errorf("tensor %q is of no kind that a LoRA adapter is known to have", t.Name)
		}
		ending := ".weight"
		if p == partModuleBias || p == partBias {
			ending = ".bias"
		}
		target := ""
		for _, name := range candidates(module) {
			if _, ok := a.shapes[name+ending]; ok {
				target = name + ending
				break
			}
		}
		if target == "" {
			return fmt.Errorf("tensor %q changes %q, which the model does not have", t.Name, module+ending)
		}
		if err := a.add(target, t.Name, p); err != nil {
			return err
		}
	}
	if dropped > 0 {
		a.note("dropped %s that %s the base model's", plural.Of(dropped, "tensor"), plural.Words(dropped, "repeats", "repeat"))
	}
	if len(a.changes) == 0 {
		return fmt.Errorf("%s holds no tensors", weightsFile)
	}
	return nil
}

// add records that a tensor of the adapter is a part of what changes a tensor of the model.
func (a *Adapter) add(target, name string, p part) error {
	c := a.changes[target]
	if c == nil {
		c = &change{}
		a.changes[target] = c
	}
	if p == partEmbeddingA || p == partEmbeddingB {
		c.embedding = true
	}
	place := map[part]*string{partA: &c.a, partEmbeddingA: &c.a, partB: &c.b, partEmbeddingB: &c.b, partBias: &c.bias, partMagnitude: &c.magnitude,
		partWeight: &c.replacement, partModuleBias: &c.replacement}[p]
	if *place != "" {
		return fmt.Errorf("tensors %q and %q are the same part of %q: the file holds several adapters, expected one", *place, name, target)
	}
	*place = name
	return nil
}

func (a *Adapter) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// check compares the shapes of all parts with the model's.
func (a *Adapter) check(shapes map[string][]int) error {
	for _, target := range a.targets() {
		c := a.changes[target]
		if c.replacement != "" {
			if err := a.checkReplacement(target, c.replacement); err != nil {
				return err
			}
		}
		module, _ := strings.CutSuffix(target, ".weight")
		if c.bias != "" {
			module, _ = strings.CutSuffix(target, ".bias")
		}
		c.rank, c.scale = a.config.scale(module)
		if err := a.checkFactors(target, c); err != nil {
			return err
		}
	}
	return a.checkVocabulary(shapes)
}

// targets are the names of the changed tensors, sorted.
func (a *Adapter) targets() []string {
	var list []string
	for name := range a.changes {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

func (a *Adapter) expect(name string, shape ...int) error {
	if t, _ := a.files.Tensor(name); !slices.Equal(t.Shape, shape) {
		return fmt.Errorf("tensor %q: shape is %d, expected %d", name, t.Shape, shape)
	}
	return nil
}

// checkReplacement lets an embedding or a head have another number of rows.
func (a *Adapter) checkReplacement(target, name string) error {
	t, _ := a.files.Tensor(name)
	want := a.shapes[target]
	if (target == Embedding || target == Head) && len(t.Shape) == 2 && t.Shape[1] == want[1] {
		a.shapes[target] = t.Shape
		return nil
	}
	return a.expect(name, want...)
}

func (a *Adapter) checkFactors(target string, c *change) error {
	shape := a.shapes[target]
	switch {
	case c.bias != "":
		return a.expect(c.bias, shape...)
	case c.a == "" && c.b == "" && c.magnitude == "":
		return nil
	case c.a == "" || c.b == "":
		return fmt.Errorf("tensor %q has one factor alone (%s), expected lora_A and lora_B", target, c.a+c.b+c.magnitude)
	case len(shape) != 2:
		return fmt.Errorf("tensor %q changes %q, shape %d, expected a matrix", c.a, target, shape)
	case a.config.Magnitudes != (c.magnitude != ""):
		return fmt.Errorf("%s: use_dora is %t, but %q has a magnitude vector: %t", ConfigFile, a.config.Magnitudes, target, c.magnitude != "")
	case c.embedding && c.magnitude != "":
		return fmt.Errorf("tensor %q: DoRA of an embedding is not supported, expected LoRA of it, or none", c.magnitude)
	}
	out, in := shape[0], shape[1]
	if c.embedding {
		out, in = in, out
	}
	if t, _ := a.files.Tensor(c.a); len(t.Shape) == 2 && t.Shape[0] != c.rank && t.Shape[1] == in {
		return fmt.Errorf("tensor %q has rank %d, expected %d by r and rank_pattern of %s", c.a, t.Shape[0], c.rank, ConfigFile)
	}
	if c.magnitude != "" {
		t, _ := a.files.Tensor(c.magnitude)
		if t.Elements() != out {
			return fmt.Errorf("tensor %q: shape is %d, expected %d", c.magnitude, t.Shape, []int{out})
		}
	}
	return errors.Join(a.expect(c.a, c.rank, in), a.expect(c.b, out, c.rank))
}

// checkVocabulary lets embedding and head change their number of rows together.
func (a *Adapter) checkVocabulary(shapes map[string][]int) error {
	embedding, head := a.shapes[Embedding][0], a.shapes[Head][0]
	before := shapes[Embedding][0]
	switch {
	case embedding == head:
	case head == before && !a.Changes(Head): // which a tied head follows
		a.shapes[Head] = a.shapes[Embedding]
	case embedding == before && !a.Changes(Embedding):
		a.shapes[Embedding] = a.shapes[Head]
	default:
		return fmt.Errorf("the adapter's embedding has %d rows and its head %d, expected as many", embedding, head)
	}
	return nil
}

// describe notes what the adapter is, and where its config and its tensors disagree.
func (a *Adapter) describe() {
	c := &a.config
	matrices, others := 0, 0
	used := map[string]bool{}
	var layers layerList
	for _, target := range a.targets() {
		names := strings.Split(target, ".")
		used[names[len(names)-2]] = true
		if a.changes[target].a != "" {
			if n, err := strconv.Atoi(names[min(2, len(names)-1)]); err == nil && !slices.Contains(layers, n) {
				layers = append(layers, n)
			}
			matrices++
		} else {
			others++
		}
	}
	kind := "LoRA"
	if c.Magnitudes {
		kind = "DoRA"
	}
	if c.RankStable {
		kind = "rank-stabilized " + kind
	}
	var parts []string
	if matrices > 0 {
		parts = append(parts, fmt.Sprintf("%s of r %d and alpha %g on matrices: %d", kind, c.Rank, c.Alpha, matrices))
	}
	if others > 0 {
		parts = append(parts, fmt.Sprintf("tensors replaced or shifted: %d", others))
	}
	a.note("%s", strings.Join(parts, "; "))
	if c.Transposed {
		a.note("fan_in_fan_out is true, which means nothing for these linear layers: they hold their weights as [out, in]")
	}
	for _, repeat := range c.repeats {
		a.note("%s: %s", ConfigFile, repeat)
	}
	if len(c.unknownKeys) > 0 {
		a.note("%s has keys of which nothing is known: %s", ConfigFile, strings.Join(c.unknownKeys, ", "))
	}
	var without []string
	for _, target := range append(c.targetModules, c.Saved...) {
		if last := target[strings.LastIndexByte(target, '.')+1:]; !used[last] {
			without = append(without, target)
		}
	}
	if len(without) > 0 {
		a.note("%s names %s, for which the adapter has no tensors", ConfigFile, strings.Join(without, ", "))
	}
	slices.Sort(layers)
	if slices.Sort(c.Layers); len(c.Layers) > 0 && !slices.Equal(layers, c.Layers) {
		a.note("layers_to_transform is %d, but the adapter has tensors of the layers %d, which are merged", c.Layers, layers)
	}
	if c.Revision != "" && c.Revision != "main" {
		a.note("the adapter was trained on revision %.40q of its base model", c.Revision)
	}
}

// Same reports whether two tensors of the model are replaced by one and the same, and not changed
// further.
func (a *Adapter) Same(x, y string) (bool, error) {
	c, d := a.changes[x], a.changes[y]
	if c == nil || d == nil || c.replacement == "" || d.replacement == "" || c.a+d.a != "" {
		return false, nil
	}
	s, _ := a.files.Tensor(c.replacement)
	t, _ := a.files.Tensor(d.replacement)
	if s.DType != t.DType || !slices.Equal(s.Shape, t.Shape) {
		return false, nil
	}
	first, err := a.files.Raw(c.replacement)
	if err != nil {
		return false, err
	}
	second, err := a.files.Raw(d.replacement)
	return bytes.Equal(first, second), err
}
