package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/plural"
	"slimlab/lab/endpoint"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// chatFlags are the flags of `slimlab chat`.
type chatFlags struct {
	loadFlags
	endpoint.ConversationOptions
}

func (p *program) chatCommand() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:   "chat MODEL",
		Short: "talk with a model in the terminal",
		Long: "chat loads a MODEL, a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW, and answers each line of standard input.\n" +
			"/clear begins a new conversation, /exit ends; Ctrl-C stops an answer, and ends where it comes twice and none is being written; Ctrl-D ends at once.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error { return p.chat(cmd, names[0], f) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.System, "system", "", "what the model is told before the conversation")
	flags.Float64Var(&f.Temperature, "temperature", 0.7, "0 always writes the likeliest token, 1 draws as the model predicts")
	flags.Float64Var(&f.TopP, "top-p", 0.95, "share of the likeliest tokens to draw from")
	flags.IntVar(&f.TopK, "top-k", 0, "number of the likeliest tokens to draw from (default: all)")
	flags.Uint64Var(&f.Seed, "seed", 0, "seed of the draws (default: another one each time)")
	flags.IntVar(&f.MaxTokens, "max-tokens", 0, "tokens of an answer (default: all that there is room for)")
	return cmd
}

func (f *chatFlags) check(cmd *cobra.Command) error {
	if err := f.loadFlags.check(cmd); err != nil {
		return err
	}
	switch changed := cmd.Flags().Changed; {
	case !(f.Temperature >= 0 && f.Temperature <= 2):
		return fmt.Errorf("--temperature %v: expected 0 to 2", f.Temperature)
	case !(f.TopP > 0 && f.TopP <= 1):
		return fmt.Errorf("--top-p %v: expected more than 0 to 1", f.TopP)
	case changed("top-k") && f.TopK < 1:
		return fmt.Errorf("--top-k %d: expected at least 1", f.TopK)
	case changed("max-tokens") && f.MaxTokens < 1:
		return fmt.Errorf("--max-tokens %d: expected at least 1", f.MaxTokens)
	case !changed("seed"):
		f.Seed = rand.Uint64()
	}
	return nil
}

func (p *program) chat(cmd *cobra.Command, name string, f chatFlags) error {
	if err := f.check(cmd); err != nil {
		return usage(err)
	}
	release, err := p.home.Hold(cmd.Context(), name)
	if err != nil {
		return usage(err)
	}
	defer release()
	e, err := endpoint.Open(cmd.Context(), p.home, name, f.Options)
	if err != nil {
		return usage(err)
	}
	defer e.Close()
	c, err := e.Converse(f.ConversationOptions)
	if err != nil {
		return usage(fmt.Errorf("model %s: %w", name, err))
	}
	for _, note := range e.Notes {
		p.tell(note)
	}
	return p.converse(cmd, c)
}

// converse answers line by line, until there are no more or the user ends it.
func (p *program) converse(cmd *cobra.Command, c *endpoint.Conversation) error {
	in := cmd.InOrStdin()
	prompt := ""
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		prompt = "> "
		p.tell("/clear begins a new conversation, /exit or Ctrl-D ends; Ctrl-C stops an answer")
	}
	signals, restore := p.signals()
	defer restore()
	lines := make(chan string)
	go readLines(in, lines)
	interrupted := failure{exitInterrupted, errors.New("interrupted")}
	pressed := false // Ctrl-C, which has dropped what was typed
	for {
		fmt.Fprint(p.stderr, prompt)
		select {
		case s := <-signals:
			fmt.Fprintln(p.stderr)
			if s != os.Interrupt || prompt == "" || pressed {
				return interrupted
			}
			pressed = true
			fmt.Fprintln(p.stderr, "Ctrl-C again or Ctrl-D ends")
		case line, ok := <-lines:
			pressed = false
			switch line = strings.TrimSpace(line); {
			case !ok && prompt != "":
				fmt.Fprintln(p.stderr)
				return nil
			case !ok || line == "/exit":
				return nil
			case line == "/clear":
				c.Clear()
			case strings.HasPrefix(line, "/"):
				fmt.Fprintf(p.stderr, "%s is no command, expected /clear or /exit\n", line)
			case line != "":
				ended, err := p.say(c, line, prompt != "", signals)
				if err != nil {
					return err
				}
				if ended {
					return interrupted
				}
			}
		}
	}
}

// readLines gives the lines of a reader one by one. Nothing interrupts a terminal that is read: the
// goroutine stays until the program ends.
func readLines(r io.Reader, lines chan<- string) {
	defer close(lines)
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			lines <- line
		}
		if err != nil {
			return
		}
	}
}

// tell writes a line to standard error, on a terminal in lines of whole words.
func (p *program) tell(line string) {
	width := 0
	if f, ok := p.progressTo.(*os.File); ok && isTerminal(f) { // what p.stderr writes to
		width = tableWidth()
	}
	fmt.Fprintln(p.stderr, strings.Join(told(line, width), "\n"))
}

// told breaks a line at words into lines of a width; 0 is any.
func told(line string, width int) []string {
	if width == 0 {
		return []string{line}
	}
	return text.Wrap(line, width)
}

// answerWriter writes the pieces of an answer, then its end, to standard output: on a terminal in
// lines of whole words.
func (p *program) answerWriter() (write func(piece string) error, end func()) {
	if o, ok := p.stdout.(*standardOutput); ok && o.terminal() {
		if width := tableWidth(); width > 0 {
			l := &wordWrapper{w: p.stdout, width: max(2, width)}
			return l.write, func() { _ = l.write("\n") } // standard output remembers what failed
		}
	}
	write = func(piece string) error {
		_, err := io.WriteString(p.stdout, piece)
		return err
	}
	return write, func() { fmt.Fprintln(p.stdout) }
}

// say writes the answer to a line, which a signal stops; ended reports one other than Ctrl-C, after
// which nothing is asked any more. A line that was typed may fail, and the next is asked for; one
// of a pipe ends the conversation.
func (p *program) say(c *endpoint.Conversation, line string, typed bool, signals <-chan os.Signal) (ended bool, err error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case s := <-signals:
			ended = s != os.Interrupt
			stop()
		case <-ctx.Done():
		}
	}()
	var written error
	write, end := p.answerWriter()
	reply, err := c.Say(ctx, line, func(text string) {
		if err := write(text); err != nil && written == nil {
			written = err
			stop()
		}
	})
	stop()
	<-watched
	end()
	switch {
	case written != nil:
		return ended, broke(written)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(p.stderr, "stopped")
	case err != nil && !typed:
		return ended, broke(err)
	case err != nil:
		fmt.Fprintf(p.stderr, "slimlab: %v\n", err)
		return ended, nil
	case reply.Full:
		p.tell("the answer was cut off: there is no room for more; /clear begins a new conversation")
	case reply.Cut:
		fmt.Fprintf(p.stderr, "the answer was cut off after %s, as --max-tokens says\n", plural.Of(reply.Tokens, "token"))
	}
	text := plural.Of(reply.Tokens, "token")
	if reply.Rate > 0 {
		text += fmt.Sprintf(" · %.1f tokens/s", reply.Rate)
	}
	fmt.Fprintf(p.stderr, "%s · first after %s · prompt %d, %d cached\n", text, report.Duration(reply.TTFT.Seconds()), reply.Prompt, reply.Cached)
	return ended, nil
}
