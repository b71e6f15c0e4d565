// Package tokenizer turns text into token ids and back, by byte-pair encoding.
//
// A Tokenizer is what a Hugging Face tokenizer.json says. Encode follows that format's pipeline: added tokens are cut
// out of the text, each remaining piece is normalized, pre-tokenized into words, and each word is merged by
// rank. Two forms are understood: byte-level BPE, whose symbols are bytes, and character BPE with byte fallback,
// whose symbols are characters (Llama-style files converted from SentencePiece). A component of the format that is
// not supported is refused by name when the file is loaded, never ignored.
//
// Byte-level tokenizers that hold all 256 bytes, as trained ones do, are lossless: Decode(Encode(s)) == s for every string,
// valid UTF-8 or not. Where a vocabulary lacks a symbol and names no unknown token, the symbol is dropped, as
// the format's own implementation does.
//
// Train makes a byte-level tokenizer from texts; Save writes a folder that Load, and transformers, read.
// The package leaves out tiktoken and SentencePiece model files, Unicode normal forms and chat templates.
package tokenizer
