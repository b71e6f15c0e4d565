package tokenizer

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

const (
	cacheShards   = 32
	shardWords    = 4096 // 131,072 words in all: the working set of a large corpus, about 15 MB
	longestCached = 128  // longer words rarely repeat
)

// cache keeps the ids of words that were encoded before. It grows to its bound and keeps those
// words: the frequent ones come first.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]struct {
		sync.RWMutex
		words map[string][]int32
	}
}

func newCache() *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].words = make(map[string][]int32)
	}
	return c
}

func (c *cache) get(word string) ([]int32, bool) {
	s := &c.shards[maphash.String(c.seed, word)%cacheShards]
	s.RLock()
	ids, ok := s.words[word]
	s.RUnlock()
	return ids, ok
}

func (c *cache) put(word string, ids []int32) {
	s := &c.shards[maphash.String(c.seed, word)%cacheShards]
	s.Lock()
	if len(s.words) < shardWords {
		// the word is a view of the caller's whole text
		s.words[strings.Clone(word)] = slices.Clone(ids)
	}
	s.Unlock()
}
