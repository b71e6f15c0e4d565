package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// whole is a recipe with every field set.
func whole() Recipe {
	return Recipe{
		Stage: "train", Version: 3, Kernels: "ref", Arch: "amd64",
		Inputs:     map[string]string{"teacher": "ab", "start": "cd"},
		Parameters: Values{"steps": 2, "rate": 3.0, "ce": true, "loss": "jsd:0.5", "calibration": Values{"samples": 8, "of": []string{"a", "b"}}, "none": []string{}},
		Task:       Values{"kind": "recsys"}, Tokenizer: "ef", Seed: 7,
	}
}

// TestCanonical: the text is JSON with sorted keys, and the key is its plain SHA-256.
func TestCanonical(t *testing.T) {
	const want = `{"arch":"amd64","inputs":{"start":"cd","teacher":"ab"},"kernels":"ref",` +
		`"parameters":{"calibration":{"of":["a","b"],"samples":8},"ce":true,"loss":"jsd:0.5","none":[],"rate":3.0,"steps":2},` +
		`"recipe":1,"seed":7,"stage":"train","task":{"kind":"recsys"},"tokenizer":"ef","version":3}`
	for range 20 { // maps have another order each time
		if got := string(whole().Canonical()); got != want {
			t.Fatalf("found %s\nexpected %s", got, want)
		}
	}
	if got, want := whole().Key(), fmt.Sprintf("%x", sha256.Sum256([]byte(want))); got != want {
		t.Errorf("key %s, expected %s", got, want)
	}
	if got, want := string(Recipe{Stage: "x"}.Canonical()), `{"recipe":1,"stage":"x","version":0}`; got != want {
		t.Errorf("found %s, expected %s", got, want)
	}
}

// TestEveryFieldIsInTheKey changes one thing at a time.
func TestEveryFieldIsInTheKey(t *testing.T) {
	keys := map[string]string{whole().Key(): "unchanged"}
	for name, change := range map[string]func(r *Recipe){
		"stage":            func(r *Recipe) { r.Stage = "distil" },
		"version":          func(r *Recipe) { r.Version++ },
		"kernels":          func(r *Recipe) { r.Kernels = "avx2" },
		"arch":             func(r *Recipe) { r.Arch = "arm64" },
		"input":            func(r *Recipe) { r.Inputs["start"] = "ce" },
		"roles":            func(r *Recipe) { r.Inputs = map[string]string{"teacher": "cd", "start": "ab"} },
		"parameter":        func(r *Recipe) { r.Parameters["steps"] = 3 },
		"last bit":         func(r *Recipe) { r.Parameters["rate"] = math.Nextafter(3, 4) },
		"integer":          func(r *Recipe) { r.Parameters["rate"] = 3 },
		"text":             func(r *Recipe) { r.Parameters["rate"] = "3.0" },
		"infinite":         func(r *Recipe) { r.Parameters["rate"] = math.Inf(1) },
		"text of infinite": func(r *Recipe) { r.Parameters["rate"] = "+Inf" },
		"nested":           func(r *Recipe) { r.Parameters["calibration"] = Values{"samples": 9} },
		"flat":             func(r *Recipe) { r.Parameters["calibration.samples"] = 8 },
		"a name more":      func(r *Recipe) { r.Parameters["new"] = "" },
		"task":             func(r *Recipe) { r.Task["kind"] = "jsonl" },
		"tokenizer":        func(r *Recipe) { r.Tokenizer = "eg" },
		"seed":             func(r *Recipe) { r.Seed = 8 },
	} {
		r := whole()
		change(&r)
		key := r.Key()
		if other, twice := keys[key]; twice {
			t.Errorf("%s and %s have one key", name, other)
		}
		keys[key] = name
	}
}

// TestFloatsReadBack: a float's text is exact.
func TestFloatsReadBack(t *testing.T) {
	for _, x := range []float64{0, 1, -1, 0.1, 1e-3, 1e21, 1e300, 5e-324, math.MaxFloat64, 1.0 / 3, math.Copysign(0, -1)} {
		var y float64
		if _, err := fmt.Sscan(float(x), &y); err != nil || math.Float64bits(x) != math.Float64bits(y) {
			t.Errorf("%v is written %s, which reads as %v (%v)", x, float(x), y, err)
		}
		if !strings.ContainsAny(float(x), ".e") {
			t.Errorf("%v is written %s, an integer", x, float(x))
		}
		if !json.Valid([]byte(float(x))) {
			t.Errorf("%v is written %s, which is not JSON", x, float(x))
		}
	}
}

// TestTextsAreWrittenAsTheyAre: the keys of artifacts rest on how a text is written.
func TestTextsAreWrittenAsTheyAre(t *testing.T) {
	r := Recipe{Stage: "<x> & \"y\"\n\u2028é\xff"}
	const want = `{"recipe":1,"stage":"<x> & \"y\"\n\u2028é\ufffd","version":0}`
	if got := string(r.Canonical()); got != want {
		t.Errorf("found %s\nexpected %s", got, want)
	}
}

