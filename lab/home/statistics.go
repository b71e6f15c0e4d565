package home

import (
	"path/filepath"

	"slimlab/model/calibrate/statistics"
)

// StatisticsFolder is where statistics of the inputs of models are kept from run to run.
func (h *Home) StatisticsFolder() string { return filepath.Join(h.Folder, "statistics") }

// Statistics lists what is kept there.
func (h *Home) Statistics() ([]statistics.Entry, error) { return statistics.List(h.StatisticsFolder()) }
