// Command slimlab is a workbench and benchmark lab for making language models small and serving
// them.
//
// A command line becomes one verb, and a verb becomes calls of the lab: lab/run and lab/scenario
// (run, check, scenarios, schema, reference), lab/home (where everything is kept), lab/store and
// lab/report (runs, show, compare, clean), lab/convert (inspect, import, export, prune, quantize,
// distil), lab/eval and lab/doctor (eval, doctor), and tui (the workbench, replay). The package
// imports nothing below the lab: what a model or a method is, it does not know.
//
// Files, from the bottom: program is what every verb has, with the exit codes; output is standard
// output and its formats, progress is standard error; cli_* are the verbs, events and run_outputs
// what some of them share; workbench is the lab as the terminal program sees it; root puts the
// verbs together.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"slimlab/internal/quietstart"
)

// main listens to signals first. One that comes before it, in the milliseconds in which the
// packages are initialized, ends the process as the system does (143 for SIGTERM): nothing has
// begun.
func main() {
	quietstart.Restore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second signal ends the program at once
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is a write that fails
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
