package report

import (
	"errors"
	"fmt"
	"io"

	"slimlab/internal/nearest"
	"slimlab/lab"
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
	var err error
	switch format {
	case "table":
		err = each(w, views, func(w io.Writer, v *lab.View) error { return Text(w, v, 0) })
	case "md":
		err = each(w, views, Markdown)
	case "csv":
		err = CSV(w, views...)
	case "json":
		err = JSON(w, views...)
	case "junit":
		err = JUnit(w, views...)
	default:
		return nearest.Check("report format", format, Formats())
	}
	if err != nil {
		return fmt.Errorf("report as %s: %w", format, err)
	}
	return nil
}

// each writes the views with an empty line between.
func each(w io.Writer, views []*lab.View, write func(io.Writer, *lab.View) error) error {
	var errs error
	for i, v := range views {
		if i > 0 {
			_, err := io.WriteString(w, "\n")
			errs = errors.Join(errs, err)
		}
		errs = errors.Join(errs, write(w, v))
	}
	return errs
}
