package statistics

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/matrix"
	"slimlab/model"
	"slimlab/model/calibrate"
)

func random(seed uint64, width int, cross bool) *calibrate.Stats {
	rng := rand.New(rand.NewPCG(seed, 1))
	draw := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = float64(float32(rng.NormFloat64()))
		}
		return x
	}
	s := &calibrate.Stats{Layer: 3, Site: model.SiteDown, Width: width, Tokens: 77, MaxAbs: draw(width), MeanAbs: draw(width), Mean: draw(width),
		Gram: matrix.NewDense(width, width, draw(width*width))}
	calibrate.Mirror(s.Gram)
	if cross {
		s.Cross = matrix.NewDense(width, width, draw(width*width))
	}
	return s
}

// What is saved is loaded with the same bits, by its key and content alone, and takes the bytes
// that Size says.
func TestRoundTrip(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		width int
		cross bool
	}{{1, false}, {7, false}, {7, true}, {130, true}} {
		dir := filepath.Join(t.TempDir(), "new")
		f := New(dir, "a model", false)
		s := random(1, c.width, c.cross)
		if f.Has("key") {
			t.Error("there before it was saved")
		}
		if err := f.Save(ctx, "key", s); err != nil {
			t.Fatal(err)
		}
		for name, other := range map[string]*Folder{"another content": New(dir, "another model", false), "no folder": New(dir+"x", "a model", false)} {
			if other.Has("key") {
				t.Errorf("%s has it", name)
			}
		}
		got, err := New(dir, "a model", true).Load(ctx, "key")
		if err != nil {
			t.Fatal(err)
		}
		if got.Layer != 3 || got.Site != model.SiteDown || got.Width != c.width || got.Tokens != 77 || !slices.Equal(got.Gram.Data, s.Gram.Data) ||
			!slices.Equal(got.Cross.Data, s.Cross.Data) || !slices.Equal(got.Mean, s.Mean) || !slices.Equal(got.MeanAbs, s.MeanAbs) || !slices.Equal(got.MaxAbs, s.MaxAbs) {
			t.Errorf("width %d: loaded %+v", c.width, got)
		}
		list, err := List(dir)
		if err != nil || len(list) != 1 || list[0].Bytes != Size(c.width, c.cross)+int64(len("a model\nkey")) {
			t.Errorf("width %d: %v, %v", c.width, list, err)
		}
		if f.Read() != 0 || f.Written() != 1 {
			t.Errorf("%d read, %d written", f.Read(), f.Written())
		}
	}
	if list, err := List(filepath.Join(t.TempDir(), "none")); err != nil || len(list) != 0 {
		t.Errorf("a folder that is not there: %v, %v", list, err)
	}
}

// A file that is cut short, changed at any byte or of another key is an error that names it.
func TestDamage(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	f := New(dir, "a model", false)
	if err := f.Save(ctx, "key", random(2, 3, true)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(f.file("key"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, content []byte) {
		t.Helper()
		if err := os.WriteFile(f.file("key"), content, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Load(ctx, "key"); err == nil || !strings.Contains(err.Error(), f.file("key")) || !strings.Contains(err.Error(), "remove this file") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x10
		refused("changed", changed)
		refused("cut short", whole[:i])
	}
	if err := f.Save(ctx, "other", random(2, 3, true)); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(f.file("other"))
	if err != nil {
		t.Fatal(err)
	}
	refused("of another key", other)
}

// Most is above what the files of all inputs of a model take, by no more than their texts, also
// where heads are not as wide as the stream and layers not as wide as each other.
func TestMost(t *testing.T) {
	c := model.Config{Architecture: "Qwen3ForCausalLM", Vocab: 20, Hidden: 24, HeadDim: 16, Layers: model.Uniform(3, 4, 2, 40), MaxPositions: 8,
		RopeTheta: 1e4, NormEps: 1e-6, QKNorm: true, BOS: -1, EOS: -1}
	c.Layers[1].MLP, c.Layers[2].Heads = 16, 2
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, cross := range []bool{false, true} {
		for name, reads := range map[string]func(int, model.Site) bool{
			"all":                func(int, model.Site) bool { return true },
			"o_proj":             func(_ int, s model.Site) bool { return s == model.SiteO },
			"down_proj, last":    func(layer int, s model.Site) bool { return layer == 2 && s == model.SiteDown },
			"gate and up, first": func(layer int, s model.Site) bool { return layer == 0 && s == model.SiteGateUp },
		} {
			type input struct {
				layer int
				site  model.Site
			}
			files := map[input]int64{}
			for _, l := range m.Linears() {
				if reads(l.Layer, l.Site) {
					files[input{l.Layer, l.Site}] = Size(l.In, cross && l.Layer > 0)
				}
			}
			sum := int64(0)
			for _, size := range files {
				sum += size
			}
			if got := Most(c, reads, cross); got <= sum || got > sum+1000*int64(len(files)) {
				t.Errorf("%s, cross %t: at most %d bytes, %d files have %d beside their texts", name, cross, got, len(files), sum)
			}
		}
	}
}

func TestKeeps(t *testing.T) {
	if f := New("", "", true); !f.Keeps(false) || f.Keeps(true) {
		t.Error("statistics of changed models are kept where they should not, or those of others are not")
	} else if f.Passed() != 1 {
		t.Errorf("%d inputs were not kept, expected 1", f.Passed())
	}
	if f := New("", "", false); !f.Keeps(false) || !f.Keeps(true) {
		t.Error("some statistics are not kept")
	}
}

// FuzzDecode: no content panics or takes memory that its size does not pay for.
func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := encode(context.Background(), &b, "text", random(1, 3, true)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := decode(context.Background(), bytes.NewReader(content), "text", int64(len(content)+len(mark)+4))
		if err == nil && s.Gram.Rows != s.Width {
			t.Errorf("%+v", s)
		}
	})
}

// TestPlaceThatCannotBeWritten: the folder that nobody asked for goes on without keeping, and says
// why once; one that was given is an error.
func TestPlaceThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(file, "statistics")
	asked, byDefault := New(dir, "a model", false), New(dir, "a model", true)
	if err := asked.Save(t.Context(), "key", random(1, 3, false)); err == nil || asked.Problem() != nil {
		t.Errorf("the folder that was given: %v, problem %v", err, asked.Problem())
	}
	if !byDefault.Keeps(false) {
		t.Error("nothing is kept before there is a problem")
	}
	for range 2 {
		if err := byDefault.Save(t.Context(), "key", random(1, 3, false)); err != nil {
			t.Errorf("the default folder: %v", err)
		}
	}
	if err := byDefault.Problem(); err == nil || byDefault.Keeps(false) || byDefault.Has("key") || byDefault.Written() != 0 {
		t.Errorf("problem %v, keeps %v, has %v", err, byDefault.Keeps(false), byDefault.Has("key"))
	}
}

// Statistics are not written into what is no regular file: a pipe would be waited for, and of a
// device nothing would be kept.
func TestNoRegularFile(t *testing.T) {
	for _, dense := range []bool{false, true} {
		f := New(t.TempDir(), "a model", dense)
		if err := os.Symlink(os.DevNull, f.file("key")); err != nil {
			t.Fatal(err)
		}
		err := f.Save(t.Context(), "key", random(1, 7, false))
		if dense {
			err = errors.Join(err, f.Problem())
		}
		if f.Has("key") || f.Written() != 0 || err == nil || !strings.Contains(err.Error(), "is a device, expected a regular file") {
			t.Errorf("denseOnly %t: %d written, %v", dense, f.Written(), err)
		}
	}
}
