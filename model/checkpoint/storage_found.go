package checkpoint

import (
	"bytes"
	"fmt"
	"slices"

	"slimlab/model/checkpoint/safetensors"
)

// found is the form in which the tensors of a layer are there.
type found int

const (
	nothing found = iota
	floats        // one float tensor
	// a float tensor beside scales: rounded at run time by the program that saved it
	uncompressed
	coded // codes of one of the packings
)

// foundForm looks at the tensors of a linear layer.
func (c *Checkpoint) foundForm(layer string) found {
	has := func(suffix string) bool { _, ok := c.files.tensor(layer + suffix); return ok }
	if has(".qweight") || has(".weight_packed") {
		return coded
	}
	t, ok := c.files.tensor(layer + ".weight")
	switch {
	case !ok:
		return nothing
	case t.DType == safetensors.I8 || t.DType == safetensors.F8E4M3 || t.DType == safetensors.F8E5M2:
		return coded
	case t.DType != F32 && t.DType != F16 && t.DType != BF16:
		return nothing
	case has(".weight_scale"):
		return uncompressed
	}
	return floats
}

// storage returns how a linear layer is stored: as the config says, but quantized or not as the
// tensors are there.
func (c *Checkpoint) storage(layer string) Storage {
	s := c.quantization.of(layer)
	if c.quantization == nil {
		return s
	}
	switch form := c.foundForm(layer); {
	case form == floats:
		return Storage{}
	case form == coded && s.Dense():
		return c.withFoundGroup(layer, c.quantization.group(layer))
	case form == coded:
		return c.withFoundGroup(layer, s)
	}
	return s
}

// withFoundGroup returns s with the group size that a layer's scales have, where the config names
// none and the tensors are of whole groups.
func (c *Checkpoint) withFoundGroup(layer string, s Storage) Storage {
	if !c.quantization.groupless || s.Format.Bits == 0 {
		return s
	}
	codes, found := c.files.tensor(layer + ".qweight")
	scales, scaled := c.files.tensor(layer + ".scales")
	if !found || !scaled || len(codes.Shape) != 2 || len(scales.Shape) != 2 {
		return s
	}
	inputs, groups := codes.Shape[0], scales.Shape[0]
	if s.Packing == GPTQ {
		inputs = inputs * 32 / s.Format.Bits
	}
	switch {
	case groups == 1:
		s.Format.Group = 0
	case groups > 1 && inputs%groups == 0:
		s.Format.Group = inputs / groups
	}
	return s
}

// noteGroup notes the group size of the first quantized layer where the config names none.
func (c *Checkpoint) noteGroup(n *notes) {
	for _, l := range c.linears() {
		s := c.storage(l.name)
		if s.Dense() {
			continue
		}
		size := fmt.Sprintf("of %d inputs", s.Format.Group)
		if s.Format.Group == 0 {
			size = "of all inputs"
		}
		n.add("quantization: group_size is missing: by the scales, groups are %s (%s)", size, l.name)
		return
	}
}

// checkForms notes the layers that are quantized or not against what the config says, and reports
// those whose weights are to be rounded at run time.
func (c *Checkpoint) checkForms(n *notes) error {
	if c.quantization == nil {
		return nil
	}
	var dense, quantized []string
	for _, l := range c.linears() {
		says := c.quantization.of(l.name).Dense()
		switch form := c.foundForm(l.name); {
		case form == uncompressed:
			return fmt.Errorf("tensor %q is a float tensor beside scales: the weights were saved before they were compressed; save the model compressed (save_compressed), or without quantization", l.name+".weight")
		case form == floats && !says:
			dense = append(dense, l.name)
		case form == coded && says:
			quantized = append(quantized, l.name)
		}
	}
	if len(dense) > 0 {
		n.add("%d linear layers have float weights that the quantization's config does not except, and are read as they are there: %s", len(dense), some(dense))
	}
	if len(quantized) > 0 {
		n.add("%d linear layers are quantized that the quantization's config excepts, and are read as they are there: %s", len(quantized), some(quantized))
	}
	if c.quantization.groupless {
		c.noteGroup(n)
	}
	if c.quantization.symmetric {
		c.noteZeros(n)
	}
	return nil
}

// checkUnread returns the error of a file of the quantization unless all linear layers are float
// tensors: such a file is then what an earlier form of the model has left.
func (c *Checkpoint) checkUnread(err error) error {
	if err == nil || slices.ContainsFunc(c.linears(), func(l linear) bool { return c.foundForm(l.name) != floats }) {
		return err
	}
	c.notes.add("%v; all weights are floats, and the file is not used", err)
	return nil
}

// noteZeros notes that the zero points of the first GPTQ layer are of the other version of the
// format than the config says.
func (c *Checkpoint) noteZeros(n *notes) {
	for _, l := range c.linears() {
		s := c.storage(l.name)
		if s.Packing != GPTQ {
			continue
		}
		if found := c.zeroVersion(l.name, s); found != s {
			version := map[bool]string{false: "gptq", true: "gptq_v2"}
			n.add("checkpoint_format: the config says %s, but with sym true every zero point is the middle of the codes, as in %s: read as the latter", version[s.V2], version[found.V2])
		}
		return
	}
}

// zeroVersion returns s with the version of GPTQ's format that a layer's zero points have, where
// they are to be the middle of the codes: version 2 stores the middle, version 1 one less. Files of
// version 2 are published under the name of version 1.
func (c *Checkpoint) zeroVersion(layer string, s Storage) Storage {
	if s.Packing != GPTQ || c.quantization == nil || !c.quantization.symmetric {
		return s
	}
	zeros, err := c.files.Raw(layer + ".qzeros")
	if err != nil || len(zeros) == 0 {
		return s
	}
	// 32 codes fill whole words of all numbers of bits
	all := func(code byte) bool {
		words := packRows(slices.Repeat([]byte{code}, 32), 1, 32, s.Format.Bits, 0)
		for part := range slices.Chunk(zeros, len(words)) {
			if !bytes.HasPrefix(words, part) {
				return false
			}
		}
		return true
	}
	switch middle := byte(1) << (s.Format.Bits - 1); {
	case all(middle):
		s.V2 = true
	case all(middle - 1):
		s.V2 = false
	}
	return s
}
