package checkpoint

import (
	"strings"
	"testing"

	"slimlab/model"
)

// A model of another family is refused as what it is, not as a misspelled one of ours.
func TestOtherFamilies(t *testing.T) {
	for what, names := range map[string][]string{
		"a mixture of experts": {"MixtralForCausalLM", "mixtral", "Qwen2MoeForCausalLM", "qwen2_moe", "qwen3moe", "DeepseekV3ForCausalLM", "deepseek_v2", "PhiMoEForCausalLM",
			"Llama4ForCausalLM", "GptOssForCausalLM", "OlmoeForCausalLM", "dbrx", "Qwen3NextForCausalLM"},
		"a state-space or recurrent model":        {"MambaForCausalLM", "falcon_mamba", "mamba2", "RwkvForCausalLM", "rwkv7", "JambaForCausalLM", "RecurrentGemmaForCausalLM"},
		"an encoder with a decoder":               {"T5ForConditionalGeneration", "MT5ForConditionalGeneration", "BartForConditionalGeneration", "WhisperForConditionalGeneration", "t5"},
		"an encoder, which writes no text":        {"BertForMaskedLM", "RobertaModel", "ModernBertForMaskedLM", "nomic-bert", "XLMRobertaForMaskedLM"},
		"a model that also reads images or sound": {"Qwen2VLForConditionalGeneration", "qwen2_5_vl", "LlavaForConditionalGeneration", "MllamaForConditionalGeneration", "Qwen2AudioForConditionalGeneration", "Mistral3ForConditionalGeneration"},
		"a decoder of another form":               {"GPT2LMHeadModel", "GPTNeoXForCausalLM", "Gemma2ForCausalLM", "gemma3", "Phi3ForCausalLM", "FalconForCausalLM", "BloomForCausalLM", "Starcoder2ForCausalLM", "QWenLMHeadModel"},
	} {
		for _, name := range names {
			if got := otherFamily(name); got != what {
				t.Errorf("%s is %q, expected %q", name, got, what)
			}
			if err := checkFamily("found", name, model.Architectures()); err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "did you mean") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, name := range append(model.Architectures(), "llama", "mistral", "qwen2", "qwen3", "LlamaForCausallM", "MistralForCausal", "Foo", "") {
		if got := otherFamily(name); got != "" {
			t.Errorf("%s is taken for %s", name, got)
		}
	}
	if err := checkFamily("found", "LlamaForCausallM", model.Architectures()); err == nil || !strings.Contains(err.Error(), `did you mean "LlamaForCausalLM"`) {
		t.Errorf("a misspelled name: %v", err)
	}
}
