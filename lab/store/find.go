package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Naming says what can stand for a run, in errors and in the help of verbs.
const Naming = "an id, the beginning or the end of one, a scenario for its newest run, or last"

// ErrSeveral says that a name stands for no run alone.
var ErrSeveral = errors.New("not one run")

// Find returns the id that name stands for, the first of: an id; "last" for the run that began
// last; a scenario's name for its newest run; the beginning of an id that no other id has; the end
// of one, such as its last four characters.
func (s *Store) Find(name string) (string, error) {
	ids, err := s.ids()
	if err != nil {
		return "", err
	}
	if slices.Contains(ids, name) {
		return name, nil
	}
	runs, err := s.List()
	if err != nil {
		return "", err
	}
	if name == "last" && len(runs) > 0 {
		return runs[0].ID, nil
	}
	for _, r := range runs {
		if r.Scenario == name && name != "" {
			return r.ID, nil
		}
	}
	for _, part := range []struct {
		name string
		has  func(id, part string) bool
	}{{"beginning", strings.HasPrefix}, {"end", strings.HasSuffix}} {
		var found []string
		for _, r := range runs { // the newest first
			if name != "" && part.has(r.ID, name) {
				found = append(found, r.ID)
			}
		}
		switch n := len(found); {
		case n == 1:
			return found[0], nil
		case n > 5:
			return "", fmt.Errorf("run %q: %w: it is the %s of %d ids: %s and %d more; expected more of the id", name, ErrSeveral, part.name, n, strings.Join(found[:5], ", "), n-5)
		case n > 1:
			return "", fmt.Errorf("run %q: %w: it is the %s of %d ids: %s; expected more of the id", name, ErrSeveral, part.name, n, strings.Join(found, ", "))
		}
	}
	if len(runs) == 0 {
		return "", fmt.Errorf("run %q: %w: there are no runs yet", name, ErrNotFound)
	}
	return "", fmt.Errorf("run %q: %w: expected %s", name, ErrNotFound, Naming)
}
