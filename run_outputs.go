package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
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

// outputs are the files that the runs of one command write beside their tables: each file holds all
// runs.
type outputs struct {
	views       []func() *lab.View // of the runs that began or were refused, in order
	begun       bool               // one of them began
	exports     []export
	eventsFile  string         // to create with the first event; empty: none
	events      io.WriteCloser // nil: none yet
	err         error          // of the first write that failed
	stdoutTaken bool           // by an export or the events: the table is not printed
	stdout      io.Writer
	saves       []save
	now         func() time.Time
	written     time.Time          // when the exports were last written
	stale       bool               // a cell has ended since
	targets     []*filelock.Target // the files and folders, which this run alone writes
}

// export is a result in a format. Into a file that is no regular one, such as a pipe, it is written
// once, at the end.
type export struct {
	format, file string
	once         bool
}

type save struct{ row, folder string }

// openOutputs checks formats and files, so that a bad path is an error before the work; it writes
// nothing. It locks the files until release, so that no other run writes them. With an error the
// outputs hold what could be opened.
func openOutputs(f outputFlags, stdout io.Writer) (*outputs, error) {
	out := &outputs{stdout: stdout, now: time.Now}
	var errs error
	for _, text := range f.exports {
		errs = errors.Join(errs, out.openExport(text))
	}
	return out, errors.Join(errs, out.openEvents(f.events))
}

func (o *outputs) openExport(text string) error {
	format, file, ok := strings.Cut(text, "=")
	if !ok || file == "" {
		return fmt.Errorf("--export %s: expected FORMAT=FILE", text)
	}
	if err := nearest.Check("--export "+text+": format", format, report.Formats()); err != nil {
		return err
	}
	x := export{format: format, file: file, once: isStdout(file) || !atomicfile.Replaced(file)}
	switch {
	case isStdout(file) && o.stdoutTaken:
		return fmt.Errorf("--export %s: standard output is taken by another --export, expected a file", text)
	case isStdout(file):
		o.stdoutTaken = true
	default:
		var err error
		if x.file, err = o.target(file); err != nil {
			return fmt.Errorf("--export %s: %w", text, err)
		}
	}
	o.exports = append(o.exports, x)
	return nil
}

// openSaves checks the rows of the only scenario's plan and the folders, before the work. A row's
// name may hold equals signs ("w8a8 loss=fkl"): the last one is before the folder.
func (o *outputs) openSaves(h *home.Home, begin lab.Begin, flags []string) error {
	rows := sweep.Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Name: begin.Scenario, Begin: &begin}}).Snapshot())
	for _, text := range flags {
		equals := strings.LastIndexByte(text, '=')
		if equals < 0 || equals+1 == len(text) {
			return fmt.Errorf("--save %s: expected ROW=FOLDER", text)
		}
		row, folder := text[:equals], text[equals+1:]
		at, err := rows.Find(row)
		if err != nil {
			return fmt.Errorf("--save %s: %w", text, err)
		}
		row = rows.FullLabel(&rows.Rows[at])
		if err := h.CheckSave(folder); err != nil {
			return fmt.Errorf("--save %s: %w", text, err)
		}
		if other := o.savedTo(folder); other != "" {
			return fmt.Errorf("--save %s: row %s is to be saved there too, expected another folder", text, other)
		}
		path, err := o.lock(filelock.AcquireFolder(folder))
		if err != nil {
			return fmt.Errorf("--save %s: %w", text, err)
		}
		o.saves = append(o.saves, save{row, path})
	}
	return nil
}

// savedTo is the row that is to be saved into a folder already; "" where none is.
func (o *outputs) savedTo(folder string) (row string) {
	path, err := filelock.TargetPath(folder)
	for _, s := range o.saves {
		if err == nil && s.folder == path {
			return s.row
		}
	}
	return ""
}

func (o *outputs) openEvents(name string) error {
	switch {
	case name == "":
	case isStdout(name) && o.stdoutTaken:
		return fmt.Errorf("--events %s: standard output is taken by an --export, expected a file", name)
	case isStdout(name):
		o.events, o.stdoutTaken = nopCloser{o.stdout}, true
	default:
		path, err := o.target(name)
		if err != nil {
			return fmt.Errorf("--events: %w", err)
		}
		o.eventsFile = path
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

// begin adds a run that has begun.
func (o *outputs) begin(b *lab.Board) {
	o.views, o.begun = append(o.views, b.Snapshot), true
}

// refuse adds a run that did not begin.
func (o *outputs) refuse(scenario string, err error) {
	view := report.Refused(scenario, err)
	o.views = append(o.views, func() *lab.View { return view })
}

// exportEvery is the least time between two writes of the exports: they hold all rows, and would
// otherwise cost the more with each cell that ends.
const exportEvery = time.Second

// event writes an event line, and the exports when a cell has ended, or with a later event where
// they were written a moment ago.
func (o *outputs) event(e lab.Event) {
	if o.err != nil {
		return
	}
	o.err = o.eventLine(e)
	o.stale = o.stale || o.begun && e.Kind == lab.KindCell && e.State >= lab.Done
	if o.stale && o.err == nil && o.now().Sub(o.written) >= exportEvery {
		o.err = o.write(false)
		o.written, o.stale = o.now(), false
	}
}

// eventLine writes an event, the first one into a new file.
func (o *outputs) eventLine(e lab.Event) (err error) {
	if o.events == nil {
		if o.eventsFile == "" {
			return nil
		}
		if o.events, err = atomicfile.Create(o.eventsFile); err != nil {
			return fmt.Errorf("--events: %w", err)
		}
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = o.events.Write(append(line, '\n'))
	}
	return err
}

// write rewrites the exports. Where no run began, it writes the JUnit files alone, so that none of
// an earlier run passes for this one's.
func (o *outputs) write(end bool) error {
	var views []*lab.View
	for _, view := range o.views {
		views = append(views, view())
	}
	var errs error
	for _, x := range o.exports {
		if x.once && !end || !o.begun && x.format != "junit" {
			continue
		}
		errs = errors.Join(errs, writeExport(o.stdout, x.format, x.file, views...))
	}
	return errs
}

// untouched names the files that are as they were, since no run began.
func (o *outputs) untouched() (files []string) {
	if o.begun {
		return nil
	}
	for _, x := range o.exports {
		if x.format != "junit" && !isStdout(x.file) {
			files = append(files, x.file)
		}
	}
	if o.eventsFile != "" {
		files = append(files, o.eventsFile)
	}
	return files
}

func writeExport(stdout io.Writer, format, file string, views ...*lab.View) error {
	if isStdout(file) {
		return report.Write(format, stdout, views...)
	}
	return atomicfile.Write(file, func(w io.Writer) error { return report.Write(format, w, views...) })
}

// finish writes the exports for the last time and closes the events; its error is that of the first
// write that failed.
func (o *outputs) finish() error {
	if len(o.views) > 0 && o.err == nil {
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
	o.events, o.eventsFile = nil, ""
}

// release closes the events and lets other processes write the files and folders.
func (o *outputs) release() {
	o.close()
	for _, t := range o.targets {
		t.Release()
	}
}
