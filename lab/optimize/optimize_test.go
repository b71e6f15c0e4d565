package optimize

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/sensitivity"
)

func TestGoals(t *testing.T) {
	goals, err := Goals{Bytes: "40%", AUC: "-0.1%", KL: "0.01", Perplexity: "2%", Accuracy: "-1%", TTFT: "20ms"}.Parse()
	if err != nil || len(goals) != 6 {
		t.Fatalf("%v, %v", goals, err)
	}
	baseline := map[string]float64{"bytes": 1000, "perplexity": 10, "exact": 0.8, "auc_delta": 0}
	for i, c := range []struct {
		row   map[string]float64
		value float64
		held  bool
	}{
		{map[string]float64{"bytes": 400}, 0.4, true},
		{map[string]float64{"auc_delta": -0.002}, -0.002, false},
		{map[string]float64{"kl": 0.009}, 0.009, true},
		{map[string]float64{"perplexity": 10.3}, 1.03, false},
		{map[string]float64{"exact": 0.792}, 0.99, true},
		{map[string]float64{"ttft_cold_p50": 0.03}, 0.03, false},
	} {
		x, ok := goals[i].figure(c.row, baseline)
		if !ok || math.Abs(x-c.value) > 1e-12 || (goals[i].excess(x) <= 1e-12) != c.held {
			t.Errorf("%s: %v, %t, excess %g", goals[i].Flag, x, ok, goals[i].excess(x))
		}
	}
	if x, ok := goals[1].figure(map[string]float64{"auc_delta": 1, "auc_soft_delta": 2}, baseline); !ok || x != 2 {
		t.Errorf("the expected AUC is preferred: %v", x)
	}
	if _, ok := goals[0].figure(map[string]float64{}, baseline); ok {
		t.Error("a figure of a row that has none")
	}
	for _, bad := range []Goals{{Bytes: "0%"}, {Bytes: "140%"}, {Bytes: "many"}, {Bytes: "NaN%"}, {AUC: "-0.1"}, {AUC: "x%"}, {AUC: "-200%"}, {KL: "-1"}, {KL: "NaN"}, {TTFT: "20"}, {TTFT: "-1s"}, {Perplexity: "Inf%"}} {
		if goals, err := bad.Parse(); err == nil {
			t.Errorf("%+v: %+v", bad, goals)
		}
	}
	for text, want := range map[string]float64{"300kB": 3e5, "300KB": 3e5, "2MiB": 2 << 20, "512B": 512} {
		if goals, err := (Goals{Bytes: text, KVBytes: text}).Parse(); err != nil || goals[0].Bound != want || goals[1].Bound != want {
			t.Errorf("%s: %+v, %v", text, goals, err)
		}
	}
	if goals, err := (Goals{Bytes: "300MB"}).Parse(); err != nil || goals[0].Bound != 3e8 || goals[0].Share {
		t.Errorf("%+v, %v", goals, err)
	}
}

// matrices are those of a model of n layers with a share and two formats.
func matrices(n int) []lab.MatrixView {
	kl := &lab.Matrix{Rows: n, Columns: 3, ColumnLabels: []string{"mlp 50%", "w8a8", "w4a16-g32"}}
	bytes := &lab.Matrix{Rows: n, Columns: 4, ColumnLabels: []string{"dense", "mlp 50%", "w8a8", "w4a16-g32"}}
	for i := range n {
		kl.Values = append(kl.Values, 0.02*float64(i+1), 0.0001, 0.004/float64(i+1))
		bytes.Values = append(bytes.Values, 1000, 600, 510, 290)
	}
	return []lab.MatrixView{{Name: "KL", Matrix: kl}, {Name: "layer bytes", Matrix: bytes}, {Name: "output error", Matrix: kl}}
}

