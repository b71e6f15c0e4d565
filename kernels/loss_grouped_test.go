package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/parallel"
)

// groupedCases are the divergences at the one temperature that groups have.
func groupedCases() []lossCase {
	return slices.DeleteFunc(lossCases(), func(c lossCase) bool { return c.d.Temperature != 1 || c.d.TimesT2 })
}

// drawGroups gives n tokens one of count groups, each of which has a token, and some none.
func drawGroups(rng *rand.Rand, n, count int, none bool) []int32 {
	groups := make([]int32, n)
	for i, at := range rng.Perm(n) {
		switch {
		case i < count:
			groups[at] = int32(i)
		case none && rng.IntN(4) == 0:
			groups[at] = -1
		default:
			groups[at] = int32(rng.IntN(count))
		}
	}
	return groups
}

// groupLogs64 are log-probabilities of groups by their definition.
func groupLogs64(z []float64, groups []int32, count int) []float64 {
	most := make([]float64, count)
	for g := range most {
		most[g] = math.Inf(-1)
	}
	for i, g := range groups {
		if g >= 0 {
			most[g] = max(most[g], z[i])
		}
	}
	logs := make([]float64, count)
	for i, g := range groups {
		if g >= 0 {
			logs[g] += math.Exp(z[i] - most[g])
		}
	}
	for g := range logs {
		logs[g] = most[g] + math.Log(logs[g])
	}
	return logSoftmax64(logs, 1)
}

func groupedRow(z []float64, groups []int32, logP []float32, label int, wd, wc float32) GroupedRows {
	return GroupedRows{
		Divergence: make([]float32, 1), CE: make([]float32, 1), Logits: float32s(z), Groups: groups, Count: len(logP), LogP: logP,
		Labels: []int32{int32(label)}, DivergenceWeight: []float32{wd}, CEWeight: []float32{wc}, Vocab: len(z),
	}
}

func runGrouped(d Distillation, r GroupedRows) (divergence, ce float64, gradient []float32) {
	d.GroupedLoss(r)
	return float64(r.Divergence[0]), float64(r.CE[0]), r.Logits
}

func TestGroupedLoss(t *testing.T) {
	suite := []struct {
		name string
		run  func(*testing.T)
	}{
		{"against-definition", testGroupedAgainstDefinition},
		{"groups-of-one-token", testGroupsOfOneToken},
		{"never-above-the-tokens", testGroupedTheorem},
		{"extreme-logits", testGroupedExtremes},
		{"unknown-rows", testGroupedUnknown},
		{"rows-are-independent", testGroupedRowsAreIndependent},
	}
	eachRowKernels(t, func(t *testing.T) {
		for _, c := range suite {
			t.Run(c.name, c.run)
		}
	})
}

// testGroupedAgainstDefinition: values within 5e-6·(1+value), and gradients within 2e-5 of central
// differences of the definition in float64, cross-entropy included.
func testGroupedAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	for _, c := range groupedCases() {
		for _, n := range []int{3, 40} {
			for _, none := range []bool{false, true} {
				z, teacher := lossLogits(rng, n, 1.5)
				count := 2 + rng.IntN(n/2)
				groups, ofTeacher := drawGroups(rng, n, count, none), drawGroups(rng, n, count, none)
				logP := make([]float32, count)
				GroupLogSoftmax(logP, float32s(teacher), ofTeacher, 1, n, count)
				lp := groupLogs64(teacher, ofTeacher, count)
				for g, l := range lp {
					if math.Abs(float64(logP[g])-l) > 2e-6*(1+math.Abs(l)) {
						t.Fatalf("%s n=%d: log-probability of group %d is %v, by definition %v", c.name, n, g, logP[g], l)
					}
				}
				label, wd, wc := rng.IntN(n), rng.Float32(), rng.Float32()
				divergence, ce, gradient := runGrouped(c.d, groupedRow(z, groups, logP, label, wd, wc))
				reference := func() float64 { return divergenceReference(c.d, groupLogs64(z, groups, count), lp) }
				want := reference()
				wantCE, ceG := crossEntropyReference(z, label)
				scale := c.d.factor() + 1
				if math.Abs(divergence-want) > 5e-6*(scale+math.Abs(want)) || math.Abs(ce-wantCE) > 3e-6*(1+wantCE) {
					t.Errorf("%s n=%d, %d groups: divergence %v want %v, ce %v want %v", c.name, n, count, divergence, want, ce, wantCE)
				}
				const h = 1e-5
				for i := range z {
					at := z[i]
					z[i] = at + h
					up := reference()
					z[i] = at - h
					down := reference()
					z[i] = at
					w := float64(wd)*(up-down)/(2*h) + float64(wc)*ceG[i]
					if math.Abs(float64(gradient[i])-w) > 2e-5*(scale+math.Abs(w)) {
						t.Fatalf("%s n=%d, %d groups: gradient %d is %v, want %v", c.name, n, count, i, gradient[i], w)
					}
				}
			}
		}
	}
}

