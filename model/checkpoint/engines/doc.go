// Package engines says which inference engines (transformers, vLLM, SGLang, llama.cpp) would load a
// checkpoint, why not, and what they would load instead, by rules on the shape and the storage of
// the linear layers. It reads no weights and runs none of the engines: the rules are those of their
// sources in 2025 and 2026, and versions before or after may differ.
package engines
