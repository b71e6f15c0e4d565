package convert

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/matrix"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/statistics"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/quant"
)

func TestGatheringWords(t *testing.T) {
	for _, c := range []struct {
		mode, target, folder string
		want                 Gathering
		bad                  string
	}{
		{mode: "sequential", target: "own", want: Gathering{Folder: "home"}},
		{mode: "parallel", target: "own", folder: "none", want: Gathering{Parallel: true}},
		{mode: "sequential", target: "dense", folder: "x", want: Gathering{Target: 1, Folder: "x", All: true}},
		{mode: "sequential", target: "0.25", want: Gathering{Target: 0.25, Folder: "home"}},
		{mode: "parallel", target: "0", want: Gathering{Parallel: true, Folder: "home"}},
		{mode: "serial", target: "own", bad: `--mode`},
		{mode: "sequential", target: "1.5", bad: "--target 1.5: expected own, dense"},
		{mode: "sequential", target: "NaN", bad: "--target NaN"},
		{mode: "sequential", target: "Dense", bad: "--target Dense"},
		{mode: "parallel", target: "dense", bad: "--target dense with --mode parallel"},
	} {
		var g Gathering
		err := g.Set(c.mode, c.target, c.folder, "home")
		if (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%+v: error %v", c, err)
		} else if err == nil && g != c.want {
			t.Errorf("%+v: %+v", c, g)
		}
	}
}

// TestKeptStatisticsAreForeseen: what a command says that it will keep is no less than what is in
// the folder afterwards, and at most a third more, whatever is gathered in whatever passes; half
// more where a budget, which leaves some layers as they are, is yet to be solved.
func TestKeptStatisticsAreForeseen(t *testing.T) {
	all := map[string]bool{"default": false, "all": true}
	type change = func(p *Pruning, q *Quantization)
	gathering := map[string]func(g *Gathering){
		"sequential": func(*Gathering) {}, "parallel": func(g *Gathering) { g.Parallel = true }, "dense": func(g *Gathering) { g.Target = 1 },
	}
	refined := func(p *Pruning, q *Quantization) { p.Refine.Steps, q.Refine.Steps = 1, 1 }
	for name, c := range map[string]struct {
		method string // of prune; "" is quantize
		cuts   Cuts
		scheme string
		smooth string
		rotate string
		set    change
	}{
		"mlp": {method: "osscar", cuts: Cuts{MLP: "25%"}}, "mlp and heads": {method: "osscar", cuts: Cuts{MLP: "25%", Heads: "1"}},
		"query heads": {method: "osscar", cuts: Cuts{QueryHeads: "1"}}, "budget": {method: "osscar", cuts: Cuts{Budget: "70%"}}, "budget of both": {method: "osscar", cuts: Cuts{MLP: "25%", Heads: "1", Widths: "budget"}},
		"layers": {method: "osscar", cuts: Cuts{Layers: "1"}}, "random": {method: "random", cuts: Cuts{MLP: "25%"}},
		"refined": {method: "osscar", cuts: Cuts{MLP: "25%"}, set: refined},
		"rtn":     {scheme: "w8a8", smooth: "none", rotate: "none"}, "smooth": {scheme: "w8a8", smooth: "auto", rotate: "none"}, "alpha": {scheme: "w4a16", smooth: "0.5", rotate: "none"},
		"awq and clip": {scheme: "w4a16", smooth: "awq", rotate: "none", set: func(_ *Pruning, q *Quantization) { q.Clip = true }}, "rotated and smooth": {scheme: "w8a8", smooth: "auto", rotate: "residual", set: refined},
	} {
		for mode, set := range gathering {
			for folder, every := range all {
				if folder == "default" && mode == "dense" { // which keeps what the sequential mode does
					continue
				}
				t.Run(name+" "+mode+" "+folder, func(t *testing.T) {
					from, text := source(t, checkpoint.BF16)
					p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}}
					p.Gathering = Gathering{Folder: filepath.Join(t.TempDir(), "statistics"), All: every}
					set(&p.Gathering)
					q := Quantization{Calibration: p.Calibration, Gathering: p.Gathering}
					if c.set != nil {
						c.set(&p, &q)
					}
					var stated int64
					o := Options{Open: open, Begin: func(e MemoryEstimate, _ []Compatibility) { stated = e.Kept }}
					var err error
					if to := filepath.Join(t.TempDir(), "out"); c.method != "" {
						if err := p.Set(c.method, c.cuts); err != nil {
							t.Fatal(err)
						}
						_, err = Prune(t.Context(), from, to, p, o)
					} else {
						if q.Scheme, err = quant.ParseScheme(c.scheme); err != nil {
							t.Fatal(err)
						}
						if err := q.Set(c.smooth, c.rotate); err != nil {
							t.Fatal(err)
						}
						_, err = Quantize(t.Context(), from, to, q, o)
					}
					if err != nil {
						if strings.Contains(err.Error(), "leave it out") || strings.Contains(err.Error(), "whole layers are removed alone") || strings.Contains(err.Error(), "expected --target own") {
							t.Skipf("skipped: these words do not go together: %v", err)
						}
						t.Fatal(err)
					}
					list, err := statistics.List(p.Gathering.Folder)
					if err != nil {
						t.Fatal(err)
					}
					var kept int64
					for _, e := range list {
						kept += e.Bytes
					}
					most := 1.3
					if strings.HasPrefix(name, "budget") {
						most = 1.5
					}
					if stated < kept || float64(stated) > most*float64(kept) {
						t.Errorf("%d bytes are kept in %d files, %d were stated", kept, len(list), stated)
					}
				})
			}
		}
	}
}

