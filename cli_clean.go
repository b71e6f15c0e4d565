package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
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

func (p *program) cleanCommand() *cobra.Command {
	format, dryRun := "table", false
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "remove artifacts that no run can use",
		Long: "clean removes from the home folder: artifacts in the form of an earlier version, which runs make anew; folders that killed processes left unfinished;\n" +
			"and artifacts that were moved aside as damaged. It keeps the logs of all runs and what a living process is making.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := nearest.Check("--format", format, formats); err != nil {
				return usage(err)
			}
			c, err := p.clean(dryRun)
			if err != nil {
				return broke(err)
			}
			return product{"slimlab.clean/1", c, c.text}.write(p.stdout, format)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "list what would be removed and remove nothing")
	cmd.Flags().StringVar(&format, "format", format, "output format: table or json")
	return cmd
}

func (p *program) clean(dryRun bool) (*cleaning, error) {
	entries, err := p.home.Artifacts.Entries()
	if err != nil {
		return nil, err
	}
	runs, err := p.home.Logs.List()
	if err != nil {
		return nil, err
	}
	c := &cleaning{DryRun: dryRun, Removed: []removedItem{}, Notes: []string{}, Runs: len(runs)}
	for _, e := range entries {
		if !e.Useless() {
			c.keep(e)
			continue
		}
		if !dryRun {
			var used *store.InUseError
			if err := p.home.Artifacts.Discard(e); errors.As(err, &used) {
				c.keep(e)
				c.Notes = append(c.Notes, "kept "+e.Name+": a run reads it")
				continue
			} else if err != nil {
				return nil, err
			}
		}
		c.Removed = append(c.Removed, removedItem{e.Name, e.Title, e.Condition.String(), e.Bytes})
		c.RemovedBytes += e.Bytes
	}
	return c, nil
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
	return text + fmt.Sprintf("%s %d folders, %s; kept %d, %s, and the logs of %d runs\n",
		verb, len(c.Removed), bytesText(c.RemovedBytes), c.Kept, bytesText(c.KeptBytes), c.Runs)
}
