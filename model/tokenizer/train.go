package tokenizer

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Train makes a byte-level tokenizer from texts: ids are the special tokens in the order given,
// then the 256 bytes, then one token a merge, up to vocab ids or until no pair of symbols occurs
// twice, whichever is first. Texts are split into words as by GPT-2, but each digit is a word. Each
// merge joins the most frequent pair of neighbours within words; of equally frequent ones the first
// by the bytes of its left part, then of its right part. So the result depends on the multiset of
// words alone.
func Train(texts iter.Seq[string], vocab int, special []string) (*Tokenizer, error) {
	if least := len(special) + 256; vocab < least {
		return nil, fmt.Errorf("train tokenizer: found a vocabulary of %d, expected at least %d: %d special tokens and 256 bytes", vocab, least, len(special))
	}
	t := newTokenizer()
	f := &t.file
	f.Model = modelFile{Type: "BPE", Vocab: vocabulary{}}
	f.PreTokenizer = mustMarshal(map[string]any{"type": "Sequence", "pretokenizers": []any{
		map[string]any{"type": "Split", "pattern": map[string]any{"Regex": digitPattern}, "behavior": "Isolated", "invert": false},
		map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
	}})
	f.Decoder = mustMarshal(map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false})
	for i, s := range special {
		if s == "" || slices.Contains(special[:i], s) {
			return nil, fmt.Errorf("train tokenizer: special token %d %q is empty or given twice", i, s)
		}
		f.AddedTokens = append(f.AddedTokens, addedToken{ID: int32(i), Content: s, Special: true})
		f.Model.Vocab[s] = int32(i)
	}
	t.indexAdded()

	tr := newTrainer(t.countWords(texts))
	tr.run(vocab - len(special) - 256)
	for i, token := range tr.tokens {
		spelling := spellBytes(token)
		if _, taken := f.Model.Vocab[spelling]; taken {
			return nil, fmt.Errorf("train tokenizer: special token %q is also a word's token; choose a spelling that texts do not have", spelling)
		}
		f.Model.Vocab[spelling] = int32(len(special) + i)
	}
	for _, m := range tr.merges {
		f.Model.Merges = append(f.Model.Merges, [2]string{spellBytes(tr.tokens[m[0]]), spellBytes(tr.tokens[m[1]])})
	}
	if err := t.build(); err != nil {
		return nil, fmt.Errorf("train tokenizer: %w", err)
	}
	return t, nil
}

func mustMarshal(v any) json.RawMessage {
	raw, err := marshal(v)
	if err != nil {
		panic(err) // maps of strings and booleans always marshal
	}
	return raw
}

func (t *Tokenizer) countWords(texts iter.Seq[string]) map[string]int {
	counts := map[string]int{}
	for text := range texts {
		t.raw.split(text, func(piece string, id int32) {
			if id >= 0 {
				return
			}
			scanner{singleDigits: true}.split(piece, func(word string) {
				if _, ok := counts[word]; !ok {
					word = strings.Clone(word)
				}
				counts[word]++
			})
		})
	}
	return counts
}

// trainer keeps, for every pair of neighbouring symbols, its count and the words that have it, and
// updates both at each merge.
type trainer struct {
	// the bytes of each symbol; the first 256 are the single bytes, in the order of their spelling
	tokens []string
	merges [][2]int32
	words  []trainWord
	pairs  map[uint64]*pairCount
	queue  []queued
}

type trainWord struct {
	symbols []int32
	count   int
}

type pairCount struct {
	count int
	words map[int32]struct{}
}

// queued is a pair with its count when it was queued. A pair that gains is queued again, so the
// highest entry of a pair is never below its count.
type queued struct {
	left, right int32
	count       int
}

func newTrainer(counts map[string]int) *trainer {
	tr := &trainer{pairs: map[uint64]*pairCount{}}
	var symbol [256]int32
	for b := range 256 {
		tr.tokens = append(tr.tokens, string([]byte{byte(b)}))
	}
	slices.SortFunc(tr.tokens, func(a, b string) int { return int(byteRune[a[0]]) - int(byteRune[b[0]]) })
	for i, token := range tr.tokens {
		symbol[token[0]] = int32(i)
	}
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	slices.Sort(words)
	for w, word := range words {
		symbols := make([]int32, len(word))
		for i := range symbols {
			symbols[i] = symbol[word[i]]
		}
		tr.words = append(tr.words, trainWord{symbols, counts[word]})
		tr.count(int32(w), 1)
	}
	for key, p := range tr.pairs {
		heap.Push(tr, queued{int32(key >> 32), int32(uint32(key)), p.count})
	}
	return tr
}

