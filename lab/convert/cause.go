package convert

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
)

// Cause adds to the error of a compression which file or tensor of the checkpoint from is behind it
// and what to do.
func Cause(ctx context.Context, source *checkpoint.Checkpoint, from string, err error) error {
	var compressed *calibrate.CompressedError
	if errors.As(err, &compressed) {
		return fmt.Errorf("%s: %w: `slimlab import %s FOLDER` decodes it to floats, which can be pruned and quantized", from, err, from)
	}
	var infinite *calibrate.NotFiniteError
	var unfit *unfitError
	layer := 0
	switch {
	case errors.As(err, &infinite):
		layer = infinite.Layer
	case errors.As(err, &unfit):
		layer = unfit.layer
	default:
		return err
	}
	name, largest, others, bad := largestUpTo(ctx, source, layer)
	if bad != nil {
		return errors.Join(err, bad)
	}
	return fmt.Errorf("%s: %w; of the tensors up to there %s has the largest number, %.3g (%.3g in the others): expected numbers whose products stay below 1e38: get the model's files again, or train it anew", from, err, name, largest, others)
}

// tooLarge says which tensors around the layers have numbers that are too large to compute with: a
// method looks at those of the layers.
func tooLarge(ctx context.Context, source *checkpoint.Checkpoint) (warnings []string, err error) {
	for _, t := range source.Tensors() {
		if strings.HasPrefix(t.Name, layerPrefix) {
			continue
		}
		largest, err := source.Largest(ctx, t)
		if err != nil {
			return nil, err
		}
		if text := calibrate.TooLarge(t.Name, largest); text != "" {
			warnings = append(warnings, text)
		}
	}
	return warnings, nil
}

// largestUpTo finds the tensor with the largest number among the embedding and the layers up to
// one, of the head's those and the last norm; others is the largest number of the rest.
func largestUpTo(ctx context.Context, source *checkpoint.Checkpoint, layer int) (name string, largest, others float32, err error) {
	for _, t := range source.Tensors() {
		if rest, found := strings.CutPrefix(t.Name, layerPrefix); found {
			number, _, _ := strings.Cut(rest, ".")
			if n, err := strconv.Atoi(number); err != nil || n > layer {
				continue
			}
		} else if t.Name != embeddingName && (t.Name != finalNormName || layer < len(source.Config().Layers)) {
			continue
		}
		v, err := source.Largest(ctx, t)
		if err != nil {
			return "", 0, 0, err
		}
		if v > largest {
			name, largest, v = t.Name, v, largest
		}
		others = max(others, v)
	}
	return name, largest, others, nil
}
