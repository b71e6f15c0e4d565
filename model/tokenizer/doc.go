// Package tokenizer turns text into token ids and back, by byte-pair encoding.
//
// A Tokenizer has the contents of a Hugging Face tokenizer.json; other formats are converted to it:
// a SentencePiece or tiktoken tokenizer.model, vocab.json with merges.txt, and the Vocabulary of a
// GGUF file. The files beside them, tokenizer_config.json, special_tokens_map.json and
// added_tokens.json, add tokens and say what stands around a text; where two files contradict each
// other, Notes says which one was followed. Encode follows that format's pipeline: added tokens are
// found in the text, each remaining piece is normalized, pre-tokenized into words, and each word is
// merged by rank. Two kinds are understood: byte-level BPE, whose symbols are bytes, and character
// BPE with byte fallback, whose symbols are characters (SentencePiece's). A component of the format
// that is not supported is refused by name when the file is loaded, never ignored; so are unigram
// and WordPiece models, tables of normalizations, and tiktoken files other than Llama 3's, since
// that format does not say how a text is split.
//
// Byte-level tokenizers that hold all 256 bytes, as trained ones do, are lossless:
// Decode(Encode(s)) == s for every string, valid UTF-8 or not, unless a normal form is asked for
// (Qwen composes characters, NFC). SentencePiece's put a space before a text and take it off again;
// of them Decode(Encode(s)) == s but for three things: the mark ▁ comes back as a space, a space
// comes after an added token that is written out in s (with legacy false it does not, but the first
// space of a text is lost, as in transformers), and some files take superfluous spaces out.
// Where a vocabulary lacks a symbol and names no unknown token, the symbol is dropped, as the
// format's own implementation does.
//
// A Decoder gives the text of ids one at a time, never a broken character. Train makes a byte-level
// tokenizer from texts; Save writes a folder that Load, and transformers, read; Vocabulary writes
// what a GGUF file holds. A tokenizer of scores (SentencePiece, tiktoken, GGUF's llama) merges the
// leftmost of two pairs that make one token, which a tokenizer.json cannot say: once saved, a rare
// run of one repeated character may be split differently, as in transformers.
//
// Package model/chat writes conversations with a tokenizer's chat template.
package tokenizer