// TestOf: fields go by the names of their tags; references, unexported fields and those with "-"
// stay out, and one without a tag is refused by name.
func TestOf(t *testing.T) {
	type inner struct {
		Samples int `key:"samples"`
	}
	type Embedded struct {
		Steps int `key:"steps"`
	}
	got := Of(&struct {
		Embedded
		Name   string  `key:"-"`
		hidden int     `key:"hidden"`
		Rate   float64 `key:"rate"`
		From   string  `key:"from" ref:"weights"`
		Inner  inner   `key:"calibration"`
		Later  string  `key:"schedule" default:"cosine" omit:"default"`
		Other  string  `key:"other" default:"cosine" omit:"default"`
	}{Embedded{3}, "x", 1, 0.5, "y", inner{8}, "cosine", "linear"})
	if got, want := fmt.Sprint(got), fmt.Sprint(Values{"steps": 3, "rate": 0.5, "calibration": Values{"samples": 8}, "other": "linear"}); got != want {
		t.Errorf("found %s, expected %s", got, want)
	}
	type forgotten struct {
		Steps int `key:"steps"`
		Seed  int
	}
	for _, of := range []any{forgotten{}, &forgotten{}, struct{ forgotten }{}, struct {
		Inner forgotten `key:"inner"`
	}{}} {
		found := func() (found any) {
			defer func() { found = recover() }()
			return Of(of)
		}()
		if text, _ := found.(string); !strings.Contains(text, "field Seed of ") || !strings.Contains(text, "has no tag key") {
			t.Errorf("%T: found %v, expected a panic that names the field", of, found)
		}
	}
}

// TestDiff names each field that differs, and nothing else.
func TestDiff(t *testing.T) {
	other := whole()
	other.Version = 4
	other.Parameters = maps.Clone(other.Parameters)
	other.Parameters["calibration"] = Values{"samples": 9, "of": []string{"a", "b"}}
	delete(other.Inputs, "teacher")
	got, err := Diff(whole().Canonical(), other)
	want := []Difference{{"inputs.teacher", `"ab"`, ""}, {"parameters.calibration.samples", "8", "9"}, {"version", "3", "4"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("found %q, expected %q, %v", got, want, err)
	}
	if lines, err := Diff(whole().Canonical(), whole()); err != nil || len(lines) > 0 {
		t.Errorf("equal recipes differ: %v, %v", lines, err)
	}
	for _, text := range []string{"", "x", `"prune osscar"`, "{}", "[]"} {
		if _, err := Diff([]byte(text), whole()); err == nil {
			t.Errorf("%q was taken for a recipe", text)
		}
	}
}

// TestContent: what belongs to the model decides the name, nothing else does.
func TestContent(t *testing.T) {
	folder := fstest.MapFS{}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.model", "merges.txt", "chat_template.jinja"} {
		folder[name] = &fstest.MapFile{Data: []byte(name)}
	}
	content := func() string {
		t.Helper()
		c, err := Content(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one := content()
	for _, name := range []string{FactsFile, FileName, "README.md", "LICENSE.txt", "sub/config.json"} {
		folder[name] = &fstest.MapFile{Data: []byte("{}")}
	}
	if content() != one {
		t.Error("a file beside the model changed its name")
	}
	for name, file := range folder {
		if file.Data = append(file.Data, ' '); len(file.Data) == len(name)+1 && content() == one {
			t.Errorf("%s is not part of the name", name)
		}
		file.Data = file.Data[:len(file.Data)-1]
	}
}

// TestHashingStopsWithItsContext between two reads.
func TestHashingStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	endless := func(b []byte) (int, error) {
		if reads++; reads == 3 {
			cancel()
		}
		return len(b), nil
	}
	if _, _, err := Sum(ctx, readerFunc(endless)); !errors.Is(err, context.Canceled) || reads != 3 {
		t.Errorf("%v after %d reads", err, reads)
	}
	if _, err := Content(ctx, fstest.MapFS{"config.json": {}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// A recipe that was found is compared or refused, and equal to itself.
func FuzzDiff(f *testing.F) {
	expected := Recipe{Stage: "train", Parameters: Values{"steps": 3}}
	f.Add(expected.Canonical())
	f.Add([]byte(`{"recipe": 1, "stage": "train", "parameters": {"steps": 3.0}}`))
	f.Add([]byte(`{"recipe": {}, "stage": [], "parameters": null}`))
	f.Fuzz(func(t *testing.T, found []byte) {
		lines, err := Diff(found, expected)
		if err == nil && len(lines) == 0 && string(found) != string(expected.Canonical()) {
			var a, b any
			if json.Unmarshal(found, &a) != nil || json.Unmarshal(expected.Canonical(), &b) != nil || !reflect.DeepEqual(a, b) {
				t.Fatalf("%s is no other recipe than %s", found, expected.Canonical())
			}
		}
	})
}

// TestArch: a build for a later level of amd64 is an architecture of its own; what other
// architectures call their levels is not.
func TestArch(t *testing.T) {
	for _, c := range []struct{ arch, key, value, want string }{
		{"amd64", "GOAMD64", "v1", "amd64"}, {"amd64", "GOAMD64", "v3", "amd64/v3"}, {"amd64", "GOAMD64", "v4", "amd64/v4"}, {"amd64", "GOAMD64", "", "amd64"},
		{"arm64", "GOARM64", "v8.0", "arm64/v8.0"}, {"arm64", "GOAMD64", "v3", "arm64"}, {"amd64", "-tags", "v3", "amd64"}, {"386", "GO386", "sse2", "386"},
	} {
		settings := []debug.BuildSetting{{Key: "-compiler", Value: "gc"}, {Key: c.key, Value: c.value}}
		if got := archOf(c.arch, settings); got != c.want {
			t.Errorf("%s with %s=%s: %s, expected %s", c.arch, c.key, c.value, got, c.want)
		}
	}
	if got := archOf("amd64", nil); got != "amd64" {
		t.Errorf("without settings: %s", got)
	}
	if got := Arch(); !strings.HasPrefix(got, runtime.GOARCH) {
		t.Errorf("this program is of %s", got)
	}
}
