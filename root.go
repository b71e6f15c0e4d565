package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"slimlab/internal/visible"
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
	err := root.ExecuteContext(ctx)
	out.flush()
	code, err := exitCode(ctx, err, out.err)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(messages, "slimlab: %v\n", err)
	}
	return code
}

// exitCode is the code that a command ends with, and the error to report: an interruption before
// anything else, then output that could not be written, then what the verb says.
func exitCode(ctx context.Context, err, written error) (int, error) {
	var f failure
	switch {
	case errors.As(err, &f) && f.code == exitInterrupted:
		return f.code, err
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return exitInterrupted, errors.New("interrupted")
	case written != nil:
		return exitBroke, written
	case err == nil:
		return exitHeld, nil
	case errors.As(err, &f):
		return f.code, err
	}
	return exitUsage, err // what cobra itself refuses
}

func (p *program) rootCommand() *cobra.Command {
	ascii := false
	root := &cobra.Command{
		Use:   "slimlab",
		Short: "make language models small, and see what it costs",
		Long: "slimlab distils, prunes, quantizes and serves language models, and shows quality against cost while the numbers arrive.\n" +
			"Without a verb it opens the workbench, which needs a terminal.",
		Version:           version(),
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return p.open() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.workbench(cmd.Context(), tui.Options{ASCII: ascii})
		},
	}
	root.Flags().BoolVar(&ascii, "ascii", false, "draw with ASCII characters only")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		p.runCommand(), p.checkCommand(), p.scenariosCommand(), p.schemaCommand(), p.referenceCommand(),
		p.runsCommand(), p.showCommand(), p.compareCommand(), p.replayCommand(), p.cleanCommand(),
		p.inspectCommand(), p.importCommand(), p.exportCommand(), p.pruneCommand(), p.quantizeCommand(), p.distilCommand(),
		p.tokenizeCommand(), p.evalCommand(), p.doctorCommand(),
	)
	return root
}