// In parallel mode a second cut, and another scheme, read the statistics of the first run and
// gather none that it gathered; what is written is what a run without kept statistics writes.
func TestKeptStatisticsChangeNoByte(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	dir := t.TempDir()
	kept := filepath.Join(dir, "statistics")
	run := func(verb, name string, g Gathering) (map[string][]byte, *Result) {
		t.Helper()
		calibration := Calibration{File: text, Samples: 8, Length: 32, Seed: 3}
		var r *Result
		var err error
		if verb == "prune" {
			p := Pruning{Calibration: calibration, Gathering: g}
			if err := p.Set("osscar", Cuts{MLP: name}); err != nil {
				t.Fatal(err)
			}
			r, err = Prune(context.Background(), from, filepath.Join(dir, "out"), p, Options{Open: open})
		} else {
			q := Quantization{Calibration: calibration, Gathering: g}
			if q.Scheme, err = quant.ParseScheme(name); err != nil {
				t.Fatal(err)
			}
			r, err = Quantize(context.Background(), from, filepath.Join(dir, "out"), q, Options{Open: open})
		}
		if err != nil {
			t.Fatal(err)
		}
		all := files(t, filepath.Join(dir, "out"))
		if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
		return all, r
	}
	note := func(r *Result) string { return strings.Join(ofAText(r.Notes), "; ") }
	parallel := Gathering{Parallel: true, Folder: kept}
	_, r := run("prune", "25%", parallel)
	if !strings.Contains(note(r), "statistics of 3 inputs were kept in "+kept) {
		t.Errorf("the first run: %q", note(r))
	}
	for _, c := range []struct{ verb, name, want string }{
		{"prune", "50%", "statistics of 3 inputs were read from " + kept + ", none were gathered"},
		{"quantize", "w4a16-gptq-g32", "statistics of 3 inputs were read from " + kept + ", those of 9 more were kept there"},
		{"quantize", "w8a8-gptq", "statistics of 12 inputs were read from " + kept + ", none were gathered"},
	} {
		with, r := run(c.verb, c.name, parallel)
		if !strings.Contains(note(r), c.want) {
			t.Errorf("%s %s: %q, expected %q", c.verb, c.name, note(r), c.want)
		}
		without, r := run(c.verb, c.name, Gathering{Parallel: true})
		if note(r) != "" {
			t.Errorf("%s without kept statistics: %q", c.name, note(r))
		}
		sameFiles(t, with, without)
	}
	before, err := statistics.List(kept)
	if err != nil || len(before) != 12 {
		t.Fatalf("%d files, %v", len(before), err)
	}
	// The sequential order finds the first inputs, which nothing was done before, and with the
	// default folder keeps no others.
	one, r := run("prune", "25%", Gathering{Folder: kept})
	if want := "statistics of 1 input were read from " + kept + "; those of 2 others were gathered from what other layers had become, and not kept: --statistics FOLDER keeps them"; note(r) != want {
		t.Errorf("sequential: %q", note(r))
	}
	after, _ := statistics.List(kept)
	if len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	two, r := run("prune", "25%", Gathering{Folder: kept, All: true})
	if !strings.Contains(note(r), "those of 2 more were kept") {
		t.Errorf("sequential with all kept: %q", note(r))
	}
	three, r := run("prune", "25%", Gathering{Folder: kept, All: true})
	if !strings.Contains(note(r), "statistics of 3 inputs were read from") || !strings.Contains(note(r), "none were gathered") {
		t.Errorf("sequential, again: %q", note(r))
	}
	sameFiles(t, one, two)
	sameFiles(t, one, three)
	// Another target is another result.
	dense, _ := run("prune", "25%", Gathering{Target: 1})
	if maps.EqualFunc(dense, one, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("the target of the dense model changes nothing")
	}
}

