// Package lora reads low-rank adapters as PEFT writes them: a folder with adapter_config.json and
// adapter_model.safetensors (Hu et al., 2021).
//
// Open checks an adapter against the names and shapes of a model before any weight is read, and
// Adapter.Apply changes rows of a tensor of that model by it, in float32: a replaced tensor first,
// then W += s·B·A with s = α/r, or α/√r (rank-stabilized; Kalajdzievski, 2023), then the
// magnitudes of DoRA (Liu et al., 2024): each row is scaled to the length that its magnitude says.
// Which modules are changed is what the tensors say; ranks and α may differ by module
// (rank_pattern, alpha_pattern). Embeddings, biases and modules that were trained whole
// (modules_to_save) are included.
//
// Every key of the config is read, known to be harmless, or refused by name. Refused are kinds of
// adapters that are no fixed change of weights, or a change of other weights than the base's: other
// peft types, initializations that change the base (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA), routing,
// replicated layers, adapted token rows and parameters, and DoRA of embeddings.
//
// The package leaves out what becomes of a tied head, writing, and adapters that are not merged.
package lora
