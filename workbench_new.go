package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/await"
	"slimlab/lab/convert"
	"slimlab/lab/report"
	"slimlab/lab/starter"
	"slimlab/tui"
)

// How far Candidates looks: deep enough for models/NAME, and not through a whole disk.
const (
	depthOfCandidates  = 3
	mostLooked         = 5000
	mostCandidates     = 100
	mostDescribed      = 20
	candidatesSuffixes = ".jsonl .ndjson .json .txt .jsonl.gz .txt.gz"
)

// Candidates finds models and files of data below the working directory, the nearest first.
func (b *bench) Candidates(ctx context.Context) (tui.Candidates, error) {
	c := tui.Candidates{Schemes: starter.DefaultSchemes}
	for _, r := range starter.DefaultRatios {
		c.Ratios = append(c.Ratios, strconv.FormatFloat(r, 'g', -1, 64))
	}
	looked := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch looked++; {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // a folder that cannot be read holds none that can be used
			return nil
		case looked > mostLooked:
			return filepath.SkipAll
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || strings.Count(path, string(filepath.Separator)) >= depthOfCandidates):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		switch name := d.Name(); {
		case name == "config.json":
			c.Models = append(c.Models, tui.Candidate{Path: filepath.Dir(path)})
		case strings.HasSuffix(name, ".gguf"):
			c.Models = append(c.Models, tui.Candidate{Path: path})
		case isData(name):
			about := ""
			if info, err := d.Info(); err == nil {
				about = report.Bytes(info.Size())
			}
			c.Data = append(c.Data, tui.Candidate{Path: path, About: about})
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	// the files of a model are no data
	c.Data = slices.DeleteFunc(c.Data, func(d tui.Candidate) bool {
		return slices.ContainsFunc(c.Models, func(m tui.Candidate) bool { return m.Path == filepath.Dir(d.Path) })
	})
	near := func(a, b tui.Candidate) int {
		return strings.Count(a.Path, string(filepath.Separator)) - strings.Count(b.Path, string(filepath.Separator))
	}
	slices.SortStableFunc(c.Models, near)
	slices.SortStableFunc(c.Data, near)
	c.Models, c.Data = c.Models[:min(len(c.Models), mostCandidates)], c.Data[:min(len(c.Data), mostCandidates)]
	for i := range c.Models[:min(len(c.Models), mostDescribed)] {
		c.Models[i].About = b.aboutModel(ctx, c.Models[i].Path)
	}
	return c, nil
}

func isData(name string) bool {
	return slices.ContainsFunc(strings.Fields(candidatesSuffixes), func(s string) bool { return strings.HasSuffix(name, s) })
}

// aboutModel describes a model in one line, or says why it cannot be read.
func (b *bench) aboutModel(ctx context.Context, path string) string {
	in, err := await.Do(ctx, func() (*convert.Inspection, error) { return convert.Inspect(path, b.home.OpenModel) })
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	return fmt.Sprintf("%s, %s parameters, %s", in.Family, countText(in.Parameters), report.Bytes(in.Bytes))
}

// Compress writes the scenario of a compression.
func (b *bench) Compress(ctx context.Context, c tui.Compression) (id string, notes []string, err error) {
	d := draft{task: "checkpoint", model: expandHome(c.Model), data: expandHome(c.Data), file: c.File, ratios: c.Ratios, schemes: c.Schemes}
	return d.write(ctx, b.home)
}

// expandHome replaces a leading ~, as a shell would.
func expandHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	if home, err := os.UserHomeDir(); ok && err == nil {
		return filepath.Join(home, rest)
	}
	return path
}
