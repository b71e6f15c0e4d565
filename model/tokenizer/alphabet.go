package tokenizer

import "unicode/utf8"

// Byte-level BPE writes each byte as a printable character, so that a vocabulary is readable text:
// printable Latin-1 characters are themselves, and the other 68 bytes are the characters from
// U+0100 on, in order (GPT-2's table).
var byteRune, runeByte = byteAlphabet()

func byteAlphabet() (runes [256]rune, bytes map[rune]byte) {
	bytes = make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if b < '!' || b > '~' && b < 0xA1 || b == 0xAD {
			r = next
			next++
		}
		runes[b] = r
		bytes[r] = byte(b)
	}
	return runes, bytes
}

// spellBytes writes raw bytes in the alphabet of byte-level vocabularies.
func spellBytes(raw string) string {
	out := make([]byte, 0, 2*len(raw))
	for i := range len(raw) {
		out = utf8.AppendRune(out, byteRune[raw[i]])
	}
	return string(out)
}

// bytesOf reads a spelling back; ok is false where a character is not of the alphabet.
func bytesOf(spelling string) (raw string, ok bool) {
	out := make([]byte, 0, len(spelling))
	for _, r := range spelling {
		b, ok := runeByte[r]
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}
