package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"
)

// component is any of the typed objects of a tokenizer.json: a union of the keys that are understood.
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
	Behavior       string            `json:"behavior"`
	Invert         bool              `json:"invert"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	UseRegex       *bool             `json:"use_regex"`
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

// each calls visit for the component in raw, or for each in turn where raw is a Sequence (one level deep, as files have it).
// path names the place for errors.
func each(raw json.RawMessage, path string, visit func(path string, c component) error) error {
	if isNull(raw) {
		return nil
	}
	var c component
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c.Type != "Sequence" {
		return visit(path, c)
	}
	key, parts := "normalizers", c.Normalizers
	switch path {
	case "pre_tokenizer":
		key, parts = "pretokenizers", c.PreTokenizers
	case "post_processor":
		key, parts = "processors", c.Processors
	case "decoder":
		key, parts = "decoders", c.Decoders
	}
	for i, part := range parts {
		at := fmt.Sprintf("%s.%s[%d]", path, key, i)
		var c component
		if err := json.Unmarshal(part, &c); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if err := visit(at, c); err != nil {
			return err
		}
	}
	return nil
}

func unsupported(path, kind, known string) error {
	return fmt.Errorf("%s: type %q is not supported, expected %s", path, kind, known)
}

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

// replace is both a normalizer and a decoder.
type replace struct{ from, to string }

func (r replace) normalize(text string) string { return strings.ReplaceAll(text, r.from, r.to) }

func (r replace) decode(pieces []string) []string {
	for i := range pieces {
		pieces[i] = strings.ReplaceAll(pieces[i], r.from, r.to)
	}
	return pieces
}

func newReplace(path string, c component) (replace, error) {
	if c.Pattern.String == nil || *c.Pattern.String == "" {
		return replace{}, fmt.Errorf("%s: Replace needs a pattern that is a String, not empty", path)
	}
	return replace{*c.Pattern.String, c.Content}, nil
}

func parseNormalizers(raw json.RawMessage) (list []normalizer, err error) {
	err = each(raw, "normalizer", func(path string, c component) error {
		switch c.Type {
		case "Prepend":
			list = append(list, prepend(c.Prepend))
		case "Replace":
			r, err := newReplace(path, c)
			if err != nil {
				return err
			}
			list = append(list, r)
		default:
			return unsupported(path, c.Type, "Prepend, Replace or Sequence")
		}
		return nil
	})
	return list, err
}

// preTokenizer is what the pre_tokenizer component says.
type preTokenizer struct {
	splitters   []splitter
	byteLevel   bool
	prefixSpace bool
}

func parsePreTokenizer(raw json.RawMessage) (p preTokenizer, err error) {
	err = each(raw, "pre_tokenizer", func(path string, c component) error {
		if p.byteLevel {
			return fmt.Errorf("%s: %s after ByteLevel is not supported, expected ByteLevel to be the last", path, c.Type)
		}
		switch c.Type {
		case "Split":
			s, err := parseSplit(path, c)
			if err != nil {
				return err
			}
			p.splitters = append(p.splitters, s)
		case "ByteLevel":
			p.byteLevel = true
			p.prefixSpace = c.AddPrefixSpace == nil || *c.AddPrefixSpace
			if p.prefixSpace && len(p.splitters) > 0 {
				return fmt.Errorf("%s: add_prefix_space after Split is not supported, expected false", path)
			}
			if c.UseRegex == nil || *c.UseRegex {
				p.splitters = append(p.splitters, scanner{})
			}
		default:
			return unsupported(path, c.Type, "ByteLevel, Split or Sequence")
		}
		return nil
	})
	return p, err
}

func parseSplit(path string, c component) (splitter, error) {
	dropGaps := c.Behavior == "Removed" && c.Invert
	if c.Behavior != "Isolated" && !dropGaps {
		return nil, fmt.Errorf("%s: Split behavior %q with invert %t is not supported, expected \"Isolated\", or \"Removed\" with invert true", path, c.Behavior, c.Invert)
	}
	var expression string
	switch {
	case c.Pattern.Regex != nil:
		expression = *c.Pattern.Regex
	case c.Pattern.String != nil:
		expression = regexp2.Escape(*c.Pattern.String)
	default:
		return nil, fmt.Errorf("%s: Split has no pattern, expected a Regex or a String", path)
	}
	s, err := newSplitter(expression, dropGaps)
	if err != nil {
		return nil, fmt.Errorf("%s: pattern %q: %w", path, expression, err)
	}
	return s, nil
}

// parseTemplate reads which special tokens stand before and after a single text. A ByteLevel post-processor only moves offsets.
func parseTemplate(raw json.RawMessage, vocab int) (before, after []int32, err error) {
	err = each(raw, "post_processor", func(path string, c component) error {
		switch c.Type {
		case "ByteLevel":
			return nil
		case "TemplateProcessing":
		default:
			return unsupported(path, c.Type, "ByteLevel, TemplateProcessing or Sequence")
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

// templateOf is a TemplateProcessing that puts one token before a text.
func templateOf(token string, id int32) json.RawMessage {
	special := map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": 0}}
	sequence := func(name string, kind int) any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": kind}}
	}
	raw, err := marshal(map[string]any{
		"type":           "TemplateProcessing",
		"single":         []any{special, sequence("A", 0)},
		"pair":           []any{special, sequence("A", 0), sequence("B", 1)},
		"special_tokens": map[string]any{token: map[string]any{"id": token, "ids": []int32{id}, "tokens": []string{token}}},
	})
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	return raw
}

// decoder rewrites the list of a text's tokens; the joined list is the text.
type decoder interface {
	decode(pieces []string) []string
}

// byteFallback turns tokens such as <0x0A> into their bytes.
type byteFallback struct{}

func (byteFallback) decode(pieces []string) []string {
	for i, p := range pieces {
		if len(p) == 6 && strings.HasPrefix(p, "<0x") && p[5] == '>' {
			if b, err := strconv.ParseUint(p[3:5], 16, 8); err == nil {
				pieces[i] = string([]byte{byte(b)})
			}
		}
	}
	return pieces
}

// fuse joins all pieces to one.
type fuse struct{}

func (fuse) decode(pieces []string) []string { return []string{strings.Join(pieces, "")} }

// strip takes up to start copies of content from the beginning of each piece, and up to stop from its end.
type strip struct {
	content     string
	start, stop int
}

func (s strip) decode(pieces []string) []string {
	for i, p := range pieces {
		for n := 0; n < s.start && strings.HasPrefix(p, s.content); n++ {
			p = p[len(s.content):]
		}
		for n := 0; n < s.stop && strings.HasSuffix(p, s.content); n++ {
			p = p[:len(p)-len(s.content)]
		}
		pieces[i] = p
	}
	return pieces
}

// parseDecoder returns the steps, or byteLevel alone where the decoder is ByteLevel.
func parseDecoder(raw json.RawMessage) (steps []decoder, byteLevel bool, err error) {
	if isNull(raw) {
		return nil, false, fmt.Errorf("decoder: null is not supported, expected ByteLevel, or a Sequence of Replace, ByteFallback, Fuse and Strip")
	}
	err = each(raw, "decoder", func(path string, c component) error {
		if byteLevel {
			return fmt.Errorf("%s: %s after ByteLevel is not supported, expected ByteLevel alone", path, c.Type)
		}
		switch c.Type {
		case "ByteLevel":
			if len(steps) > 0 {
				return fmt.Errorf("%s: ByteLevel after other decoders is not supported, expected ByteLevel alone", path)
			}
			byteLevel = true
		case "Replace":
			r, err := newReplace(path, c)
			if err != nil {
				return err
			}
			steps = append(steps, r)
		case "ByteFallback":
			steps = append(steps, byteFallback{})
		case "Fuse":
			steps = append(steps, fuse{})
		case "Strip":
			if c.Content == "" {
				return fmt.Errorf("%s: Strip needs content", path)
			}
			steps = append(steps, strip{c.Content, c.Start, c.Stop})
		default:
			return unsupported(path, c.Type, "ByteLevel, Replace, ByteFallback, Fuse, Strip or Sequence")
		}
		return nil
	})
	return steps, byteLevel, err
}
