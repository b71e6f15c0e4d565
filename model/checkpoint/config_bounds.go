package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"slimlab/internal/jsonread"
	"slimlab/model"
)

// bound is the range of the whole numbers that a key may have.
type bound struct{ low, high int }

// widest is the bound of other keys: every number in it is a float64 too.
var widest = bound{-1 << 53, 1 << 53}

// configBounds are those of the keys of config.json, and ggufBounds those of a GGUF file's keys of
// its architecture, which model.Config.Validate knows by other names.
var (
	configBounds = map[string]bound{
		"vocab_size":                       {1, model.MaxWidth},
		"hidden_size":                      {1, model.MaxWidth},
		"intermediate_size":                {1, model.MaxWidth},
		"num_hidden_layers":                {1, model.MaxLayers},
		"num_attention_heads":              {1, model.MaxHeads},
		"num_key_value_heads":              {1, model.MaxHeads},
		"head_dim":                         {1, model.MaxHeadDim},
		"max_position_embeddings":          {1, model.MaxPositions},
		"original_max_position_embeddings": {0, model.MaxPositions},
	}
	ggufBounds = map[string]bound{
		"context_length":                       {1, model.MaxPositions},
		"embedding_length":                     {1, model.MaxWidth},
		"feed_forward_length":                  {1, model.MaxWidth},
		"block_count":                          {1, model.MaxLayers},
		"attention.head_count":                 {1, model.MaxHeads},
		"attention.head_count_kv":              {1, model.MaxHeads},
		"attention.key_length":                 {1, model.MaxHeadDim},
		"rope.scaling.original_context_length": {0, model.MaxPositions},
	}
)

// lowest are the smallest numbers that keys of config.json may have; smallest stands for every
// number above 0.
var lowest = map[string]float64{
	"rms_norm_eps": smallest, "rope_theta": smallest, "low_freq_factor": smallest, "high_freq_factor": smallest, "factor": 1,
}

const smallest = math.SmallestNonzeroFloat64

// whole reads a whole number within a bound, also one that was written as a float (4096.0). Its
// error says what was found and expected.
func (b bound) whole(raw json.RawMessage) (int, error) {
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		f, err := strconv.ParseFloat(string(raw), 64)
		if errors.Is(err, strconv.ErrSyntax) || f != math.Trunc(f) {
			return 0, fmt.Errorf("found %s, expected a whole number", jsonread.Clip(raw))
		}
		n = int(max(math.MinInt32<<30, min(f, math.MaxInt32<<30))) // outside every bound
	}
	if n < b.low || n > b.high {
		return 0, fmt.Errorf("found %s, expected %s", jsonread.Clip(raw), b)
	}
	return n, nil
}

func (b bound) String() string { return fmt.Sprintf("a whole number from %d to %d", b.low, b.high) }
