package run

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/lab/scenario"
)

// Search tunes settings of a step on the validation loss: several trainings, of which the best is
// the step's.
type Search struct {
	Over    string  `key:"over" list:"; " omit:"default" doc:"the numbers that are tried: \"learning_rate=1e-3,2e-3; ce=0,0.1\", or a list with a text for each key, [\"learning_rate=1e-3,2e-3\", \"ce=0,0.1\"]; LOW..HIGH is a range to draw from, evenly in its logarithm where both are above 0"`
	Method  string  `key:"method" default:"grid" omit:"default" one:"grid|random|halving" doc:"grid trains all combinations; random draws trials; halving trains all, or trials of them, for a part of their steps, and goes on with the better half each time"`
	Trials  int     `key:"trials" default:"0" omit:"default" min:"0" max:"1000" doc:"combinations that random and halving draw; 0 is all of halving"`
	Steps   int     `key:"steps" default:"0" omit:"default" min:"0" doc:"optimizer steps of all trials together, at most; what does not fit is left out; 0 is without limit"`
	Seconds float64 `key:"seconds" default:"0" omit:"default" min:"0" doc:"time of training of all trials together after which no other begins: the choice then depends on the machine; 0 is without limit"`
}

// IsZero reports a step without a search.
func (s Search) IsZero() bool { return s.Over == "" }

const (
	grid    = "grid"
	random  = "random"
	halving = "halving"
)

// maxTrials bounds the trials of a search, as the tag of its key does.
const maxTrials = 1000

// trainingWork is the work of a step that trains, and whose settings can be searched.
type trainingWork interface {
	stepWork
	scenario.Checker
	common() *Training
	training(ctx context.Context, w *worker, s scenario.Step) (*training, error)
}

// axis is a key that a search goes over: its values, or a range to draw from.
type axis struct {
	scenario.Number
	values    []float64
	low, high float64 // of a range
}

func (a *axis) drawn() bool { return a.values == nil }

// count is how many values there are, +Inf in a range of real numbers.
func (a *axis) count() float64 {
	switch {
	case !a.drawn():
		return float64(len(a.values))
	case a.Whole:
		return math.Floor(a.high) - math.Ceil(a.low) + 1
	}
	return math.Inf(1)
}

// String is the axis as a scenario writes it, each number in one form.
func (a *axis) String() string {
	if a.drawn() {
		return a.Key + "=" + writtenNumber(a.low) + ".." + writtenNumber(a.high)
	}
	texts := make([]string, len(a.values))
	for i, x := range a.values {
		texts[i] = writtenNumber(x)
	}
	return a.Key + "=" + strings.Join(texts, ",")
}

// draw takes one of the values, or one of the range with the three digits that people write.
func (a *axis) draw(rng *rand.Rand) float64 {
	if !a.drawn() {
		return a.values[rng.IntN(len(a.values))]
	}
	x := a.low + (a.high-a.low)*rng.Float64()
	if a.low > 0 {
		x = a.low * math.Exp(math.Log(a.high/a.low)*rng.Float64())
	}
	if a.Whole {
		return min(max(math.Round(x), math.Ceil(a.low)), math.Floor(a.high))
	}
	x, _ = strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64) // what was just written
	return min(max(x, a.low), a.high)
}

func writtenNumber(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// unsearched are numbers of steps that no search goes over, and why.
var unsearched = map[string]string{
	"every": "says when the validation loss is taken and changes no training",
	"world": "is what is learned, and no setting",
	"seed":  "is the chance that settings are compared by: expected seeds of the scenario",

	"cache.seed":        "is chance, as seed is",
	"remote.concurrent": "says how the teacher is asked and changes no training",
	"remote.timeout":    "says how the teacher is asked and changes no training",
}

// searchable lists the keys of a work that a search can go over.
func searchable(work scenario.Work) (keys []string) {
	for _, n := range scenario.Numbers(work) {
		if unsearched[n.Key] == "" && !strings.HasPrefix(n.Key, "search.") {
			keys = append(keys, n.Key)
		}
	}
	return keys
}

// axesOf reads what a search goes over. The error goes on from "search.over ".
func axesOf(over string, work trainingWork) (axes []axis, err error) {
	work = cloneWork(work) // the values are tried on
	for _, part := range strings.Split(over, ";") {
		key, text, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, fmt.Errorf("has %q, expected key=values, such as learning_rate=1e-3,2e-3", strings.TrimSpace(part))
		}
		a := axis{}
		if a.Number, err = searchedNumber(key, work); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(axes, func(b axis) bool { return b.Key == key }) {
			return nil, fmt.Errorf("has %s twice", key)
		}
		if low, high, isRange := strings.Cut(text, ".."); isRange {
			err = a.between(low, high)
		} else {
			err = a.among(strings.Split(text, ","))
		}
		if err != nil {
			return nil, err
		}
		axes = append(axes, a)
	}
	return axes, nil
}

