package checkpoint

import (
	"fmt"
	"strings"

	"slimlab/internal/plural"
	"slimlab/model/checkpoint/gguf"
)

// ggufForms are the forms of a file, by the type of most of its matrices, with what
// general.file_type says of them (llama.h of the llama.cpp project). A form whose name ends in _M
// is a mix: the matrices that an error costs most have a type of more bits.
var ggufForms = []struct {
	name     string
	of       gguf.Type
	fileType uint32
}{
	{"F32", gguf.F32, 0}, {"F16", gguf.F16, 1}, {"BF16", gguf.BF16, 32}, {"Q8_0", gguf.Q8_0, 7}, {"Q6_K", gguf.Q6_K, 18}, {"Q5_K_M", gguf.Q5_K, 17},
	{"Q4_K_M", gguf.Q4_K, 15}, {"Q3_K_M", gguf.Q3_K, 12}, {"Q4_0", gguf.Q4_0, 2}, {"Q4_1", gguf.Q4_1, 3},
}

// GGUFForms lists the names of the forms that WriteGGUF writes, "Q4_K_M" and the like.
func GGUFForms() []string {
	list := make([]string, len(ggufForms))
	for i, f := range ggufForms {
		list[i] = f.name
	}
	return list
}

// GGUFForm is the type of most matrices of a form, by its name in letters of either case.
func GGUFForm(name string) (gguf.Type, error) {
	for _, f := range ggufForms {
		if strings.EqualFold(f.name, name) {
			return f.of, nil
		}
	}
	return 0, fmt.Errorf("GGUF form %q is not known, expected one of %s", name, strings.Join(GGUFForms(), ", "))
}

// fileTypeOf is what general.file_type says.
func fileTypeOf(t gguf.Type) (uint32, error) {
	var of []string
	for _, f := range ggufForms {
		if f.of == t {
			return f.fileType, nil
		}
		of = append(of, f.of.String())
	}
	return 0, fmt.Errorf("type %s is not written, expected one of %s", t, strings.Join(of, ", "))
}

// ggufType is the type in which a tensor is written, if its rows allow: that of the form, or of
// more bits, by the rules of llama.cpp's own quantizer. The head, or the embedding that is tied to
// it, has 6 or 8; in a mix v_proj and down_proj of some layers have more, the first and the last
// eighth and every third between; a mix of 3 bits gives o_proj 4.
func ggufType(t TensorInfo, layers int, tied bool, wanted gguf.Type) gguf.Type {
	if len(t.Shape) == 1 {
		return gguf.F32
	}
	if t.Name == headName || tied && t.Name == embeddingName {
		switch wanted {
		case gguf.Q4_0, gguf.Q4_1:
			return gguf.Q8_0
		case gguf.Q3_K, gguf.Q4_K, gguf.Q5_K:
			return gguf.Q6_K
		}
		return wanted
	}
	var layer int
	var rest string
	if n, _ := fmt.Sscanf(t.Name, layerPrefix+"%d.%s", &layer, &rest); n != 2 {
		return wanted
	}
	inMix := wanted == gguf.Q3_K || wanted == gguf.Q4_K || wanted == gguf.Q5_K
	more := layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
	switch value, down := rest == "self_attn.v_proj.weight", rest == "mlp.down_proj.weight"; {
	case !inMix || !value && !down && !(wanted == gguf.Q3_K && rest == "self_attn.o_proj.weight"):
		return wanted
	case wanted != gguf.Q3_K && more:
		return gguf.Q6_K
	case wanted != gguf.Q3_K:
		return wanted
	case value && layer < 2, down && layer < layers/16:
		return gguf.Q5_K
	}
	return gguf.Q4_K
}

const layerPrefix = "model.layers."

// ggufFallback is the type of about as many bits whose blocks are shorter, for rows that are not
// whole blocks; F16 for those that no blocks fit.
func ggufFallback(t gguf.Type, width int) gguf.Type {
	shorter := map[gguf.Type]gguf.Type{gguf.Q3_K: gguf.IQ4_NL, gguf.Q4_K: gguf.Q5_0, gguf.Q5_K: gguf.Q5_1, gguf.Q6_K: gguf.Q8_0}
	if s, ok := shorter[t]; ok && width%t.Block() != 0 {
		t = s
	}
	if width%t.Block() != 0 {
		return gguf.F16
	}
	return t
}

// fallbacks collects the matrices that have another type than their form would give them, since
// their rows are not whole blocks of that.
type fallbacks struct {
	order []fallback
	names map[fallback][]string
}

type fallback struct {
	width        int
	wanted, used gguf.Type
}

func (f *fallbacks) add(name string, of fallback) {
	if f.names == nil {
		f.names = map[fallback][]string{}
	}
	if len(f.names[of]) == 0 {
		f.order = append(f.order, of)
	}
	f.names[of] = append(f.names[of], name)
}

// notes say it once for each width and type.
func (f *fallbacks) notes() (notes []string) {
	for _, of := range f.order {
		notes = append(notes, fmt.Sprintf("%s: %s, not %s: rows of %d are not whole blocks of %d", some(f.names[of]), of.used, of.wanted, of.width, of.wanted.Block()))
	}
	return notes
}

// faintNotes say once for each type which tensors have blocks too small for its scales.
func faintNotes(tensors []gguf.NewTensor, counted []gguf.Faint) (notes []string) {
	var order []gguf.Type
	names := map[gguf.Type][]string{}
	for i, n := range counted {
		if n.Coarse == 0 {
			continue
		}
		t := tensors[i].Type
		if names[t] == nil {
			order = append(order, t)
		}
		names[t] = append(names[t], fmt.Sprintf("%s in %d of %s, %d of them now zeros", tensors[i].Name, n.Coarse, plural.Of(n.Blocks, "block"), n.Zero))
	}
	for _, t := range order {
		notes = append(notes, fmt.Sprintf("the scales of small blocks underflow in float16, which %s has for them: a block of numbers below %.2g may be off by 6%% of its largest for that alone, or become zeros: %s; where they matter, write a form without scales, such as BF16", t, t.Faintest(), some(names[t])))
	}
	return notes
}
