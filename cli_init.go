package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"slimlab/internal/atomicfile"
	"slimlab/internal/await"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab/convert"
	"slimlab/lab/datafile"
	"slimlab/lab/home"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/lab/starter"
)

// sampleText is measured on where the user has no data: English prose of about 30 kB.
//
//go:embed README.md
var sampleText string

// draft is a scenario to write.
type draft struct {
	task, model, data, file string
	ratios, schemes         []string
	// what the records beside the scenario are made of, empty for none
	made string
}

func (p *program) initCommand() *cobra.Command {
	var d draft
	cmd := &cobra.Command{
		Use:   "init [TASK]",
		Short: "write a commented scenario file; with --model, a sweep that compresses a checkpoint",
		Long: "init writes a scenario that runs as it is, with comments and a line by which editors complete and check it.\n" +
			"TASK is recsys (the default), jsonl (records of your own), or checkpoint (compress a model: --model). A file that is there is not replaced.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				d.task = args[0]
			}
			file, notes, err := d.write(cmd.Context(), p.home)
			if err != nil {
				return err
			}
			for _, note := range notes {
				fmt.Fprintln(p.stderr, "note:", note)
			}
			fmt.Fprintln(p.stdout, file)
			fmt.Fprintf(p.stderr, "next: slimlab run %s --quick, or slimlab %s for the workbench\n", file, file)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.model, "model", "", "MODEL to compress: a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW")
	flags.StringVar(&d.data, "data", "", "records or plain text to measure on and calibrate with (default: a sample of English that slimlab has)")
	flags.Var(&listFlag{list: &d.ratios}, "ratios", "shares of MLP neurons to remove (default 0,0.2,0.4)")
	flags.Var(&listFlag{list: &d.schemes}, "schemes", "number formats (default none,w8a8,w4a16,fp8)")
	flags.StringVar(&d.file, "file", "", "file to write (default: named by the task or the model)")
	return cmd
}

// write writes the scenario, after a check of its plan, and what it needs beside it. Notes say what
// was chosen.
func (d draft) write(ctx context.Context, h *home.Home) (file string, notes []string, err error) {
	if err := d.choose(); err != nil {
		return "", nil, usage(err)
	}
	if _, err := os.Lstat(d.file); err == nil {
		return "", nil, usage(fmt.Errorf("%s is there and is not replaced: choose another name by --file", d.file))
	}
	records, about, notes, err := d.records(ctx)
	if err != nil {
		return "", nil, usage(err)
	}
	undo := func() {}
	if records != nil {
		if undo, err = writeNew(d.data, records); err != nil {
			return "", nil, broke(err)
		}
	}
	text, more, err := d.text(ctx, h, about)
	if err == nil {
		err = d.blame(checked(ctx, h, d.file, text))
	}
	if err == nil {
		_, err = writeNew(d.file, []byte(text))
	}
	if err != nil {
		undo()
		return "", nil, usage(err)
	}
	return d.file, append(notes, more...), nil
}

var unfitForName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// choose settles the task and the names.
func (d *draft) choose() error {
	if d.model != "" {
		d.task = cmp.Or(d.task, "checkpoint")
	}
	d.task = cmp.Or(d.task, "recsys")
	if err := nearest.Check("task", d.task, starter.Tasks()); err != nil {
		return err
	}
	switch {
	case d.task == "checkpoint" && d.model == "":
		return errors.New("--model is missing: the checkpoint to compress, such as a Hugging Face folder")
	case d.task != "checkpoint" && d.model != "":
		return fmt.Errorf("--model belongs to the task checkpoint, found the task %s", d.task)
	case d.task != "checkpoint" && len(d.ratios)+len(d.schemes) > 0:
		return fmt.Errorf("--ratios and --schemes belong to the task checkpoint, found the task %s", d.task)
	case d.task == "recsys" && d.data != "":
		return errors.New("--data belongs to the tasks jsonl and checkpoint; recsys draws its own world")
	}
	name := map[string]string{"recsys": "ranking", "jsonl": "my-data"}[d.task]
	if d.task == "checkpoint" {
		base := filepath.Base(filepath.Clean(strings.TrimSuffix(d.model, ".gguf")))
		name = "compress-" + strings.Trim(unfitForName.ReplaceAllString(base, "-"), "-.")
		name = name[:min(len(name), 80)]
	}
	d.file = cmp.Or(d.file, name+".yaml")
	if !scenario.IsFile(d.file) {
		return fmt.Errorf("--file %s: expected a name that ends in .yaml or .yml", d.file)
	}
	return nil
}

func (d *draft) name() string {
	return strings.TrimSuffix(filepath.Base(d.file), filepath.Ext(d.file))
}

