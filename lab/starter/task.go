package starter

import (
	_ "embed"
	"strings"

	"slimlab/internal/nearest"
)

//go:embed recsys.yaml
var recsys string

//go:embed jsonl.yaml
var jsonl string

// Tasks lists what Task takes.
func Tasks() []string { return []string{"recsys", "jsonl", "checkpoint"} }

// Task is the scenario of a kind of task that needs no model: recsys, or jsonl over a file of
// records.
func Task(kind, name, file, data, about, schema string) (string, error) {
	texts := map[string]string{"recsys": recsys, "jsonl": jsonl}
	text, ok := texts[kind]
	if !ok {
		return "", nearest.Unknown("unknown task", kind, Tasks())
	}
	return strings.NewReplacer("{schema}", schemaLine(schema), "{file}", file, "{name}", quoted(name), "{data}", quoted(data), "{about data}", comment(about)).Replace(text), nil
}

// schemaLine names the file of the schema for editors; nothing where there is none.
func schemaLine(schema string) string {
	if schema == "" {
		return ""
	}
	return "# yaml-language-server: $schema=" + schema + "\n"
}
