package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// bpe merges the symbols of one word: while two neighbours form a known pair, the pair of lowest
// rank is merged, the leftmost first (Sennrich, Haddow, Birch 2016).
type bpe struct {
	byteLevel bool // symbols are bytes, else characters
	// ids of single bytes: the alphabet, or the fallback tokens <0x00>…; -1 where absent
	byteID       [256]int32
	ids          map[string]int32 // vocabulary in the file's spelling
	merges       mergeTable
	unknown      int32 // -1 where there is none
	fuseUnknown  bool  // neighbouring unknown symbols become one
	ignoreMerges bool  // a word that is itself a token is not merged from its parts
}

type merge struct {
	rank int32
	id   int32 // of the merged token
}

func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// mergeTable finds the merge of a pair: open addressing in a power of two of slots, at least half
// of them empty. Encoding spends most of its time here.
type mergeTable struct {
	slots []mergeSlot
	shift uint // of a hash, to the number of a slot
}

type mergeSlot struct {
	key uint64 // pairKey + 1; 0 is empty, for ids are not negative
	merge
}

func newMergeTable(n int) mergeTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	return mergeTable{slots: make([]mergeSlot, 1<<bits), shift: 64 - bits}
}

// slot returns the slot that a pair has, or the empty one that it may take. The multiplier is 2⁶⁴
// over the golden ratio (Knuth, TAOCP 3, 6.4).
func (t *mergeTable) slot(a, b int32) *mergeSlot {
	key := pairKey(a, b) + 1
	for i := key * 0x9E3779B97F4A7C15 >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		if s := &t.slots[i]; s.key == key || s.key == 0 {
			return s
		}
	}
}

func (t *mergeTable) get(a, b int32) (merge, bool) {
	s := t.slot(a, b)
	return s.merge, s.key != 0
}

// put adds a pair, of at most as many as the table was made for, or replaces it.
func (t *mergeTable) put(a, b int32, m merge) {
	*t.slot(a, b) = mergeSlot{pairKey(a, b) + 1, m}
}

// encode appends the ids of word.
func (m *bpe) encode(ids []int32, word string) []int32 {
	if word == "" {
		return ids
	}
	if id, ok := m.whole(word); ok {
		return append(ids, id)
	}
	start := len(ids)
	if m.byteLevel {
		ids = m.byteSymbols(ids, word)
	} else {
		ids = m.runeSymbols(ids, word)
	}
	// Scanning all pairs for each merge is quadratic but fastest for words; a text without word
	// breaks needs the queue.
	if len(ids)-start <= 48 {
		return ids[:start+m.mergeShort(ids[start:])]
	}
	return ids[:start+m.mergeLong(ids[start:])]
}

// whole returns the token that a word is without merges.
func (m *bpe) whole(word string) (id int32, ok bool) {
	if !m.ignoreMerges {
		return 0, false
	}
	spelling := word
	if m.byteLevel {
		spelling = spellBytes(word)
	}
	id, ok = m.ids[spelling]
	return id, ok && !m.isByte(spelling)
}

// isByte reports whether a token stands for a byte, in a vocabulary of characters: a text that
// spells it is not that byte.
func (m *bpe) isByte(token string) bool {
	if m.byteLevel {
		return false
	}
	b, ok := fallbackByte(token)
	return ok && m.byteID[b] >= 0
}

// makesAll reports whether merges make every token of a vocabulary of characters from its
// characters, those of apart left out.
func (m *bpe) makesAll(apart []string) bool {
	merges := *m
	merges.ignoreMerges = false
	var ids []int32
	for token, id := range m.ids {
		if ids = merges.encode(ids[:0], token); (len(ids) != 1 || ids[0] != id) && !m.isByte(token) && id != m.unknown && !slices.Contains(apart, token) {
			return false
		}
	}
	return true
}

func (m *bpe) byteSymbols(ids []int32, word string) []int32 {
	unknown := false
	for i := range len(word) {
		id := m.byteID[word[i]]
		if id < 0 {
			ids, unknown = m.addUnknown(ids, unknown), true
			continue
		}
		ids, unknown = append(ids, id), false
	}
	return ids
}

func (m *bpe) runeSymbols(ids []int32, word string) []int32 {
	unknown := false
	for i := 0; i < len(word); {
		_, n := utf8.DecodeRuneInString(word[i:])
		symbol := word[i : i+n]
		i += n
		if id, ok := m.ids[symbol]; ok {
			ids, unknown = append(ids, id), false
		} else if m.hasBytes(symbol) {
			for j := range len(symbol) {
				ids = append(ids, m.byteID[symbol[j]])
			}
			unknown = false
		} else {
			ids, unknown = m.addUnknown(ids, unknown), true
		}
	}
	return ids
}

