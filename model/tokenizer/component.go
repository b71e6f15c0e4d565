package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dlclark/regexp2"

	"slimlab/internal/jsonread"
)

// component is any of the typed objects of a tokenizer.json: a union of the keys that are
// understood.
type component struct {
	Type           string            `json:"type"`
	Normalizers    []json.RawMessage `json:"normalizers"`
	PreTokenizers  []json.RawMessage `json:"pretokenizers"`
	Processors     []json.RawMessage `json:"processors"`
	Decoders       []json.RawMessage `json:"decoders"`
	Prepend        string            `json:"prepend"`
	Pattern        textPattern       `json:"pattern"`
	Content        string            `json:"content"`
	Start          int               `json:"start"`
	Stop           int               `json:"stop"`
	StripLeft      bool              `json:"strip_left"`
	StripRight     bool              `json:"strip_right"`
	Behavior       string            `json:"behavior"`
	Invert         bool              `json:"invert"`
	Individual     bool              `json:"individual_digits"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	UseRegex       *bool             `json:"use_regex"`
	Replacement    *string           `json:"replacement"`
	PrependScheme  *string           `json:"prepend_scheme"`
	Split          *bool             `json:"split"`
	Single         []templateItem    `json:"single"`
	SpecialTokens  map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
}

type textPattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

type templateItem struct {
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

// Bounds of a file's components; real files are far below them.
const (
	deepestSequence = 8  // nested Sequences
	longestSequence = 64 // components in one
	// bytes that a component adds before a piece of text or replaces a space by
	longestInsertion = 64
)

// each calls visit for the component in raw, or for each in turn where raw is a Sequence. path
// names the place for errors.
func each(raw json.RawMessage, path string, visit func(path string, c component) error) error {
	return eachWithin(raw, path, path, 0, visit)
}

func eachWithin(raw json.RawMessage, kind, path string, depth int, visit func(path string, c component) error) error {
	if isNull(raw) {
		return nil
	}
	var c component
	if err := jsonread.Decode(raw, &c); err != nil {
		return jsonread.At(path, err)
	}
	if c.Type != "Sequence" {
		return visit(path, c)
	}
	if depth == deepestSequence {
		return fmt.Errorf("%s: Sequences nest deeper than %d", path, deepestSequence)
	}
	key, parts := "normalizers", c.Normalizers
	switch kind {
	case "pre_tokenizer":
		key, parts = "pretokenizers", c.PreTokenizers
	case "post_processor":
		key, parts = "processors", c.Processors
	case "decoder":
		key, parts = "decoders", c.Decoders
	}
	if len(parts) > longestSequence {
		return fmt.Errorf("%s.%s: found %d components, expected at most %d", path, key, len(parts), longestSequence)
	}
	for i, part := range parts {
		if err := eachWithin(part, kind, fmt.Sprintf("%s.%s[%d]", path, key, i), depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

func unsupported(path, kind, known string) error {
	return fmt.Errorf("%s: type %q is not supported, expected %s", path, kind, known)
}

// expression compiles a component's pattern: a Regex as it is, a String literally.
func (c component) expression(path string) (*matching, string, error) {
	var text string
	switch p := c.Pattern; {
	case p.Regex != nil && *p.Regex != "":
		text = *p.Regex
	case p.String != nil && *p.String != "":
		text = regexp2.Escape(*p.String)
	default:
		return nil, "", fmt.Errorf("%s: %s has no pattern, expected a Regex or a String, not empty", path, c.Type)
	}
	re, err := compile(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: pattern %q: %w", path, text, err)
	}
	return re, text, nil
}

// words is the pre_tokenizer component: how a piece of text begins, and how it is split into words.
type words struct {
	lead      lead
	splitters []splitter
	byteLevel bool
}

// lead rewrites a piece of text before it is split: from becomes to, and a piece that does not
// begin with prefix gets it.
type lead struct {
	from, to string
	prefix   string // "" is none
	first    bool   // only at the beginning of the whole text
}

func (l lead) apply(piece string, first bool) string {
	if l.from != "" {
		piece = strings.ReplaceAll(piece, l.from, l.to)
	}
	if l.prefix != "" && (first || !l.first) && !strings.HasPrefix(piece, l.prefix) {
		piece = l.prefix + piece
	}
	return piece
}

func parsePreTokenizer(raw json.RawMessage) (w words, err error) {
	err = each(raw, "pre_tokenizer", func(path string, c component) error {
		if w.byteLevel {
			return fmt.Errorf("%s: %s after ByteLevel is not supported, expected ByteLevel to be the last", path, c.Type)
		}
		switch c.Type {
		case "Split":
			s, err := parseSplit(path, c)
			if err != nil {
				return err
			}
			w.splitters = append(w.splitters, s)
		case "Digits":
			w.splitters = append(w.splitters, digits{individual: c.Individual})
		case "Metaspace":
			return w.metaspace(path, c)
		case "ByteLevel":
			w.byteLevel = true
			if c.AddPrefixSpace == nil || *c.AddPrefixSpace {
				if w.lead != (lead{}) || len(w.splitters) > 0 {
					return fmt.Errorf("%s: add_prefix_space after another pre_tokenizer is not supported, expected false", path)
				}
				w.lead = lead{prefix: " "}
			}
			if c.UseRegex == nil || *c.UseRegex {
				w.splitters = append(w.splitters, scanner{})
			}
		default:
			return unsupported(path, c.Type, "ByteLevel, Digits, Metaspace, Split or Sequence")
		}
		return nil
	})
	return w, err
}

// metaspace reads how spaces are written, and whether words are split before them.
func (w *words) metaspace(path string, c component) error {
	if w.lead != (lead{}) || len(w.splitters) > 0 {
		return fmt.Errorf("%s: Metaspace after another pre_tokenizer is not supported, expected it to be the first", path)
	}
	mark, scheme, err := c.metaspace(path)
	if err != nil {
		return err
	}
	w.lead = lead{from: " ", to: mark}
	if scheme != "never" {
		w.lead.prefix, w.lead.first = mark, scheme == "first"
	}
	if c.Split == nil || *c.Split {
		w.splitters = append(w.splitters, beforeMark(mark))
	}
	return nil
}

// metaspace returns the mark that replaces a space, and where a text gets one in front. The keys
// have defaults, and one has an older spelling.
func (c component) metaspace(path string) (mark, scheme string, err error) {
	mark, scheme = spaceMark, "always"
	if c.Replacement != nil {
		mark = *c.Replacement
	}
	switch {
	case c.PrependScheme != nil:
		scheme = *c.PrependScheme
	case c.AddPrefixSpace != nil && !*c.AddPrefixSpace:
		scheme = "never"
	}
	if mark == "" || len(mark) > longestInsertion {
		return "", "", fmt.Errorf("%s: Metaspace has a replacement of %d bytes, expected a character such as %q", path, len(mark), spaceMark)
	}
	if scheme != "always" && scheme != "first" && scheme != "never" {
		return "", "", fmt.Errorf("%s: prepend_scheme %q is not supported, expected always, first or never", path, scheme)
	}
	return mark, scheme, nil
}

func parseSplit(path string, c component) (splitter, error) {
	var rule splitRule
	switch c.Behavior {
	case "Isolated":
		rule = isolated
	case "Removed":
		rule = removed
	case "MergedWithPrevious":
		rule = withPrevious
	case "MergedWithNext":
		rule = withNext
	case "Contiguous":
		rule = contiguous
	default:
		return nil, fmt.Errorf("%s: Split behavior %q is not supported, expected Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous", path, c.Behavior)
	}
	re, text, err := c.expression(path)
	if err != nil {
		return nil, err
	}
	return newSplitter(re, text, rule, c.Invert), nil
}

// parseTemplate reads the special tokens before and after a single text. A ByteLevel post-processor
// only changes offsets.
func parseTemplate(raw json.RawMessage, vocab int) (before, after []int32, err error) {
	templates := 0
	err = each(raw, "post_processor", func(path string, c component) error {
		switch c.Type {
		case "ByteLevel":
			return nil
		case "TemplateProcessing":
		default:
			return unsupported(path, c.Type, "ByteLevel, TemplateProcessing or Sequence")
		}
		if templates++; templates > 1 {
			return fmt.Errorf("%s: a second TemplateProcessing is not supported", path)
		}
		seen := false
		for i, item := range c.Single {
			switch {
			case item.Sequence != nil && item.Sequence.ID == "A" && !seen:
				seen = true
			case item.SpecialToken != nil:
				special, ok := c.SpecialTokens[item.SpecialToken.ID]
				if !ok {
					return fmt.Errorf("%s.single[%d]: special token %q is not in special_tokens", path, i, item.SpecialToken.ID)
				}
				for _, id := range special.IDs {
					if id < 0 || int(id) >= vocab {
						return fmt.Errorf("%s.special_tokens %q: found id %d, expected an id below %d", path, item.SpecialToken.ID, id, vocab)
					}
				}
				if seen {
					after = append(after, special.IDs...)
				} else {
					before = append(before, special.IDs...)
				}
			default:
				return fmt.Errorf("%s.single[%d]: found neither a SpecialToken nor the one Sequence A", path, i)
			}
		}
		if !seen {
			return fmt.Errorf("%s.single: Sequence A is missing", path)
		}
		return nil
	})
	return before, after, err
}

// templateOf is a TemplateProcessing that puts one token before a text, and one after it where
// after is not empty.
func templateOf(tokens map[string]int32, before, after string) json.RawMessage {
	var single, pair []any
	special := map[string]any{}
	put := func(list []any, token string, kind int) []any {
		if token == "" {
			return list
		}
		special[token] = map[string]any{"id": token, "ids": []int32{tokens[token]}, "tokens": []string{token}}
		return append(list, map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": kind}})
	}
	sequence := func(name string, kind int) any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": kind}}
	}
	single = put(append(put(nil, before, 0), sequence("A", 0)), after, 0)
	pair = append(put(nil, before, 0), sequence("A", 0), sequence("B", 1))
	pair = put(pair, after, 1)
	return mustMarshal(map[string]any{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special})
}
