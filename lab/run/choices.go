package run

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/model"
	"slimlab/pruning"
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
	for _, group := range groupWords(quant.Groups(frame)) {
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

// parseShare reads a share of a layer's MLP neurons that may go.
func parseShare(text string) (float64, error) {
	share, percent := strings.CutSuffix(text, "%")
	x, err := strconv.ParseFloat(share, 64)
	if percent {
		x /= 100
	}
	if err != nil || !(x > 0 && x < 1) {
		return 0, errors.New("expected shares below 1 such as 25% or 0.25")
	}
	return x, nil
}

// CheckShare reports a share of the MLP neurons, by its word, that cannot go from a model of a
// shape, with those that can.
func CheckShare(text string, c model.Config) error {
	x, err := parseShare(text)
	if err == nil {
		err = checkShare(x, c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// checkShare reports a share that leaves no neuron of a layer, or removes none of any.
func checkShare(share float64, c model.Config) error {
	widest, narrowest := 0, 0
	for i, l := range c.Layers {
		if l.MLP > c.Layers[widest].MLP {
			widest = i
		}
		if l.MLP < c.Layers[narrowest].MLP {
			narrowest = i
		}
	}
	// a share is rounded to a number of neurons
	least, most := 0.5/float64(c.Layers[widest].MLP), 1-0.5/float64(c.Layers[narrowest].MLP)
	expected := "expected no share"
	if from, to := math.Ceil(1e4*least), math.Ceil(1e4*most)-1; from <= to {
		expected = fmt.Sprintf("expected shares from %g%% to %g%%", from/100, to/100)
	}
	cut := pruning.Cut{Ratio: share}
	if kept, err := cut.Kept(c.Layers[narrowest].MLP, 1, ""); err != nil || kept == 0 {
		return fmt.Errorf("leaves none of the %s of layer %d: %s", plural.Of(c.Layers[narrowest].MLP, "neuron"), narrowest, expected)
	}
	if kept, err := cut.Kept(c.Layers[widest].MLP, 1, ""); err == nil && kept == c.Layers[widest].MLP {
		return fmt.Errorf("rounds to none of the %s of layer %d: %s", plural.Of(c.Layers[widest].MLP, "neuron"), widest, expected)
	}
	return nil
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
