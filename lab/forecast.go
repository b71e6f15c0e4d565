package lab

import (
	"math"
	"slices"
)

// Forecast estimates the time that a run still needs from what its steps have taken so far. It
// holds what the plan says of them, so that an estimate costs little at any size.
type Forecast struct {
	rows  []rowForecast
	names map[string]int // → rows
}

// rowForecast is a row of the plan in all cells. The cells whose settings the row depends on are
// equal share a group.
type rowForecast struct {
	name   string
	group  []int   // of each cell
	values [][]int // of each group: its values of the axes that the row depends on, as numbers
	reused []bool  // of each cell: an earlier cell or run has made the model
	// numbers is how many values all axes have.
	numbers int
}

// Left is the time that a run still needs, as far as it can be estimated.
type Left struct {
	Seconds float64
	// AtLeast says that there is more to do whose time is not known: steps whose like has not been
	// seen yet, or a step that takes longer than its like did.
	AtLeast bool
	// Guessed says that Seconds has steps whose like has not been seen, by what unlike ones
	// took: they may need more, and less as well.
	Guessed bool
	// Longer says that a step takes longer than all that have finished, whatever their kind, so
	// that nothing says how long it will be.
	Longer bool
	// Earlier is the number of earlier runs whose times the estimate rests on, beside this run's.
	Earlier int
}

// FromCache is the text of a stage that found its model made.
const FromCache = "from the cache"

// NewForecast returns the forecast of a plan.
func NewForecast(b *Begin) *Forecast {
	f := &Forecast{names: map[string]int{}}
	for i, name := range b.Rows {
		if _, twice := f.names[name]; twice {
			continue
		}
		f.names[name] = len(f.rows)
		var depends []string // nil: on all axes
		if i < len(b.Depends) {
			depends = append([]string{}, b.Depends[i]...)
		}
		f.rows = append(f.rows, newRowForecast(name, depends, b.Cells))
	}
	return f
}

func newRowForecast(name string, depends []string, cells []Cell) rowForecast {
	r := rowForecast{name: name}
	groups, made := map[string]int{}, map[groupSeed]bool{}
	numbers := map[Param]int{}
	for _, c := range cells {
		var on []Param
		var values []int
		for _, p := range c.Params {
			if depends != nil && !slices.Contains(depends, p.Key) {
				continue
			}
			if _, known := numbers[p]; !known {
				numbers[p] = len(numbers)
			}
			on, values = append(on, p), append(values, numbers[p])
		}
		key := paramsKey(on)
		group, known := groups[key]
		if !known {
			group = len(r.values)
			groups[key] = group
			r.values = append(r.values, values)
		}
		one := groupSeed{group, c.Seed}
		r.group = append(r.group, group)
		r.reused = append(r.reused, made[one] || slices.Contains(c.Reuses, name))
		made[one] = true
	}
	r.numbers = len(numbers)
	return r
}

type groupSeed struct{ group, seed int }

// StepTimes are the seconds that the steps of a run took, the mean of those that made their models,
// by row.
type StepTimes map[string]float64

// Times returns what a run's steps took.
func (f *Forecast) Times(v *View) StepTimes {
	times := StepTimes{}
	for i, t := range f.taken(v) {
		if t.all.n > 0 {
			times[f.rows[i].name] = t.all.mean()
		}
	}
	return times
}

// Earlier is what the steps of earlier runs took.
type Earlier struct {
	Runs    int
	Workers int // cells at once, at most
	Steps   StepTimes
	seen    map[string]int // runs that have the step
}

// Add counts a run in: Steps are the means over those that have the step.
func (e *Earlier) Add(v *View) {
	times := NewForecast(&v.Begin).Times(v)
	if len(times) == 0 { // it made no model
		return
	}
	if e.Steps == nil {
		e.Steps, e.seen = StepTimes{}, map[string]int{}
	}
	e.Runs++
	e.Workers = max(e.Workers, workers(v))
	for row, seconds := range times {
		e.seen[row]++
		e.Steps[row] += (seconds - e.Steps[row]) / float64(e.seen[row])
	}
}

