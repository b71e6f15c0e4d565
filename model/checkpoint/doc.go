// Package checkpoint reads and writes models as Hugging Face folders: config.json, model.safetensors (or shards with an
// index) and the tokenizer's files; and as GGUF files. A model without quantized weights or layers of different widths is a folder that transformers loads.
//
// Quantized weights are written in the compressed-tensors formats int-quantized (W8A8) and pack-quantized (W4A16 and W4A8).
// This package knows them only by what they hold, Int8Weight and Int4Weight; LoadOptions says how to make one. Layers
// whose widths differ after pruning are listed in config.json under slimlab_layers.
//
// Open gives a Checkpoint, whose files are mapped into memory: it takes milliseconds whatever the size, and its tensors are read and converted one at a time, a whole
// model (Model, Load) or a layer at a time (Skeleton, LoadBlock, Embed). The families are Llama, Mistral, Qwen2 and Qwen3, dense, with the
// rotary scalings linear, llama3 and yarn.
//
// A GGUF file of architecture llama, qwen2 or qwen3 opens as a folder does: its tensors have their Hugging Face names and order of rows, its block formats are decoded as they
// are read, its metadata are the config and the tokenizer. The llama3 scaling of rotary positions, which GGUF keeps as a tensor of divisors, is solved back to its numbers. WriteGGUF and SaveGGUF
// write what llama.cpp loads, and refuse with the reason what it would not: layers of different widths, biased heads that were pruned.
//
// Nothing in a file is trusted: headers are checked against the file's size, every tensor against the shape that the
// config asks for, before memory is taken. Errors name the file, and the key or tensor, what was found and what was expected.
// What a config asks for and the model does not do (attention within a sliding window, other activations, other rotary scalings) is
// refused by name. Files are replaced in one step.
//
// The package leaves out FP8, GPTQ and AWQ formats, and pickled weights.
package checkpoint