// testGroupsOfOneToken: with groups of one token the loss is that of whole rows, and 0 at p = q.
func testGroupsOfOneToken(t *testing.T) {
	rng := rand.New(rand.NewPCG(43, 44))
	for _, c := range groupedCases() {
		const n = 60
		z, teacher := lossLogits(rng, n, 2)
		groups := drawGroups(rng, n, n, false)
		logP := make([]float32, n)
		GroupLogSoftmax(logP, float32s(teacher), groups, 1, n, n)
		want, wantCE, wantG := runLoss(c.d, z, teacher, 7, 0.7, 0.2)
		got, ce, gradient := runGrouped(c.d, groupedRow(z, groups, logP, 7, 0.7, 0.2))
		scale := 1 + c.d.factor()
		if math.Abs(got-want) > 1e-6*(scale+want) || math.Abs(ce-wantCE) > 1e-6*(1+wantCE) {
			t.Errorf("%s: %v and %v, whole rows %v and %v", c.name, got, ce, want, wantCE)
		}
		for i := range gradient {
			if math.Abs(float64(gradient[i]-wantG[i])) > 1e-6*scale {
				t.Fatalf("%s: gradient %d is %v, of whole rows %v", c.name, i, gradient[i], wantG[i])
			}
		}
		// the gradient of TVD is no continuous function at p = q
		if at, _, g := runGrouped(c.d, groupedRow(teacher, groups, logP, 7, 1, 0)); math.Abs(at) > 1e-6*scale || c.d.Divergence != TotalVariation && largestOf(g) > 1e-6*scale {
			t.Errorf("%s: divergence of p from itself is %v, the largest gradient %v", c.name, at, largestOf(g))
		}
	}
}

