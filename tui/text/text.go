// Package text fits styled text into terminal cells: width, cutting, padding, wrapping, cleaning.
//
// It promises that Fit returns exactly the asked width whatever comes in, and that cleaned text
// holds no control or escape characters. It knows escape sequences of styles, wide and combining
// characters. Fit and Right keep right-to-left text in its cells; the package leaves out its order
// within them, which is the terminal's.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"slimlab/internal/visible"
)

// Ellipsis ends text that was cut.
const Ellipsis = "…"

const blanks = "                                                                                                                                "

// Blank returns n spaces; none when n is negative.
func Blank(n int) string {
	if n <= 0 {
		return ""
	}
	if n <= len(blanks) {
		return blanks[:n]
	}
	return strings.Repeat(" ", n)
}

// Repeat returns s n times; nothing when n is negative.
func Repeat(s string, n int) string { return strings.Repeat(s, max(0, n)) }

// Width is the number of terminal cells that s takes.
func Width(s string) int {
	width := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c >= 0x20 && c <= 0x7e:
			width++
			i++
		case c == 0x1b:
			n := styleLength(s[i:])
			if n == 0 {
				return ansi.StringWidth(s)
			}
			i += n
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if !narrow(r) {
				return ansi.StringWidth(s)
			}
			width++
			i += size
		}
	}
	return width
}

// styleLength is the length of the escape sequence of a style that s begins with; 0 when it begins
// with another.
func styleLength(s string) int {
	if len(s) < 2 || s[1] != '[' {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// narrow knows the characters that the screens are made of: one cell each, whatever is before them.
func narrow(r rune) bool {
	// lines, blocks, shapes, braille
	if r >= 0x2500 && r <= 0x25cf || r >= 0x2800 && r <= 0x28ff {
		return true
	}
	_, ours := asciiOf[r]
	return ours
}

// Cut shortens s to at most width cells and ends it with an ellipsis when something was lost.
func Cut(s string, width int) string {
	if width <= 0 {
		return ""
	}
	if Width(s) <= width {
		return s
	}
	return ansi.Truncate(s, width, Ellipsis)
}

// Fit cuts or pads s on the right to exactly width cells.
func Fit(s string, width int) string {
	s = Cut(s, width)
	return isolated(s) + Blank(width-Width(s))
}

// Right cuts s, or pads it on the left, to exactly width cells.
func Right(s string, width int) string {
	s = Cut(s, width)
	return Blank(width-Width(s)) + isolated(s)
}

// mark is LEFT-TO-RIGHT MARK: it has no width and a direction.
const mark = "\u200e"

// isolated puts right-to-left text between two marks. A terminal that reorders a line by the rules
// of Unicode (UAX 9) then keeps that text in its own cells: without them, a number in the next
// column would belong to it (rules N1 and W2) and come to stand before it.
func isolated(s string) string {
	for i := range len(s) {
		if s[i] >= 0xd6 && strings.ContainsFunc(s[i:], rightToLeft) { // of U+0590 and later
			return mark + s + mark
		}
	}
	return s
}

// rightToLeft knows the blocks in which a character is right-to-left where nothing else says so.
func rightToLeft(r rune) bool {
	return r >= 0x590 && r <= 0x8ff || r >= 0xfb1d && r <= 0xfdff || r >= 0xfe70 && r <= 0xfefe ||
		r >= 0x10800 && r <= 0x10fff || r >= 0x1e800 && r <= 0x1efff
}

// Sides puts left and right at the two ends of a line of width cells. The right one is dropped when
// both do not fit.
func Sides(left, right string, width int) string {
	gap := width - Width(left) - Width(right)
	if right == "" || gap < 1 {
		return Fit(left, width)
	}
	return left + Blank(gap) + right
}

// Wrap breaks text without styles into lines of at most width cells, at spaces where it can.
func Wrap(s string, width int) []string {
	if width <= 0 {
		return nil
	}
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		w := Width(word)
		if line != "" && used+1+w <= width {
			line, used = line+" "+word, used+1+w
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for w > width { // a word that fits nowhere is broken
			part := ansi.Truncate(word, width, "")
			if part == "" {
				break
			}
			lines = append(lines, part)
			word = word[len(part):]
			w = Width(word)
		}
		line, used = word, w
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Clean makes everything in foreign text visible that could move the cursor, change colours or the
// direction of writing: line ends and tabs become spaces, other controls escapes such as \x1b,
// other unprintable characters the replacement character. Variation selectors go: with them,
// terminals disagree on the width of the character before. A replacement character goes before a
// mark at the start, which would join the cell before it.
func Clean(s string) string {
	for i := range len(s) {
		if s[i] >= 0x20 && s[i] <= 0x7e {
			continue
		}
		s = strings.Map(cleanRune, visible.Line(lineEnds.Replace(s)))
		if Width(" "+s) != 1+Width(s) {
			s = string(unicode.ReplacementChar) + s
		}
		return s
	}
	return s
}

var lineEnds = strings.NewReplacer("\n", " ", "\t", " ", "\r", " ")

func cleanRune(r rune) rune {
	switch {
	case r >= 0xfe00 && r <= 0xfe0f:
		return -1
	case !unicode.IsPrint(r):
		return unicode.ReplacementChar
	}
	return r
}

// Paint is a style that is cheap to put on a thousand cells: what opens it and what closes it.
type Paint struct{ Open, Close string }

// On returns s in the style. s must not hold styles of its own.
func (p Paint) On(s string) string {
	if p.Open == "" || s == "" {
		return s
	}
	return p.Open + s + p.Close
}
