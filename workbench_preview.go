package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/store"
	"slimlab/tui"
)

// Preview says what Start would do: it loads the scenario and checks its plan.
func (b *bench) Preview(ctx context.Context, r tui.Request) (tui.Preview, error) {
	s, err := b.load(r.Scenario, options(r))
	if err != nil {
		return tui.Preview{}, err
	}
	p := tui.Preview{
		Name: s.Name, Points: len(s.Points), Seeds: len(s.Seeds), Cells: len(s.Points) * len(s.Seeds),
		Folder: b.home.Folder, Free: b.home.Free(), Keys: s.Settable(),
	}
	if r.Quick {
		full := options(r)
		full.Quick = false
		if f, err := b.load(r.Scenario, full); err == nil && f.Hash() == s.Hash() && len(f.Seeds) == len(s.Seeds) {
			p.Notes = append(p.Notes, "quick changes nothing: the scenario has no section quick, or these settings replace it")
		}
	}
	if id, past := strings.CutPrefix(r.Scenario, tui.RunScenario("")); past {
		if info, err := b.past(id); err == nil {
			if note := b.changedSince(info); note != "" {
				p.Notes = append(p.Notes, note)
			}
		}
	}
	cells, notes, err := run.Check(ctx, b.home, s.Plan())
	if err != nil {
		return p, err
	}
	for _, n := range notes {
		if n.Level > lab.Info {
			p.Notes = append(p.Notes, n.Level.String()+": "+n.Text)
		}
	}
	begin := s.Plan().Begin()
	for i, c := range cells {
		for _, step := range c.Steps {
			if step.State == "shared" || step.State == "cached" && !r.Fresh {
				begin.Cells[i].Reuses = append(begin.Cells[i].Reuses, step.Name)
			}
			switch {
			case step.State == "to build" || step.State == "cached" && r.Fresh, step.State == "to measure" || step.State == "measured" && r.Fresh:
				p.Build++
			case step.State == "cached", step.State == "measured":
				p.Cached++
			case step.State == "shared":
				p.Shared++
			default:
				p.Loaded++
			}
			p.Bytes += step.Bytes
		}
	}
	if p.Duration = b.forecast(&begin); p.Duration == "" {
		p.Duration = b.estimate(s.Name, s.Hash(), r.Quick, &p)
	}
	return p, nil
}

// forecast says how long a run takes whose steps earlier runs of its scenario and settings have
// made on this machine; "" where there is none.
func (b *bench) forecast(begin *lab.Begin) string {
	b.mu.Lock()
	runs := b.listed
	b.mu.Unlock()
	earlier := earlierRuns(b.home, runs, begin, home.Machine())
	if earlier.Runs == 0 {
		return ""
	}
	var left lab.Left
	lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: begin}}).Read(func(v *lab.View) {
		left = lab.NewForecast(begin).Left(v, 0, earlier)
	})
	if left.Earlier == 0 { // all is there, or nothing is known of what is to be made
		return ""
	}
	about := "about "
	switch {
	case left.Guessed:
		about = "perhaps "
	case left.AtLeast:
		about = "at least "
	}
	return about + report.Clock(math.Ceil(left.Seconds)) + ", from " + plural.Of(left.Earlier, "earlier run") + " of it on this machine"
}

// estimate says how long a run may take by what earlier runs of the scenario took; "" where there
// was none. The longest of them built the most.
func (b *bench) estimate(name, hash string, quick bool, p *tui.Preview) string {
	b.mu.Lock()
	runs := b.listed
	b.mu.Unlock()
	var longest store.Info
	same := false
	for _, r := range runs {
		if r.State != lab.Done || r.Cells == 0 || r.Scenario != name || r.Quick != quick || same && r.Hash != hash {
			continue
		}
		if r.Hash == hash && !same {
			same, longest = true, store.Info{}
		}
		if perCell(r) > perCell(longest) {
			longest = r
		}
	}
	if longest.Cells == 0 {
		return ""
	}
	share := float64(p.Build+p.Shared) / float64(max(1, p.Build+p.Shared+p.Cached))
	all := perCell(longest) * float64(p.Cells)
	grounds := fmt.Sprintf("the longest run took %s for %s", report.Duration(longest.Duration.Seconds()), plural.Of(longest.Cells, "cell"))
	if !same {
		grounds += " with other settings"
	}
	if share < 1 {
		return fmt.Sprintf("less than %s: %s, and %.0f%% of the models are there", report.Duration(all), grounds, 100*(1-share))
	}
	return fmt.Sprintf("about %s: %s", report.Duration(all), grounds)
}

func perCell(r store.Info) float64 {
	if r.Cells == 0 {
		return 0
	}
	return r.Duration.Seconds() / float64(r.Cells)
}
