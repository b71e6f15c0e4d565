package main

import (
	"time"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/store"
	"slimlab/tui"
)

// watched is a run in progress of which the list says how far it is: its log is read on from where
// the last look ended.
type watched struct {
	follower *store.Follower
	board    *lab.Board
	forecast *lab.Forecast
	earlier  lab.Earlier
}

// inProgress is what the list says of a run in progress.
type inProgress struct {
	state   lab.State
	far     tui.Progress
	silence string // of one that is silent
}

// watch says how the runs are that are in progress, by ID.
func (l *library) watch(runs []store.Info) map[string]inProgress {
	l.watching.Lock()
	defer l.watching.Unlock()
	found, before := map[string]inProgress{}, l.others
	l.others = map[string]*watched{}
	for _, r := range runs {
		if r.Ended() || r.Problem != nil {
			continue
		}
		w := before[r.ID]
		if w == nil {
			f, err := l.home.Logs.Follow(r.ID)
			if err != nil { // it has been removed since
				continue
			}
			w = &watched{follower: f, board: lab.NewBoard()}
		}
		delete(before, r.ID)
		status, err := w.follower.Next(w.board.Apply)
		if err != nil || status.State.Over() {
			w.follower.Close()
			continue
		}
		l.others[r.ID] = w
		if w.forecast == nil {
			w.earlier = earlierOf(l.home, w.board)
		}
		one := inProgress{state: status.State}
		if status.State == lab.Silent {
			one.silence = status.Silence(time.Now())
			w.board.Read(func(v *lab.View) { one.far = tui.Progress{Done: report.Progress(v)} })
		} else {
			w.board.Read(func(v *lab.View) { one.far = w.far(v) })
		}
		found[r.ID] = one
	}
	for _, w := range before {
		w.follower.Close()
	}
	return found
}

func (w *watched) far(v *lab.View) tui.Progress {
	if !v.Begun {
		return tui.Progress{}
	}
	if w.forecast == nil {
		w.forecast = lab.NewForecast(&v.Begin)
	}
	now := max(v.Time, time.Since(time.Unix(v.Begin.Started, v.Begin.Nanoseconds)).Seconds())
	return tui.Progress{Done: report.Progress(v), Left: report.Left(w.forecast.Left(v, now, w.earlier))}
}