// Left estimates what a run still needs at a time since its beginning. A step is taken to need what
// its like has needed: the step of the same row with the same settings, else with settings that
// have the effects that were seen in other cells, else in an earlier run. One without a like is
// guessed to need what the quickest step of another row took, and one that is being worked on what
// the next quickest took whose time it has not passed, if that is not far longer. What is found in
// the cache is taken to need what such steps needed in this run, or nothing. A step that is being
// worked on needs at least what its own pace says. Cells go to as many workers as were seen.
func (f *Forecast) Left(v *View, now float64, earlier Earlier) Left {
	if v.State != Running || len(v.Cells) == 0 {
		return Left{}
	}
	if !(now > v.Time) {
		now = v.Time
	}
	e := estimate{forecast: f, view: v, now: now, earlier: earlier, taken: f.taken(v)}
	return e.left()
}

// duration counts what was measured.
type duration struct {
	sum float64
	n   int
}

func (d *duration) add(seconds float64) { d.sum, d.n = d.sum+seconds, d.n+1 }

func (d duration) mean() float64 { return d.sum / float64(d.n) }

// taken is what the finished steps of a row took.
type taken struct {
	groups []duration // of each group
	known  []int      // groups that have finished, in order
	all    duration
	reused []float64
}

// taken collects what the finished steps took.
func (f *Forecast) taken(v *View) []taken {
	all := make([]taken, len(f.rows))
	for i := range f.rows {
		all[i].groups = make([]duration, len(f.rows[i].values))
	}
	for i := range v.Cells {
		for j := range v.Cells[i].Stages {
			s := &v.Cells[i].Stages[j]
			r, known := f.names[s.Name]
			seconds := s.Ended - s.Started
			if !known || s.State != Done || !(seconds >= 0 && seconds < math.MaxFloat32) || i >= len(f.rows[r].group) {
				continue
			}
			t := &all[r]
			if s.Reused || f.rows[r].reused[i] {
				t.reused = append(t.reused, seconds)
				continue
			}
			group := f.rows[r].group[i]
			if t.groups[group].n == 0 {
				t.known = append(t.known, group)
			}
			t.groups[group].add(seconds)
			t.all.add(seconds)
		}
	}
	for i := range all {
		slices.Sort(all[i].reused)
	}
	return all
}

// estimate is one look at a run.
type estimate struct {
	forecast *Forecast
	view     *View
	now      float64
	earlier  Earlier
	rests    bool // on earlier
	taken    []taken
	like     []map[int]float64 // by row and group: what was found already; NaN: not known
	effects  []*effects        // by row, where they were needed
	others   []float64         // what the finished steps of each row took, ascending
	atLeast  bool
	guessed  bool
	longer   bool
}

// left goes through the cells as the workers will.
func (e *estimate) left() Left {
	e.like, e.effects = make([]map[int]float64, len(e.forecast.rows)), make([]*effects, len(e.forecast.rows))
	for i := range e.like {
		e.like[i] = map[int]float64{}
		if t := e.taken[i].all; t.n > 0 {
			e.others = append(e.others, t.mean())
		}
	}
	slices.Sort(e.others)
	free := make([]float64, e.workers()) // when each worker is free, from now
	busy := 0
	for i := range e.view.Cells {
		if e.view.Cells[i].State == Running && busy < len(free) {
			free[busy] = e.running(i)
			busy++
		}
	}
	for i := range e.view.Cells {
		if e.view.Cells[i].State != Waiting {
			continue
		}
		next := 0
		for w := range free {
			if free[w] < free[next] {
				next = w
			}
		}
		free[next] += e.from(i, 0)
	}
	seconds := slices.Max(free)
	if !(seconds <= math.MaxFloat32) { // the times of a log can be anything
		return Left{AtLeast: true}
	}
	left := Left{Seconds: max(0, seconds), AtLeast: e.atLeast, Guessed: e.guessed, Longer: e.longer}
	if e.rests {
		left.Earlier = e.earlier.Runs
	}
	return left
}

// workers are those that were seen; before any cell has begun, those of earlier runs.
func (e *estimate) workers() int {
	for i := range e.view.Cells {
		if e.view.Cells[i].State != Waiting {
			return workers(e.view)
		}
	}
	return max(1, min(e.earlier.Workers, len(e.view.Cells)))
}

// running is what a cell that is worked on still needs.
func (e *estimate) running(cell int) float64 {
	c := &e.view.Cells[cell]
	at, known := e.forecast.names[c.Stage]
	if !known || len(c.Stages) == 0 {
		return e.from(cell, 0)
	}
	return e.current(cell, at) + e.from(cell, at+1)
}