// searchedNumber finds a key that a search may go over.
func searchedNumber(key string, work trainingWork) (scenario.Number, error) {
	keys := searchable(work)
	if why := unsearched[key]; why != "" {
		return scenario.Number{}, fmt.Errorf("has %s, which %s", key, why)
	}
	for _, n := range scenario.Numbers(work) {
		if n.Key == key && slices.Contains(keys, key) {
			return n, nil
		}
	}
	settings := scenario.Step{Work: work}.Settings()
	if slices.ContainsFunc(settings, func(s scenario.Setting) bool { return s.Key == key }) {
		return scenario.Number{}, fmt.Errorf("has %s, which is no number of the training, expected some of %s", key, strings.Join(keys, ", "))
	}
	return scenario.Number{}, fmt.Errorf("has an %w", nearest.Unknown("unknown key", key, keys))
}

func (a *axis) between(low, high string) error {
	var err error
	if a.low, err = a.number(low); err != nil {
		return err
	}
	if a.high, err = a.number(high); err != nil {
		return err
	}
	if a.low >= a.high {
		return fmt.Errorf("has the range %s of %s, expected the lower end first", strings.TrimPrefix(a.String(), a.Key+"="), a.Key)
	}
	return nil
}

func (a *axis) among(texts []string) error {
	for _, text := range texts {
		x, err := a.number(text)
		if err != nil {
			return err
		}
		if slices.Contains(a.values, x) {
			return fmt.Errorf("has the value %s of %s twice", writtenNumber(x), a.Key)
		}
		a.values = append(a.values, x)
	}
	return nil
}

// number reads a value that the key can have.
func (a *axis) number(text string) (float64, error) {
	text = strings.TrimSpace(text)
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || strings.ContainsAny(text, "xXpP_") {
		return 0, fmt.Errorf("has the value %q of %s, expected a number", text, a.Key)
	}
	if err := a.Set(x); err != nil {
		return 0, fmt.Errorf("has a value of %s that %w", a.Key, err)
	}
	return x, nil
}

// cloneWork copies a work and leaves its search out.
func cloneWork(work trainingWork) trainingWork {
	v := reflect.New(reflect.TypeOf(work).Elem())
	v.Elem().Set(reflect.ValueOf(work).Elem())
	clone := v.Interface().(trainingWork)
	clone.common().Search = Search{Method: grid} // as in a file that has none
	return clone
}

// withSettings is a work with these values of the axes. An error goes on from "search.over ".
func withSettings(work trainingWork, axes []axis, values []float64) (trainingWork, error) {
	clone := cloneWork(work)
	numbers := scenario.Numbers(clone)
	for i, a := range axes {
		at := slices.IndexFunc(numbers, func(n scenario.Number) bool { return n.Key == a.Key })
		if err := numbers[at].Set(values[i]); err != nil {
			return nil, fmt.Errorf("has a value of %s that %w", a.Key, err)
		}
	}
	var err error
	clone.Check(func(string) bool { return false }, func(key, _, format string, args ...any) {
		if err == nil {
			err = fmt.Errorf("has %s, of which %s %s", settingsText(axes, values), key, fmt.Sprintf(format, args...))
		}
	})
	return clone, err
}

