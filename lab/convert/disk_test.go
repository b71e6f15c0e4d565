package convert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
)

// TestResultIsForeseen: the bytes that a command says before its work are those of its tensors, in
// every form, and a disk with fewer is refused before anything is written. What an interrupted
// command has written is not needed again.
func TestResultIsForeseen(t *testing.T) {
	for _, dtype := range []checkpoint.DType{checkpoint.BF16, checkpoint.F32} {
		from, text := source(t, dtype)
		for name, run := range conversions(t) {
			if name == "import" {
				continue
			}
			var foreseen int64
			begin := func(e MemoryEstimate, _ []Compatibility) { foreseen = e.Result }
			r, err := run(t.Context(), from, text, filepath.Join(t.TempDir(), "out"), Options{Open: open, Begin: begin})
			if err != nil {
				t.Fatal(err)
			}
			c, err := open(from)
			if err != nil {
				t.Fatal(err)
			}
			all := foreseen + c.OtherBytes()
			if c.Close(); all == foreseen {
				t.Error("the tokenizer's files are not counted")
			}
			if off := float64(foreseen) / float64(r.Bytes.After); off < 0.99 || off > 1.01 {
				t.Errorf("%s %s: foreseen %d bytes, written %d", dtype, name, foreseen, r.Bytes.After)
			}
			to := filepath.Join(t.TempDir(), "out")
			free := all - 1
			o := Options{Open: open, Free: func(string) int64 { return free }}
			if _, err = run(t.Context(), from, text, to, o); !errors.Is(err, ErrNoRoom) || !Broke(err) || !strings.Contains(err.Error(), to+": too little is free on its disk: found ") {
				t.Errorf("%s %s with %d bytes free of %d: %v", dtype, name, free, all, err)
			}
			if left, _ := filepath.Glob(to + "*"); len(left) > 0 {
				t.Errorf("%s %s: a refused command left %q", dtype, name, left)
			}
			for _, free = range []int64{-1, all} {
				if _, err = run(t.Context(), from, text, filepath.Join(t.TempDir(), "out"), o); err != nil {
					t.Errorf("%s %s with %d bytes free of %d: %v", dtype, name, free, all, err)
				}
			}
		}
	}
	from, text := source(t, checkpoint.BF16)
	to := filepath.Join(t.TempDir(), "out")
	run := conversions(t)["w8a8"]
	interrupted(t, run, from, text, to)
	all := int64(0)
	for name, content := range files(t, filepath.Join(checkpoint.PartialFolder(to), "model")) {
		if filepath.Ext(name) == ".safetensors" {
			all += int64(len(content))
		}
	}
	r, err := run(t.Context(), from, text, filepath.Join(t.TempDir(), "whole"), Options{Open: open})
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	free, finished := r.Bytes.After+c.OtherBytes()-all, 0
	begin := func(e MemoryEstimate, _ []Compatibility) { finished = e.Finished }
	if _, err := run(t.Context(), from, text, to, Options{Open: open, Begin: begin, Free: func(string) int64 { return free }}); err != nil || finished != 1 {
		t.Errorf("with the %d bytes that are still needed, after %d layers, of 1 that is finished: %v", free, finished, err)
	}
	if _, err := os.Stat(to); err != nil {
		t.Error(err)
	}
}

// TestRoomOfEveryVerb: a disk with too little for what a verb writes is refused before anything is
// written, with enough it is not.
func TestRoomOfEveryVerb(t *testing.T) {
	for name, run := range everyVerb(t) {
		t.Run(name, func(t *testing.T) {
			from, text := source(t, checkpoint.BF16)
			to := filepath.Join(t.TempDir(), "out")
			var free int64 = 1000
			o := Options{Open: open, Free: func(string) int64 { return free }}
			if _, err := run(t.Context(), from, text, to, o); !errors.Is(err, ErrNoRoom) || !Broke(err) {
				t.Errorf("%d bytes are free: %v", free, err)
			}
			if left, _ := filepath.Glob(to + "*"); len(left) > 0 {
				t.Errorf("a refused command left %q", left)
			}
			free = 1 << 20
			if _, err := run(t.Context(), from, text, to, o); err != nil {
				t.Errorf("%d bytes are free: %v", free, err)
			}
		})
	}
}

// TestRoomOfAFile: the bytes that a GGUF file is refused for are those that it has.
func TestRoomOfAFile(t *testing.T) {
	run := everyVerb(t)["export gguf"]
	from, text := source(t, checkpoint.BF16)
	to := filepath.Join(t.TempDir(), "out")
	if _, err := run(t.Context(), from, text, to, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(to + ".gguf")
	if err != nil {
		t.Fatal(err)
	}
	for free, fits := range map[int64]bool{info.Size() - 1: false, info.Size(): true} {
		_, err := run(t.Context(), from, text, filepath.Join(t.TempDir(), "out"), Options{Open: open, Free: func(string) int64 { return free }})
		if (err == nil) != fits || err != nil && !errors.Is(err, ErrNoRoom) {
			t.Errorf("%d bytes are free of %d: %v", free, info.Size(), err)
		}
	}
}
