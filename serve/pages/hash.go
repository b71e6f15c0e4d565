package pages

import (
	"encoding/binary"
	"hash/maphash"
	"sort"
)

// A page is known by a hash of its namespace and the tokens up to its end. Two that are mistaken
// for each other can put requests in another order, and change no lease: those compare tokens.
var hashSeed = maphash.MakeSeed()

func hashOf(namespace string) uint64 { return maphash.String(hashSeed, namespace) }

// Hashes returns the hash of a prefix up to the end of each whole page of tokens.
func Hashes(namespace string, tokens []int32, pageSize int) []uint64 {
	return appendHashes(make([]uint64, 0, len(tokens)/pageSize), hashOf(namespace), tokens, pageSize)
}

// appendHashes appends the hashes of the pages that follow a prefix with a given hash.
func appendHashes(hashes []uint64, prefix uint64, tokens []int32, pageSize int) []uint64 {
	page := make([]byte, 8+4*pageSize)
	for ; len(tokens) >= pageSize; tokens = tokens[pageSize:] {
		binary.LittleEndian.PutUint64(page, prefix)
		to := page[8:]
		for i, t := range tokens[:pageSize] {
			binary.LittleEndian.PutUint32(to[4*i:4*i+4], uint32(t))
		}
		prefix = maphash.Bytes(hashSeed, page)
		hashes = append(hashes, prefix)
	}
	return hashes
}

// held counts the leading pages, by their hashes, that the tree has. As it has no page without
// those before it, a binary search finds the end.
func (r *radix) held(hashes []uint64) int {
	return sort.Search(len(hashes), func(i int) bool {
		_, ok := r.hashes[hashes[i]]
		return !ok
	})
}
