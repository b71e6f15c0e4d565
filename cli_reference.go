package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/scenarios"
)

func (p *program) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of scenario files",
		Long:  "schema prints the JSON Schema (draft 2020-12) of scenario files, with which editors complete and check YAML.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := p.stdout.Write(scenario.Schema(run.Vocabulary()))
			return broke(err)
		},
	}
}

func (p *program) scenariosCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "scenarios [NAME]",
		Short: "list the scenarios that ship, or print one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, names []string) error {
			if err := nearest.Check("--format", format, formats); err != nil {
				return usage(err)
			}
			if len(names) == 1 {
				if format != "table" {
					return usage(fmt.Errorf("--format %s: it lists the scenarios, expected no NAME beside it; a scenario is printed as YAML", format))
				}
				text, err := scenario.Text(names[0], scenarios.Files)
				if err != nil {
					return usage(err)
				}
				_, err = p.stdout.Write(text)
				return broke(err)
			}
			entries, err := scenario.List(scenarios.Files)
			if err != nil {
				return broke(err)
			}
			list := scenarioList{}
			for _, e := range entries {
				list.Scenarios = append(list.Scenarios, listedScenario{e.Name, e.About})
			}
			return product{"slimlab.scenarios/1", list, list.text}.write(p.stdout, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format of the list: "+strings.Join(formats, ", "))
	return cmd
}

// scenarioList is the scenarios that ship.
type scenarioList struct {
	Scenarios []listedScenario `json:"scenarios"`
}

type listedScenario struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

func (l scenarioList) text() string {
	t := plainTable(2)
	for _, s := range l.Scenarios {
		t.Add(s.Name, s.About)
	}
	return t.Text()
}

func (p *program) referenceCommand() *cobra.Command {
	format := "table"
	names := make([]string, len(topics()))
	for i, t := range topics() {
		names[i] = t.name
	}
	cmd := &cobra.Command{
		Use:   "reference [" + strings.Join(names, "|") + "]",
		Short: "print the names, defaults, units and meanings of what scenarios can say",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			chosen := topics()
			if len(args) == 1 {
				chosen = slices.DeleteFunc(chosen, func(t topic) bool { return t.name != args[0] })
			}
			if len(chosen) == 0 {
				return usage(nearest.Check("topic", args[0], names))
			}
			return product{"slimlab.reference/1", topicDocument(chosen), func() string { return topicText(chosen) }}.write(p.stdout, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(formats, ", "))
	return cmd
}

// topic is a part of the reference, for people and for programs.
type topic struct {
	name, about string
	text        func() string
	document    any
}

func topics() []topic {
	vocabulary := run.Vocabulary()
	steps, sections := vocabulary.Steps(), scenario.Sections()
	all := []topic{
		{"steps", "kinds of steps of a pipeline, with their keys", func() string { return sectionText(steps) }, steps},
		{"sections", "top-level keys of a scenario", func() string { return sectionText(sections) }, sections},
		{"metrics", "measured quantities: columns of tables and operands of expectations", metricText, metricDocument()},
	}
	about := map[string]string{
		"codecs":            "what a distil step's cache keeps of the teacher's distributions",
		"losses":            "divergences of a distil step; p is the teacher's distribution, q the student's",
		"methods":           "methods of a prune step",
		"schemes":           "schemes of a quantize step; those of 4 bits may end with the size of their groups, such as w4a16-g64",
		"sources":           "sources of calibration text",
		"workloads":         "serving workloads",
		scenario.Pretrained: "models that load as pretrained:NAME",
	}
	for _, list := range slices.Sorted(maps.Keys(vocabulary.Names)) {
		names := vocabulary.Names[list]
		all = append(all, topic{list, about[list], func() string { return nameText(names) }, nameDocument(names)})
	}
	return all
}

func topicText(topics []topic) string {
	var b strings.Builder
	for i, t := range topics {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: %s\n%s", t.name, t.about, t.text())
	}
	return b.String()
}

// topicDocument is one object, in which each topic is a field.
func topicDocument(topics []topic) map[string]any {
	document := map[string]any{}
	for _, t := range topics {
		document[t.name] = t.document
	}
	return document
}

func sectionText(sections []scenario.Section) string {
	var b strings.Builder
	for _, s := range sections {
		fmt.Fprintf(&b, "\n  %s: %s\n", s.Name, s.About)
		t := texttable.New(5, "key", "type", "default", "values", "meaning")
		t.NoHead, t.Indent = true, "    "
		for _, k := range s.Keys {
			value := k.Default
			if k.Required {
				value = "required"
			}
			t.Add(k.Key, k.Type, value, k.Values, k.About)
		}
		b.WriteString(t.Text())
	}
	return b.String()
}

func metricText() string {
	t := texttable.New(7, "key", "column", "unit", "better", "section", "definition", "meaning")
	t.Indent = "  "
	for _, m := range lab.Metrics() {
		meaning := m.About
		if m.Timing {
			meaning += " (timing)"
		}
		t.Add(m.Key, m.Label, m.Unit.String(), m.Better.String(), string(m.Section), m.Definition, meaning)
	}
	return t.Text()
}

type metricEntry struct {
	Key        string `json:"key"`
	Label      string `json:"label"`
	Unit       string `json:"unit"`
	Better     string `json:"better"`
	Timing     bool   `json:"timing"`
	Section    string `json:"section"`
	Definition string `json:"definition"`
	About      string `json:"about"`
}

func metricDocument() []metricEntry {
	var all []metricEntry
	for _, m := range lab.Metrics() {
		all = append(all, metricEntry{m.Key, m.Label, m.Unit.String(), m.Better.String(), m.Timing, string(m.Section), m.Definition, m.About})
	}
	return all
}

func nameText(names []scenario.Name) string {
	t := texttable.New(2, "name", "meaning")
	t.Indent, t.NoHead = "  ", true
	for _, n := range names {
		name, meaning := n.Name, n.About
		if n.Parameter != "" {
			name += ":" + n.Parameter
		}
		if n.Formula != "" {
			meaning = n.Formula + "; " + meaning
		}
		t.Add(name, meaning)
	}
	return t.Text()
}

type nameEntry struct {
	Name      string `json:"name"`
	Parameter string `json:"parameter"`           // a number in (0, 1) after a colon; empty for none
	Unbounded bool   `json:"unbounded,omitempty"` // the number is any above 0
	Ending    string `json:"ending"`
	// a word that may stand for the number after the ending
	EndingWord string `json:"ending_word,omitempty"`
	Formula    string `json:"formula"`
	About      string `json:"about"`
}

func nameDocument(names []scenario.Name) []nameEntry {
	all := make([]nameEntry, len(names))
	for i, n := range names {
		all[i] = nameEntry(n)
	}
	return all
}