func TestCandidates(t *testing.T) {
	l, err := ReadLayers(matrices(4))
	if err != nil {
		t.Fatal(err)
	}
	const rest, goal = 500, 2000
	s, err := l.NewSpace(t.Context(), fakeSizes{rest}, rest)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Candidates(t.Context(), goal, 6)
	if err != nil || len(list) < 6 || list[0].Bytes > goal || list[0].Name != "c1" {
		t.Fatalf("%d candidates, the first %+v", len(list), list[0])
	}
	options := s.parts[0].pools[0].options
	seen := map[string]bool{}
	for i, c := range list {
		key := fmt.Sprint(c.MLP, c.Schemes)
		if seen[key] || len(c.MLP) != 4 || len(c.Schemes) != 4 || !c.Prunes() && !c.Quantizes() {
			t.Errorf("candidate %+v", c)
		}
		seen[key] = true
		bytes, cost := int64(rest), 0.0
		for layer := range 4 {
			size := 1000.0
			if c.MLP[layer] == "50%" {
				size, cost = 600, cost+0.02*float64(layer+1)
			}
			switch c.Schemes[layer] {
			case "w8a8":
				size, cost = size*0.51, cost+0.0001
			case "w4a16-g32":
				size, cost = size*0.29, cost+0.004/float64(layer+1)
			}
			bytes += int64(size)
		}
		if bytes != c.Bytes || math.Abs(cost-c.KL) > 1e-12 {
			t.Errorf("%s says %d bytes at %g, its layers have %d at %g", c.Name, c.Bytes, c.KL, bytes, cost)
		}
		// a uniform choice that a mixture of its size beats by far is not worth building
		if best, err := sensitivity.Allocate(t.Context(), options, c.Bytes-rest); err != nil || c.KL > 1.5*best.Cost+1e-12 {
			t.Errorf("%s costs %g, the best of its size %g: %v", c.Name, c.KL, best.Cost, err)
		}
		if i > 0 && list[i-1].Bytes > goal && c.Bytes <= goal {
			t.Error("a candidate above the goal comes before one within it")
		}
	}
	uniform := func(scheme string) bool {
		return slices.ContainsFunc(list, func(c Candidate) bool {
			return !c.Prunes() && !slices.ContainsFunc(c.Schemes, func(s string) bool { return s != scheme })
		})
	}
	if !uniform("w8a8") || !uniform("w4a16-g32") {
		t.Error("no uniform formats")
	}
	if _, err := ReadLayers(nil); err == nil {
		t.Error("no error without a measurement")
	}
}

