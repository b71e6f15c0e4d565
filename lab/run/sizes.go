package run

import (
	"fmt"
	"slices"

	"slimlab/lab/convert"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/quant"
)

// Sizes predicts what models take that are made of one of a shape by a share of neurons and a
// number format for each layer, by their words: "0" and "none" leave a layer as it is.
type Sizes struct {
	shape model.Config
	align int
}

// NewSizes has one alignment for all shares, so that what a layer takes does not depend on the
// others: the groups that the schemes' names say, or a usual one.
func NewSizes(shape model.Config, schemes []string) (*Sizes, error) {
	group := 0
	for _, name := range schemes {
		s, err := quant.ParseScheme(name)
		if err != nil {
			return nil, err
		}
		group = pruning.CommonGroup(group, s.Format.Group)
	}
	return &Sizes{shape, pruning.AlignOfEach(shape.Layers, group)}, nil
}

// Align is what the numbers of neurons that stay are rounded up to a multiple of.
func (z *Sizes) Align() int { return z.align }

// Layer is what the linear weights of one layer take alone, and the group of its automatic scheme,
// which is at most some number where that is not 0; 0 for another scheme.
func (z *Sizes) Layer(layer int, share, scheme string, most int) (bytes int64, group int, err error) {
	frame, err := z.frame([]model.LayerConfig{z.shape.Layers[layer]}, []string{share})
	if err != nil {
		return 0, 0, err
	}
	s, err := quant.ParseScheme(scheme)
	if err != nil {
		return 0, 0, err
	}
	list, err := quant.Uniform(s).Schemes(frame)
	if err != nil {
		return 0, 0, err
	}
	if s.HasGroups() && s.Format.Group == 0 && !s.Channel {
		group = list[0].Format.Group
	}
	for i, l := range frame.Linears() {
		if group > 0 && most > 0 {
			list[i].Format.Group = min(group, most)
		}
		bytes += linearBytes(l, list[i])
	}
	return bytes, group, nil
}

// Model is what a whole model takes.
func (z *Sizes) Model(shares, schemes []string) (bytes int64, err error) {
	frame, err := z.frame(z.shape.Layers, shares)
	if err != nil {
		return 0, err
	}
	var parsed []quant.Scheme
	for _, name := range schemes {
		s, err := quant.ParseScheme(name)
		if err != nil {
			return 0, err
		}
		parsed = append(parsed, s)
	}
	if len(parsed) != len(z.shape.Layers) {
		return 0, fmt.Errorf("found %d schemes, expected one for each of %d layers", len(parsed), len(z.shape.Layers))
	}
	list, err := quant.Plan(func(l model.LinearLayer) quant.Scheme { return parsed[l.Layer] }).Schemes(frame)
	if err != nil {
		return 0, err
	}
	bytes = 2 * int64(frame.Config.Parameters())
	for i, l := range frame.Linears() {
		bytes += linearBytes(l, list[i]) - 2*int64(l.Out)*int64(l.In)
	}
	return bytes, nil
}

// frame is a model of some layers behind the removal of shares of their neurons.
func (z *Sizes) frame(layers []model.LayerConfig, shares []string) (*model.Model, error) {
	var cuts []pruning.LayerCut
	for _, text := range shares {
		cut, err := pruning.ParseCut(text)
		if err != nil {
			return nil, err
		}
		cuts = append(cuts, pruning.LayerCut{MLP: cut})
	}
	if len(cuts) != len(layers) {
		return nil, fmt.Errorf("found %d shares, expected one for each of %d layers", len(cuts), len(layers))
	}
	layers, err := pruning.WidthsAfter(slices.Clone(layers), cuts, z.align)
	if err != nil {
		return nil, err
	}
	return model.Skeleton(withLayers(z.shape, layers))
}

// linearBytes is what a scenario's step writes of a linear layer.
func linearBytes(l model.LinearLayer, s quant.Scheme) int64 {
	storage := checkpoint.Storage{}
	if s.Rounder != nil {
		storage = checkpoint.StorageOf(s.Format, checkpoint.PackQuantized)
	}
	return convert.LinearBytes(l.Out, l.In, storage, s.Outliers, checkpoint.BF16)
}
