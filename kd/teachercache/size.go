package teachercache

import (
	"encoding/binary"
	"fmt"
	"strings"

	"slimlab/kd"
	"slimlab/model"
)

// Count is how many examples and rows a file has.
type Count struct{ Examples, Rows int }

// Count counts the rows of examples, equal ones once.
func (s Spec) Count(examples []kd.Example) Count {
	keys, _, rows := s.distinct(examples)
	return Count{len(keys), rows}
}

// distinct are the examples that have rows, each once, with the number of their rows.
func (s Spec) distinct(examples []kd.Example) (keys []key, of []*kd.Example, all int) {
	seen := map[key]bool{}
	for i := range examples {
		e := &examples[i]
		rows, k := rowsOf(e, s.Whole), keyOf(e, s)
		if rows == 0 || seen[k] {
			continue
		}
		seen[k] = true
		keys, of = append(keys, k), append(of, e)
		all += rows
	}
	return keys, of, all
}

// FileBytes bounds the size of a whole file.
func (s Spec) FileBytes(source Source, n Count) (least, most int64, err error) {
	low, high := s.rowBytes(source.Vocab)
	least, most = exampleBytes(low, n), exampleBytes(high, n)+int64(n.Examples)*(exampleMost-exampleLeast)
	for _, bound := range []struct {
		to        *int64
		positions int
	}{{&least, 0}, {&most, model.MaxPositions}} {
		h := Header{Spec: s.filled(), Source: source, Shift: 1, Positions: bound.positions, Examples: n.Examples, Tokens: n.Rows, Order: strings.Repeat("0", orderDigits)}
		head, err := h.encode()
		if err != nil {
			return 0, 0, fmt.Errorf("cache: %w", err)
		}
		*bound.to += int64(len(head) + indexBytes + footerSize)
	}
	return least, most, nil
}

// exampleBytes are those of rows of a size, and at least of their examples.
func exampleBytes(row int, n Count) int64 {
	return int64(row)*int64(n.Rows) + exampleLeast*int64(n.Examples)
}

const (
	// what an example has beside its rows: entropies, checksum, key, and its size twice
	exampleLeast = entropyBytes + 4 + keySize + 2*1
	exampleMost  = entropyBytes + 4 + keySize + 2*5

	indexBytes  = 8 + 8 + 4 // two entropies and a checksum
	orderDigits = 64        // of a SHA-256
)

// rowBytes bounds what a row over a vocabulary takes in the file. Draws of Sampled may be all of
// one token, or all of different ones.
func (s Spec) rowBytes(vocab int) (least, most int) {
	s = s.filled()
	switch s.Codec {
	case TopK:
		k := min(s.K, vocab)
		least = lengthOf(k) + 3*k // a distance of one byte, and a log-probability
		if !s.DropTail {
			least += 2
		}
		return least, least + longer(k, vocab)
	case Sampled:
		least = 1 + 3 + lengthOf(s.Draws)
		n := min(s.Draws, vocab)
		most = lengthOf(n) + 4*n + longer(n, vocab) + longer(n, s.Draws) // with a count of each
		if s.Power != 1 {
			least, most = least+4, most+4
		}
		return least, most
	}
	return 4 * vocab, 4 * vocab
}

// lengthOf is the length of a number in the file.
func lengthOf(n int) int { return len(binary.AppendUvarint(nil, uint64(n))) }

// longer is how many bytes more than one each n numbers take at most, whose sum is at most total.
func longer(n, total int) (bytes int) {
	for bits := 7; total>>bits > 0; bits += 7 {
		bytes += min(n, total>>bits)
	}
	return bytes
}