func (m *bpe) hasBytes(symbol string) bool {
	for i := range len(symbol) {
		if m.byteID[symbol[i]] < 0 {
			return false
		}
	}
	return true
}

func (m *bpe) addUnknown(ids []int32, after bool) []int32 {
	if m.unknown < 0 || after && m.fuseUnknown {
		return ids
	}
	return append(ids, m.unknown)
}

// mergeShort merges in place and returns how many symbols remain.
func (m *bpe) mergeShort(s []int32) int {
	n := len(s)
	for n > 1 {
		best, at := merge{rank: -1}, 0
		for i := range n - 1 {
			if c, ok := m.merges.get(s[i], s[i+1]); ok && (best.rank < 0 || c.rank < best.rank) {
				best, at = c, i
			}
		}
		if best.rank < 0 {
			break
		}
		s[at] = best.id
		copy(s[at+1:n-1], s[at+2:n])
		n--
	}
	return n
}

// mergeLong is mergeShort by a priority queue over a linked list: n·log n. An entry of the queue is
// a pair's rank above the place of its left symbol, so that the smallest entry is the next merge;
// an entry whose pair has changed is skipped.
func (m *bpe) mergeLong(s []int32) int {
	next, prev := make([]int32, len(s)), make([]int32, len(s))
	queue := make(minQueue, 0, len(s))
	push := func(left int32) {
		if left < 0 || int(next[left]) >= len(s) {
			return
		}
		if c, ok := m.merges.get(s[left], s[next[left]]); ok {
			queue.push(uint64(c.rank)<<32 | uint64(left))
		}
	}
	for i := range s {
		next[i], prev[i] = int32(i+1), int32(i-1)
	}
	for i := range s {
		push(int32(i))
	}
	for len(queue) > 0 {
		entry := queue.pop()
		left := int32(uint32(entry))
		right := next[left]
		if s[left] < 0 || int(right) >= len(s) {
			continue
		}
		c, ok := m.merges.get(s[left], s[right])
		if !ok || c.rank != int32(entry>>32) {
			continue
		}
		s[left], s[right] = c.id, -1
		next[left] = next[right]
		if int(next[left]) < len(s) {
			prev[next[left]] = left
		}
		push(prev[left])
		push(left)
	}
	n := 0
	for _, id := range s {
		if id >= 0 {
			s[n] = id
			n++
		}
	}
	return n
}

// minQueue is a binary heap of plain numbers, smallest first.
type minQueue []uint64

func (q *minQueue) push(x uint64) {
	h := append(*q, x)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent] <= x {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = x
	*q = h
}

func (q *minQueue) pop() uint64 {
	h := *q
	top, x := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[child] >= x {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = x
	return top
}

// newBPE checks the merges against the vocabulary and indexes both.
func newBPE(f *modelFile, ids map[string]int32, byteLevel bool) (bpe, error) {
	m := bpe{byteLevel: byteLevel, ids: ids, unknown: -1, fuseUnknown: f.FuseUnk, ignoreMerges: f.IgnoreMerges,
		merges: newMergeTable(len(f.Merges))}
	for b := range 256 {
		m.byteID[b] = -1
		spelling := string(byteRune[b])
		if !byteLevel {
			if !f.ByteFallback {
				continue
			}
			spelling = fallbackToken(byte(b))
		}
		if id, ok := ids[spelling]; ok {
			m.byteID[b] = id
		}
	}
	if f.UnkToken != nil {
		id, ok := ids[*f.UnkToken]
		if !ok {
			return m, fmt.Errorf("model.unk_token %q is not in the vocabulary", *f.UnkToken)
		}
		m.unknown = id
	}
	var spelled []byte
	for rank, pair := range f.Merges {
		a, okA := ids[pair[0]]
		b, okB := ids[pair[1]]
		spelled = append(append(spelled[:0], pair[0]...), pair[1]...)
		merged, ok := ids[string(spelled)]
		if !okA || !okB || !ok {
			absent := string(spelled)
			if !okA {
				absent = pair[0]
			} else if !okB {
				absent = pair[1]
			}
			return m, fmt.Errorf("model.merges[%d] %q: %q is not in the vocabulary", rank, pair, absent)
		}
		at := int32(rank)
		if f.ranks != nil {
			at = f.ranks[rank]
		}
		m.merges.put(a, b, merge{at, merged})
	}
	return m, nil
}

func fallbackToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }
