package tokenizer

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// parseSentencePiece reads a SentencePiece model file: a protocol buffer of pieces, of what trained
// them, and of how a text is normalized (sentencepiece_model.proto; the numbers below are its
// fields). Models of BPE are read; those of unigrams, words and characters are refused, and so is a
// table of normalizations. build is to follow.
func readSentencePiece(data []byte, s *settings) (*Tokenizer, error) {
	v := Vocabulary{Model: "llama", Unknown: 0, BOS: 1, EOS: 2, Padding: -1}
	kind, prefix, squeeze := uint64(1), true, true
	err := fields(data, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			return v.piece(value.bytes)
		case 2:
			return fields(value.bytes, func(number protowire.Number, value field) error {
				switch number {
				case 3:
					kind = value.number
				case 24:
					if value.number != 0 {
						return errors.New("trainer_spec.treat_whitespace_as_suffix is not supported, expected false")
					}
				case 40:
					v.Unknown = int(int32(value.number))
				case 41:
					v.BOS = int(int32(value.number))
				case 42:
					v.EOS = int(int32(value.number))
				case 43:
					v.Padding = int(int32(value.number))
				}
				return nil
			})
		case 3:
			return fields(value.bytes, func(number protowire.Number, value field) error {
				switch number {
				case 2:
					if len(value.bytes) > 0 {
						return fmt.Errorf("normalizer_spec.precompiled_charsmap of %d bytes is not supported, expected the identity", len(value.bytes))
					}
				case 3:
					prefix = value.number != 0
				case 4:
					squeeze = value.number != 0
				case 5:
					if value.number == 0 {
						return errors.New("normalizer_spec.escape_whitespaces false is not supported, expected true")
					}
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if kind != 2 {
		names := map[uint64]string{1: "unigram", 3: "word", 4: "char"}
		if name, ok := names[kind]; ok {
			return nil, fmt.Errorf("trainer_spec.model_type %s is not supported, expected bpe", name)
		}
		return nil, fmt.Errorf("trainer_spec.model_type: found %d, expected 2, which is bpe", kind)
	}
	if s.prefix != nil {
		prefix = *s.prefix
	}
	v.AddSpacePrefix = &prefix
	t, err := readVocabulary(v, spacing{squeeze: squeeze, first: s.legacy != nil && !*s.legacy, sentencePiece: true})
	if err == nil && s.config == nil && v.BOS >= 0 {
		t.note("%s is absent: texts begin with %q, and spaces are those of legacy, as by LlamaTokenizer, which was guessed", configName, v.Tokens[v.BOS])
	}
	return t, err
}

// piece appends one SentencePiece message.
func (v *Vocabulary) piece(data []byte) error {
	token, score, kind := "", float32(0), int32(TypeNormal)
	err := fields(data, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			token = string(value.bytes)
		case 2:
			score = math.Float32frombits(uint32(value.number))
		case 3:
			kind = int32(value.number)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("pieces[%d]: %w", len(v.Tokens), err)
	}
	v.Tokens, v.Scores, v.Types = append(v.Tokens, token), append(v.Scores, score), append(v.Types, kind)
	return nil
}

// field is the value of a field of a message: a number, or bytes that are a view of the file.
type field struct {
	number uint64
	bytes  []byte
}

// fields calls visit for each field of a message, in order.
func fields(data []byte, visit func(number protowire.Number, value field) error) error {
	for at := 0; at < len(data); {
		number, kind, n := protowire.ConsumeTag(data[at:])
		if n < 0 {
			return fmt.Errorf("byte %d of the message: %w", at, protowire.ParseError(n))
		}
		at += n
		var value field
		switch kind {
		case protowire.VarintType:
			value.number, n = protowire.ConsumeVarint(data[at:])
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(data[at:])
			value.number = uint64(bits)
		case protowire.BytesType:
			value.bytes, n = protowire.ConsumeBytes(data[at:])
		default:
			n = protowire.ConsumeFieldValue(number, kind, data[at:])
		}
		if n < 0 {
			return fmt.Errorf("byte %d of the message, field %d: %w", at, number, protowire.ParseError(n))
		}
		at += n
		if err := visit(number, value); err != nil {
			return err
		}
	}
	return nil
}
