package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// spaceMark is how SentencePiece writes a space.
const spaceMark = "▁"

// normalizer rewrites a piece of text before it is split into words.
type normalizer interface {
	normalize(text string) string
}

type prepend string

func (p prepend) normalize(text string) string {
	if text == "" {
		return ""
	}
	return string(p) + text
}

// replace is both a normalizer and a step of a decoder.
type replace struct{ from, to string }

func (r replace) normalize(text string) string { return strings.ReplaceAll(text, r.from, r.to) }

func (r replace) decode(piece string) string { return strings.ReplaceAll(piece, r.from, r.to) }

// replaceMatches puts text in the place of every match of an expression.
type replaceMatches struct {
	re *matching
	to string
}

func (r replaceMatches) normalize(text string) string {
	var b strings.Builder
	matches(r.re, text, func(piece string, match bool) {
		if match {
			piece = r.to
		}
		b.WriteString(piece)
	})
	return b.String()
}

// form is a Unicode normal form.
type form norm.Form

func (f form) normalize(text string) string { return norm.Form(f).String(text) }

type lowercase struct{}

func (lowercase) normalize(text string) string { return strings.ToLower(text) }

// trim takes white space from the ends of a piece.
type trim struct{ left, right bool }

func (t trim) normalize(text string) string {
	if t.left {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	if t.right {
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	}
	return text
}

func parseNormalizers(raw json.RawMessage) (list []normalizer, err error) {
	err = each(raw, "normalizer", func(path string, c component) error {
		switch c.Type {
		case "NFC":
			list = append(list, form(norm.NFC))
		case "NFD":
			list = append(list, form(norm.NFD))
		case "NFKC":
			list = append(list, form(norm.NFKC))
		case "NFKD":
			list = append(list, form(norm.NFKD))
		case "Lowercase":
			list = append(list, lowercase{})
		case "Strip":
			list = append(list, trim{c.StripLeft, c.StripRight})
		case "Prepend":
			if len(c.Prepend) > longestInsertion {
				return fmt.Errorf("%s: Prepend of %d bytes, expected at most %d", path, len(c.Prepend), longestInsertion)
			}
			list = append(list, prepend(c.Prepend))
		case "Replace":
			if c.Pattern.String != nil && *c.Pattern.String != "" {
				list = append(list, replace{*c.Pattern.String, c.Content})
				return nil
			}
			re, _, err := c.expression(path)
			if err != nil {
				return err
			}
			list = append(list, replaceMatches{re, c.Content})
		default:
			return unsupported(path, c.Type, "NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip or Sequence")
		}
		return nil
	})
	return list, err
}

// longestGrowth bounds what the Replace components may make of one byte, all together. Real ones
// write three.
const longestGrowth = 64

// checkGrowth refuses normalizers that together blow a text up beyond any use.
func checkGrowth(list []normalizer) error {
	growth := 1
	for _, n := range list {
		switch n := n.(type) {
		case replace:
			growth *= max(1, len(n.to))
		case replaceMatches:
			growth *= 1 + len(n.to)
		}
		if growth > longestGrowth {
			return fmt.Errorf("normalizer: a character may become %d bytes, expected at most %d", growth, longestGrowth)
		}
	}
	return nil
}
