package optimize

import (
	"cmp"
	"fmt"
	"slices"

	"slimlab/lab"
)

// plainCache is the KV cache that rows are measured with which name none.
const plainCache = "bfloat16"

// Cache is a format of the KV cache: what it loses alone, and takes.
type Cache struct {
	Name  string  `json:"name"`
	KL    float64 `json:"kl"`
	Bytes int64   `json:"bytes"` // of a token
}

// Caches is what a measurement of sensitivity found of formats of the KV cache.
type Caches struct {
	Formats []Cache // by descending bytes, without those that another beats in both figures
	Plain   int64   // bytes of a token as the model is
}

// ReadCaches takes the measurement from the matrices of a run's step; nil where it has none.
func ReadCaches(matrices []lab.MatrixView) *Caches {
	var kl, bytes *lab.Matrix
	for _, m := range matrices {
		switch m.Name {
		case "KV cache":
			kl = m.Matrix
		case "KV cache bytes":
			bytes = m.Matrix
		}
	}
	if kl == nil || bytes == nil || kl.Rows != 1 || bytes.Columns != kl.Columns+1 {
		return nil
	}
	c := &Caches{Plain: int64(bytes.At(0, 0))}
	for i := range kl.Columns {
		c.Formats = append(c.Formats, Cache{Name: kl.Column(i), KL: max(0, kl.At(0, i)), Bytes: int64(bytes.At(0, i+1))})
	}
	slices.SortStableFunc(c.Formats, func(a, b Cache) int { return cmp.Or(cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.KL, b.KL)) })
	var front []Cache
	for _, f := range c.Formats {
		if k := len(front); k == 0 || f.KL < front[k-1].KL {
			front = append(front, f)
		}
	}
	slices.Reverse(front)
	c.Formats = front
	return c
}

// Within is the format that loses least among those of at most some bytes a token; the smallest
// where none is.
func (c *Caches) Within(most int64) Cache {
	for _, f := range c.Formats {
		if f.Bytes <= most {
			return f
		}
	}
	return c.Formats[len(c.Formats)-1]
}

// With gives each mixture its formats of the KV cache, whose losses are added to those of the
// layers: under a bound of bytes a token (0 for none) the one that loses least within it; else the
// one that loses least of all and, beside it, the smallest that loses no more than the mixture
// does. The mixture's own name is that of its first row.
func (c *Caches) With(mixtures []Candidate, most int64) []Candidate {
	if c == nil {
		return mixtures
	}
	var list []Candidate
	for _, m := range mixtures {
		formats := []Cache{c.Formats[0]}
		if most > 0 {
			formats[0] = c.Within(most)
		} else {
			for _, f := range slices.Backward(c.Formats) {
				if f.KL <= m.KL && f.Name != formats[0].Name {
					formats = append(formats, f)
					break
				}
			}
		}
		for i, f := range formats {
			of := m
			of.Cache, of.KL = f, m.KL+f.KL
			if i > 0 {
				of.Name = fmt.Sprintf("%s-%s", m.Name, f.Name)
			}
			list = append(list, of)
		}
	}
	return list
}
