package checkpoint

import (
	"fmt"
	"regexp"
	"strings"

	"slimlab/internal/nearest"
)

// What models of other families are, in words; mixtures come first, since their names begin as
// those of dense families do.
var otherFamilies = []struct {
	what  string
	names *regexp.Regexp // of a family, in lower case, without signs
}{
	{"a mixture of experts", regexp.MustCompile(`moe|mixtral|dbrx|^deepseekv[23]|^kimi|^grok|^arctic|^jetmoe|^olmoe|^gptoss|^llama4|^hunyuanv1moe|^minimax|^glm4moe|^ernie45moe|^switchtransformers|^nllbmoe|^bailingmoe|^dots1|^qwen3next|^longcat|^phimoe|^granitemoe|^lfm2moe|^step3`)},
	{"a state-space or recurrent model", regexp.MustCompile(`mamba|^rwkv|^jamba|^zamba|^recurrentgemma|^xlstm|^falconh1|^bamba|^nemotronh|^retnet|^hyena|^lfm2|^granitehybrid|^plamo2`)},
	{"an encoder with a decoder", regexp.MustCompile(`^m?t5|^umt5|^byt5|^bart|^mbart|^pegasus|^marian|^m2m|^led$|^longt5|^prophetnet|^whisper|^seamless|^fsmt|^t5gemma|^blenderbot|^encoderdecoder`)},
	{"an encoder, which writes no text", regexp.MustCompile(`bert|^electra|^xlm|^mpnet|^longformer|^bigbird|^ernie$|^ernie[mx]|^nomic|^gte|^jina|^bge|^e5$|^funnel|^camembert|^flaubert|^esm|^canine|^rembert`)},
	{"a model that also reads images or sound", regexp.MustCompile(`vl|vision|llava|^mllama|^idefics|^smolvlm|^paligemma|^pixtral|^internvl|^blip|^kosmos|^fuyu|^clip|^siglip|^vit|audio|omni|^mistral3|^gemma3n|^aria|^florence|^voxtral|^cogvlm|^minicpm[vo]|^janus|^chameleon|^git$`)},
	{"a diffusion model", regexp.MustCompile(`^llada|^dream|diffusion|^unet`)},
	{"a decoder of another form", regexp.MustCompile(`^gpt|^gemma|^phi|^falcon|^bloom|^mpt|^opt|^codegen|^stablelm|^starcoder|^cohere|^commandr|^olmo|^internlm|^baichuan|^chatglm|^glm|^qwen$|^persimmon|^nemotron|^exaone|^minicpm|^xverse|^orion|^deci|^openelm|^smollm3|^granite|^apertus|^arcee|^seedoss|^hunyuan|^yi$|^aquila|^refact|^plamo|^codeshell|^ctrl|^xglm|^biogpt|^ministral|^solar|^jais|^helium|^ernie45|^bitnet|^deepseek|^qwen3\d|^diffllama|^doge|^vaultgemma|^lfm`)},
}

// ownSigns are what a family's name is compared without.
var ownSigns = regexp.MustCompile(`[^a-z0-9]`)

// otherFamily says what a model of another family is, by its architecture, model_type or GGUF name;
// "" where the name is none of those that are known.
func otherFamily(name string) string {
	name, _, _ = strings.Cut(name, "For")
	for _, end := range []string{"LMHeadModel", "Model", "LM"} {
		name = strings.TrimSuffix(name, end)
	}
	name = ownSigns.ReplaceAllString(strings.ToLower(name), "")
	for _, f := range otherFamilies {
		if f.names.MatchString(name) {
			return f.what
		}
	}
	return ""
}

// checkFamily reports a name that is not one of the valid ones: as what it is known for, else with
// the nearest valid one.
func checkFamily(found, name string, valid []string) error {
	err := nearest.Check(found, name, valid)
	if what := otherFamily(name); err != nil && what != "" {
		return fmt.Errorf("%s %q, %s: expected one of %s", found, name, what, strings.Join(valid, ", "))
	}
	return err
}
