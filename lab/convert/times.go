package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"slimlab/internal/atomicfile"
	"slimlab/internal/jsonread"
	"slimlab/pruning"
)

// time gives a budget of time its times: those that the interrupted work was begun with, or those
// of this machine.
func (p *Pruning) time(ctx context.Context, s *stream, r *Result) error {
	if p.Budget == nil || p.Budget.Time == nil {
		return nil
	}
	name := s.to.TimesFile()
	times, err := readTimes(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.progress(0, 1, "times of each width on this machine")
		if times, err = s.timer.Table(ctx, p.Budget.Timing(s.model.Config, p.Align)); err != nil {
			return err
		}
		err = atomicfile.Write(name, func(f io.Writer) error { return json.NewEncoder(f).Encode(times) })
	case err == nil && times.Machine != s.timer.Machine():
		r.Warnings = append(r.Warnings, fmt.Sprintf("the widths are those of the interrupted work, by the times of another machine: %s, and this one is %s", times.Machine, s.timer.Machine()))
	}
	if err == nil {
		err = p.Budget.Fits(s.model.Config, p.Align, times)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.Budget.Time.Times = times
	if err := p.Budget.CheckTimes(s.model.Config, p.Align); err != nil {
		return fmt.Errorf("--budget: %w", err)
	}
	return nil
}

func readTimes(name string) (*pruning.Times, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var t pruning.Times
	if err := jsonread.Decode(text, &t); err != nil {
		return nil, err
	}
	return &t, nil
}