// TestDamagedStatistics: in the default folder they are gathered again, which is said; in a folder
// that was given they are an error that names the files.
func TestDamagedStatistics(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	dir := t.TempDir()
	kept := filepath.Join(dir, "statistics")
	run := func(to string, all bool) (*Result, error) {
		p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}, Gathering: Gathering{Parallel: true, Folder: kept, All: all}}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		return Prune(t.Context(), from, filepath.Join(dir, to), p, Options{Open: open})
	}
	if _, err := run("first", false); err != nil {
		t.Fatal(err)
	}
	damage := func(change func([]byte) []byte) (files []string) {
		list, err := statistics.List(kept)
		if err != nil || len(list) != 3 {
			t.Fatalf("%d files, %v", len(list), err)
		}
		for _, e := range list[:2] {
			edit(t, e.Path, change)
			files = append(files, e.Path)
		}
		return files
	}
	var another []byte // of another input
	for name, change := range map[string]func([]byte) []byte{
		"a bit":   func(data []byte) []byte { data[len(data)/2] ^= 4; return data },
		"the sum": func(data []byte) []byte { data[len(data)-1] ^= 4; return data },
		"cut":     func(data []byte) []byte { return data[:len(data)/2] },
		"longer":  func(data []byte) []byte { return append(data, 0) },
		"empty":   func([]byte) []byte { return nil },
		"another": func([]byte) []byte { return another },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "another" {
				list, err := statistics.List(kept)
				if err != nil {
					t.Fatal(err)
				}
				if another, err = os.ReadFile(list[2].Path); err != nil {
					t.Fatal(err)
				}
			}
			damage(change)
			r, err := run(name, false)
			if err != nil {
				t.Fatal(err)
			}
			want := "statistics of 1 input were read from " + kept + ", those of 2 more were kept there; 2 files there were damaged, and what they held was gathered again"
			if !slices.Contains(r.Notes, want) {
				t.Errorf("the notes are %q, expected %q", r.Notes, want)
			}
			sameFiles(t, files(t, filepath.Join(dir, name)), files(t, filepath.Join(dir, "first")))
			for _, file := range damage(change) {
				if _, err := run("given", true); err == nil || !strings.Contains(err.Error(), file) {
					t.Errorf("a folder that was given: error %v, expected one with %s", err, file)
				}
			}
			if _, err := run(name+" again", false); err != nil { // mends them for the next
				t.Fatal(err)
			}
		})
	}
}

