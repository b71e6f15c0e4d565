package task

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzWeightFields: no weight and no mask panics; what is read is what JSON and the definition of a
// mask say: a byte has the record's weight where its character is outside of all spans, else 0.
func FuzzWeightFields(f *testing.F) {
	for _, seed := range [][2]string{
		{"1", "[]"}, {"0", "[[0,1]]"}, {"0.5", "[[0,1],[1,3]]"}, {"1e308", "[[-1,2]]"}, {"-0", "[[2,1]]"}, {"1e-300", "[[0,99]]"}, {`"1"`, `"0"`}, {"null", "null"}, {"true", "[[0,1,2]]"}, {"1000", "[[1,3],[0,1]]"},
		{"1e-6", "[[0.5,1]]"}, {"1e400", "[[1e30,2]]"}, {"[", "[["}, {"NaN", "[[0,1]"},
	} {
		f.Add(seed[0], seed[1], "aé世b")
	}
	f.Fuzz(func(t *testing.T, weight, mask, response string) {
		response = strings.ToValidUTF8(response, "?")
		if strings.TrimSpace(response) == "" || len(response) > 100 {
			return
		}
		text, err := json.Marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		cfg := DefaultJSONL("f.jsonl")
		cfg.WeightField, cfg.MaskField, cfg.ValidationShare, cfg.CalibrationShare = "weight", "mask", 0, 0
		content := fmt.Sprintf(`{"prompt":"p","response":%s,"weight":%s,"mask":%s}`, text, weight, mask)
		records, err := recordsOf(t, content, cfg)
		if err != nil {
			checkPlace(t, err, "f.jsonl", 1+strings.Count(content, "\n"), []byte(content))
			return
		}
		var of struct {
			Response string   `json:"response"`
			Weight   *float64 `json:"weight"`
			Mask     [][2]int `json:"mask"`
		}
		if json.Unmarshal([]byte(content), &of) != nil || len(records) != 1 || of.Response != response {
			return // the fields were cut at another place
		}
		want := float32(1)
		if of.Weight != nil {
			if want = float32(*of.Weight); !(want >= 0 && want <= mostWeight) || math.IsInf(float64(want), 0) {
				t.Fatalf("weight %s is read", weight)
			}
		}
		s := records[0].answer(response)
		weights := slices.Repeat([]float32{s.weight}, len(response))
		if err := s.mask(byteEncoder{}.Encode(response), byteEncoder{}, weights); err != nil {
			t.Fatal(err)
		}
		character := -1
		for at := range len(response) {
			if utf8.RuneStart(response[at]) {
				character++
			}
			of, expected := slices.ContainsFunc(of.Mask, func(span [2]int) bool { return span[0] <= character && character < span[1] }), want
			if of {
				expected = 0
			}
			if weights[at] != expected {
				t.Fatalf("mask %s of %q: byte %d has weight %v, expected %v", mask, response, at, weights[at], expected)
			}
		}
	})
}

// FuzzTaskWeights: no text panics; what is read has weights in their bounds, one of them above 0,
// and reads back from its own text.
func FuzzTaskWeights(f *testing.F) {
	for _, seed := range []string{"like feed=2", "like feed = 2, share  feed=0.5", "", "=", "like feed=NaN", "share mail=1", "like feed=1,like feed=1", "a=1", "like feed=0,like mail=0,share feed=0,save mail=0", "like feed=0x1p-2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		weights, err := ParseTaskWeights(text)
		if err != nil {
			return
		}
		var parts []string
		for task, w := range weights {
			if !(w == 0 || w >= leastWeight && w <= mostWeight) {
				t.Fatalf("%q: weight %v of task %d", text, w, task)
			}
			parts = append(parts, fmt.Sprintf("%s=%v", TaskName(task), w))
		}
		again, err := ParseTaskWeights(strings.Join(parts, ","))
		if err != nil || again != weights || slices.Max(weights[:]) == 0 {
			t.Fatalf("%q is %v, and its text %q reads back as %v; %v", text, weights, parts, again, err)
		}
	})
}
