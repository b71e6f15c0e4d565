package teachercache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"slimlab/kd"
)

// key names an example by its content.
type key [keySize]byte

func (k key) String() string { return hex.EncodeToString(k[:]) }

// lastTarget is the last token of an example that has a row, 0 where there is none.
func lastTarget(e *kd.Example, whole bool) (last int) {
	if whole {
		return max(0, len(e.Tokens)-1)
	}
	for t, answer := range e.Answer {
		if answer {
			last = t
		}
	}
	return last
}

// keyOf hashes an example up to its last row: the tokens, which of them have rows, and the task
// where rows depend on it. The first half of SHA-256.
func keyOf(e *kd.Example, s Spec) key {
	whole := s.Whole
	last := lastTarget(e, whole)
	data := make([]byte, 0, 5*(last+1)+6)
	if whole {
		data = append(data, 1)
	}
	if s.Tasks {
		data = binary.LittleEndian.AppendUint32(append(data, 2), uint32(e.Task))
	}
	for t := 0; t <= last && t < len(e.Tokens); t++ {
		data = binary.LittleEndian.AppendUint32(data, uint32(e.Tokens[t]))
		if !whole && e.Answer[t] {
			data = append(data, 1)
		} else {
			data = append(data, 0)
		}
	}
	sum := sha256.Sum256(data)
	return key(sum[:keySize])
}

// rowsOf is how many rows an example has.
func rowsOf(e *kd.Example, whole bool) (n int) {
	if whole {
		return lastTarget(e, true)
	}
	for _, answer := range e.Answer {
		if answer {
			n++
		}
	}
	return n
}

// named is an example in an error.
func named(e *kd.Example, k key) string {
	return fmt.Sprintf("%d tokens, beginning with %v, key %v", len(e.Tokens), e.Tokens[:min(8, len(e.Tokens))], k)
}