// TestStatisticsNeedRoom: a folder that was given and has too little room is refused before the
// work, but for what is there of them; the default one keeps what it can.
func TestStatisticsNeedRoom(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	dir := t.TempDir()
	run := func(to, kept string, all bool, free int64) (needs int64, err error) {
		p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}, Gathering: Gathering{Parallel: true, Folder: kept, All: all}}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		o := Options{Open: open, Begin: func(e MemoryEstimate, _ []Compatibility) { needs = e.Kept }, Free: func(folder string) int64 {
			if folder == kept {
				return free
			}
			return -1
		}}
		_, err = Prune(t.Context(), from, filepath.Join(dir, to), p, o)
		return needs, err
	}
	kept := filepath.Join(dir, "kept")
	needs, err := run("first", filepath.Join(dir, "measured"), true, -1)
	if err != nil || needs == 0 {
		t.Fatal(needs, err)
	}
	if _, err := run("refused", kept, true, needs-1); !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "--statistics "+kept+": too little is free on its disk: found ") {
		t.Errorf("one byte too few: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "refused*")); len(left) > 0 {
		t.Errorf("a refused command left %q", left)
	}
	if _, err := run("by default", filepath.Join(dir, "default"), false, needs-1); err != nil {
		t.Errorf("in the default folder: %v", err)
	}
	if _, err := run("fits", kept, true, needs); err != nil {
		t.Errorf("just enough: %v", err)
	}
	if _, err := run("again", kept, true, needs/10); err != nil {
		t.Errorf("where they are kept: %v", err)
	}
}

// Steps on a layer's output need a text, and sensible numbers.
func TestRefiningIsChecked(t *testing.T) {
	given := Calibration{Random: true}
	for want, r := range map[string]Refining{"which there are none of": {Rate: 0.01}, "--refine -1": {Steps: -1}, "--refine-rate 2": {Steps: 1, Rate: 2}} {
		if err := checkRefining(r, given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := checkRefining(Refining{Steps: 1}, Calibration{}); err == nil || !strings.Contains(err.Error(), "--refine needs a calibration text") {
		t.Errorf("without a text: %v", err)
	}
	if err := checkRefining(Refining{Steps: 1}, given); err != nil {
		t.Error(err)
	}
}

// What is of OSSCAR's search alone is refused beside another method.
func TestSearchIsOfOSSCAR(t *testing.T) {
	for want, p := range map[string]Pruning{
		"--starts":       {Options: pruning.Options{Method: pruning.Random, Starts: pruning.GreedyStart}},
		"--local-search": {Options: pruning.Options{Method: pruning.MagnitudeL2, LocalSearch: 5}},
		"--step":         {Options: pruning.Options{Method: pruning.WandaSP, Batch: 4}},
	} {
		if err := p.check(); err == nil || !strings.Contains(err.Error(), want+" is of --method osscar") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestStatisticsAtNoDefaultFolder: the default folder is no reason for the work to end where it
// cannot be one; that nothing is kept is said once, and not what would be.
func TestStatisticsAtNoDefaultFolder(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}, Gathering: Gathering{Folder: filepath.Join(text, "below")}}
	if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
		t.Fatal(err)
	}
	begin := func(e MemoryEstimate, _ []Compatibility) {
		if e.Kept > 0 || e.Folder != "" {
			t.Errorf("%d bytes would be kept in %q", e.Kept, e.Folder)
		}
	}
	r, err := Prune(t.Context(), from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open, Begin: begin})
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(r.Notes, "\n"); strings.Count(all, "statistics are not kept, and the work went on without: no folder ") != 1 {
		t.Errorf("the notes are\n%s", all)
	}
}

// TestStatisticsAtAFile: what is no folder is refused before the work where the flag names it.
func TestStatisticsAtAFile(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	for want, g := range map[string]Gathering{
		"--statistics " + text + ": " + text + " is a file, expected a folder, or the name of a new one; or give none":                          {Folder: text, All: true},
		"--statistics " + filepath.Join(text, "below") + ": no folder " + filepath.Join(text, "below") + " can be made: " + text + " is a file": {Folder: filepath.Join(text, "below"), All: true},
	} {
		p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}, Gathering: g}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "out")
		if _, err := Prune(t.Context(), from, to, p, Options{Open: open, Begin: func(MemoryEstimate, []Compatibility) { t.Error("the work began") }}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected %q", err, want)
		}
		if _, err := Prune(t.Context(), from, text, p, Options{Open: open}); err == nil || !strings.Contains(err.Error(), text+" is a file, expected a folder") {
			t.Errorf("written to a file: %v", err)
		}
	}
}