// records are what must be written beside the scenario, since it reads records: those of a plain
// text, or of the sample where there is no data. nil where the data are records.
func (d *draft) records(ctx context.Context) (jsonl []byte, about string, notes []string, err error) {
	if d.task == "recsys" {
		return nil, "", nil, nil
	}
	text, from := sampleText, "a sample of English that slimlab has"
	if d.data != "" {
		f, err := datafile.Open(ctx, d.data)
		if err != nil {
			return nil, "", nil, err
		}
		defer f.Close()
		if f.Form() != datafile.Text {
			return nil, "", nil, nil
		}
		if text, err = f.Text(0); err != nil {
			return nil, "", nil, err
		}
		from = "the text " + d.data
	}
	jsonl, n, prompts := starter.Records(text)
	if prompts < starter.LeastRecords {
		return nil, "", nil, fmt.Errorf("--data %s: the text has %d characters and %d words, of which %s with different prompts can be made: expected a longer text, of at least %d records, such as %d different words",
			d.data, utf8.RuneCountInString(text), len(strings.Fields(text)), plural.Of(prompts, "record"), starter.LeastRecords, 2*starter.LeastRecords)
	}
	d.made = "--data " + d.data
	about = fmt.Sprintf("%s of %s.", plural.Of(n, "record"), from)
	if d.data == "" {
		about += " Replace it by texts like those that the model is for."
	}
	d.data = filepath.Join(filepath.Dir(d.file), d.name()+"-data.jsonl")
	return jsonl, about, []string{d.data + ": " + about}, nil
}

// text is the scenario's.
func (d *draft) text(ctx context.Context, h *home.Home, about string) (text string, notes []string, err error) {
	schema, err := writeSchema(h)
	if err != nil { // editors alone read it
		schema = ""
		notes = append(notes, fmt.Sprintf("the scenario names no schema for editors, since the home %s cannot be written: %v; slimlab schema prints it", h.Folder, err))
	}
	if d.task != "checkpoint" {
		text, err = starter.Task(d.task, d.name(), d.file, absolute(d.data), about, schema)
		return text, notes, err
	}
	c := starter.Compression{Name: d.name(), File: d.file, Model: absolute(d.model), Data: absolute(d.data), About: about, Ratios: starter.DefaultRatios, Schemes: starter.DefaultSchemes}
	if len(d.ratios) > 0 {
		c.Ratios = nil
	}
	for _, s := range d.ratios {
		r, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return "", nil, fmt.Errorf("--ratios: found %q, expected numbers such as 0,0.2,0.4", s)
		}
		c.Ratios = append(c.Ratios, r)
	}
	if len(d.schemes) > 0 {
		c.Schemes = nil
	}
	var names []string
	for _, n := range run.Vocabulary().Names["schemes"] {
		names = append(names, n.Name)
	}
	for _, s := range d.schemes {
		s = strings.TrimSpace(s)
		if !run.Vocabulary().Knows("schemes", s) {
			return "", nil, nearest.Unknown("--schemes", s, names)
		}
		c.Schemes = append(c.Schemes, s)
	}
	in, err := await.Do(ctx, func() (*convert.Inspection, error) { return convert.Inspect(d.model, h.OpenModel) })
	if err != nil {
		return "", nil, err
	}
	c.Shape = starter.Shape{Parameters: in.Parameters, Positions: in.Positions, Inputs: []int{in.Hidden}}
	for _, w := range in.Widths {
		c.Shape.MLP = append(c.Shape.MLP, w.MLP)
		c.Shape.Inputs = append(c.Shape.Inputs, w.Heads*in.HeadDim)
	}
	text, more, err := c.Text(schema)
	return text, append(notes, more...), err
}

// writeSchema keeps the schema of scenario files in the home, for editors, and returns its path.
func writeSchema(h *home.Home) (string, error) {
	file := filepath.Join(h.Folder, "scenario.schema.json")
	if err := os.MkdirAll(h.Folder, 0o755); err != nil {
		return "", err
	}
	return file, atomicfile.Write(file, func(w io.Writer) error {
		_, err := w.Write(scenario.Schema(run.Vocabulary()))
		return err
	})
}

// checked reports what slimlab check would.
func checked(ctx context.Context, h *home.Home, file, text string) error {
	s, err := scenario.Parse(file, []byte(text), scenario.Options{Vocabulary: run.Vocabulary()})
	if err != nil {
		return err
	}
	_, _, err = run.Check(ctx, h, s.Plan())
	return err
}

// absolute is the path from anywhere of what a scenario reads: it runs in other folders too. What
// is no file or folder, such as run:ID/ROW, stays.
func absolute(name string) string {
	if name == "" || strings.HasPrefix(name, "pretrained:") || strings.HasPrefix(name, "run:") {
		return name
	}
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return name
}

// blame names what the user gave in place of the files that are not written when the check finds a
// fault.
func (d *draft) blame(err error) error {
	if err == nil {
		return nil
	}
	text := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(d.file)+`(:\d+)*: `).ReplaceAllString(err.Error(), "")
	if d.made != "" {
		text = strings.ReplaceAll(strings.ReplaceAll(text, absolute(d.data), d.made), d.data, d.made)
	}
	return fmt.Errorf("the scenario would not run: %s", text)
}

// writeNew writes a file that is not there. undo removes it.
func writeNew(file string, text []byte) (undo func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there and is not replaced", file)
	}
	if err != nil {
		return nil, err
	}
	undo = func() { os.Remove(file) }
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}
