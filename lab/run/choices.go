package run

import (
	"fmt"
	"strconv"
	"strings"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/quant"
)

// CheckScheme reports a number format, by its name, that a model of a shape cannot have, with the
// linear layer in the way and the names that would do.
func CheckScheme(name string, c model.Config) error {
	scheme, err := quant.ParseScheme(name)
	if err != nil {
		return err
	}
	frame, err := model.Skeleton(c)
	if err != nil {
		return err
	}
	if _, err = quant.Uniform(scheme).Schemes(frame); err == nil {
		return nil
	}
	if !scheme.HasGroups() || scheme.Channel {
		return fmt.Errorf("%s: %w", name, err)
	}
	base, _, _ := quant.CutGroup(name)
	var fit []string
	for _, group := range fittingGroups(frame) {
		fit = append(fit, base+"-g"+group)
	}
	return fmt.Errorf("%s: %w; expected %s, or w8a8 or fp8, which need no groups", name, err, strings.Join(fit, " or "))
}

// FittingScheme is a number format as a model of a shape can have it: as it is named, or else with
// one scale for each output in place of groups; "" where that is none either.
func FittingScheme(name string, c model.Config) string {
	base, _, _ := quant.CutGroup(name)
	for _, name := range []string{name, base + "-g" + quant.ChannelGroup} {
		if CheckScheme(name, c) == nil {
			return name
		}
	}
	return ""
}

// LeastBytes is what a model of a shape takes at the least by number formats and shares of its MLP
// neurons that may go, which CheckChoices has read, and what it takes in bfloat16; rest is what no
// choice changes: all but the linear layers. Neurons are taken as if any number could go, so no
// model is smaller than least.
func LeastBytes(schemes, shares []string, c model.Config) (least, rest, plain int64, err error) {
	frame, err := model.Skeleton(c)
	if err != nil {
		return 0, 0, 0, err
	}
	keep := 1.0
	for _, text := range shares {
		digits, percent := strings.CutSuffix(text, "%")
		x, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return 0, 0, 0, err
		}
		if percent {
			x /= 100
		}
		keep = min(keep, 1-x)
	}
	layers := func(of quant.Plan) (bytes float64, err error) {
		list, err := of.Schemes(frame)
		if err != nil {
			return 0, err
		}
		for i, l := range frame.Linears() {
			part, format := 2*float64(l.Out*l.In), list[i].Format
			if list[i].Rounder != nil {
				scales := 2 * l.Out // of 16 bits or more
				if format.Group > 0 {
					scales = l.Out * l.In / format.Group
					if !format.Float { // those of floats may have 8 bits
						scales *= 2
					}
				}
				part = float64(l.Out*l.In*format.Bits/8 + scales)
			}
			if l.Site == model.SiteGateUp || l.Site == model.SiteDown {
				part *= keep
			}
			bytes += part
		}
		return bytes, nil
	}
	smallest, err := layers(quant.Uniform(quant.Scheme{}))
	if err != nil {
		return 0, 0, 0, err
	}
	linear := 0
	for _, l := range frame.Linears() {
		linear += 2 * l.Out * l.In
	}
	for _, name := range schemes {
		s, err := quant.ParseScheme(name)
		if err != nil {
			return 0, 0, 0, err
		}
		bytes, err := layers(quant.Uniform(s))
		if err != nil {
			return 0, 0, 0, err
		}
		smallest = min(smallest, bytes)
	}
	plain = 2 * int64(c.Parameters())
	rest = plain - int64(linear)
	return rest + int64(smallest), rest, plain, nil
}

// LeastCache is what a token takes at the least of the KV caches of formats, and in bfloat16.
func LeastCache(names []string, c model.Config) (least, plain int64, err error) {
	plain = model.PositionBytes(c, kernels.KVBFloat16)
	least = plain
	for _, name := range names {
		format, err := kernels.ParseKVFormat(name)
		if err != nil {
			return 0, 0, err
		}
		least = min(least, model.PositionBytes(c, format))
	}
	return least, plain, nil
}
