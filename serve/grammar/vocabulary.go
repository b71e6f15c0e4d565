package grammar

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// lengths bound the tokens of each group in bytes. No token that is longer is ever allowed.
var lengths = [...]int{8, 16, 32, 64, 128, 256}

// Vocabulary is the tokens of a model as tries. It is made once and is safe for concurrent use.
type Vocabulary struct {
	tokens [][]byte
	ends   []int32
	groups [len(lengths)]group
}

// group is the tokens of a range of lengths, in classes.
type group [classes]class

// Tokens are in the first class that they fit. States that any number of characters of a class
// leads back to allow all its tokens, which are then not walked.
const (
	letters = iota // ASCII letters and digits only
	plain          // whole characters, none of them a quote, a backslash or a control: they mean
	//                themselves in a JSON string
	other
	classes
)

type class struct {
	trie
	all mask // the tokens
}

// NewVocabulary makes a vocabulary of tokens' bytes, by id. Tokens without bytes (control tokens
// such as the beginning of a text) are never allowed. Those of ends end a text: they are allowed
// where the text may end, whatever their bytes.
func NewVocabulary(tokens [][]byte, ends ...int32) *Vocabulary {
	v := &Vocabulary{tokens: tokens, ends: slices.Clone(ends)}
	for g := range v.groups {
		least := 1
		if g > 0 {
			least = lengths[g-1] + 1
		}
		var ids [classes][]int32
		for n, token := range tokens {
			if len(token) >= least && len(token) <= lengths[g] && !slices.Contains(ends, int32(n)) {
				c := classOf(token)
				ids[c] = append(ids[c], int32(n))
			}
		}
		for c := range ids {
			v.groups[g][c] = class{newTrie(tokens, ids[c]), newMask(ids[c], len(tokens))}
		}
	}
	return v
}

func classOf(token []byte) int {
	switch {
	case !bytes.ContainsFunc(token, func(r rune) bool { return (r < '0' || r > '9') && (r|' ' < 'a' || r|' ' > 'z') }):
		return letters
	case utf8.Valid(token) && !bytes.ContainsFunc(token, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }):
		return plain
	}
	return other
}

// words is how many words of 64 bits a mask has.
func (v *Vocabulary) words() int { return (len(v.tokens) + 63) / 64 }

// trie is tokens by their bytes: nodes in the order of a walk that visits children after their
// parent.
type trie struct {
	nodes []trieNode
	ids   []int32 // tokens, those of one node together
}

type trieNode struct {
	byte        byte
	depth       uint16 // bytes before this one
	end         int32  // the node behind the last one below this
	first, last int32  // in ids
}

func newTrie(tokens [][]byte, ids []int32) trie {
	ids = slices.Clone(ids)
	slices.SortStableFunc(ids, func(a, b int32) int { return bytes.Compare(tokens[a], tokens[b]) })
	t := trie{ids: ids}
	var open []int32 // the node of each byte of the last token
	for i, n := range ids {
		token := tokens[n]
		if i == 0 || !bytes.Equal(token, tokens[ids[i-1]]) {
			shared := 0
			if i > 0 {
				last := tokens[ids[i-1]]
				for shared < len(last) && last[shared] == token[shared] {
					shared++
				}
			}
			open = t.close(open, shared)
			for depth := shared; depth < len(token); depth++ {
				open = append(open, int32(len(t.nodes)))
				t.nodes = append(t.nodes, trieNode{byte: token[depth], depth: uint16(depth), first: int32(i), last: int32(i)})
			}
		}
		t.nodes[open[len(open)-1]].last = int32(i + 1)
	}
	t.close(open, 0)
	return t
}

// close ends the nodes of all but the first bytes of a token.
func (t *trie) close(open []int32, keep int) []int32 {
	for _, n := range open[keep:] {
		t.nodes[n].end = int32(len(t.nodes))
	}
	return open[:keep]
}
