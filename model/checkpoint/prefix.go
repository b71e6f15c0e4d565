package checkpoint

import (
	"slices"
	"strings"
)

// modelPrefix begins the names of all tensors but the head.
const modelPrefix = "model."

// prefixed is a source whose files name the tensors with another prefix than the usual one, as
// wrappers of a model do that were saved with it: "model.language_model.layers.0…",
// "module.model.layers.0…", "layers.0…".
type prefixed struct {
	source
	model, head string // in place of "model." and before "lm_head."
	list        []TensorInfo
	names       map[string]string // in the files, by the usual name
}

// anchors are the ends of names that every model has.
var anchors = []string{"layers.0.input_layernorm.weight", "embed_tokens.weight"}

// withoutPrefix returns a source with the usual names, or files itself where it has them or nothing
// that is like them.
func withoutPrefix(files source, n *notes) source {
	var found []string
	for _, t := range files.tensors() {
		for _, anchor := range anchors {
			prefix, ok := strings.CutSuffix(t.Name, anchor)
			if ok && (prefix == "" || strings.HasSuffix(prefix, ".")) && !slices.Contains(found, prefix) {
				found = append(found, prefix)
			}
		}
	}
	if len(found) != 1 || found[0] == modelPrefix {
		return files
	}
	p := &prefixed{source: files, model: found[0], names: map[string]string{}}
	for _, t := range files.tensors() {
		name := t.Name
		if rest, ok := strings.CutPrefix(name, p.model); ok && !strings.HasPrefix(rest, "lm_head.") {
			name = modelPrefix + rest
		} else if before, rest, ok := strings.Cut(name, "lm_head."); ok && strings.HasPrefix(p.model, before) {
			name, p.head = "lm_head."+rest, before
		}
		if _, taken := p.names[name]; taken {
			return files
		}
		p.names[name] = t.Name
		t.Name = name
		p.list = append(p.list, t)
	}
	n.add("the files name the tensors %q where %q is usual: read as if they had the usual names", p.model+"layers…", modelPrefix+"layers…")
	return p
}

func (p *prefixed) tensors() []TensorInfo { return p.list }

func (p *prefixed) tensor(name string) (TensorInfo, bool) {
	t, ok := p.source.tensor(p.names[name])
	t.Name = name
	return t, ok && p.names[name] != ""
}

// stored returns the name of a layer in the files.
func (p *prefixed) stored(layer string) string {
	if rest, ok := strings.CutPrefix(layer, modelPrefix); ok {
		return p.model + rest
	}
	return p.head + layer
}

func (p *prefixed) ReadFloat32(dst []float32, name string) error {
	return p.source.ReadFloat32(dst, p.inFile(name))
}

func (p *prefixed) ReadRows(dst []float32, name string, first, rows int) error {
	return p.source.ReadRows(dst, p.inFile(name), first, rows)
}

func (p *prefixed) Raw(name string) ([]byte, error) { return p.source.Raw(p.inFile(name)) }

// inFile is a tensor's name in the files; one that is not there keeps its name, for the error.
func (p *prefixed) inFile(name string) string {
	if stored, ok := p.names[name]; ok {
		return stored
	}
	return name
}
