//go:build unix

package tui

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

const canSuspend = true

// suspend gives the terminal back, stops the process group as Ctrl+Z does in other programs, and
// takes the terminal again once the shell continues it.
func suspend() tea.Cmd {
	return tea.Exec(stop{}, func(err error) tea.Msg { return resumedMsg{err} })
}

// stop is a command that ends when the process is continued. The system does not stop a process
// that no shell could continue, such as a terminal's only one: then it ends after a moment.
type stop struct{}

func (stop) SetStdin(io.Reader)  {}
func (stop) SetStdout(io.Writer) {}
func (stop) SetStderr(io.Writer) {}

func (stop) Run() error {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if err := syscall.Kill(0, syscall.SIGTSTP); err != nil {
		return err
	}
	for range 2 { // the first wait is also over when the process was stopped for long
		select {
		case <-continued:
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("nothing happened: there is no shell here that could continue the workbench")
}
