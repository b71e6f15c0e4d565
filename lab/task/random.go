package task

import "math/rand/v2"

// stream returns the random stream that belongs to the keys, independent of that of any other keys.
func stream(keys ...uint64) *rand.Rand {
	a, b := hashKeys(keys...)
	return rand.New(rand.NewPCG(a, b))
}

// hashKeys mixes keys into two words with the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func hashKeys(keys ...uint64) (a, b uint64) {
	a, b = 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03
	for _, k := range keys {
		a = mix64(a ^ k)
		b = mix64(b + k)
	}
	return a, b
}

func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// shuffled returns the i-th example of an endless pass over n examples. Each epoch has its own
// order: a keyed permutation of [0, n), which needs no stored order.
func shuffled(seed uint64, i, n int) int {
	epoch := uint64(i / n)
	x := uint64(i % n)
	half := uint(1)
	for uint64(n) > 1<<(2*half) {
		half++
	}
	mask := uint64(1)<<half - 1
	// A Feistel network permutes [0, 4^half); values outside [0, n) walk on along their cycle until
	// they are inside.
	for {
		left, right := x>>half, x&mask
		for round := uint64(0); round < 4; round++ {
			key, _ := hashKeys(seed, epoch, round, right)
			left, right = right, left^(key&mask)
		}
		x = left<<half | right
		if x < uint64(n) {
			return int(x)
		}
	}
}
