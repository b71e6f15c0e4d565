package hardware

import "slimlab/serve"

import "math"

// Batch is what a step's time depends on, summed over its sequences. The zero value is empty. It
// does not keep the sequences: adding one takes a few nanoseconds, whatever the batch holds.
type Batch struct {
	tokens int // new ones of all sequences
	rows   int // of logits

	prefills int     // sequences that are not decodes
	fresh    int     // their new tokens
	pairs    float64 // of a new token and one that it attends to, in prefills
	keys     int     // tokens whose keys the prefills read, new ones included
	longest  int     // the most keys of a prefill

	decodes int // sequences of one new token after cached ones
	context int // tokens whose keys the decodes read, new ones included
}

// Add counts a sequence: its new tokens, those that the cache holds before them, and after how many
// tokens logits are wanted. One new token after cached ones is a decode, all else is a prefill.
func (b *Batch) Add(newTokens, cached, rows int) {
	b.tokens += newTokens
	b.rows += rows
	if newTokens == 1 && cached > 0 {
		b.decodes++
		b.context += cached + 1
		return
	}
	n := float64(newTokens)
	b.prefills++
	b.fresh += newTokens
	b.pairs += n*float64(cached) + n*(n+1)/2
	b.keys += cached + newTokens
	b.longest = max(b.longest, cached+newTokens)
}

// AddSegments counts the sequences of an engine's batch.
func (b *Batch) AddSegments(batch []serve.Segment) {
	for i := range batch {
		s := &batch[i]
		rows := 0
		if s.Logits {
			rows = max(1, s.Rows)
		} else if len(s.Labels) > 0 {
			rows = 1
		}
		b.Add(len(s.Tokens), s.Start, rows)
	}
}

// Reset empties the batch.
func (b *Batch) Reset() { *b = Batch{} }

// Tokens is the number of new tokens of all sequences.
func (b *Batch) Tokens() int { return b.tokens }

// meanRoot is the square root of the mean context of the decodes.
func (b *Batch) meanRoot() float64 {
	if b.decodes == 0 {
		return 0
	}
	return math.Sqrt(float64(b.context) / float64(b.decodes))
}