func TestScenarios(t *testing.T) {
	sections, err := SectionsOf([]byte("name: x\ntask: { kind: recsys, members: 60 }\nserve: { workload: ranking }\nmodels: { a: { load: b } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := Setting{Model: "pretrained:recsys-fm", Sections: sections, Schemes: []string{"w8a8"}, MLP: []string{"25%"}, Samples: 64, Examples: 32}
	text := string(s.Sensitivity())
	for _, want := range []string{"kind: recsys", "schemes: w8a8", "load: pretrained:recsys-fm", "baseline: model"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "serve:") {
		t.Error("a section serve, though no goal is a time")
	}
	s.Goals = []Goal{{Metrics: []string{"ttft_cold_p50"}}}
	s.Recover = 100
	c := Candidate{Name: "c1", MLP: []string{"25%", "0"}, Schemes: []string{"w8a8", "w8a8"}}
	text = string(s.Build([]Candidate{c}, []string{"kl"}))
	for _, want := range []string{"serve:", "name: c1-pruned", "mlp_layers: 25% 0", "name: c1-recovered", "from: c1-pruned", "name: c1\n", "from: c1-recovered", "scheme: w8a8\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	c.Schemes = []string{"none", "w8a8"}
	text = string(s.Build([]Candidate{c}, nil))
	if !strings.Contains(text, "layers: none w8a8\n") || strings.Contains(text, "scheme:") {
		t.Errorf("a mixed candidate:\n%s", text)
	}
	if _, err := SectionsOf([]byte("name: x\n")); err == nil {
		t.Error("no error without a task")
	}
}

func TestChoose(t *testing.T) {
	row := func(name string, bytes, kl, delta float64) lab.TableRow {
		return lab.TableRow{Name: name, Values: map[string]lab.Summary{"bytes": {Value: bytes}, "kl": {Value: kl}, "auc_delta": {Value: delta}}}
	}
	view := &lab.View{Rows: []lab.TableRow{row("model", 1000, 0, 0), row("c1", 400, 0.02, -0.0005), row("c2-pruned", 700, 0.01, -0.0001), row("c2", 300, 0.05, -0.004), row("c3", 420, 0.03, -0.002), {Name: "c4"}}}
	candidates := []Candidate{{Name: "c1", Schemes: []string{"w8a8"}, MLP: []string{"0"}, KL: 0.01}, {Name: "c2", Schemes: []string{"w8a8"}, MLP: []string{"50%"}, KL: 0.05}}
	goals, err := Goals{Bytes: "50%", AUC: "-0.1%"}.Parse()
	if err != nil {
		t.Fatal(err)
	}
	c := Choose(view, candidates, goals, false, nil)
	if len(c.Points) != 5 || c.Chosen < 0 || c.Points[c.Chosen].Row != "c1" {
		t.Fatalf("chosen %d of %+v", c.Chosen, c.Points)
	}
	var front []string
	for _, p := range c.Points {
		if p.Front {
			front = append(front, p.Row)
		}
	}
	if !slices.Equal(front, []string{"model", "c1", "c2-pruned", "c2"}) {
		t.Errorf("the front is %v", front)
	}
	if ratio, n := c.Additivity(); n != 2 || math.Abs(ratio-1.5) > 1e-12 {
		t.Errorf("true KL is %g times the predicted over %d", ratio, n)
	}
	if goals, err = (Goals{Bytes: "35%", AUC: "-0.1%"}).Parse(); err != nil {
		t.Fatal(err)
	}
	c = Choose(view, candidates, goals, false, nil)
	if c.Chosen >= 0 || c.Points[c.Nearest].Row != "c1" || len(c.Points[c.Nearest].Misses) != 1 || c.Points[c.Nearest].Misses[0].String() != "--bytes 35%: 40%" {
		t.Errorf("nearest is %+v", c.Points[c.Nearest])
	}
}

// Of rows that are equal in all that the front is of, the first is on it, and one that was not
// measured, or is not a number, is not and keeps no other from it.
func TestFrontOfEquals(t *testing.T) {
	point := func(bytes, kl float64) Point {
		return Point{Values: map[string]float64{"bytes": bytes, "kl": kl}}
	}
	unmeasured := Point{Values: map[string]float64{"bytes": 1}}
	c := Choice{Loss: "kl", Points: []Point{unmeasured, point(400, 0.02), point(400, 0.02), point(300, 0.05), point(1, math.NaN()), point(400, 0.02), point(300, 0.06)}}
	c.front()
	for i, p := range c.Points {
		if want := i == 1 || i == 3; p.Front != want {
			t.Errorf("point %d, %v: on the front %t, expected %t", i, p.Values, p.Front, want)
		}
	}
}

// Formats that another beats are left out; a bound takes the one that loses least within it, and
// without one a mixture has that of the least loss and the smallest that loses no more than it.
func TestCaches(t *testing.T) {
	kl := &lab.Matrix{Rows: 1, Columns: 4, ColumnLabels: []string{"bfloat16", "int8", "k8v4", "int4-plain"}, Values: []float64{0, 0.001, 0.01, 0.05}}
	bytes := &lab.Matrix{Rows: 1, Columns: 5, Values: []float64{512, 512, 320, 240, 240}}
	c := ReadCaches([]lab.MatrixView{{Name: "KV cache", Matrix: kl}, {Name: "KV cache bytes", Matrix: bytes}})
	if c == nil || c.Plain != 512 || len(c.Formats) != 3 || c.Formats[2].Name != "k8v4" {
		t.Fatalf("found %+v", c)
	}
	if ReadCaches(nil) != nil {
		t.Error("caches of a run without a measurement")
	}
	mixtures := []Candidate{
		{Name: "c1", MLP: []string{"0"}, Schemes: []string{"w8a8"}, KL: 0.0001},
		{Name: "c2", MLP: []string{"0"}, Schemes: []string{"w4a16"}, KL: 0.02},
		{Name: "c3", MLP: []string{"50%"}, Schemes: []string{"none"}, KL: 0.005, Pruned: "c3"},
	}
	found := func(most int64) (list []string) {
		for _, of := range c.With(mixtures, most) {
			list = append(list, fmt.Sprintf("%s=%s %.4f", of.Last(false), of.Cache.Name, of.KL))
		}
		return list
	}
	for most, want := range map[int64][]string{
		0:   {"c1=bfloat16 0.0001", "c2=bfloat16 0.0200", "c2-k8v4=k8v4 0.0300", "c3-pruned=bfloat16 0.0050", "c3-int8=int8 0.0060"},
		320: {"c1=int8 0.0011", "c2=int8 0.0210", "c3=int8 0.0060"},
		100: {"c1=k8v4 0.0101", "c2=k8v4 0.0300", "c3=k8v4 0.0150"},
	} {
		if got := found(most); !slices.Equal(got, want) {
			t.Errorf("at most %d: %q, expected %q", most, got, want)
		}
	}
	all := c.With(mixtures, 0)
	if list := Cover(slices.Concat(all, all)); len(list) != len(all) || len(Cover(c.With(mixtures[:1], 320))) != 1 {
		t.Errorf("%d candidates have all words", len(list))
	}
	text := string(Setting{Model: "m", Sections: map[string]any{"task": map[string]any{"kind": "text"}}, KV: []string{"bfloat16", "int8", "k8v4"}}.Build(c.With(mixtures, 0), []string{"kl"}))
	for want, n := range map[string]int{"kv: k8v4": 1, "kv: bfloat16": 2, "kv: int8": 1, "mlp_layers: 50%": 1, "kv_bytes_per_token": 1, "from: c3-pruned": 1} {
		if strings.Count(text, want) != n {
			t.Errorf("expected %q %d times in\n%s", want, n, text)
		}
	}
}

// The cache's bytes are a goal and a side of the front; of rows of equal bytes the one with the
// smaller cache is chosen where a goal is about it, else the one that loses less.
func TestChooseWithCaches(t *testing.T) {
	row := func(name string, bytes, kv, kl float64) lab.TableRow {
		return lab.TableRow{Name: name, Values: map[string]lab.Summary{"bytes": {Value: bytes}, "kv_bytes_per_token": {Value: kv}, "kl": {Value: kl}}}
	}
	view := &lab.View{Rows: []lab.TableRow{row("model", 1000, 512, 0), row("c1", 400, 512, 0.02), row("c1-int8", 400, 320, 0.021), row("c2", 400, 512, 0.03), row("c3-k8v4", 300, 240, 0.5)}}
	candidates := []Candidate{{Name: "c1-int8", Schemes: []string{"w8a8"}, MLP: []string{"0"}, KL: 0.02, Cache: Cache{Name: "int8", KL: 0.001, Bytes: 320}}}
	goals, err := Goals{KVBytes: "70%", KL: "0.1"}.Parse()
	if err != nil {
		t.Fatal(err)
	}
	c := Choose(view, candidates, goals, false, nil)
	if c.Chosen < 0 || c.Points[c.Chosen].Row != "c1-int8" || !c.Points[c.Chosen].OtherCache() {
		t.Errorf("chosen %d of %+v", c.Chosen, c.Points)
	}
	var front []string
	for _, p := range c.Points {
		if p.Front {
			front = append(front, p.Row)
		}
	}
	if !slices.Equal(front, []string{"model", "c1", "c1-int8", "c3-k8v4"}) {
		t.Errorf("the front is %v", front)
	}
	if goals, err = (Goals{KL: "0.1"}).Parse(); err != nil {
		t.Fatal(err)
	}
	if c = Choose(view, candidates, goals, false, nil); c.Points[c.Chosen].Row != "c1" {
		t.Errorf("without a goal for the cache %s is chosen", c.Points[c.Chosen].Row)
	}
	if goals, err = (Goals{KVBytes: "200"}).Parse(); err != nil {
		t.Fatal(err)
	}
	if c = Choose(view, candidates, goals, false, nil); c.Chosen >= 0 || c.Points[c.Nearest].Row != "c3-k8v4" || c.Points[c.Nearest].Misses[0].String() != "--kv-bytes 200: 240" {
		t.Errorf("the nearest is %+v", c.Points[c.Nearest])
	}
	for _, bad := range []string{"0%", "140%", "many", "-1", "NaN"} {
		if goals, err := (Goals{KVBytes: bad}).Parse(); err == nil {
			t.Errorf("%s: %+v", bad, goals)
		}
	}
	if text := (Misses{Goal: Goal{Flag: "--bytes 1MB", Metrics: []string{"bytes"}}, Value: 1423000}).String(); text != "--bytes 1MB: 1.42MB" {
		t.Errorf("a size is written as %q", text)
	}
}

// A row on the way to a candidate has the usual KV cache. Where the search is not for that it is
// neither chosen nor on the front, and says so; else it is one like the others.
func TestRowsOnTheWay(t *testing.T) {
	row := func(name string, bytes, kv, kl float64) lab.TableRow {
		return lab.TableRow{Name: name, Values: map[string]lab.Summary{"bytes": {Value: bytes}, "kv_bytes_per_token": {Value: kv}, "kl": {Value: kl}}}
	}
	view := &lab.View{Rows: []lab.TableRow{row("model", 1000, 512, 0), row("c1-pruned", 500, 512, 0.01), row("c1-recovered", 500, 512, 0.005), row("c1", 600, 160, 0.02)}}
	candidates := []Candidate{{Name: "c1", Pruned: "c1", Schemes: []string{"w8a8"}, MLP: []string{"30%"}, KL: 0.02, Cache: Cache{Name: "int4", KL: 0.001, Bytes: 160}}}
	goals, err := Goals{KL: "0.1"}.Parse()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		caches []string
		chosen string
		onWay  bool
	}{{[]string{"int4"}, "c1", true}, {[]string{"bfloat16", "int4"}, "c1-recovered", false}} {
		c := Choose(view, candidates, goals, true, test.caches)
		if c.Chosen < 0 || c.Points[c.Chosen].Row != test.chosen {
			t.Errorf("%v: chosen %d of %+v", test.caches, c.Chosen, c.Points)
		}
		for _, p := range c.Points[1:3] {
			if p.OnTheWay != test.onWay || test.onWay && p.Front || p.Done != "layer 0: up to 30% of the neurons go; KV cache in bfloat16" || p.Predicted {
				t.Errorf("%v: %+v", test.caches, p)
			}
		}
		if p := c.Points[3]; p.OnTheWay || !p.Predicted || p.Done != "layer 0: up to 30% of the neurons go, w8a8; KV cache in int4" {
			t.Errorf("%v: %+v", test.caches, p)
		}
	}
}

// A figure that misses a goal by little is written with the digits that show it.
func TestMissesAreTold(t *testing.T) {
	for _, c := range []struct {
		goals Goals
		value float64
		want  string
	}{
		{Goals{Bytes: "50%"}, 0.50005, "--bytes 50%: 50.01%"},
		{Goals{Bytes: "50%"}, 0.516, "--bytes 50%: 51.6%"},
		{Goals{Bytes: "300MB"}, 300_000_400, "--bytes 300MB: 300.0004MB"},
		{Goals{KVBytes: "1024"}, 1024.5, "--kv-bytes 1024: 1024.5"},
		{Goals{KL: "0.01"}, 0.010001, "--kl 0.01: 0.010001"},
		{Goals{Perplexity: "2%"}, 1.0200004, "--perplexity 2%: +2.00004%"},
		{Goals{AUC: "-0.1%"}, -0.0010003, "--auc -0.1%: -0.10003%"},
		{Goals{TTFT: "20ms"}, 0.0200000020, "--ttft 20ms: 20.000002ms"},
	} {
		goals, err := c.goals.Parse()
		if err != nil {
			t.Fatal(err)
		}
		if got := (Misses{Goal: goals[0], Value: c.value}).String(); got != c.want {
			t.Errorf("found %q, expected %q", got, c.want)
		}
	}
}

// The nearest is the least sum of what is missed as a share of the goal's number; without goals
// there is none, and none is chosen.
func TestNearest(t *testing.T) {
	row := func(name string, bytes, kl, perplexity float64) lab.TableRow {
		return lab.TableRow{Name: name, Values: map[string]lab.Summary{"bytes": {Value: bytes}, "kl": {Value: kl}, "perplexity": {Value: perplexity}}}
	}
	for _, c := range []struct {
		name  string
		goals Goals
		rows  []lab.TableRow
		want  string // "" for none
	}{
		{"one a little before two by more", Goals{Bytes: "40%", KL: "0.01"}, []lab.TableRow{row("two", 430, 0.011, 10), row("one", 380, 0.0115, 10)}, "one"},
		{"two a little before one by far", Goals{Bytes: "40%", KL: "0.01"}, []lab.TableRow{row("far", 390, 0.02, 10), row("little", 404, 0.0101, 10)}, "little"},
		{"changes are shares of the change", Goals{Bytes: "40%", Perplexity: "2%"}, []lab.TableRow{row("words", 390, 0, 10.4), row("bytes", 480, 0, 10.1)}, "bytes"},
		{"of 0", Goals{KL: "0"}, []lab.TableRow{row("more", 300, 0.2, 10), row("less", 400, 0.1, 10)}, "less"},
		{"equal ones", Goals{KL: "0.01"}, []lab.TableRow{row("large", 400, 0.02, 10), row("small", 300, 0.02, 10)}, "small"},
		{"no goals", Goals{}, []lab.TableRow{row("a", 400, 0.02, 10)}, ""},
	} {
		goals, err := c.goals.Parse()
		if err != nil {
			t.Fatal(err)
		}
		view := &lab.View{Rows: append([]lab.TableRow{row(Base, 1000, 0, 10)}, c.rows...)}
		found := Choose(view, nil, goals, false, nil)
		got := ""
		if found.Nearest >= 0 {
			got = found.Points[found.Nearest].Row
		}
		if got != c.want || found.Chosen >= 0 {
			t.Errorf("%s: the nearest is %q, expected %q; chosen %d", c.name, got, c.want, found.Chosen)
		}
	}
}

// Goals below the least that can be are refused with it, others are not.
func TestGoalsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		goals Goals
		want  string
	}{
		{Goals{Bytes: "1%"}, "--bytes 1%: cannot be reached: embedding, head and norms, which no choice makes smaller, are 40.0% of the model's bytes in bfloat16, and with the smallest that --schemes and --mlp make of the layers it is not below 45.1% (451kB)"},
		{Goals{Bytes: "450KB"}, "--bytes 450KB: cannot be reached"},
		{Goals{Bytes: "45.1%"}, ""},
		{Goals{KVBytes: "100"}, "--kv-bytes 100: cannot be reached: the smallest format of --kv takes 240 bytes a token, 37.5% of those in bfloat16"},
		{Goals{KVBytes: "0.1"}, "--kv-bytes 0.1: cannot be reached"},
		{Goals{KVBytes: "40%", KL: "0"}, ""},
		{Goals{}, ""},
	} {
		goals, err := c.goals.Parse()
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if err := errors.Join(CheckBytes(goals, 450_600, 400_000, 1_000_000), CheckCacheBytes(goals, 240, 640)); err != nil {
			text = err.Error()
		}
		if !strings.HasPrefix(text, c.want) || (c.want == "") != (text == "") {
			t.Errorf("%+v: %q, expected %q", c.goals, text, c.want)
		}
	}
}
