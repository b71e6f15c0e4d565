package home

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"slimlab/lab"
	"slimlab/lab/store"
)

// Keep says which runs keep their artifacts: the newest ones, and those that began since a time.
// The zero value keeps the artifacts of all runs. Runs in progress always keep theirs.
type Keep struct {
	Newest int
	Since  time.Time
}

func (k Keep) keeps(at int, run store.Info) bool {
	if k.Newest == 0 && k.Since.IsZero() || !run.Ended() {
		return true
	}
	return at < k.Newest || !k.Since.IsZero() && run.Started.After(k.Since)
}

// TeacherCache is the stage of caches of a teacher's rows: they are large, and kept no longer than
// the models that learned from them.
const TeacherCache = "teacher-cache"

// Unused returns the complete artifacts that no kept run needs, in the order of entries, and parts
// of artifacts that no kept run was making. A run
// needs the models of its rows and those that they were made of, what was measured of these models,
// and, where it did not come to its end, what was made while it worked. Results of eval belong to
// no run: they are needed unless Keep.Since is set and later than they are. A log that cannot be
// read to its end is an error: what its run needs is not known.
func (h *Home) Unused(entries []store.Entry, k Keep) ([]store.Entry, error) {
	runs, err := h.Logs.List()
	if err != nil {
		return nil, err
	}
	u := usage{entries: map[string]store.Entry{}, used: map[string]bool{}}
	for _, e := range entries {
		u.entries[e.Name] = e
	}
	for at, run := range runs {
		if !k.keeps(at, run) {
			continue
		}
		log, err := h.Logs.Scan(run.ID, func(e lab.Event) { u.need(e.Key) })
		if errors.Is(err, store.ErrNotFound) {
			continue // removed since
		}
		if err == nil {
			err = log.Problem
		}
		if err != nil {
			return nil, fmt.Errorf("%w; what this run uses is not known: slimlab rm %s removes its log", err, run.ID)
		}
		if run.State == lab.Done { // each of its models has a row
			continue
		}
		// what it made may come after its last event
		ended := run.Started.Add(run.Duration).Add(time.Minute)
		for _, e := range entries {
			if !e.Created.Before(run.Started.Truncate(time.Second)) && (!run.Ended() || e.Created.Before(ended)) {
				u.need(e.Name)
			}
		}
	}
	var unused []store.Entry
	for _, e := range entries {
		if (e.Condition == store.Complete || e.Condition == store.Partial) && !u.keeps(e, k) {
			unused = append(unused, e)
		}
	}
	return unused, nil
}

// usage is which artifacts are needed.
type usage struct {
	entries map[string]store.Entry
	used    map[string]bool
}

// need marks an artifact and all that it was made of.
func (u *usage) need(key string) {
	if key == "" || u.used[key] {
		return
	}
	u.used[key] = true
	for _, input := range u.entries[key].Inputs {
		u.need(input)
	}
}

func (u *usage) keeps(e store.Entry, k Keep) bool {
	switch {
	case u.used[e.Name]:
		return true
	case strings.HasPrefix(e.Title, evaluationTitle):
		return !e.Created.Before(k.Since)
	case e.Model, e.Stage == TeacherCache, e.Condition == store.Partial:
		return false
	}
	for _, input := range e.Inputs { // of a measurement; a tokenizer has none
		if _, here := u.entries[input]; here && !u.used[input] {
			return false
		}
	}
	return true
}
