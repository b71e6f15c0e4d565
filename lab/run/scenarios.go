package run

import (
	"io/fs"
	"strings"

	"slimlab/lab/scenario"
)

// LoadScenario loads a scenario: a file where the name ends in .yaml or .yml, else one of shipped.
func LoadScenario(name string, shipped fs.FS, o scenario.Options) (*scenario.Scenario, error) {
	o.Vocabulary = Vocabulary()
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		return scenario.LoadFile(name, o)
	}
	return scenario.Load(name, shipped, o)
}