// current is the rest of the step that is being worked on.
func (e *estimate) current(cell, row int) float64 {
	c := &e.view.Cells[cell]
	s := &c.Stages[len(c.Stages)-1]
	spent := e.now - s.Started
	if s.Reused || cell < len(e.forecast.rows[row].reused) && e.forecast.rows[row].reused[cell] {
		return max(0, e.reused(row)-spent)
	}
	pace, paced := s.rest(e.now)
	whole, known := e.step(cell, row)
	rest := pace
	if !known {
		whole = e.unlike(spent)
		e.guessed = e.guessed || whole-spent > pace
		e.longer = e.longer || whole == 0 && !paced && len(e.others) > 0
	}
	rest = max(pace, whole-spent)
	// its measurements are not known, or it takes longer than its like
	if !known || rest <= 0 && !paced {
		e.atLeast = true
	}
	return max(0, rest)
}

// rest extrapolates a stage from its own pace since the first step that it reported, before which
// it loads, compiles, or finds what an earlier run had done. It says nothing before a twentieth is
// done: its first steps would promise too much.
func (s *StageView) rest(now float64) (seconds float64, ok bool) {
	spent, done := s.Moved-s.Began, s.Step-s.First
	if done < 1 || s.Step >= s.Total || s.Step < s.Total/20 || !(spent >= 1) {
		return 0, false
	}
	return max(0, spent/float64(done)*float64(s.Total-s.Step)-(now-s.Moved)), true
}

// from is what the rows of a cell from one on need.
func (e *estimate) from(cell, row int) float64 {
	seconds := 0.0
	for ; row < len(e.forecast.rows); row++ {
		r := &e.forecast.rows[row]
		if cell >= len(r.reused) {
			continue
		}
		if r.reused[cell] {
			seconds += e.reused(row)
		} else if whole, known := e.step(cell, row); known {
			seconds += whole
		} else {
			whole = e.unlike(0)
			e.atLeast, e.guessed = true, e.guessed || whole > 0
			seconds += whole
		}
	}
	return seconds
}

// unlikely is how many times longer than it has taken a step is never guessed to take: a training
// among quantizations says nothing of these.
const unlikely = 8

// unlike is a guess at what a step needs whose like has not been seen, after so many seconds of it:
// what the quickest step took that took longer; 0 where none did, or that one took far longer than
// this one has and others did not.
func (e *estimate) unlike(spent float64) float64 {
	for i, seconds := range e.others {
		if seconds > spent && (i == 0 || seconds <= unlikely*spent) {
			return seconds
		}
	}
	return 0
}

// reused is what a step needs whose model is there: the lower median of what such steps needed,
// since some of them waited for another cell that made the model.
func (e *estimate) reused(row int) float64 {
	if seen := e.taken[row].reused; len(seen) > 0 {
		return seen[(len(seen)-1)/2]
	}
	return 0
}

// step is what the like of a step took.
func (e *estimate) step(cell, row int) (seconds float64, known bool) {
	r := &e.forecast.rows[row]
	if cell >= len(r.group) {
		return 0, false
	}
	group := r.group[cell]
	seconds, found := e.like[row][group]
	if !found {
		seconds = e.likeOf(row, group)
		e.like[row][group] = seconds
	}
	return seconds, !math.IsNaN(seconds)
}

// likeOf is what a group took, or would take if its settings had the effects that they have in
// other groups.
func (e *estimate) likeOf(row, group int) float64 {
	t, r := &e.taken[row], &e.forecast.rows[row]
	if t.groups[group].n > 0 {
		return t.groups[group].mean()
	}
	if len(t.known) > 0 {
		if e.effects[row] == nil {
			e.effects[row] = r.effects(t)
		}
		return e.effects[row].predict(r.values[group])
	}
	if seconds, known := e.earlier.Steps[r.name]; known && seconds >= 0 {
		e.rests = true
		return seconds
	}
	return math.NaN()
}

// workers counts the cells that were worked on at once.
func workers(v *View) int {
	type change struct {
		at   float64
		more int
	}
	var changes []change
	for i := range v.Cells {
		switch c := &v.Cells[i]; {
		case c.State == Waiting:
		case c.State == Running:
			changes = append(changes, change{c.Started, 1}, change{math.Inf(1), -1})
		default:
			changes = append(changes, change{c.Started, 1}, change{c.Ended, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		switch {
		case a.at < b.at || a.at == b.at && a.more < b.more: // one ends before the next begins
			return -1
		case a.at == b.at && a.more == b.more:
			return 0
		}
		return 1
	})
	most, at := 1, 0
	for _, c := range changes {
		at += c.more
		most = max(most, at)
	}
	return most
}
