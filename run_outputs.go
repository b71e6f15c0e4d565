package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/report"
)

// outputFlags say what a run writes beside its table.
type outputFlags struct {
	exports []string
	events  string
	saves   []string
}

func (f *outputFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.exports, "export", nil, "FORMAT=FILE: also write the results as "+strings.Join(report.Formats(), ", ")+"; - is stdout (repeatable)")
	flags.StringVar(&f.events, "events", "", "write every event to this file, as a line of JSON each; - is stdout")
	flags.StringArrayVar(&f.saves, "save", nil, "ROW=FOLDER: copy a row's model to a new Hugging Face folder (repeatable)")
}

// outputs are the files that a run writes beside its table.
type outputs struct {
	board       *lab.Board
	exports     []export
	events      io.WriteCloser // nil: none
	err         error          // of the first write that failed
	stdoutTaken bool           // by an export or the events: the table is not printed
	stdout      io.Writer
	saves       []save
	targets     []*filelock.Target // the files and folders, which this run alone writes
}

// export is a result in a format. Into a file that is no regular one, such as a pipe, it is written
// once, at the end.
type export struct {
	format, file string
	once         bool
}

type save struct{ row, folder string }

// openOutputs checks formats and files, so that a bad path is an error before the work.
// It locks the files and folders until release, so that no other run writes them.
func openOutputs(rows []string, f outputFlags, stdout io.Writer) (*outputs, error) {
	out := &outputs{stdout: stdout}
	if err := errors.Join(out.openExports(f.exports), out.openSaves(rows, f.saves), out.openEvents(f.events)); err != nil {
		out.release()
		return nil, err
	}
	return out, nil
}

func (o *outputs) openExports(flags []string) error {
	for _, text := range flags {
		format, file, ok := strings.Cut(text, "=")
		if !ok || file == "" {
			return fmt.Errorf("--export %s: expected FORMAT=FILE", text)
		}
		if err := nearest.Check("--export "+text+": format", format, report.Formats()); err != nil {
			return err
		}
		x := export{format: format, file: file, once: isStdout(file) || !atomicfile.Replaced(file)}
		switch {
		case isStdout(file):
			o.stdoutTaken = true
		default:
			var err error
			if x.file, err = o.target(file); err != nil {
				return fmt.Errorf("--export %s: %w", text, err)
			}
		}
		o.exports = append(o.exports, x)
	}
	return nil
}

func (o *outputs) openSaves(rows, flags []string) error {
	for _, text := range flags {
		row, folder, ok := strings.Cut(text, "=")
		if !ok || folder == "" {
			return fmt.Errorf("--save %s: expected ROW=FOLDER", text)
		}
		if !slices.Contains(rows, row) {
			return fmt.Errorf("--save %s: the scenario has no row %q; it has: %s", text, row, strings.Join(rows, ", "))
		}
		path, err := o.lock(filelock.AcquireFolder(folder))
		if err != nil {
			return fmt.Errorf("--save %s: %w", text, err)
		}
		o.saves = append(o.saves, save{row, path})
	}
	return nil
}

func (o *outputs) openEvents(name string) error {
	switch {
	case name == "":
	case isStdout(name):
		o.events, o.stdoutTaken = nopCloser{o.stdout}, true
	default:
		path, err := o.target(name)
		if err != nil {
			return fmt.Errorf("--events: %w", err)
		}
		file, err := atomicfile.Create(path)
		if err != nil {
			return fmt.Errorf("--events: %w", err)
		}
		o.events = file
	}
	return nil
}

// isStdout reports whether a file's name stands for standard output.
func isStdout(name string) bool { return name == "-" || name == "/dev/stdout" || name == "/dev/fd/1" }

// target checks that a file can be written, and locks it until release where it is a regular one.
func (o *outputs) target(name string) (path string, err error) {
	if err := atomicfile.Check(name); err != nil {
		return "", err
	}
	if !atomicfile.Replaced(name) {
		return name, nil
	}
	return o.lock(filelock.AcquireFile(name))
}

// lock keeps a target that was acquired until release, and returns its path.
func (o *outputs) lock(target *filelock.Target, err error) (path string, _ error) {
	if err != nil {
		return "", err
	}
	o.targets = append(o.targets, target)
	return target.Path, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// event writes an event line, and the exports when a cell has ended.
func (o *outputs) event(e lab.Event) {
	if o.err != nil {
		return
	}
	if o.events != nil {
		line, err := json.Marshal(e)
		if err == nil {
			_, err = o.events.Write(append(line, '\n'))
		}
		o.err = err
	}
	if e.Kind == lab.KindCell && e.State >= lab.Done && o.board != nil && o.err == nil {
		o.err = o.write(false)
	}
}

// write rewrites the exports.
func (o *outputs) write(end bool) error {
	var errs error
	for _, x := range o.exports {
		if x.once && !end {
			continue
		}
		errs = errors.Join(errs, writeExport(o.stdout, x.format, x.file, o.board.Snapshot()))
	}
	return errs
}

func writeExport(stdout io.Writer, format, file string, view *lab.View) error {
	if isStdout(file) {
		return report.Write(format, stdout, view)
	}
	return atomicfile.Write(file, func(w io.Writer) error { return report.Write(format, w, view) })
}

// finish writes the exports for the last time and closes the events; its error is that of the first
// write that failed.
func (o *outputs) finish() error {
	if o.board != nil && o.err == nil {
		o.err = o.write(true)
	}
	o.close()
	return o.err
}

// close closes the events. A second call does nothing.
func (o *outputs) close() {
	if o.events == nil {
		return
	}
	if err := o.events.Close(); o.err == nil {
		o.err = err
	}
	o.events = nil
}

// release closes the events and lets other processes write the files and folders.
func (o *outputs) release() {
	o.close()
	for _, t := range o.targets {
		t.Release()
	}
}
