package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"slimlab/internal/atomicfile"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

func TestWriteRandom(t *testing.T) {
	for name, c := range shapes() {
		c.Vocab, c.BOS = 9000, -1 // several pieces, the last of them short
		dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
		for i, dir := range dirs {
			restore := parallel.SetThreads(1 + i%2)
			err := WriteRandom(context.Background(), dir, c, []uint64{7, 7, 8}[i])
			restore()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		var files [][]byte
		for _, dir := range dirs {
			data, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, data)
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: the number of threads changes the weights", name)
		}
		if bytes.Equal(files[0], files[2]) {
			t.Errorf("%s: another seed gives the same weights", name)
		}
		m, _, err := load(dirs[0])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !sameConfig(m.Config, c) {
			t.Errorf("%s: config %+v, expected %+v", name, m.Config, c)
		}
		checkDeviations(t, name, m)
	}
	c := shapes()["tied"]
	c.QKVBias = true
	if err := WriteRandom(context.Background(), t.TempDir(), c, 1); err == nil || !strings.HasPrefix(err.Error(), "write random checkpoint ") {
		t.Errorf("a shape that no config says: %v", err)
	}
}

// checkDeviations compares every tensor's mean and deviation with those of a fresh model.
func checkDeviations(t *testing.T, name string, m *model.Model) {
	t.Helper()
	embedding, head, finalNorm := m.FreshEnds()
	want := map[string]float64{embeddingName: embedding, headName: head}
	for _, l := range m.Linears() {
		want[l.Name+".weight"], want[l.Name+".bias"] = m.FreshLinear(l), 0.1
	}
	for _, p := range m.Tensors() {
		var sum, squares float64
		for _, v := range p.Data {
			sum, squares = sum+float64(v), squares+float64(v)*float64(v)
		}
		n := float64(len(p.Data))
		mean, deviation, expected := sum/n, math.Sqrt(max(0, squares/n-sum/n*sum/n)), 1.0
		if p.Name == finalNormName {
			expected = finalNorm
		}
		if d, random := want[p.Name]; random {
			if math.Abs(mean) > 5*d/math.Sqrt(n) || math.Abs(deviation/d-1) > 4/math.Sqrt(2*n) {
				t.Errorf("%s: %s has mean %.4f and deviation %.4f, expected 0 and %.4f", name, p.Name, mean, deviation, d)
			}
		} else if math.Abs(mean/expected-1) > 1e-2 || deviation > 1e-3 {
			t.Errorf("%s: %s has mean %.4f and deviation %.4f, expected %.4f", name, p.Name, mean, deviation, expected)
		}
	}
}

// sparse makes a folder whose tensors are zero and take no room on the disk.
func sparse(t testing.TB, c model.Config) (dir string, size int64) {
	t.Helper()
	dir = t.TempDir()
	config, err := newConfigFile(c, BF16)
	if err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.WriteJSON(filepath.Join(dir, "config.json"), config); err != nil {
		t.Fatal(err)
	}
	tensors, err := randomTensors(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	entries, at := map[string]any{}, int64(0)
	for _, tensor := range tensors {
		entries[tensor.Name] = map[string]any{"dtype": tensor.DType, "shape": tensor.Shape, "data_offsets": []int64{at, at + tensor.Bytes()}}
		at += tensor.Bytes()
	}
	header, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "model.safetensors")
	if err := os.WriteFile(name, withHeader(string(header), 0), 0o644); err != nil {
		t.Fatal(err)
	}
	size = int64(8 + len(header) + 2*c.Parameters())
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	return dir, size
}

func llama1B(t testing.TB) model.Config {
	t.Helper()
	c, err := model.Shape("llama-3.2-1b")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Opening a checkpoint of gigabytes takes memory for its header alone, and its embeddings for their
// rows.
func TestOpenTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a file of 2.5 GB, though one that takes no room")
	}
	c := llama1B(t)
	dir, size := sparse(t, c)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	opened, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	m, err := opened.Skeleton()
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Embed(make([]float32, 3*c.Hidden), []int32{0, 70_000, 128_255}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if taken := int64(after.TotalAlloc - before.TotalAlloc); taken > 4<<20 {
		t.Errorf("a checkpoint of %d bytes took %d to open, expected at most 4 MiB", size, taken)
	}
	if !sameConfig(m.Config, c) {
		t.Errorf("config %+v, expected %+v", m.Config, c)
	}
}

func BenchmarkOpen(b *testing.B) {
	dir, size := sparse(b, llama1B(b))
	for b.Loop() {
		c, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/1e9, "GB")
}

func BenchmarkLoadBlock(b *testing.B) {
	c := llama1B(b)
	dir, _ := sparse(b, c)
	opened, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer opened.Close()
	m, err := opened.Skeleton()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := opened.LoadBlock(context.Background(), m, 3); err != nil {
			b.Fatal(err)
		}
	}
	block := 0
	for _, l := range m.BlockLinears(3) {
		block += l.Out * l.In
	}
	b.SetBytes(int64(2 * block))
}
