package report

import (
	"errors"
	"fmt"
	"io"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Formats lists what Write can write.
func Formats() []string { return []string{"table", "md", "csv", "json", "junit"} }

// Refused is the view of a run that did not begin.
func Refused(scenario string, err error) *lab.View {
	return &lab.View{State: lab.Failed, Error: err.Error(), Begin: lab.Begin{Scenario: scenario}}
}

// Write writes runs in one of the Formats, in order: tables and sections one below the other, one
// CSV table with the column scenario, a JSON document of all reports, one JUnit file with a suite
// for each.
func Write(format string, w io.Writer, views ...*lab.View) error {
	tables := make([]*sweep.Table, len(views))
	for i, v := range views {
		tables[i] = sweep.Of(v)
	}
	return WriteTables(format, w, tables...)
}

// WriteTables writes tables of runs as Write does. JUnit files hold the expectations of the whole
// run, whatever the rows of its table.
func WriteTables(format string, w io.Writer, tables ...*sweep.Table) error {
	var err error
	switch format {
	case "table":
		err = each(w, tables, func(w io.Writer, t *sweep.Table) error { return TextOf(w, t, 0) })
	case "md":
		err = each(w, tables, Markdown)
	case "csv":
		err = CSV(w, tables...)
	case "json":
		err = JSON(w, tables...)
	case "junit":
		var views []*lab.View
		for _, t := range tables {
			views = append(views, t.View)
		}
		err = JUnit(w, views...)
	default:
		return nearest.Check("report format", format, Formats())
	}
	if err != nil {
		return fmt.Errorf("report as %s: %w", format, err)
	}
	return nil
}

// WriteAgainst writes a table of a run as WriteTables does, with what differs from a baseline
// beside each metric. JUnit files have no rows: that format is an error.
func WriteAgainst(format string, w io.Writer, t *sweep.Table, against *Against, width int) error {
	var err error
	switch format {
	case "table":
		err = TextAgainst(w, t, against, width)
	case "md":
		err = markdownAgainst(w, t, against)
	case "csv":
		err = csvAgainst(w, t, against)
	case "json":
		out := newJSONReport(t)
		against.fill(&out, t.View, t.Each())
		err = jsondoc.Write(w, jsonSchema, out)
	default:
		return nearest.Check("report format with a baseline", format, AgainstFormats())
	}
	if err != nil {
		return fmt.Errorf("report as %s: %w", format, err)
	}
	return nil
}

// AgainstFormats lists what WriteAgainst can write.
func AgainstFormats() []string { return []string{"table", "md", "csv", "json"} }

// each writes the tables with an empty line between.
func each(w io.Writer, tables []*sweep.Table, write func(io.Writer, *sweep.Table) error) error {
	var errs error
	for i, t := range tables {
		if i > 0 {
			_, err := io.WriteString(w, "\n")
			errs = errors.Join(errs, err)
		}
		errs = errors.Join(errs, write(w, t))
	}
	return errs
}
