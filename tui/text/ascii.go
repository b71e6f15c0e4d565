package text

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// ASCII replaces what a plain terminal cannot show by characters of the same width.
func ASCII(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return toASCII(s)
		}
	}
	return s
}

func toASCII(s string) string {
	var b strings.Builder
	for s != "" {
		if s[0] < 0x80 && (len(s) == 1 || s[1] < 0x80) { // no mark follows
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		cluster, width := ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
		s = s[len(cluster):]
		first, size := utf8.DecodeRuneInString(cluster)
		plain, known := asciiOf[first]
		switch {
		case first < 0x80:
			b.WriteByte(byte(first))
		case known && size == len(cluster):
			b.WriteByte(plain)
		case first > 0x2800 && first <= 0x28ff && size == len(cluster):
			b.WriteByte(':')
		default:
			b.WriteString(strings.Repeat("?", width))
		}
	}
	return b.String()
}

// asciiOf has a character for each sign that the project prints. Dots of braille are drawn only
// where ASCII is not asked for.
var asciiOf = map[rune]byte{
	'─': '-', '│': '|', '▏': '|', '┤': '|', '├': '|', '└': '+', '┌': '+', '┐': '+', '┘': '+', '┴': '+', '┬': '+', '┼': '+', '┄': '-', '┊': ':', '╎': '|',
	'●': '*', '○': 'o', '◌': '.', '◆': '#', '✓': '+', '✗': 'x', '■': '#', '▶': '>', '▸': '>', '▾': 'v', '▌': '>', '▐': '|',
	'▼': 'v', '▲': '^', '↑': '^', '↓': 'v', '←': '<', '→': '>', '‹': '<', '›': '>', '…': '~', '·': '-', '–': '-', '—': '-', '−': '-',
	'×': 'x', '÷': '/', 'Δ': 'd', '±': '~', 'µ': 'u', '≤': '<', '≥': '>', '⚠': '!',
	'▁': '_', '▂': '.', '▃': '-', '▄': '-', '▅': '=', '▆': '=', '▇': '#', '█': '#',
	'░': '.', '▒': ':', '▓': '=',
	'•': '*', '□': 'o', '△': '^', '▽': 'v', '◇': 'o',
	'⁰': '0', '¹': '1', '²': '2', '³': '3', '⁴': '4', '⁵': '5', '⁶': '6', '⁷': '7', '⁸': '8', '⁹': '9', '₂': '2',
	'Σ': 'S', '∂': 'd', 'α': 'a', 'β': 'b', '₀': '0', '√': 'V', '‖': '|',
	'‘': '\'', '’': '\'', '“': '"', '”': '"', '„': '"', '«': '"', '»': '"',
}