// TestAllDamagedStatistics: one message names every damaged file that the method reads, and what to
// do; without them the run gathers their statistics again and makes the same model.
func TestAllDamagedStatistics(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	dir := t.TempDir()
	kept, to := filepath.Join(dir, "statistics"), filepath.Join(dir, "out")
	run := func() (*Result, error) {
		p := Pruning{Calibration: Calibration{File: text, Samples: 8, Length: 32, Seed: 3}, Gathering: Gathering{Parallel: true, Folder: kept, All: true}}
		if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
			t.Fatal(err)
		}
		return Prune(t.Context(), from, to, p, Options{Open: open})
	}
	if _, err := run(); err != nil {
		t.Fatal(err)
	}
	whole := files(t, to)
	list, err := statistics.List(kept)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for _, damaged := range [][]statistics.Entry{list, list[1:2]} {
		for _, e := range damaged {
			edit(t, e.Path, func(content []byte) []byte { content[len(content)/2] ^= 1; return content })
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		_, err := run()
		for _, e := range list {
			if is := slices.Contains(damaged, e); err == nil || is != (strings.Count(err.Error(), e.Path) == 1) || !strings.Contains(err.Error(), "are gathered again") {
				t.Errorf("%d are damaged: error %v", len(damaged), err)
			}
		}
		if want := "kept statistics: 3 files are damaged, of the first its checksum is "; len(damaged) > 1 && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, expected %q", err, want)
		}
		for _, e := range damaged {
			if err := os.Remove(e.Path); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := run(); err != nil {
			t.Fatal(err)
		}
		sameFiles(t, files(t, to), whole)
	}
}

// TestOneNoteOfKeptStatistics: what was kept before the folder failed is said together with why.
func TestOneNoteOfKeptStatistics(t *testing.T) {
	save := func(g *Gathering, key string) {
		stats := &calibrate.Stats{Width: 1, Tokens: 1, Gram: matrix.NewDense(1, 1, []float64{1}), MaxAbs: []float64{1}, MeanAbs: []float64{1}, Mean: []float64{1}}
		if g.kept.Keeps(false) {
			if err := g.kept.Save(t.Context(), key, stats); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	g := Gathering{Folder: filepath.Join(dir, "statistics")}
	g.kept = statistics.New(g.Folder, "a model", true)
	save(&g, "one")
	save(&g, "two")
	if err := os.RemoveAll(g.Folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.Folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	save(&g, "three")
	save(&g, "four")
	notes, want := g.notes(), "statistics of 2 inputs were kept in "+g.Folder+"; others could not be kept, and the work went on without: "
	if len(notes) != 1 || !strings.HasPrefix(notes[0], want) || g.kept.Passed() != 2 {
		t.Errorf("%q, %d were not kept, expected one note that begins with %q", notes, g.kept.Passed(), want)
	}
}

// TestStatisticsApart: a folder of statistics in that of a model, the target or the source is
// refused.
func TestStatisticsApart(t *testing.T) {
	from, _ := source(t, checkpoint.BF16)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for folder, want := range map[string]string{
		out: "which the command writes as a new folder", filepath.Join(out, "a", "b"): "which the command writes", out + ".partial": "which the command writes", filepath.Join(out+".partial", "a"): "which the command writes",
		from: "a model's folder", filepath.Join(from, "a"): "a model's folder",
		out + "-statistics": "", filepath.Join(dir, "kept", "out"): "",
	} {
		g := Gathering{Folder: folder, All: true}
		err := g.checkFolder(from, out)
		if (err == nil) != (want == "") || err != nil && !(strings.Contains(err.Error(), want) && strings.Contains(err.Error(), "give a folder beside it, such as "+out+"-statistics")) {
			t.Errorf("%s: %v, expected %q", folder, err, want)
		}
	}
	for _, other := range []string{filepath.Join(t.TempDir(), "none"), "pretrained:recsys-fm"} {
		g := Gathering{Folder: filepath.Join(from, "a"), All: true}
		if err := g.checkFolder(other, out); err == nil {
			t.Errorf("in another model than %s: no error", other)
		}
	}
}
