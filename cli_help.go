package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
)

// helpCommand prints the help of a verb. A name that is none is an error: cobra's own command
// prints the help of the root for it, and succeeds.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "print the help of a verb",
		Args:  cobra.ArbitraryArgs,
		// needs no home folder
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, rest, err := cmd.Root().Find(args)
			if verb == nil || err != nil || len(rest) > 0 {
				if verb == nil {
					verb, rest = cmd.Root(), args
				}
				return unknownVerb(verb, rest[0])
			}
			return verb.Help()
		},
	}
}

// unknownVerb is the error of a name that is none of a command's verbs.
func unknownVerb(parent *cobra.Command, name string) error {
	what := "verb"
	if parent.HasParent() {
		what += " of " + strings.TrimPrefix(parent.CommandPath(), parent.Root().Name()+" ")
	}
	if !parent.HasAvailableSubCommands() {
		return fmt.Errorf("found %q, expected no name behind %s", name, parent.Name())
	}
	var names []string
	for _, v := range parent.Commands() {
		if v.IsAvailableCommand() {
			names = append(names, v.Name())
		}
	}
	return nearest.Unknown(what, name, names)
}

// addCompletion adds the command that prints the completions of a shell. Without a shell it prints
// its help; a shell that is not known is an error, where cobra's own command succeeds.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.PersistentPreRunE = func(*cobra.Command, []string) error { return nil }
		c.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return nil
		}
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range c.Commands() {
			shell.Args = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return fmt.Errorf("found %q, expected completion %s alone", args[0], cmd.Name())
				}
				return nil
			}
		}
	}
}
