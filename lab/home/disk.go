package home

import (
	"strings"

	"slimlab/internal/diskfree"
)

// Disk is what a home holds, in bytes.
type Disk struct {
	Folder          string `json:"folder"`
	Runs            int    `json:"runs"`
	RunBytes        int64  `json:"run_bytes"`
	Artifacts       int    `json:"artifacts"`
	ArtifactBytes   int64  `json:"artifact_bytes"`
	Evaluations     int    `json:"evaluations"`
	EvaluationBytes int64  `json:"evaluation_bytes"`
	Statistics      int    `json:"statistics"` // inputs of models
	StatisticsBytes int64  `json:"statistics_bytes"`
	// pairs of a model and a calibration text that they are of
	StatisticsSets int `json:"statistics_sets"`
	// bytes that the user can still write on the home's file system; -1: not known
	Free int64 `json:"free_bytes"`
}

// Disk measures the home. It changes nothing.
func (h *Home) Disk() (Disk, error) {
	d := Disk{Folder: h.Folder, Free: -1}
	if err := h.Check(); err != nil {
		return d, err
	}
	runs, err := h.Logs.List()
	if err != nil {
		return d, err
	}
	for _, r := range runs {
		d.Runs++
		d.RunBytes += r.Bytes
	}
	entries, err := h.Artifacts.Entries()
	if err != nil {
		return d, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Title, evaluationTitle) {
			d.Evaluations++
			d.EvaluationBytes += e.Bytes
		} else {
			d.Artifacts++
			d.ArtifactBytes += e.Bytes
		}
	}
	kept, err := h.Statistics()
	if err != nil {
		return d, err
	}
	sets := map[string]bool{}
	for _, s := range kept {
		d.Statistics++
		d.StatisticsBytes += s.Bytes
		sets[s.Of] = true
	}
	d.StatisticsSets = len(sets)
	d.Free = h.Free()
	return d, nil
}

// Free is what the user can still write on the home's file system, in bytes; -1: not known.
func (h *Home) Free() int64 { return diskfree.Bytes(h.Folder) }