func largestOf(x []float32) (m float64) {
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

// testGroupedTheorem: the divergence of groups of tokens never exceeds that of the tokens, and
// merging two groups never raises it (data-processing inequality).
func testGroupedTheorem(t *testing.T) {
	rng := rand.New(rand.NewPCG(45, 46))
	cases, strict := groupedCases(), 0
	for trial := range 300 {
		c := cases[trial%len(cases)]
		const n = 24
		z, teacher := lossLogits(rng, n, 1+float64(trial%3))
		whole, _, _ := runLoss(c.d, z, teacher, 0, 1, 0)
		before, slack := whole, 1e-5*(1+whole)*(1+c.d.factor())
		groups := drawGroups(rng, n, n, false)
		for count := n; count > 0; count-- {
			for i := range groups { // the last group joins another
				if int(groups[i]) == count {
					groups[i] = int32(trial % count)
				}
			}
			logP := make([]float32, count)
			GroupLogSoftmax(logP, float32s(teacher), groups, 1, n, count)
			got, _, _ := runGrouped(c.d, groupedRow(z, groups, logP, 0, 1, 0))
			if got > before+slack || got < -slack {
				t.Fatalf("%s: %d groups give %v, one more %v, the tokens %v", c.name, count, got, before, whole)
			}
			if count == n/2 && got < 0.9*whole {
				strict++
			}
			before = got
		}
		if math.Abs(before) > slack {
			t.Errorf("%s: one group has divergence %v", c.name, before)
		}
	}
	if strict < 100 {
		t.Errorf("half as many groups lose a tenth in %d of 300 trials: the bound was not tested", strict)
	}
}

// testGroupedExtremes: groups whose probability underflows float32 have the value and gradient of
// the definition; a NaN is shown.
func testGroupedExtremes(t *testing.T) {
	const n = 30
	z, teacher, groups := make([]float64, n), make([]float64, n), make([]int32, n)
	for i := range z {
		z[i], teacher[i], groups[i] = float64(-20*i), float64(-20*(n-1-i)), int32(i/2)
	}
	for _, c := range groupedCases() {
		logP := make([]float32, n/2)
		GroupLogSoftmax(logP, float32s(teacher), groups, 1, n, n/2)
		got, _, gradient := runGrouped(c.d, groupedRow(z, groups, logP, n-1, 1, 0.5))
		want := divergenceReference(c.d, groupLogs64(z, groups, n/2), groupLogs64(teacher, groups, n/2))
		if math.Abs(got-want) > 1e-5*(1+want)*(1+c.d.factor()) {
			t.Errorf("%s: divergence %v, want %v", c.name, got, want)
		}
		var sum float64
		for i, g := range gradient {
			sum += float64(g)
			if math.IsNaN(float64(g)) || math.IsInf(float64(g), 0) {
				t.Fatalf("%s: gradient %d is %v", c.name, i, g)
			}
		}
		if math.Abs(sum) > 1e-4 {
			t.Errorf("%s: gradients sum to %v", c.name, sum)
		}
		// all of p is on a group of which q has 1e-243: its likeliest token has a gradient of −p
		if c.d.Divergence == ForwardKL && (math.Abs(float64(gradient[n-2])+1) > 1e-6 || math.Abs(float64(gradient[n-1])+0.5) > 1e-6) {
			t.Errorf("gradients of the teacher's likeliest tokens: %v", gradient[n-2:])
		}
		z[13] = math.NaN()
		if got, ce, _ := runGrouped(c.d, groupedRow(z, groups, logP, 0, 1, 1)); !math.IsNaN(got) || !math.IsNaN(ce) {
			t.Errorf("%s: a NaN gives divergence %v and cross-entropy %v", c.name, got, ce)
		}
		z[13] = -260
	}
}

// testGroupedUnknown: a row that the teacher does not know has its cross-entropy alone.
func testGroupedUnknown(t *testing.T) {
	rng := rand.New(rand.NewPCG(47, 48))
	z, _ := lossLogits(rng, 20, 1)
	unknown := slices.Repeat([]float32{float32(math.Inf(-1))}, 5)
	for _, c := range groupedCases() {
		d, ce, gradient := runGrouped(c.d, groupedRow(z, drawGroups(rng, 20, 5, true), unknown, 3, 1, 0.5))
		wantCE, wantG := crossEntropyReference(z, 3)
		if d != 0 || math.Abs(ce-wantCE) > 1e-6*(1+wantCE) {
			t.Errorf("%s: divergence %v, cross-entropy %v, want 0 and %v", c.name, d, ce, wantCE)
		}
		for i, g := range gradient {
			if math.Abs(float64(g)-wantG[i]/2) > 1e-6 {
				t.Fatalf("%s: gradient %d is %v, want %v", c.name, i, g, wantG[i]/2)
			}
		}
	}
}

// testGroupedRowsAreIndependent: rows computed together and on any number of threads are those
// computed alone.
func testGroupedRowsAreIndependent(t *testing.T) {
	rng := rand.New(rand.NewPCG(49, 50))
	const rows, n, count = 2*lossRows + 3, 37, 9
	d := Distillation{Divergence: JensenShannon, Beta: 0.3}
	groups := drawGroups(rng, n, count, true)
	all := GroupedRows{Divergence: make([]float32, rows), CE: make([]float32, rows), Groups: groups, Count: count, Vocab: n}
	var alone, teachers []float32
	for r := range rows {
		z, teacher := lossLogits(rng, n, float64(1+30*(r%2)))
		logP := make([]float32, count)
		GroupLogSoftmax(logP, float32s(teacher), groups, 1, n, count)
		one := groupedRow(z, groups, logP, r, 0.5, 0.25)
		all.Logits, all.LogP, all.Labels = append(all.Logits, one.Logits...), append(all.LogP, logP...), append(all.Labels, int32(r))
		all.DivergenceWeight, all.CEWeight = append(all.DivergenceWeight, 0.5), append(all.CEWeight, 0.25)
		teachers = append(teachers, float32s(teacher)...)
		d.GroupedLoss(one)
		alone = append(append(alone, one.Logits...), one.Divergence[0], one.CE[0])
	}
	logits := all.Logits
	for _, threads := range []int{1, 2, 5} {
		restore := parallel.SetThreads(threads)
		all.Logits = slices.Clone(logits)
		d.GroupedLoss(all)
		logP := make([]float32, rows*count)
		GroupLogSoftmax(logP, teachers, groups, rows, n, count)
		restore()
		var together []float32
		for r := range rows {
			together = append(append(together, all.Logits[r*n:(r+1)*n]...), all.Divergence[r], all.CE[r])
		}
		if !sameBits(together, alone) || !sameBits(logP, all.LogP) {
			t.Errorf("%d threads: rows together give other bits than alone", threads)
		}
	}
}

func TestGroupedLossMisusePanics(t *testing.T) {
	z := make([]float64, 6)
	rows := func(change func(*Distillation, *GroupedRows)) func() {
		var d Distillation
		r := groupedRow(z, []int32{0, 1, 2, 0, -1, 1}, make([]float32, 3), 0, 1, 1)
		change(&d, &r)
		return func() { d.GroupedLoss(r) }
	}
	cases := map[string]func(){
		"groups has 5 elements, needs 6":    rows(func(_ *Distillation, r *GroupedRows) { r.Groups = r.Groups[:5] }),
		"LogP has 2 elements, needs 3":      rows(func(_ *Distillation, r *GroupedRows) { r.LogP = r.LogP[:2] }),
		"token 2 is of group 3, expected -": rows(func(_ *Distillation, r *GroupedRows) { r.Groups = []int32{0, 1, 3, 2, 0, 0} }),
		"token 0 is of group -2":            rows(func(_ *Distillation, r *GroupedRows) { r.Groups[0] = -2 }),
		"group 2 of 3 has no token":         rows(func(_ *Distillation, r *GroupedRows) { r.Groups[2] = 1 }),
		"at temperature 2, needs 1":         rows(func(d *Distillation, _ *GroupedRows) { d.Temperature = 2 }),
		"label 6 of row 0":                  rows(func(_ *Distillation, r *GroupedRows) { r.Labels = []int32{6} }),
		"GroupLogSoftmax logP has 2": func() {
			GroupLogSoftmax(make([]float32, 2), make([]float32, 6), []int32{0, 1, 2, 0, 0, 0}, 1, 6, 3)
		},
	}
	for want, f := range cases {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("panic %q, want one with %q", p, want)
				}
			}()
			f()
		}()
	}
}
