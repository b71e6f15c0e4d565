package run

import (
	"io/fs"
	"os"
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

// ScenarioText is the text of a scenario, named as for LoadScenario.
func ScenarioText(name string, shipped fs.FS) ([]byte, error) {
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		return os.ReadFile(name)
	}
	return scenario.Text(name, shipped)
}
