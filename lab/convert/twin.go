package convert

import (
	"context"
	"slices"

	"slimlab/model"
	"slimlab/model/tokenizer"
	"slimlab/pruning"
	"slimlab/quant"
)

// Twin writes a small model of a checkpoint's architecture with random weights to the new folder
// to: two layers, and widths of at most twinWidth. What a pipeline does with it says nothing of
// quality, and in seconds whether it comes to its end.
//
// A small tokenizer comes with it. In the place of a large one the twin has none, as where the
// checkpoint has none, or where conversations are to be written, one of twinVocab tokens with its
// special tokens and its chat template: of a large vocabulary nearly all of the time would go to
// the head. own reports whether the twin has one.
//
// Schemes are the names of the formats that it will be quantized to: groups of theirs that divide
// the widths of the checkpoint divide those of the twin.
func Twin(ctx context.Context, from, to string, conversations bool, schemes []string, o Options) (own bool, err error) {
	source, err := o.Open(from)
	if err != nil {
		return false, err
	}
	defer source.Close()
	t, err := source.Tokenizer()
	if err != nil {
		return false, err
	}
	shape := twinOf(source.Config(), multipleOf(schemes))
	if shape.Vocab > twinVocab && (t == nil || t.Vocab() > twinVocab) {
		eos := ""
		if t != nil && shape.EOS >= 0 {
			eos = t.Token(int32(shape.EOS))
		}
		shape.Vocab, shape.BOS, shape.EOS = twinVocab, -1, -1
		switch {
		case t == nil:
		case !conversations:
			t = nil
		default:
			if t, err = smallTokenizer(t); err != nil {
				return false, err
			}
			if id, ok := t.ID(eos); ok {
				shape.EOS = int(id)
			}
		}
	}
	return t != nil, writeRandom(ctx, to, shape, t)
}

// smallTokenizer has the special tokens of a tokenizer, as far as there is room, its chat template,
// and tokens of the most frequent parts of its words.
func smallTokenizer(of *tokenizer.Tokenizer) (*tokenizer.Tokenizer, error) {
	const most = twinVocab / 2 // special tokens
	token := func(id int32) string {
		if id < 0 {
			return ""
		}
		return of.Token(id)
	}
	bos, eos := token(of.BOS()), token(of.EOS())
	var special, words []string
	add := func(name string) {
		if name != "" && len(special) < most && !slices.Contains(special, name) {
			special = append(special, name)
		}
	}
	add(bos)
	add(eos)
	for id := range int32(of.Vocab()) {
		if of.Special(id) {
			add(of.Token(id))
		} else {
			words = append(words, of.Text(id))
		}
	}
	small, err := tokenizer.Train(slices.Values(words), twinVocab, special)
	if err != nil {
		return nil, err
	}
	if err := small.SetSpecial(bos, eos); err != nil {
		return nil, err
	}
	if template := of.ChatTemplate(); template != "" {
		small.SetChatTemplate(template)
	}
	return small, nil
}

// twinWidth bounds the hidden size and the neurons of a twin. It is a multiple of all usual groups.
const twinWidth = 256

// twinVocab bounds the vocabulary of a twin.
const twinVocab = 2048

// multipleOf is the least common multiple of the groups that the names of schemes say; 1 without
// any.
func multipleOf(schemes []string) int {
	var groups []int
	for _, name := range schemes {
		if s, err := quant.ParseScheme(name); err == nil {
			groups = append(groups, s.Format.Group)
		}
	}
	return max(1, pruning.CommonGroup(groups...))
}

// twinOf is the shape of a twin: the ratio of query heads to KV heads, the size of heads and the
// vocabulary stay. Widths that are multiples of a number stay such.
func twinOf(c model.Config, multiple int) model.Config {
	const layers, kvHeads = 2, 2
	narrow := func(width int) int {
		most := twinWidth
		if width%multiple == 0 {
			most = max(twinWidth/multiple, 1) * multiple
		}
		return min(width, most)
	}
	if len(c.Layers) > layers {
		c.Layers = c.Layers[:layers]
	}
	list := make([]model.LayerConfig, len(c.Layers))
	for i, l := range c.Layers {
		queries, kv := l.Heads/l.KVHeads, min(l.KVHeads, kvHeads)
		for l.Heads*c.HeadDim%multiple == 0 && queries*kv*c.HeadDim%multiple > 0 {
			kv++
		}
		list[i] = model.LayerConfig{Heads: queries * kv, KVHeads: kv, MLP: narrow(l.MLP)}
	}
	c.Layers, c.Hidden = list, narrow(c.Hidden)
	return c
}
