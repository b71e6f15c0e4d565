package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab/home"
	"slimlab/lab/store"
)

// cleaning is what clean removes of the home's artifacts, and what it keeps.
type cleaning struct {
	DryRun       bool          `json:"dry_run"`
	Removed      []removedItem `json:"removed"`
	RemovedBytes int64         `json:"removed_bytes"`
	Kept         int           `json:"kept"`
	KeptBytes    int64         `json:"kept_bytes"`
	// on what was kept though it is no artifact of this version
	Notes []string `json:"notes"`
	Runs  int      `json:"runs"` // logs, which are all kept
}

type removedItem struct {
	Name   string `json:"name"`
	Title  string `json:"title,omitempty"`
	Reason string `json:"reason"`
	Bytes  int64  `json:"bytes"`
}

// cleanFlags are the flags of `slimlab clean`.
type cleanFlags struct {
	format, older string
	keep          int
	dryRun        bool
	keepStats     bool // keep statistics of inputs
}

func (p *program) cleanCommand() *cobra.Command {
	f := cleanFlags{format: "table"}
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "remove artifacts that no run can use",
		Long: "clean removes from the home folder: artifacts that no run uses any more, such as those of runs that rm removed; artifacts in the form of an earlier version,\n" +
			"which runs make anew; folders that killed processes left unfinished; and artifacts that were moved aside as damaged. It keeps the logs of all runs, what a living\n" +
			"process makes or reads, what unfinished runs have half done and go on from, and results of eval. Statistics of inputs, which prune and quantize gather anew where they need them, go too. With --keep or --older it also removes what only other runs use: their tables stay, their models do not.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := nearest.Check("--format", f.format, formats); err != nil {
				return usage(err)
			}
			keep, err := f.runs(cmd)
			if err != nil {
				return usage(err)
			}
			c, err := p.clean(keep, f.dryRun)
			if err == nil {
				err = p.cleanStatistics(c, f.keepStats, keep.Since, f.dryRun)
			}
			if err != nil {
				return broke(err)
			}
			return product{"slimlab.clean/1", c, c.text}.write(p.stdout, f.format)
		},
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "list what would be removed and remove nothing")
	cmd.Flags().BoolVar(&f.keepStats, "keep-statistics", false, "keep the statistics of inputs")
	cmd.Flags().IntVar(&f.keep, "keep", 0, "keep the artifacts of only this many runs, the newest (and of those that --older keeps)")
	cmd.Flags().StringVar(&f.older, "older", "", "remove artifacts that only runs older than this use, and older results of eval: 30d, 2w, 12h")
	cmd.Flags().StringVar(&f.format, "format", f.format, "output format: table or json")
	return cmd
}

// runs says which runs keep their artifacts.
func (f *cleanFlags) runs(cmd *cobra.Command) (k home.Keep, err error) {
	if cmd.Flags().Changed("keep") && f.keep < 1 {
		return k, fmt.Errorf("--keep %d: expected at least 1", f.keep)
	}
	k.Newest = f.keep
	if f.older == "" {
		return k, nil
	}
	age, err := parseAge(f.older)
	if err != nil {
		return k, fmt.Errorf("--older %s: %w", f.older, err)
	}
	k.Since = time.Now().Add(-age)
	return k, nil
}

// parseAge reads a number of days or weeks, or what time.ParseDuration reads.
func parseAge(text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			var n int
			if n, err = strconv.Atoi(number); n > 10_000 {
				n = 10_000
			}
			age = time.Duration(n) * length
		}
	}
	if err != nil || age <= 0 {
		return 0, errors.New("expected an age such as 30d, 2w or 12h")
	}
	return age, nil
}

func (p *program) clean(keep home.Keep, dryRun bool) (*cleaning, error) {
	entries, err := p.home.Artifacts.Entries()
	if err != nil {
		return nil, err
	}
	runs, err := p.home.Logs.List()
	if err != nil {
		return nil, err
	}
	c := &cleaning{DryRun: dryRun, Removed: []removedItem{}, Notes: []string{}, Runs: len(runs)}
	unused, err := p.home.Unused(entries, keep)
	switch {
	case err == nil:
	case keep != home.Keep{}:
		return nil, err
	default:
		c.Notes = append(c.Notes, fmt.Sprintf("kept all complete artifacts: %v", err))
	}
	reasons := map[string]string{}
	var bytes int64
	for _, e := range entries {
		switch {
		case e.Useless():
			reasons[e.Name] = e.Condition.String()
		case slices.ContainsFunc(unused, func(u store.Entry) bool { return u.Name == e.Name }):
			reasons[e.Name] = "unused"
		default:
			continue
		}
		bytes += e.Bytes
	}
	if len(reasons) > 0 && !dryRun {
		fmt.Fprintf(p.stderr, "removing %s, %s; --dry-run only lists them\n", plural.Of(len(reasons), "folder"), bytesText(bytes))
	}
	for _, e := range entries {
		reason, remove := reasons[e.Name]
		if !remove {
			c.keep(e)
			continue
		}
		if !dryRun {
			var used *store.InUseError
			if err := p.home.Artifacts.Discard(e); errors.As(err, &used) {
				c.keep(e)
				c.Notes = append(c.Notes, "kept "+e.Name+": a run reads or makes it")
				continue
			} else if err != nil {
				return nil, err
			}
		}
		c.Removed = append(c.Removed, removedItem{e.Name, e.Title, reason, e.Bytes})
		c.RemovedBytes += e.Bytes
	}
	return c, nil
}

// cleanStatistics removes kept statistics of inputs, but all of them where they are to be kept, and
// those written since a time, which may be zero.
func (p *program) cleanStatistics(c *cleaning, keepAll bool, since time.Time, dryRun bool) error {
	kept, err := p.home.Statistics()
	if err != nil {
		return err
	}
	of := removedItem{Name: "statistics", Reason: "gathered anew where they are needed"}
	removed, left, leftBytes := 0, 0, int64(0)
	for _, s := range kept {
		if keepAll || !since.IsZero() && s.Written.After(since) {
			left++
			leftBytes += s.Bytes
			continue
		}
		if !dryRun {
			if err := os.Remove(s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		removed++
		of.Bytes += s.Bytes
	}
	if left > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("kept statistics of %s, %s", plural.Of(left, "input"), bytesText(leftBytes)))
	}
	if removed > 0 {
		of.Title = "of " + plural.Of(removed, "input")
		c.Removed = append(c.Removed, of)
		c.RemovedBytes += of.Bytes
	}
	return nil
}

func (c *cleaning) keep(e store.Entry) {
	c.Kept++
	c.KeptBytes += e.Bytes
	if e.Condition != store.Complete {
		c.Notes = append(c.Notes, fmt.Sprintf("kept %s: %s", e.Name, e.Condition))
	}
}

func (c *cleaning) text() string {
	t := plainTable(4)
	for _, r := range c.Removed {
		name := r.Name
		if at := strings.LastIndexByte(name, '-') + 1; len(name) == at+64 {
			name = name[:at+12] // the beginning of the key
		}
		t.Add(bytesText(r.Bytes), name, r.Reason, r.Title)
	}
	verb := "removed"
	if c.DryRun {
		verb = "would remove"
	}
	text := t.Text()
	for _, note := range c.Notes {
		text += note + "\n"
	}
	return text + fmt.Sprintf("%s %s, %s; kept %d, %s, and the logs of %s\n",
		verb, plural.Of(len(c.Removed), "folder"), bytesText(c.RemovedBytes), c.Kept, bytesText(c.KeptBytes), plural.Of(c.Runs, "run"))
}
