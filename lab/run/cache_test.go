package run

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slimlab/kd/teachercache"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
)

// cachedSteps is a student that asks its teacher, and others that read files.
const cachedSteps = `
name: cached
` + onSums + `  - train: { name: teacher, into: big, steps: 12, batch: 4, learning_rate: 1e-2 }
  - distil: { name: asked, into: small, teacher: teacher, steps: 8, batch: 4, learning_rate: 1e-2%[2]s }
  - distil: { name: exact, into: small, teacher: teacher, steps: 8, batch: 4, learning_rate: 1e-2, cache: exact%[2]s }
  - distil: { name: other, into: small, teacher: teacher, steps: 4, batch: 8, learning_rate: 1e-3, cache: { codec: exact }%[2]s }
  - distil: { name: few, into: small, teacher: teacher, steps: 8, batch: 4, learning_rate: 1e-2, cache: %[3]s }
evaluate: { validation: 4 }
columns: [loss, kl, cache_bytes_per_token]
`

// titledWeights is the content of the one model with a title.
func titledWeights(t *testing.T, h *home.Home, title string) []byte {
	t.Helper()
	dirs := artifactDirs(t, h, func(found string) bool { return found == title })
	if len(dirs) != 1 {
		t.Fatalf("%d artifacts %q, expected 1", len(dirs), title)
	}
	content, err := os.ReadFile(filepath.Join(dirs[0], "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// cacheDirs are the folders of a home's caches.
func cacheDirs(t *testing.T, h *home.Home) []string {
	t.Helper()
	return artifactDirs(t, h, func(title string) bool { return strings.HasPrefix(title, "rows of ") })
}

func said(b *lab.Board, text string) bool {
	return slices.ContainsFunc(b.Snapshot().Notes, func(n lab.Note) bool { return strings.Contains(n.Text, text) })
}

// TestCacheInPlaceOfTheTeacher: a student that reads an exact file has the weights of one that asks
// its teacher, bit for bit, also over whole sequences, with few examples and in bfloat16. The file
// is made once for all students with the same examples, whatever their batches; its size is said
// and measured.
func TestCacheInPlaceOfTheTeacher(t *testing.T) {
	const longer = ", schedule: linear"
	for keys, few := range map[string]string{
		"":     "top-k:12",
		longer: "top-k:12",
		", sequence: 0.3, sequence_loss: mixture, temperature: 2, loss: rkl": "{ codec: top-k:5, tail: false }",
		", data: 7, precision: bfloat16":                                     "{ codec: sampled:9, power: 0.7, seed: 3 }",
	} {
		text := fmt.Sprintf(cachedSteps, sums(t), keys, few)
		if keys == longer { // than the file: its examples come again
			text = strings.NewReplacer("steps: 8, batch: 4", "steps: 30, batch: 4", "steps: 4, batch: 8", "steps: 15, batch: 8").Replace(text)
		}
		plan := parse(t, text, scenario.Options{})
		h := newHome(t)
		planned := plannedBytes(t, h, plan)
		out := mustWork(t, h, plan, Options{})
		var sizes []int64
		for _, dir := range cacheDirs(t, h) {
			info, err := os.Stat(filepath.Join(dir, rowsFile))
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, info.Size())
		}
		for step, size := range map[string]int64{"few": slices.Min(sizes), "exact": slices.Max(sizes)} {
			if own := planned[step] - planned["asked"]; own < size || step == "exact" && own > size*11/10 {
				t.Errorf("%s: %s: a plan says %d bytes of a file of %d", keys, step, own, size)
			}
		}
		if planned["other"] != planned["asked"] {
			t.Errorf("the second student with the same examples plans %d bytes, expected %d", planned["other"], planned["asked"])
		}
		if !bytes.Equal(titledWeights(t, h, "distil asked"), titledWeights(t, h, "distil exact")) {
			t.Errorf("%s: a file of exact distributions trains another student", keys)
		}
		if bytes.Equal(titledWeights(t, h, "distil asked"), titledWeights(t, h, "distil few")) {
			t.Errorf("%s: %s trains the same student", keys, few)
		}
		if n := len(cacheDirs(t, h)); n != 2 {
			t.Errorf("%s: %d files, expected one of each codec", keys, n)
		}
		view := out.Board.Snapshot()
		size := func(row int) float64 {
			s, _ := view.Rows[row].Metric("cache_bytes_per_token")
			return s.Value
		}
		if size(1) != 0 || size(2) < 4*270 || size(2) > 4*270+30 || size(3) != size(2) || size(4) <= 0 || size(4) > 60 {
			t.Errorf("%s: bytes a token %v, %v, %v, %v", keys, size(1), size(2), size(3), size(4))
		}
		for _, text := range []string{"exact: rows of teacher (exact): ", "of their entropy of", "built in", "of 32 examples, "} {
			if keys == "" && !said(out.Board, text) {
				t.Errorf("%q is not said: %v", text, view.Notes)
			}
		}
		again := mustWork(t, h, plan, Options{})
		sameFigures(t, again.Board, out.Board, 1)
		if said(again.Board, "rows of teacher") {
			t.Errorf("%s: a run that trains nothing looks at the file", keys)
		}
		if err := removeTitled(h, "distil few"); err != nil {
			t.Fatal(err)
		}
		again = mustWork(t, h, plan, Options{})
		sameFigures(t, again.Board, out.Board, 1)
		if !said(again.Board, "from an earlier run") {
			t.Errorf("%s: the file is not used again", keys)
		}
	}
}

// plannedBytes are what a plan says of its steps, by name.
func plannedBytes(t *testing.T, h *home.Home, plan *scenario.Plan) map[string]int64 {
	t.Helper()
	cells, _, err := Check(t.Context(), h, plan)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for _, s := range cells[0].Steps {
		all[s.Name] = s.Bytes
	}
	return all
}

// removeTitled removes the artifacts with a title.
func removeTitled(h *home.Home, title string) error {
	entries, err := h.Artifacts.Entries()
	for _, e := range entries {
		if e.Title == title && err == nil {
			err = h.Artifacts.Remove(e.Name)
		}
	}
	return err
}

// cacheOfPrompts is a file of several groups of examples, of a model that is loaded.
func cacheOfPrompts(t *testing.T) string {
	return fmt.Sprintf(`
name: prompts
task: { kind: recsys, members: 2, candidates: 1 }
models: { fixed: { load: %q }, small: { layers: 1, hidden: 8, heads: 1, head_dim: 8, mlp: 8 } }
pipeline:
  - baseline: { name: base, model: fixed }
  - distil: { name: kd, into: small, teacher: fixed, steps: 100, batch: 2, cache: top-k:3 }
evaluate: { validation: 1, tokens: 0 }
columns: [bytes]
`, fixedModel(t))
}

// theCache is the content of a home's one cache.
func theCache(t *testing.T, h *home.Home) []byte {
	t.Helper()
	dirs := cacheDirs(t, h)
	if len(dirs) != 1 {
		t.Fatalf("%d caches", len(dirs))
	}
	content, err := os.ReadFile(filepath.Join(dirs[0], rowsFile))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// partials are the entries of half built artifacts.
func partials(t *testing.T, h *home.Home) (found []store.Entry) {
	t.Helper()
	entries, err := h.Artifacts.Entries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Condition == store.Partial {
			found = append(found, e)
		}
	}
	return found
}

// buildsCache is an event of a file that is being built.
func buildsCache(e lab.Event) bool { return e.Kind == lab.KindCell && e.Text == "teacher's cache" }

// TestKilledCacheGoesOn: a build that is killed, or stopped, goes on in the next run, to the bytes
// of one that was not; what it has left is kept for the run that it is of, and removed with that.
func TestKilledCacheGoesOn(t *testing.T) {
	text := cacheOfPrompts(t)
	plan := parse(t, text, scenario.Options{})
	whole := newHome(t)
	var steps []int
	want := mustWork(t, whole, plan, Options{Sink: func(e lab.Event) {
		if buildsCache(e) {
			steps = append(steps, e.Step)
		}
	}})
	if len(steps) < 4 {
		t.Fatalf("the file is built in the groups %v, expected at least 4", steps)
	}
	h := newHome(t)
	killed(t, h, text, fmt.Sprintf("kd/teacher's cache/%d", steps[0]))
	making, err := filepath.Glob(filepath.Join(h.Folder, "artifacts", ".making-*"))
	for _, dir := range making { // which a later run removes
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	left := partials(t, h)
	if len(left) != 1 || !strings.HasSuffix(left[0].Title, "(top-k:3)") || left[0].Bytes == 0 {
		t.Fatalf("a killed build leaves %+v", left)
	}
	unused := func(keep bool) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(h.Folder, "artifacts", "unfinished-*", "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			then := time.Unix(1e9, 0).Add(time.Second) // by the clock of the runs
			if err := os.Chtimes(file, then, then); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := h.Artifacts.Entries()
		if err != nil {
			t.Fatal(err)
		}
		dropped, err := h.Unused(entries, home.Keep{})
		if is := slices.ContainsFunc(dropped, func(e store.Entry) bool { return e.Condition == store.Partial }); err != nil || is == keep {
			t.Errorf("clean would remove it: %v, expected %v; %v", is, !keep, err)
		}
	}
	unused(true)
	runs, err := h.Logs.List()
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	if err := h.Logs.Remove(runs[0].ID); err != nil {
		t.Fatal(err)
	}
	unused(false)
	out, err := workUntil(t, h, plan, Options{}, func(e lab.Event) bool { return buildsCache(e) && e.Step >= steps[2] })
	if err == nil || !said(out.Board, "goes on after") && len(partials(t, h)) != 1 {
		t.Fatalf("the second run ends with %v", err)
	}
	unused(true)
	out = mustWork(t, h, plan, Options{})
	if !said(out.Board, fmt.Sprintf("goes on after %d of 200 examples, which an unfinished build had left", steps[2])) {
		t.Errorf("notes %v", out.Board.Snapshot().Notes)
	}
	sameFigures(t, out.Board, want.Board, 1)
	if !bytes.Equal(theCache(t, h), theCache(t, whole)) {
		t.Error("a file in three parts has other bytes than one in one")
	}
	if left := partials(t, h); len(left) != 0 {
		t.Errorf("a finished build leaves %+v", left)
	}
}

// TestCacheThatWasFinishedIsTaken: a process that is killed as it puts the file into its artifact
// has finished it, and --fresh takes nothing of what is left.
func TestCacheThatWasFinishedIsTaken(t *testing.T) {
	plan := parse(t, cacheOfPrompts(t), scenario.Options{})
	h := newHome(t)
	want := mustWork(t, h, plan, Options{})
	content := theCache(t, h)
	for fresh, builds := range map[bool]bool{false: false, true: true} {
		again := newHome(t)
		entries, err := h.Artifacts.Entries()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Stage == home.TeacherCache {
				dir := filepath.Join(again.Folder, "artifacts", "unfinished-"+e.Name)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, rowsFile), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		built := false
		out := mustWork(t, again, plan, Options{Fresh: fresh, Sink: func(e lab.Event) { built = built || buildsCache(e) }})
		sameFigures(t, out.Board, want.Board, 1)
		if built != builds || !bytes.Equal(theCache(t, again), content) || len(partials(t, again)) != 0 {
			t.Errorf("fresh %v: built %v, left %v", fresh, built, partials(t, again))
		}
	}
}

// TestTwoRunsBuildOneCache on one home.
func TestTwoRunsBuildOneCache(t *testing.T) {
	text := cacheOfPrompts(t)
	folder := newHome(t).Folder
	var mu sync.Mutex
	builders := map[int]bool{}
	var all sync.WaitGroup
	for i := range 2 {
		plan := parse(t, text, scenario.Options{})
		all.Go(func() {
			_, err := work(t, openHome(t, folder), plan, Options{Sink: func(e lab.Event) {
				if buildsCache(e) {
					mu.Lock()
					defer mu.Unlock()
					builders[i] = true
				}
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(builders) != 1 {
		t.Errorf("the runs %v built it", builders)
	}
	theCache(t, openHome(t, folder))
}

// plannedDistil is the planned training of a plan's last step.
func plannedDistil(t *testing.T, h *home.Home, plan *scenario.Plan) *training {
	t.Helper()
	r := &Run{home: h, plan: plan, Board: lab.NewBoard(), options: Options{Now: clock()}, readOnly: true}
	t.Cleanup(r.letGo)
	w := &worker{run: r, cell: &plan.Cells[0]}
	if _, err := w.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	steps := w.cell.Point.Steps
	last := steps[len(steps)-1]
	planned, err := last.Work.(*Distil).training(t.Context(), w, last)
	if err != nil {
		t.Fatal(err)
	}
	return planned
}

// TestDamagedAndForeignCaches: one that is cut is said and made anew; one of something else under
// its name is refused with what differs.
func TestDamagedAndForeignCaches(t *testing.T) {
	plan := parse(t, cacheOfPrompts(t), scenario.Options{})
	h := newHome(t)
	want := mustWork(t, h, plan, Options{})
	content := theCache(t, h)
	if err := removeTitled(h, "distil kd"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cacheDirs(t, h)[0], rowsFile), content[:len(content)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	h = openHome(t, h.Folder)
	out := mustWork(t, h, plan, Options{})
	sameFigures(t, out.Board, want.Board, 1)
	aside, err := filepath.Glob(filepath.Join(h.Folder, "artifacts", "corrupt-*"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("moved aside: %v, %v", aside, err)
	}
	if err := os.RemoveAll(aside[0]); err != nil {
		t.Fatal(err)
	}
	if !said(out.Board, "is corrupt") || !bytes.Equal(theCache(t, h), content) {
		t.Errorf("notes %v", out.Board.Snapshot().Notes)
	}

	if err := removeTitled(h, "distil kd"); err != nil {
		t.Fatal(err)
	}
	// as a program that names caches wrongly would leave it
	facts, err := os.ReadFile(filepath.Join(cacheDirs(t, h)[0], recipe.FactsFile))
	if err != nil {
		t.Fatal(err)
	}
	tr := plannedDistil(t, h, plan)
	c := tr.teaching.cache
	_, err = h.Artifacts.Replace(c.of, store.Label{Title: c.title}, func(dir string) error {
		source := c.source
		source.Tokenizer = "other tokens"
		config := tr.config(nil)
		teacher, err := tr.teaching.ask(t.Context(), tr, &config)
		if err != nil {
			return err
		}
		examples, err := tr.examples(t.Context(), 4)
		if err != nil {
			return err
		}
		if _, err := teachercache.Build(t.Context(), teachercache.Job{Name: filepath.Join(dir, rowsFile), Spec: c.spec, Source: source, Teacher: teacher.rows, Examples: examples}); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, recipe.FactsFile), facts, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = work(t, openHome(t, h.Folder), plan, Options{})
	if err == nil || !strings.Contains(err.Error(), "the cache is of something else: tokenizer: the cache has other tokens") || !strings.Contains(err.Error(), "--fresh builds it again") {
		t.Errorf("a cache of another tokenizer: %v", err)
	}
}

// TestCachesThatCannotBe are refused when the scenario is loaded, with what would do.
func TestCachesThatCannotBe(t *testing.T) {
	path := sums(t)
	for settings, want := range map[string]string{
		"cache: exakt":                             `did you mean "exact"`,
		"cache: top-k":                             `expected top-k: and a number above 0, such as "top-k:2"`,
		"cache: top-k:0":                           "above 0",
		"cache: top-k:2.5":                         "expected a whole number",
		"cache: sampled:70000":                     "expected 1 to 65536",
		"cache: { codec: 3 }":                      `codec is "3": expected one of`,
		"cache: { tail: false }":                   "and no codec",
		"cache: { codec: exact, power: 0.5 }":      "which are of codec sampled",
		"cache: { codec: exact, tail: false }":     "which is of codec top-k",
		"cache: { codec: sampled:9, tail: false }": "which is of codec top-k",
		"cache: { codec: sampled:9, power: 3 }":    "power is 3, expected above 0 and at most 2",
		"cache: [exact]":                           "expected a mapping",
		"cache: { codek: exact }":                  "codek",
		"cache: sampled:9, loss: rkl":              "unbiased in fkl alone",
		"cache: sampled:9, loss: jsd:0.5":          "unbiased in fkl alone",
		"cache: exact, samples: { fraction: 0.5 }": "samples are written during the training",
		"cache: exact, samples: { replay: true }":  "samples are written during the training",
		"cache: exact, loss: sampled-rkl, ce: 0, samples: { fraction: 1, temperature: 1 }": "samples are written during the training",
	} {
		_, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(onPolicy, path, settings)), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.yaml:") {
			t.Errorf("%s: error %v, expected %q", settings, err, want)
		}
	}
	for _, settings := range []string{"cache: none", "cache: { codec: none }", "cache: { codec: top-k:3, tail: false }", "cache: { codec: sampled:3, power: 2, seed: 9 }", "cache: top-k:3, loss: jsd:0.5, temperature: 2"} {
		if _, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(onPolicy, path, settings)), scenario.Options{Vocabulary: Vocabulary()}); err != nil {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

// TestDrawsAreSaid: before the run a step that learns from draws says what its divergence is, and
// warns of few draws and of a power above 1, with what would do.
func TestDrawsAreSaid(t *testing.T) {
	path := sums(t)
	const estimate = "its divergence is an estimate from draws, "
	for codec, want := range map[string]lab.Event{
		"exact": {}, "top-k:1": {},
		"sampled:50":                        {Level: lab.Info, Text: "two: " + estimate + "50 a token: it may be below 0, and falls below the KL divergence as the student learns these draws; metric kl has no such error"},
		"{ codec: sampled:50, power: 0.5 }": {Level: lab.Info, Text: "no such error"},
		"sampled:9":                         {Level: lab.Warning, Text: "no such error: expected 10 draws or more"},
		"{ codec: sampled:10, power: 2 }":   {Level: lab.Warning, Text: "power 2 gives unlikely tokens weights without bound: expected power 1 or less"},
		"{ codec: sampled:1, power: 1.5 }":  {Level: lab.Warning, Text: "power 1.5 gives unlikely tokens weights without bound: expected 10 draws or more and power 1 or less"},
	} {
		plan := parse(t, fmt.Sprintf(onPolicy, path, "cache: "+codec), scenario.Options{})
		_, notes, err := Check(t.Context(), newHome(t), plan)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.DeleteFunc(notes, func(n lab.Event) bool { return !strings.Contains(n.Text, estimate) })
		if len(found) != min(1, len(want.Text)) || len(found) == 1 && (found[0].Level != want.Level || !strings.HasSuffix(found[0].Text, want.Text)) {
			t.Errorf("%s: notes %v, expected %v", codec, found, want)
		}
	}
	out := mustWork(t, newHome(t), parse(t, fmt.Sprintf(onPolicy, path, "cache: sampled:2"), scenario.Options{}), Options{})
	if !said(out.Board, "divergence, by the file's draws, ") {
		t.Errorf("the first batch's divergence: %v", out.Board.Snapshot().Notes)
	}
}

// TestSizeOfACache: the file is within the bound that a plan has and within the one that the run
// shows, of few examples, which are counted, and of more, which are not.
func TestSizeOfACache(t *testing.T) {
	for _, codec := range []string{"exact", "top-k:3", "{ codec: top-k:200, tail: false }", "sampled:1", "{ codec: sampled:40, power: 0.5 }"} {
		for _, batch := range []int{1, 3} {
			text := strings.Replace(cacheOfPrompts(t), "steps: 100, batch: 2, cache: top-k:3", fmt.Sprintf("steps: 10, batch: %d, cache: %s", 10*batch, codec), 1)
			plan, h := parse(t, text, scenario.Options{}), newHome(t)
			planned := plannedBytes(t, h, plan)["kd"]
			out := mustWork(t, h, plan, Options{})
			size := int64(len(theCache(t, h)))
			if planned < size || planned > 2*size && strings.Contains(codec, "exact") {
				t.Errorf("%s of %d examples: a plan says %d bytes of a file of %d", codec, 100*batch, planned, size)
			}
			notes := notesWith(out.Board, fmt.Sprintf(": of %d examples, ", 100*batch))
			if len(notes) != 1 {
				t.Fatalf("%s: notes %v", codec, out.Board.Snapshot().Notes)
			}
			var most float64
			_, bound, _ := strings.Cut(notes[0].Text, "distributions, at most ")
			if _, err := fmt.Sscanf(bound, "%g", &most); err != nil {
				t.Fatal(notes[0].Text, err)
			}
			unit := map[string]float64{"kB": 1e3, "MB": 1e6}[bound[len(bound)-2:]]
			if most*unit < float64(size) || codec == "exact" && most*unit > 1.05*float64(size) {
				t.Errorf("%s: %q of a file of %d bytes", codec, notes[0].Text, size)
			}
		}
	}
	for n, want := range map[int64]int64{0: 0, 999: 999, 1000: 1000, 1001: 1010, 12345: 12400, 999001: 1e6} {
		if got := upwards(n); got != want {
			t.Errorf("%d bytes are at most %d, expected %d", n, got, want)
		}
	}
}

// TestRoomForACache: a file that surely does not fit is refused, one that may not is said.
func TestRoomForACache(t *testing.T) {
	r := &Run{home: newHome(t), Board: lab.NewBoard(), options: Options{Now: time.Now}}
	of := &training{worker: &worker{run: r, stage: "kd"}}
	c := &rowCache{title: "rows", examples: 9}
	c.spec.Codec, c.spec.Draws, c.source.Vocab = teachercache.Sampled, 50, 1000
	n := teachercache.Count{Examples: 8, Rows: 100}
	least, most, err := c.spec.FileBytes(c.source, n)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		already, free   int64
		refused, warned bool
	}{
		"far too little": {0, least - 1, true, false}, "perhaps": {0, least, false, true}, "enough": {0, most, false, false},
		"with what is there": {10, most - 10, false, false}, "not known": {0, -1, false, false},
	} {
		r.unlogged, r.noted = nil, sync.Map{}
		err := of.room(c, n, k.already, k.free)
		if (err != nil) != k.refused || err != nil && !strings.Contains(err.Error(), "take at least ") {
			t.Errorf("%s: %v", name, err)
		}
		if len(r.unlogged) == 0 || !strings.Contains(r.unlogged[0].Text, "of 9 examples (8 different ones with answers), 100 distributions, at most ") || (len(r.unlogged) == 2) != k.warned {
			t.Errorf("%s: notes %v", name, r.unlogged)
		}
	}
}

// TestNoRoomForACache: a file that is larger than the disk is an error before any of it is built.
func TestNoRoomForACache(t *testing.T) {
	text := strings.Replace(cacheOfPrompts(t), "steps: 100, batch: 2, cache: top-k:3", "steps: 100000000, batch: 60000, cache: exact", 1)
	_, err := work(t, newHome(t), parse(t, text, scenario.Options{}), Options{Sink: func(e lab.Event) {
		if buildsCache(e) {
			t.Error("it is built")
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "of 6000000000000 examples take about") || !strings.Contains(err.Error(), "free: expected another codec") {
		t.Errorf("found %v", err)
	}
}

// TestOldRecipesStay: a distillation without a file has the recipe that it had before there were
// files, and each key of a file gives another one.
func TestOldRecipesStay(t *testing.T) {
	of := func(settings string) string {
		t.Helper()
		s, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(onPolicy, "x.jsonl", settings)), scenario.Options{Vocabulary: Vocabulary()})
		if err != nil {
			t.Fatal(err)
		}
		work := s.Points[0].Steps[2].Work
		return string(recipe.Recipe{Stage: "distil", Parameters: recipe.Of(work)}.Canonical()) + s.Canonical()
	}
	if plain := of("loss: fkl"); strings.Contains(plain, "cache") || strings.Contains(plain, "Cache") || of("loss: fkl, cache: none") != plain {
		t.Errorf("without a file: %s", plain)
	}
	seen := map[string]string{}
	for _, settings := range []string{"cache: none", "cache: exact", "cache: top-k:3", "cache: { codec: top-k:3, tail: false }", "cache: sampled:3", "cache: { codec: sampled:3, power: 0.5 }", "cache: { codec: sampled:3, seed: 2 }"} {
		text := of(settings)
		if other, twice := seen[text]; twice {
			t.Errorf("%s has the recipe of %s", settings, other)
		}
		seen[text] = settings
	}
}
