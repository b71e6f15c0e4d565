// Command slimlab is a workbench and benchmark lab for making language models small and serving
// them.
//
// This file and its neighbours turn the command line into calls of lab/run, lab/report and tui.
// They know nothing of models and methods.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"slimlab/lab/home"
	"slimlab/tui"
)

// Exit codes are a contract with whoever calls slimlab from a script.
const (
	exitHeld        = 0
	exitBroke       = 1 // the run broke
	exitUsage       = 2 // bad command line, scenario or input; no terminal
	exitExpectation = 3 // an expectation did not hold
	exitRegression  = 4 // worse than the run that it is compared with
	exitBaseline    = 5 // a run to compare with is absent or not comparable
	exitInterrupted = 130
)

// version names the build in runs and keys of timings.
const version = "0.1.0"

// failure is an error with the code to exit with.
type failure struct {
	code int
	err  error
}

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := command(stdout, stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitHeld
	}
	code := exitUsage // what cobra itself refuses
	var f failure
	if errors.As(err, &f) {
		code = f.code
	}
	if err.Error() != "" {
		fmt.Fprintf(stderr, "slimlab: %v\n", err)
	}
	return code
}

// program is what every verb needs.
type program struct {
	stdout, stderr io.Writer
	home           *home.Home
}

func command(stdout, stderr io.Writer) *cobra.Command {
	p := &program{stdout: stdout, stderr: stderr}
	ascii := false
	root := &cobra.Command{
		Use:           "slimlab",
		Short:         "make language models small, and see what it costs",
		Long:          "slimlab distils, prunes, quantizes and serves language models, and shows quality against cost while the numbers arrive.\nWithout a verb it opens the workbench, which needs a terminal.",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return p.open()
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.workbench(cmd.Context(), tui.Options{ASCII: ascii})
		},
	}
	root.Flags().BoolVar(&ascii, "ascii", false, "draw with ASCII characters only")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		p.runCommand(), p.checkCommand(), p.scenariosCommand(), p.runsCommand(), p.showCommand(), p.compareCommand(), p.replayCommand(),
		p.inspectCommand(), p.importCommand(), p.exportCommand(), p.pruneCommand(), p.quantizeCommand(), p.distilCommand(), p.tokenizeCommand(), p.evalCommand(),
		p.doctorCommand(), p.schemaCommand(), p.referenceCommand(),
	)
	return root
}

// open checks the environment and names the home, which only what writes makes.
func (p *program) open() error {
	if err := home.UseKernels(os.Getenv("SLIMLAB_KERNELS")); err != nil {
		return failure{exitUsage, fmt.Errorf("SLIMLAB_KERNELS: %w", err)}
	}
	folder, err := home.Folder()
	if err != nil {
		return failure{exitUsage, err}
	}
	p.home = home.Open(folder, version)
	return nil
}

// workbench opens the terminal program.
func (p *program) workbench(ctx context.Context, o tui.Options) error {
	if !isTerminal(os.Stdin) || !isTerminal(os.Stdout) || os.Getenv("TERM") == "dumb" {
		return failure{exitUsage, errors.New("the workbench needs a terminal; without one, try: slimlab run figure1 --quick")}
	}
	o.Machine = home.Machine()
	if o.Scenario == "" {
		o.Scenario = defaultScenario
	}
	b := newBench(p.home)
	defer b.close()
	err := tui.Run(ctx, b, o)
	switch {
	case errors.Is(err, context.Canceled):
		return failure{exitInterrupted, errors.New("interrupted; what a run has finished is kept, and the next run goes on from there")}
	case err != nil:
		return failure{exitBroke, err}
	}
	return nil
}

// defaultScenario is what the workbench selects at start.
const defaultScenario = "figure1"

func isTerminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) }
