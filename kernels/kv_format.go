package kernels

import (
	"fmt"

	"slimlab/internal/nearest"
)

// KVFormat is how a cache keeps keys and values. The zero value is the one to serve with.
type KVFormat int

const (
	KVBFloat16    KVFormat = iota // rounded to bfloat16, to nearest even
	KVFloat32                     // as they were computed
	KVInt8                        // symmetric int8, a float32 scale for each position and KV head
	KVInt8Rotated                 // the same of heads that are rotated first
	KVInt4                        // int4 of rotated heads, a bfloat16 scale for each position and KV head
	KVInt4Plain                   // the same of heads as they are
	KVK16V8                       // keys bfloat16, values int8; the others likewise
	KVK8V16
	KVK16V4
	KVK16V4Plain
	KVK4V16
	KVK4V16Plain
	KVK8V4
	KVK8V4Plain
	KVK4V8
	KVK4V8Plain
	kvFormatCount
)

// kvCode is how one number of a key or a value is kept.
type kvCode uint8

const (
	kvBFloat16 kvCode = iota
	kvFloat32
	kvInt8
	kvInt4
)

// kvKind is how keys, or values, are kept; rotated says that a headRotation comes before.
type kvKind struct {
	code    kvCode
	rotated bool
}

var kvFormats = [kvFormatCount]struct {
	name string
	k, v kvKind
}{
	KVBFloat16:    {"bfloat16", kvKind{kvBFloat16, false}, kvKind{kvBFloat16, false}},
	KVFloat32:     {"float32", kvKind{kvFloat32, false}, kvKind{kvFloat32, false}},
	KVInt8:        {"int8", kvKind{kvInt8, false}, kvKind{kvInt8, false}},
	KVInt8Rotated: {"int8-rotated", kvKind{kvInt8, true}, kvKind{kvInt8, true}},
	KVInt4:        {"int4", kvKind{kvInt4, true}, kvKind{kvInt4, true}},
	KVInt4Plain:   {"int4-plain", kvKind{kvInt4, false}, kvKind{kvInt4, false}},
	KVK16V8:       {"k16v8", kvKind{kvBFloat16, false}, kvKind{kvInt8, false}},
	KVK8V16:       {"k8v16", kvKind{kvInt8, false}, kvKind{kvBFloat16, false}},
	KVK16V4:       {"k16v4", kvKind{kvBFloat16, false}, kvKind{kvInt4, true}},
	KVK16V4Plain:  {"k16v4-plain", kvKind{kvBFloat16, false}, kvKind{kvInt4, false}},
	KVK4V16:       {"k4v16", kvKind{kvInt4, true}, kvKind{kvBFloat16, false}},
	KVK4V16Plain:  {"k4v16-plain", kvKind{kvInt4, false}, kvKind{kvBFloat16, false}},
	KVK8V4:        {"k8v4", kvKind{kvInt8, false}, kvKind{kvInt4, true}},
	KVK8V4Plain:   {"k8v4-plain", kvKind{kvInt8, false}, kvKind{kvInt4, false}},
	KVK4V8:        {"k4v8", kvKind{kvInt4, true}, kvKind{kvInt8, false}},
	KVK4V8Plain:   {"k4v8-plain", kvKind{kvInt4, false}, kvKind{kvInt8, false}},
}

func (f KVFormat) known() bool { return f >= 0 && f < kvFormatCount }

func (f KVFormat) String() string {
	if !f.known() {
		return fmt.Sprintf("KVFormat(%d)", int(f))
	}
	return kvFormats[f].name
}

// KVFormats lists all formats.
func KVFormats() []KVFormat {
	all := make([]KVFormat, kvFormatCount)
	for i := range all {
		all[i] = KVFormat(i)
	}
	return all
}

// About says in words how the format keeps keys and values.
func (f KVFormat) About() string {
	if !f.known() {
		return f.String()
	}
	k, v := kvFormats[f].k, kvFormats[f].v
	if k == v {
		return "keys and values in " + k.about()
	}
	return "keys in " + k.about() + ", values in " + v.about()
}

func (k kvKind) about() string {
	text := [...]string{"bfloat16", "float32", "int8", "int4"}[k.code]
	switch {
	case k.rotated:
		text += ", heads rotated"
	case k.code == kvInt4:
		text += " without a rotation"
	}
	return text
}

// ParseKVFormat returns the format of that name, such as bfloat16, int4 or k8v4.
func ParseKVFormat(name string) (KVFormat, error) {
	var names []string
	for f, row := range kvFormats {
		if row.name == name {
			return KVFormat(f), nil
		}
		names = append(names, row.name)
	}
	return 0, nearest.Unknown("KV format", name, names)
}

// PositionBytes is what the keys and values of a position take in one layer, scales included.
func (f KVFormat) PositionBytes(kvHeads, headDim int) int {
	return kvHeads * (kvFormats[f].k.headBytes(headDim) + kvFormats[f].v.headBytes(headDim))
}

func (k kvKind) headBytes(headDim int) int {
	switch k.code {
	case kvFloat32:
		return 4 * headDim
	case kvInt8:
		return headDim + 4
	case kvInt4:
		return headDim/2 + 2
	}
	return 2 * headDim
}

func (f KVFormat) has(code kvCode) bool {
	return kvFormats[f].k.code == code || kvFormats[f].v.code == code
}

// Check reports why pages of pageSize positions with heads of headDim cannot be kept in format f:
// PageSize has to divide KVBlock, and the formats below float32, which interleave pairs, need an
// even page size and head dim, int4 a head dim of whole fours.
func (f KVFormat) Check(pageSize, headDim int) error {
	switch {
	case !f.known():
		return fmt.Errorf("KV format %d is unknown", int(f))
	case pageSize < 1 || KVBlock%pageSize != 0:
		return fmt.Errorf("page size is %d, expected a divisor of %d", pageSize, KVBlock)
	case headDim < 1:
		return fmt.Errorf("head dim is %d, expected at least 1", headDim)
	case f != KVFloat32 && pageSize%2 != 0:
		return fmt.Errorf("page size is %d, %v interleaves pairs of positions and needs an even one", pageSize, f)
	case f != KVFloat32 && headDim%2 != 0:
		return fmt.Errorf("head dim is %d, %v interleaves pairs of dimensions and needs an even one", headDim, f)
	case f.has(kvInt4) && headDim%4 != 0:
		return fmt.Errorf("head dim is %d, %v packs pairs of dimensions two by two and needs a multiple of 4: int8 does not", headDim, f)
	}
	return nil
}