// settingsText writes the settings of a trial: "learning_rate=0.002 ce=0".
func settingsText(axes []axis, values []float64) string {
	texts := make([]string, len(axes))
	for i, a := range axes {
		texts[i] = a.Key + "=" + writtenNumber(values[i])
	}
	return strings.Join(texts, " ")
}

// combinations counts those of the axes' values.
func combinations(axes []axis) float64 {
	n := 1.0
	for i := range axes {
		n *= axes[i].count()
	}
	return n
}

// all lists the combinations of the axes' values, the last axis fastest.
func all(axes []axis) [][]float64 {
	out := [][]float64{nil}
	for _, a := range axes {
		var next [][]float64
		for _, values := range out {
			for _, x := range a.values {
				next = append(next, append(slices.Clone(values), x))
			}
		}
		out = next
	}
	return out
}

// drawsPerTrial bounds how often a search draws for a combination that it does not have yet: a
// range of few numbers may have no other.
const drawsPerTrial = 1000

// drawn draws n combinations, each once. They depend on the axes and the seed alone.
func drawn(axes []axis, n int, seed uint64) [][]float64 {
	const stream = 0x5ea4c4
	rng := rand.New(rand.NewPCG(seed, stream))
	var out [][]float64
	for range n {
		for range drawsPerTrial {
			values := make([]float64, len(axes))
			for i := range axes {
				values[i] = axes[i].draw(rng)
			}
			if !slices.ContainsFunc(out, func(other []float64) bool { return slices.Equal(other, values) }) {
				out = append(out, values)
				break
			}
		}
	}
	return out
}

// trialValues are the combinations that a search tries, in order.
func (s *Search) trialValues(axes []axis, seed uint64) [][]float64 {
	if s.Trials == 0 {
		return all(axes)
	}
	if total := combinations(axes); total == float64(s.Trials) && !slices.ContainsFunc(axes, func(a axis) bool { return a.drawn() }) {
		return all(axes) // nothing is left to chance
	}
	return drawn(axes, s.Trials, seed)
}

// size is how many trials a search asks for.
func (s *Search) size(axes []axis) int {
	if s.Trials == 0 {
		return int(combinations(axes))
	}
	return s.Trials
}

// rungs are the steps at which halving drops the worse half of so many trials; the last is all
// steps.
func rungs(trials, steps int) []int {
	out := []int{steps}
	for left, part := trials, 2; left > 1; left, part = half(left), 2*part {
		out = append(out, (steps+part-1)/part)
	}
	slices.Reverse(out)
	return out
}

// rising reports whether each rung is after the one before.
func rising(rungs []int) bool {
	for i := 1; i < len(rungs); i++ {
		if rungs[i] <= rungs[i-1] {
			return false
		}
	}
	return true
}

// half is how many of the trials of a rung go on.
func half(trials int) int { return (trials + 1) / 2 }

// halvingCost is the number of steps that halving takes with so many trials.
func halvingCost(trials, steps int) int {
	cost, before := 0, 0
	for _, rung := range rungs(trials, steps) {
		cost += trials * (rung - before)
		trials, before = half(trials), rung
	}
	return cost
}

// evaluatedEvery is how many steps lie between two evaluations where there are any.
func (t *Training) evaluatedEvery() int {
	if t.Every > 0 {
		return t.Every
	}
	return max(1, t.Steps/20)
}