// count adds sign times a word's pairs to the counts.
func (tr *trainer) count(w int32, sign int) {
	word := tr.words[w]
	for i := 1; i < len(word.symbols); i++ {
		key := pairKey(word.symbols[i-1], word.symbols[i])
		p := tr.pairs[key]
		if p == nil {
			p = &pairCount{words: map[int32]struct{}{}}
			tr.pairs[key] = p
		}
		p.count += sign * word.count
		p.words[w] = struct{}{}
	}
}

func (tr *trainer) before(a, b queued) bool {
	if a.count != b.count {
		return a.count > b.count
	}
	if c := strings.Compare(tr.tokens[a.left], tr.tokens[b.left]); c != 0 {
		return c < 0
	}
	return tr.tokens[a.right] < tr.tokens[b.right]
}

// Len, Less, Swap, Push and Pop make a trainer the heap of its queue.
func (tr *trainer) Len() int           { return len(tr.queue) }
func (tr *trainer) Less(i, j int) bool { return tr.before(tr.queue[i], tr.queue[j]) }
func (tr *trainer) Swap(i, j int)      { tr.queue[i], tr.queue[j] = tr.queue[j], tr.queue[i] }
func (tr *trainer) Push(x any)         { tr.queue = append(tr.queue, x.(queued)) }
func (tr *trainer) Pop() any {
	last := tr.queue[len(tr.queue)-1]
	tr.queue = tr.queue[:len(tr.queue)-1]
	return last
}

// run merges until there are n tokens besides the bytes.
func (tr *trainer) run(n int) {
	ids := map[string]int32{}
	merged := map[uint64]bool{}
	for len(tr.tokens) < 256+n && len(tr.queue) > 0 {
		q := heap.Pop(tr).(queued)
		key := pairKey(q.left, q.right)
		p := tr.pairs[key]
		if p == nil || p.count < 2 {
			continue
		}
		if p.count != q.count {
			q.count = p.count
			heap.Push(tr, q)
			continue
		}
		// Two pairs may spell the same bytes: they share one token, as in the file, where a token
		// is its spelling.
		token := tr.tokens[q.left] + tr.tokens[q.right]
		id, ok := ids[token]
		if !ok {
			id = int32(len(tr.tokens))
			ids[token] = id
			tr.tokens = append(tr.tokens, token)
		}
		if !merged[key] {
			merged[key] = true
			tr.merges = append(tr.merges, [2]int32{q.left, q.right})
		}
		tr.apply(q, id)
	}
}

// apply replaces a pair by its new symbol in every word that has it.
func (tr *trainer) apply(q queued, id int32) {
	key := pairKey(q.left, q.right)
	changed := make([]int32, 0, len(tr.pairs[key].words))
	for w := range tr.pairs[key].words {
		changed = append(changed, w)
	}
	slices.Sort(changed)
	var fresh []uint64
	for _, w := range changed {
		tr.count(w, -1)
		tr.words[w].symbols = join(tr.words[w].symbols, q.left, q.right, id)
		tr.count(w, 1)
		s := tr.words[w].symbols
		for i := 1; i < len(s); i++ {
			if s[i-1] == id || s[i] == id {
				fresh = append(fresh, pairKey(s[i-1], s[i]))
			}
		}
	}
	delete(tr.pairs, key)
	slices.Sort(fresh)
	for _, key := range slices.Compact(fresh) {
		heap.Push(tr, queued{int32(key >> 32), int32(uint32(key)), tr.pairs[key].count})
	}
}

// join merges a pair in place, from the left.
func join(s []int32, left, right, id int32) []int32 {
	n := 0
	for i := 0; i < len(s); i++ {
		if i+1 < len(s) && s[i] == left && s[i+1] == right {
			s[n] = id
			i++
		} else {
			s[n] = s[i]
		}
		n++
	}
	return s[:n]
}
