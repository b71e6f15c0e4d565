package report

import (
	"fmt"
	"io"

	"slimlab/internal/nearest"
	"slimlab/lab"
)

// Formats lists what Write can write.
func Formats() []string { return []string{"table", "md", "csv", "json", "junit"} }

// Write writes the run in one of the Formats.
func Write(format string, w io.Writer, v *lab.View) error {
	var err error
	switch format {
	case "table":
		err = Text(w, v, 0)
	case "md":
		err = Markdown(w, v)
	case "csv":
		err = CSV(w, v)
	case "json":
		err = JSON(w, v)
	case "junit":
		err = JUnit(w, v)
	default:
		return nearest.Check("report format", format, Formats())
	}
	if err != nil {
		return fmt.Errorf("report as %s: %w", format, err)
	}
	return nil
}
