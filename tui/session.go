package tui

import (
	"time"

	"slimlab/lab"
)

// session is a run that is watched: live, replayed or at rest.
type session struct {
	id       string
	board    *lab.Board
	live     *Live     // nil: a log that nobody writes
	other    bool      // live is a run of another process, which is followed and cannot be stopped
	began    time.Time // of a live run
	replay   *replay   // nil: not a replay
	frozen   *lab.View // what the screen shows instead of the board while the view is frozen
	deleted  bool      // its log is gone since it was opened
	frozenAt time.Time // when that was

	forecast *lab.Forecast // of the plan; nil until it was asked
}

// elapsed is the time since the run began, of one that is watched as it runs; else the time of what
// is shown.
func (s *session) elapsed(v *lab.View, now time.Time) float64 {
	switch {
	case s.live == nil || s.frozen != nil || s.over():
		return v.Time
	case s.other:
		return max(v.Time, now.Sub(time.Unix(v.Begin.Started, v.Begin.Nanoseconds)).Seconds())
	}
	return now.Sub(s.began).Seconds()
}

// state is how the run is, of which v is what is shown, and of a silent one for how long.
func (s *session) state(v *lab.View) (state lab.State, silence string) {
	if s.live == nil || s.live.Silence == nil || s.frozen != nil || v.State != lab.Running {
		return v.State, ""
	}
	if silence = s.live.Silence(); silence != "" {
		return lab.Silent, silence
	}
	return v.State, ""
}

// left estimates what the run still needs.
func (s *session) left(v *lab.View, now time.Time) lab.Left {
	if s.forecast == nil {
		s.forecast = lab.NewForecast(&v.Begin)
	}
	var earlier lab.Earlier
	if s.live != nil {
		earlier = s.live.Earlier
	}
	return s.forecast.Left(v, s.elapsed(v, now), earlier)
}

// read calls f with what is to be shown. f must be quick and must not read again.
func (s *session) read(f func(v *lab.View)) {
	if s.frozen != nil {
		f(s.frozen)
		return
	}
	s.board.Read(f)
}

// gone says whether the log of the run was deleted since it was opened.
func (s *session) gone() bool {
	deleted := s.deleted
	if !deleted && s.other {
		s.board.Read(func(v *lab.View) { deleted = v.State == lab.Deleted })
	}
	return deleted
}

// over says whether the session's run has ended.
func (s *session) over() bool {
	if s.live == nil {
		return true
	}
	select {
	case <-s.live.Done:
		return true
	default:
		return false
	}
}

// moving says whether the board may change by itself.
func (s *session) moving() bool { return !s.over() || s.replay != nil && s.replay.playing }

// replay feeds a log to a board at the pace at which it was written, or another.
type replay struct {
	events  []lab.Event
	next    int     // the first event that was not applied
	clock   float64 // seconds since the run began
	last    time.Time
	speed   float64
	playing bool
}

// burst bounds what one tick applies, so that no speed can freeze the keys.
const burst = 20_000

// newReplay starts a replay; the event that announces the plan is applied at once.
func newReplay(events []lab.Event, speed float64, now time.Time) (*replay, *lab.Board) {
	r := &replay{events: events, speed: speed, playing: true, last: now}
	return r, r.rewind(0)
}

// length is how long the run took, in seconds.
func (r *replay) length() float64 {
	if len(r.events) == 0 {
		return 0
	}
	return r.events[len(r.events)-1].Time
}

// rewind returns a fresh board with the first n events, at least the begin event, and continues
// from there.
func (r *replay) rewind(n int) *lab.Board {
	r.next = min(max(n, 1), len(r.events))
	r.clock = 0
	if r.next > 0 {
		r.clock = r.events[r.next-1].Time
	}
	return lab.Fold(r.events[:r.next])
}

// advance applies what is due.
func (r *replay) advance(b *lab.Board, now time.Time) {
	if !r.playing {
		r.last = now
		return
	}
	r.clock += now.Sub(r.last).Seconds() * r.speed
	r.last = now
	for range burst {
		if r.next == len(r.events) {
			r.playing = false
			return
		}
		if r.events[r.next].Time > r.clock {
			return
		}
		b.Apply(r.events[r.next])
		r.next++
	}
	r.clock = r.events[r.next-1].Time // the clock waits for the board
}

// notable says whether an event changes the table: where single steps stop.
func notable(e lab.Event) bool {
	return e.Kind == lab.KindRow || e.Kind == lab.KindVerdict || e.Kind == lab.KindEnd ||
		e.Kind == lab.KindCell && (e.State != lab.Running || e.Step == 0)
}

// forward applies events up to and with the next notable one.
func (r *replay) forward(b *lab.Board) {
	r.playing = false
	for r.next < len(r.events) {
		e := r.events[r.next]
		b.Apply(e)
		r.next++
		r.clock = e.Time
		if notable(e) {
			return
		}
	}
}

// back is where the notable event before the last one ends.
func (r *replay) back() int {
	n := r.next - 1
	for n > 1 && !notable(r.events[n-1]) {
		n--
	}
	return n
}