// checkSearch reports a search that cannot be, as scenario.Checker does.
func checkSearch(work trainingWork, given func(key string) bool, bad func(key, with, format string, args ...any)) {
	t := work.common()
	s := &t.Search
	if s.IsZero() {
		if given("search") {
			bad("search", "", "has no over, expected keys and their values, such as over: \"learning_rate=1e-3,2e-3\"")
		}
		return
	}
	axes, err := axesOf(s.Over, work)
	if err != nil {
		bad("search.over", "", "%v", err)
		return
	}
	ranges := slices.IndexFunc(axes, func(a axis) bool { return a.drawn() })
	n := combinations(axes)
	longer := slices.ContainsFunc(axes, func(a axis) bool { return a.Key == "steps" })
	switch {
	case s.Method == grid && s.Trials != 0:
		bad("search.trials", "", "is %d, and method is grid, which trains all combinations: expected method: random or halving", s.Trials)
	case s.Method == grid && ranges >= 0:
		bad("search.over", "", "has a range of %s, and method is grid, expected values such as %[1]s=%s,%s, or method: random", axes[ranges].Key, writtenNumber(axes[ranges].low), writtenNumber(axes[ranges].high))
	case s.Method == random && s.Trials == 0, ranges >= 0 && s.Trials == 0:
		bad("search.trials", "", "is 0, expected how many combinations are drawn")
	case float64(s.Trials) > n:
		bad("search.trials", "", "is %d, and over has %.0f combinations, expected at most as many", s.Trials, n)
	case s.Trials == 0 && n > maxTrials:
		bad("search.over", "", "has %.0f combinations, expected at most %d, or method: random with trials", n, maxTrials)
	case s.size(axes) < 2:
		bad("search", "", "tries one combination, expected at least 2: there is nothing to choose")
	case withoutSamples(work, axes) != "":
		bad("search.over", "", "has %s, and the step has no samples: expected samples with a fraction", withoutSamples(work, axes))
	case s.Method == halving && longer:
		bad("search.over", "", "has steps, of which halving trains parts: expected method: grid or random")
	case s.Steps > 0 && !longer && s.Steps < t.Steps:
		bad("search.steps", "", "is %d, expected at least the %d of one training", s.Steps, t.Steps)
	case s.Method == halving && !rising(rungs(s.size(axes), t.Steps)):
		bad("search.method", "", "is halving, which parts the %d steps of %d trials into %d: expected more steps, fewer trials, or method: grid", t.Steps, s.size(axes), len(rungs(s.size(axes), t.Steps)))
	case s.Method == halving && rungs(s.size(axes), t.Steps)[0] < t.evaluatedEvery():
		first := rungs(s.size(axes), t.Steps)[0]
		bad("search.method", "", "is halving, which with %d trials first drops some after step %d, before the first evaluation of the validation loss after step %d: expected every: %d or less, or fewer trials",
			s.size(axes), first, t.evaluatedEvery(), first)
	default:
		s.checkTrials(work, axes, bad)
	}
}

// withoutSamples is a key of samples that a search goes over where there are none; "" where it may.
func withoutSamples(work trainingWork, axes []axis) string {
	d, ok := work.(*Distil)
	if !ok || !d.Samples.IsZero() || slices.ContainsFunc(axes, func(a axis) bool { return a.Key == "samples.fraction" }) {
		return ""
	}
	for _, a := range axes {
		if strings.HasPrefix(a.Key, "samples.") {
			return a.Key
		}
	}
	return ""
}

// checkTrials reports settings of a trial that contradict each other: of all combinations, or of a
// range's two ends, since what is drawn depends on the seed.
func (s *Search) checkTrials(work trainingWork, axes []axis, bad func(key, with, format string, args ...any)) {
	ends := slices.Clone(axes)
	for i := range ends {
		if ends[i].drawn() {
			ends[i].values = []float64{ends[i].low, ends[i].high}
		}
	}
	if combinations(ends) > maxTrials {
		return // what is drawn of them is checked as the step is planned
	}
	for _, values := range all(ends) {
		if _, err := withSettings(work, axes, values); err != nil {
			bad("search.over", "", "%v", err)
			return
		}
	}
}

// Replaced implements scenario.Replacer: the keys that a search goes over, by what it tries.
func (t *Training) Replaced() map[string]string {
	if t.Search.IsZero() {
		return nil
	}
	tried := map[string]string{}
	for part := range strings.SplitSeq(t.Search.Over, ";") {
		key, values, _ := strings.Cut(part, "=")
		tried[strings.TrimSpace(key)] = "searched: " + strings.ReplaceAll(values, " ", "")
	}
	return tried
}

// describe is a part of a step's description.
func (s *Search) describe() string {
	if s.IsZero() {
		return ""
	}
	var keys []string
	for _, part := range strings.Split(s.Over, ";") {
		key, _, _ := strings.Cut(part, "=")
		keys = append(keys, strings.TrimSpace(key))
	}
	return fmt.Sprintf(", the best of a search (%s) over %s", s.Method, strings.Join(keys, " and "))
}
