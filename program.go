package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"slimlab/lab/home"
)

// Exit codes are a contract with scripts that call slimlab.
const (
	exitHeld        = 0
	exitBroke       = 1 // the run broke, or its result could not be written
	exitUsage       = 2 // bad command line, scenario or input; no terminal
	exitExpectation = 3 // an expectation did not hold
	exitRegression  = 4 // worse than the run that it is compared with
	exitBaseline    = 5 // a run to compare with is absent or not comparable
	exitInterrupted = 130
	exitPipe        = 141 // the reader of standard output has closed it: 128 and SIGPIPE
)

// failure is an error with the code to exit with.
type failure struct {
	code int
	err  error
}

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// broke makes an error a failure of the run; nil stays nil.
func broke(err error) error {
	if err == nil {
		return nil
	}
	return failure{exitBroke, err}
}

// usage makes an error a failure of the command line or its input; nil stays nil.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return failure{exitUsage, err}
}

// program is what every verb needs.
type program struct {
	stdout, stderr io.Writer // nothing that a terminal would act on leaves them
	progressTo     io.Writer // standard error, on which progress rewrites its line
	home           *home.Home
	endsItself     atomic.Bool // the verb acts on signals and ends in its own time, as the workbench does
}

// open checks the environment and names the home, which is made by the first write.
func (p *program) open() error {
	if err := home.UseKernels(os.Getenv("SLIMLAB_KERNELS")); err != nil {
		return usage(fmt.Errorf("SLIMLAB_KERNELS: %w", err))
	}
	if runtime.GOARCH != "amd64" {
		fmt.Fprintf(p.stderr, "note: no assembly for %s yet: the plain-Go kernels run, many times slower\n", runtime.GOARCH)
	}
	folder, err := home.Folder()
	if err != nil {
		return usage(err)
	}
	p.home = home.Open(folder, version())
	return nil
}

// commit is set by the Makefile.
var commit string

// version names the build in runs and in the keys of timings: the module's version, which holds the
// commit where the build knows it.
func version() string {
	name := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		name = strings.Trim(info.Main.Version, "()")
	}
	if name == "devel" && commit != "" {
		name += "-" + commit
	}
	return name
}

// build is what --version prints beside the version.
func build() string {
	return fmt.Sprintf("%s, %s/%s, kernels %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, home.Kernels())
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
