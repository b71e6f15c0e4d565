package run

import (
	"io/fs"
	"strings"

	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/model/pretrained"
	"slimlab/pruning"
	"slimlab/quant"
)

// Vocabulary lists the names that a scenario may use.
func Vocabulary() scenario.Vocabulary {
	return scenario.Vocabulary{
		Losses:     []string{"fkl", "rkl", "jsd:"},
		Methods:    pruning.Methods(),
		Schemes:    quant.Schemes(),
		Sources:    []string{task.InDomain, task.Generic},
		Workloads:  []string{"ranking"},
		Pretrained: pretrained.Names(),
	}
}

// LoadScenario loads a scenario: a file where the name ends in .yaml or .yml, else one of shipped.
func LoadScenario(name string, shipped fs.FS, o scenario.Options) (*scenario.Scenario, error) {
	o.Vocabulary = Vocabulary()
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		return scenario.LoadFile(name, o)
	}
	return scenario.Load(name, shipped, o)
}
