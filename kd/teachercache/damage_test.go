package teachercache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
)

// readsAll opens a cache in memory and reads all rows of the examples.
func readsAll(data []byte, examples []kd.Example) ([]kd.Rows, error) {
	c, err := read(bytes.NewReader(data), int64(len(data)), "teacher.cache")
	if err != nil {
		return nil, err
	}
	teacher := c.Teacher()
	var all []kd.Rows
	for i := range examples {
		if err := teacher.Read(context.Background(), kd.Reading{Examples: examples[i : i+1]}); err != nil {
			return nil, err
		}
		for t := range examples[i].Tokens {
			if teacher.records[0].rowOf[t] < 0 {
				continue
			}
			rows, err := teacher.Rows([]kd.Target{{Token: t}}, c.Vocab)
			if err != nil {
				return nil, err
			}
			all = append(all, rows)
		}
	}
	return all, nil
}

// TestDamageIsAnError: each byte changed, each cut, bytes added.
func TestDamageIsAnError(t *testing.T) {
	for name, spec := range specs() {
		j := tinyJob(t, spec)
		j.Examples = j.Examples[:4]
		built(t, j)
		data, err := os.ReadFile(j.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readsAll(data, j.Examples); err != nil {
			t.Fatal(err)
		}
		step := 1 + len(data)/3000
		for at := 0; at < len(data); at += step {
			for _, bit := range []byte{1, 0x80} {
				data[at] ^= bit
				if _, err := readsAll(data, j.Examples); err == nil || !strings.Contains(err.Error(), "teacher.cache") {
					t.Errorf("%s: byte %d of %d changed by %#x: %v", name, at, len(data), bit, err)
				}
				data[at] ^= bit
			}
			if _, err := readsAll(data[:at], j.Examples); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: cut after %d bytes of %d: %v", name, at, len(data), err)
			}
		}
		if _, err := readsAll(append(data, 0), j.Examples); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: a byte more: %v", name, err)
		}
	}
}

// TestOtherFilesAreNamed: what is no cache, and a cache of a later version.
func TestOtherFilesAreNamed(t *testing.T) {
	for content, want := range map[string]string{
		"": "begins with",
		"version https://git-lfs.github.com/spec/": "Git LFS pointer",
		"SLKD": "begins with",
		"something else altogether, of some length": "expected \"SLKDTCH1\"",
	} {
		if _, err := readsAll([]byte(content), nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", content, err, want)
		}
	}
	h := Header{Spec: Spec{}.filled(), Shift: 1}
	data, err := h.encode()
	if err != nil {
		t.Fatal(err)
	}
	data[len(magic)] = 2
	if _, err := readsAll(withChecksum(data[:len(data)-4]), nil); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
}

// TestStaleCacheIsRefused: with what differs.
func TestStaleCacheIsRefused(t *testing.T) {
	j := tinyJob(t, Spec{Codec: TopK, K: 8})
	c := built(t, j)
	if err := c.Check(j.Spec, j.Source); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Spec, *Source){
		"teacher: the cache has weights of 2, this run another": func(_ *Spec, s *Source) { s.Teacher = "another" },
		"tokenizer":     func(_ *Spec, s *Source) { s.Tokenizer = "another" },
		"chat template": func(_ *Spec, s *Source) { s.Template = "" },
		"task":          func(_ *Spec, s *Source) { s.Task = "another" },
		"vocabulary: the cache has 61, this run 60":        func(_ *Spec, s *Source) { s.Vocab-- },
		"temperature 1, this run top-k 8 at temperature 2": func(s *Spec, _ *Source) { s.Temperature = 2 },
		"this run exact": func(s *Spec, _ *Source) { s.Codec = Exact },
	} {
		spec, source := j.Spec, j.Source
		change(&spec, &source)
		if err := c.Check(spec, source); !errors.Is(err, ErrStale) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), j.Name) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

// FuzzCache: no file panics, nor takes memory beyond its size.
func FuzzCache(f *testing.F) {
	var examples []kd.Example
	for _, spec := range specs() {
		j := tinyJob(f, spec)
		j.Examples = j.Examples[:2]
		j.Source.Vocab = kdtest.Vocab
		examples = j.Examples
		built(f, j)
		data, err := os.ReadFile(j.Name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { readsAll(data, examples) })
}

// FuzzRecord: what open accepts can be read, and is within the vocabulary.
func FuzzRecord(f *testing.F) {
	for i, name := range []string{"exact", "top-k", "top-k without the tail", "sampled", "sampled of p^0.7"} {
		spec := specs()[name]
		j := tinyJob(f, spec)
		j.Examples = j.Examples[:1]
		c := built(f, j)
		for _, e := range c.entries {
			data, err := c.record(e)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), uint8(rowsOf(&j.Examples[0], false)), data)
		}
	}
	all := []Spec{{}, {Codec: TopK, K: 8}, {Codec: TopK, K: 8, DropTail: true}, {Codec: Sampled, Draws: 12}, {Codec: Sampled, Draws: 12, Power: 0.7}}
	f.Fuzz(func(t *testing.T, which, rows uint8, data []byte) {
		spec := all[int(which)%len(all)].filled()
		if len(data) < entropyBytes {
			return
		}
		rec, err := spec.open(data, int(rows), kdtest.Vocab)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if len(rec.rows) != int(rows) {
			t.Fatalf("%d rows, expected %d", len(rec.rows), rows)
		}
		l := kd.Lists{Starts: []int32{0}}
		for _, row := range rec.rows {
			if spec.Codec == Exact {
				logits(row, make([]float32, kdtest.Vocab))
				continue
			}
			spec.appendTo(&l, row)
		}
		for i, id := range l.IDs {
			if id < 0 || id >= kdtest.Vocab || !(l.TokenLogP[i] <= 0) || spec.Codec == Sampled && !(l.Weight[i] >= 0 && l.Weight[i] < 1e30) {
				t.Fatalf("token %d, log-probability %v", id, l.TokenLogP[i])
			}
		}
	})
}
