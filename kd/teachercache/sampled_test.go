package teachercache

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kd"
	"slimlab/kernels"
)

// drawnRows is a teacher whose rows depend on the target alone: logits of −1.2·log(rank), as of
// words, with noise, in an order of their own.
type drawnRows struct {
	vocab    int
	examples []kd.Example
}

func (d *drawnRows) Vocab() int                                  { return d.vocab }
func (d *drawnRows) Positions() int                              { return 0 }
func (d *drawnRows) Prepare(context.Context, []kd.Example) error { return nil }
func (d *drawnRows) Read(_ context.Context, r kd.Reading) error {
	d.examples = r.Examples
	return nil
}

func (d *drawnRows) Rows(targets []kd.Target, vocab int) (kd.Rows, error) {
	var rows kd.Rows
	for _, t := range targets {
		rows.Logits = append(rows.Logits, drawnRow(vocab, uint64(d.examples[t.Example].Tokens[0])*1000+uint64(t.Token))...)
	}
	return rows, nil
}

func drawnRow(vocab int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 8))
	row := make([]float32, vocab)
	for rank, id := range rng.Perm(vocab) {
		row[id] = float32(-1.8*math.Log(float64(rank+1)) + 0.3*rng.NormFloat64())
	}
	return row
}

// gradientFrom is the gradient of forward KL of a student's row when the teacher's goes through a
// codec.
func gradientFrom(t *testing.T, spec Spec, teacher, student []float32, k key) []float32 {
	t.Helper()
	spec = spec.filled()
	vocab := len(teacher)
	e := newEncoder(spec, vocab)
	e.begin()
	if err := e.row(teacher, k, 0); err != nil {
		t.Fatal(err)
	}
	rec, err := spec.open(e.end(), 1, vocab)
	if err != nil {
		t.Fatal(err)
	}
	z := append([]float32{}, student...)
	one := []float32{1}
	d := kernels.Distillation{Divergence: kernels.ForwardKL, Temperature: spec.Temperature}
	if spec.Codec == Exact {
		row := make([]float32, vocab)
		logits(rec.rows[0], row)
		d.Loss(kernels.DistillationRows{Divergence: []float32{0}, CE: []float32{0}, Logits: z, Teacher: row, Labels: []int32{0}, DivergenceWeight: one, CEWeight: []float32{0}, Vocab: vocab})
		return z
	}
	l := kd.Lists{Starts: []int32{0}}
	spec.appendTo(&l, rec.rows[0])
	d.SparseLoss(kernels.SparseRows{
		Divergence: []float32{0}, CE: []float32{0}, Logits: z, Starts: l.Starts, IDs: l.IDs, LogP: l.TokenLogP, Weight: l.Weight, LogRest: l.LogRest, Rest: spec.rest(),
		Labels: []int32{0}, DivergenceWeight: one, CEWeight: []float32{0}, Vocab: vocab,
	})
	return z
}

// TestSampledGradientIsUnbiased: over seeds, the mean gradient of sampled rows is within three
// standard errors of that of whole rows in every direction looked at, from each proposal. That of
// the most likely tokens alone, at the same number of tokens, is not; nor is it small.
func TestSampledGradientIsUnbiased(t *testing.T) {
	const vocab, seeds, directions = 400, 3000, 12
	teacher, student := drawnRow(vocab, 1), drawnRow(vocab, 2)
	// directions: each of the student's largest coordinates, then random signs
	along := make([][]float64, directions)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range along {
		along[i] = make([]float64, vocab)
		for v := range along[i] {
			along[i][v] = float64(2*rng.IntN(2) - 1)
		}
	}
	project := func(g []float32, d []float64) (s float64) {
		for i, x := range g {
			s += float64(x) * d[i]
		}
		return s
	}
	report := ""
	for _, spec := range []Spec{{Codec: Sampled, Draws: 12}, {Codec: Sampled, Draws: 12, Power: 0.8}, {Codec: Sampled, Draws: 12, Power: 1.2}, {Codec: Sampled, Draws: 3, Temperature: 2}} {
		full := gradientFrom(t, Spec{}, teacher, student, key{})
		if spec.Temperature == 2 {
			// whole rows at the temperature, by every token listed
			full = gradientFrom(t, Spec{Codec: TopK, K: vocab, Temperature: 2}, teacher, student, key{})
		}
		sum, squares := make([]float64, directions), make([]float64, directions)
		for seed := range uint64(seeds) {
			spec.Seed = seed
			g := gradientFrom(t, spec, teacher, student, key{1})
			for i, d := range along {
				x := project(g, d)
				sum[i], squares[i] = sum[i]+x, squares[i]+x*x
			}
		}
		plain := gradientFrom(t, Spec{Codec: TopK, K: spec.Draws, DropTail: true, Temperature: spec.Temperature}, teacher, student, key{})
		worst, worstPlain := 0.0, 0.0
		for i, d := range along {
			mean := sum[i] / seeds
			se := math.Sqrt((squares[i]/seeds - mean*mean) / seeds)
			want := project(full, d)
			worst = max(worst, math.Abs(mean-want)/se)
			worstPlain = max(worstPlain, math.Abs(project(plain, d)-want)/se)
		}
		report += fmt.Sprintf("\n%v: within %.1f standard errors; plain top-%d is %.0f off", spec, worst, spec.Draws, worstPlain)
		if worst > 3 {
			t.Errorf("%v: the mean gradient of %d seeds is %.1f standard errors off", spec, seeds, worst)
		}
		if worstPlain < 10 {
			t.Errorf("plain top-%d is %.1f standard errors off: this test would not notice a bias", spec.Draws, worstPlain)
		}
	}
	t.Log(report)
}

// TestTopKListsTheMostLikely: of equal ones the first, and their mass with the tail is 1, to the
// steps of log-probabilities.
func TestTopKListsTheMostLikely(t *testing.T) {
	const vocab = 300
	row := drawnRow(vocab, 5)
	row[7], row[200] = row[9], row[9] // equal ones: the first are listed
	for _, k := range []int{1, 2, 17, vocab, vocab + 1} {
		spec := Spec{Codec: TopK, K: k}.filled()
		e := newEncoder(spec, vocab)
		e.begin()
		if err := e.row(row, key{}, 0); err != nil {
			t.Fatal(err)
		}
		rec, err := spec.open(e.end(), 1, vocab)
		if err != nil {
			t.Fatal(err)
		}
		l := kd.Lists{Starts: []int32{0}}
		spec.appendTo(&l, rec.rows[0])
		listed := map[int32]bool{}
		total := math.Exp(float64(l.LogRest[0]))
		for i, id := range l.IDs {
			listed[id] = true
			total += math.Exp(float64(l.TokenLogP[i]))
		}
		if len(listed) != min(k, vocab) || math.Abs(total-1) > logStep {
			t.Fatalf("top-%d: %d tokens, whose mass and the rest's are %v", k, len(listed), total)
		}
		for a := range int32(vocab) {
			for b := range int32(vocab) {
				if listed[b] && !listed[a] && (row[a] > row[b] || row[a] == row[b] && a < b) {
					t.Fatalf("top-%d lists %d and not %d", k, b, a)
				}
			}
		}
	}
}
