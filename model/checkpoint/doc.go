// Package checkpoint reads and writes models as GGUF files and as Hugging Face folders:
// config.json, model.safetensors (or shards with an index) and the tokenizer's files. A model of
// one width without quantized weights is a folder that transformers loads; package engines says
// which engines would load which shape in which storage, and what they would load instead.
//
// Quantized linear layers are read in the forms in which they are published: compressed-tensors
// (int-quantized; pack-quantized with 4 and 8 bits, symmetric or not, with act-order or not;
// float-quantized with scales of channels, tensors or blocks, activations dynamic or static), GPTQ
// of both versions with 4 and 8 bits, AWQ (GEMM), and vLLM's fp8. A Storage says which of them a
// layer has: its tensors are decoded to the codes, scales and zero points of a weight.Encoding, and
// weight.New makes the weight. What no kernel multiplies becomes float32 weights of the very
// numbers (code − zero)·scale, 4 bytes each: codes of 8 bits whose activations are kept as they
// are, and those with scales of blocks, whose activations are then not rounded. Every weight of
// package weight but BFloat16 is written, quantized ones as compressed-tensors, W4A16 as GPTQ
// (version 1) on demand, and codes with numbers beside them under a quant_method of slimlab's own.
// What differs in a layer after pruning stands in config.json under per_layer_config, transformers'
// key; slimlab_layers of earlier versions is read.
//
// Open gives a Checkpoint, whose files are mapped into memory: it takes milliseconds whatever the
// size, and its tensors are read and converted one at a time, a whole model (Model) or a layer
// at a time (Skeleton, LoadBlock, Embed). The families are Llama, Mistral, Qwen2 and Qwen3,
// dense, with the rotary scalings linear, llama3 and yarn.
//
// A GGUF file of architecture llama, deci, qwen2 or qwen3 opens as a folder does: its tensors have
// their Hugging Face names and order of rows, its block formats are decoded as they are read, its
// metadata are the config and the tokenizer. The llama3 scaling of rotary positions, which GGUF
// keeps as a tensor of divisors, is solved back to its numbers. WriteGGUF and SaveGGUF write what
// llama.cpp loads, layers of different widths as deci, and refuse with the reason what it would
// not: such layers of a Qwen, biased heads that were pruned.
//
// Folders are read as users have them. Where the quantization stands under a former name or in a
// file of its own, where the tensors have a prefix, where layers are quantized or dense against
// what the config says, where zero points are of the other version of GPTQ's format, the tensors
// that are there decide, and Notes says what was unusual. It also names the keys of config.json and
// generation_config.json that no table here knows, places that contradict each other, and what was
// left out, such as the scales of a quantized KV cache. The tokens that end a text are those of
// both files (or of a GGUF file's eos, eot and eom) as one set. An error says what a folder holds
// instead of a model: a LoRA adapter, pickled weights, Git LFS pointers, tensors of another form.
//
// Nothing in a file is trusted: headers are checked against the file's size, every tensor against
// the shape that the config asks for, before memory is taken. Errors name the file, and the key or
// tensor, what was found and what was expected. What a config asks for and the model does not do
// (attention within a sliding window, other activations, other rotary scalings, experts) is refused
// by name. Files are replaced in one step.
//
// The package leaves out codes of 2, 3, 5, 6 and 7 bits, Marlin's and NVIDIA's 4-bit forms, sparse
// forms, and pickled weights.
package checkpoint
