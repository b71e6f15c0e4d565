package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/process"
	"slimlab/internal/visible"
	"slimlab/lab/scenario"
	"slimlab/tui"
)

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := newStandardOutput(stdout)
	messages := visible.NewWriter(stderr)
	p := &program{stdout: out, stderr: messages, progressTo: stderr}
	root := p.rootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(messages)
	err, ended := p.execute(ctx, root)
	if !ended { // it may hold the locks of the writers
		fmt.Fprintln(stderr, "slimlab: interrupted")
		return exitInterrupted
	}
	out.flush()
	code, err := exitCode(ctx, err, out.err)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(messages, "slimlab: %v\n", err)
	}
	return code
}

// patience is how long a verb may take to end after an interruption, before it is left behind; one
// that computes has longestPatience, in which its step ends.
const (
	patience        = 700 * time.Millisecond
	longestPatience = 10 * time.Second
)

// execute runs the verb. One that does not end when ctx does is given up, and has not ended: it may
// wait for a disk, or for the other end of a pipe, which no signal interrupts, and computes nothing
// then. The program ends as if it were killed, and what was finished is on the disk. A verb that
// ends itself is waited for: the workbench, which owns the terminal, and those that serve.
func (p *program) execute(ctx context.Context, root *cobra.Command) (err error, ended bool) {
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	select {
	case err := <-done:
		return err, true
	case <-ctx.Done():
	}
	interrupted, spent := time.Now(), process.Spent()
	late := time.NewTicker(patience)
	defer late.Stop()
	for {
		select {
		case err := <-done:
			return err, true
		case <-late.C:
			before := spent
			spent = process.Spent()
			computes := spent-before > patience/20 && time.Since(interrupted) < longestPatience
			if !computes && !p.endsItself.Load() {
				return nil, false
			}
		}
	}
}

// exitCode is the code that a command ends with, and the error to report: an interruption before
// anything else, then output that could not be written, then what the verb says. A reader that has
// closed standard output, as head does, knows it: nothing is said, and the code is the one with
// which a shell reports SIGPIPE.
func exitCode(ctx context.Context, err, written error) (int, error) {
	var f failure
	switch {
	case errors.As(err, &f) && f.code == exitInterrupted:
		return f.code, err
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return exitInterrupted, errors.New("interrupted")
	case errors.Is(written, syscall.EPIPE):
		return exitPipe, nil
	case written != nil:
		return exitBroke, written
	case err == nil:
		return exitHeld, nil
	case errors.As(err, &f):
		return f.code, err
	}
	return exitUsage, err // what cobra itself refuses
}

// oneScenarioFile permits what can be a scenario's file in the place of a verb: a word that names
// no YAML file is a verb with a typing error.
func oneScenarioFile(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) == 1 && scenario.IsFile(args[0]) {
		return nil
	}
	return errors.New("expected a verb, or the file of one scenario")
}

// What the verbs do with a home that cannot be read. run says itself, in its exports too, why it
// cannot write there; verbs that are in neither list can do without.
var (
	listHome = []string{"slimlab", "runs", "clean", "rm"}              // they end
	readHome = []string{"check", "show", "replay", "compare", "watch"} // they say so: what they are asked may lie elsewhere
)

func (p *program) rootCommand() *cobra.Command {
	var look tui.Options
	root := &cobra.Command{
		Use:   "slimlab [FILE.yaml]",
		Short: "make language models small, and see what it costs",
		Long: "slimlab distils, prunes, quantizes and serves language models, and shows quality against cost while the numbers arrive.\n" +
			"Without a verb it opens the workbench, which needs a terminal; with the file of a scenario, with that one selected.",
		Version:           version() + ", " + build(),
		Args:              oneScenarioFile,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return p.open() },
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				look.Scenario = filepath.Clean(args[0])
				if _, err := scenario.StampOf(look.Scenario); err != nil {
					return usage(err)
				}
			}
			return p.workbench(cmd.Context(), look)
		},
	}
	lookFlags(root, &look)
	root.Flags().StringVar(&look.Attach, "attach", "", "watch an engine on the screen Serve: of a MODEL that is loaded here, or of the slimlab serve at a URL (its key: $"+keyVariable+")")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		p.runCommand(), p.optimizeCommand(), p.checkCommand(), p.initCommand(), p.scenariosCommand(), p.schemaCommand(), p.referenceCommand(),
		p.runsCommand(), p.showCommand(), p.compareCommand(), p.replayCommand(), p.watchCommand(), p.cleanCommand(), p.rmCommand(),
		p.inspectCommand(), p.importCommand(), p.exportCommand(), p.pruneCommand(), p.quantizeCommand(), p.distilCommand(),
		p.tokenizeCommand(), p.evalCommand(), p.serveCommand(), p.benchServeCommand(), p.capacityCommand(), p.abCommand(), p.chatCommand(), p.doctorCommand(),
	)
	for _, c := range append(root.Commands(), root) {
		switch {
		case slices.Contains(listHome, c.Name()):
			c.PreRunE = func(*cobra.Command, []string) error { return usage(p.home.Check()) }
		case slices.Contains(readHome, c.Name()):
			c.PreRun = func(*cobra.Command, []string) {
				if err := p.home.Check(); err != nil {
					fmt.Fprintf(p.stderr, "note: %v\n", err)
				}
			}
		}
	}
	root.SetHelpCommand(helpCommand())
	plainErrors(root)
	addCompletion(root)
	return root
}
