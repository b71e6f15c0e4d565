package lora

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/regexread"
)

// The files of an adapter.
const (
	ConfigFile  = "adapter_config.json"
	weightsFile = "adapter_model.safetensors"
	pickleFile  = "adapter_model.bin"
)

// config is what is read of adapter_config.json; the defaults are PEFT's.
type config struct {
	Type          string          `json:"peft_type"`
	Base          string          `json:"base_model_name_or_path"`
	Revision      string          `json:"revision"`
	Rank          int             `json:"r"`
	Alpha         float64         `json:"lora_alpha"`
	RankPattern   patterns        `json:"rank_pattern"`
	AlphaPattern  patterns        `json:"alpha_pattern"`
	RankStable    bool            `json:"use_rslora"`
	Magnitudes    bool            `json:"use_dora"`
	Transposed    bool            `json:"fan_in_fan_out"`
	Bias          string          `json:"bias"`
	Targets       json.RawMessage `json:"target_modules"`
	Saved         []string        `json:"modules_to_save"`
	TiedWithHead  bool            `json:"ensure_weight_tying"`
	Layers        layerList       `json:"layers_to_transform"`
	unknownKeys   []string
	repeats       []string // notes on keys that stand twice
	targetModules []string // of Targets, where that is a list
}

func refused(reason string, neutral ...string) jsonread.Rule {
	return jsonread.Rule{Use: jsonread.Refused, Reason: reason, Neutral: neutral}
}

// configKeys says what is done with each key of adapter_config.json, old ones included.
var configKeys = jsonread.Keys(jsonread.Read, "peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "rank_pattern", "alpha_pattern",
	"use_rslora", "use_dora", "fan_in_fan_out", "bias", "lora_bias", "target_modules", "modules_to_save", "layers_to_transform", "ensure_weight_tying").With(
	// of training, of other programs, or said by the tensors
	jsonread.Keys(jsonread.Harmless, "task_type", "inference_mode", "auto_mapping", "peft_version", "lora_dropout", "exclude_modules",
		"layers_pattern", "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config", "runtime_config",
		"qalora_group_size", "enable_lora", "merge_weights"),
	jsonread.Table{
		"init_lora_weights": refused("an initialization that changes the base model's weights (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA, MiCA)",
			"true", `"gaussian"`, `"eva"`, `"orthogonal"`),
		"trainable_token_indices": refused("a change of single rows of the embedding"),
		"target_parameters":       refused("a change of parameters that are no linear layers"),
		"layer_replication":       refused("a model of repeated layers"),
		"alora_invocation_tokens": refused("an adapter that acts from certain tokens on, which is no change of weights,"),
		"arrow_config":            refused("routing between adapters, which is no change of weights,"),
		"use_bdlora":              refused("block-diagonal LoRA"),
		"kasa_config":             refused("KaSA, which changes the base model's weights,"),
		"monteclora_config":       refused("sampled adapters"),
		"use_qalora":              refused("QA-LoRA, whose inputs are pooled,"),
		"megatron_config":         refused("an adapter of Megatron's layers"),
	})

// parseConfig reads adapter_config.json.
func parseConfig(data []byte) (config, error) {
	c := config{Rank: 8, Alpha: 8, Bias: "none"}
	var object map[string]json.RawMessage
	var err error
	if c.repeats, err = jsonread.DecodeNoting(data, &object); err != nil {
		return c, err
	}
	// of another type of adapter the other keys mean nothing
	if err := jsonread.Decode(data, &struct {
		Type *string `json:"peft_type"`
	}{&c.Type}); err != nil {
		return c, err
	}
	if c.Type == "" {
		if _, ok := object["fine_tune_type"]; ok {
			return c, errors.New("peft_type: the key is missing: the file is of an adapter of mlx-lm, expected one of PEFT")
		}
		return c, errors.New("peft_type: the key is missing, expected \"LORA\"")
	}
	if c.Type != "LORA" {
		return c, fmt.Errorf("peft_type: found %q, expected \"LORA\": no other kind of adapter is merged", c.Type)
	}
	if c.unknownKeys, err = configKeys.Check(object); err != nil {
		if strings.HasPrefix(err.Error(), "init_lora_weights: ") {
			err = fmt.Errorf("%w; in PEFT, save it with path_initial_model_for_weight_conversion, which makes a plain LoRA of it", err)
		}
		return c, err
	}
	if err := jsonread.Decode(data, &c); err != nil {
		return c, err
	}
	if len(c.Targets) > 0 && c.Targets[0] == '[' {
		if err := jsonread.Decode(c.Targets, &c.targetModules); err != nil {
			return c, fmt.Errorf("target_modules: %w", err)
		}
	}
	switch c.Bias {
	case "none", "all", "lora_only":
	default:
		return c, fmt.Errorf("bias: found %q, expected \"none\", \"all\" or \"lora_only\"", c.Bias)
	}
	return c, c.checkNumbers()
}

func (c *config) checkNumbers() error {
	rank := func(key string, r float64) error {
		if r != math.Trunc(r) || r < 1 || r > 1<<20 {
			return fmt.Errorf("%s: found %g, expected a whole number from 1 to 2^20", key, r)
		}
		return nil
	}
	if err := rank("r", float64(c.Rank)); err != nil {
		return err
	}
	for _, p := range c.RankPattern {
		if err := rank(fmt.Sprintf("rank_pattern.%s", p.key), p.value); err != nil {
			return err
		}
	}
	return nil
}

// scale returns the rank of a module's matrices and the factor of their product.
func (c *config) scale(module string) (rank int, scale float32) {
	rank = int(c.RankPattern.find(module, float64(c.Rank)))
	alpha := c.AlphaPattern.find(module, c.Alpha)
	if c.RankStable {
		return rank, float32(alpha / math.Sqrt(float64(rank)))
	}
	return rank, float32(alpha / float64(rank))
}

// layerList is a list of layers, or one of them.
type layerList []int

// UnmarshalJSON takes a number, a list or null.
func (l *layerList) UnmarshalJSON(data []byte) error {
	var one int
	if json.Unmarshal(data, &one) == nil && string(data) != "null" {
		*l = layerList{one}
		return nil
	}
	if json.Unmarshal(data, (*[]int)(l)) != nil {
		return fmt.Errorf("layers_to_transform: found %s, expected a number of a layer, or a list of them", jsonread.Clip(data))
	}
	return nil
}

// patterns are numbers by a regular expression for the end of a module's name. Of several that
// match, the first counts.
type patterns []pattern

type pattern struct {
	key    string
	module *regexp.Regexp
	value  float64
}

// UnmarshalJSON keeps the order of the keys.
func (p *patterns) UnmarshalJSON(data []byte) error {
	*p = nil
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("found %s, expected an object of numbers by module", jsonread.Clip(data))
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		one := pattern{key: key.(string)} // keys are texts
		value, err := d.Token()
		number, ok := value.(float64)
		if err != nil || !ok {
			return fmt.Errorf("%q: found %v, expected a number", one.key, value)
		}
		one.value = number
		if one.module, err = regexread.Compile(one.key, `^(?:.*\.)?(?:%s)$`); err != nil {
			return err
		}
		*p = append(*p, one)
	}
	return nil
}

func (p patterns) find(module string, fallback float64) float64 {
	for _, one := range p {
		if one.module.MatchString(module) {
			return one.value
		}
	}
	return fallback
}
