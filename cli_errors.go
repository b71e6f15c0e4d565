package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slimlab/internal/nearest"
	"slimlab/lab/scenario"
)

// plainErrors gives the errors of a command line the words of its user: of the root and all verbs.
func plainErrors(root *cobra.Command) {
	root.SetFlagErrorFunc(flagError)
	for _, c := range append(root.Commands(), root) {
		count := c.Args
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := missingFlags(cmd); err != nil {
				return err
			}
			if count == nil || count(cmd, args) == nil {
				return nil
			}
			if cmd == root && scenario.IsFile(args[0]) {
				return fmt.Errorf("found %d files, expected one: the workbench opens one scenario", len(args))
			}
			if cmd == root {
				return unknownVerb(root, args[0])
			}
			found := "nothing"
			if len(args) > 0 {
				found = strconv.Quote(strings.Join(args, " "))
			}
			_, line, _ := strings.Cut(cmd.UseLine(), " ")
			line = strings.TrimSuffix(line, " [flags]")
			if line == cmd.Name() {
				line += " alone"
			}
			return fmt.Errorf("found %s, expected %s", found, line)
		}
	}
}

// missingFlags reports flags that a verb needs, and flags that exclude each other.
func missingFlags(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err == nil && len(f.Annotations[cobra.BashCompOneRequiredFlag]) > 0 && !f.Changed {
			err = fmt.Errorf("--%s is missing: %s", f.Name, f.Usage)
		}
		for _, group := range f.Annotations["cobra_annotation_mutually_exclusive"] {
			names := slices.DeleteFunc(strings.Fields(group), func(name string) bool { return !cmd.Flags().Changed(name) })
			if err == nil && len(names) > 1 {
				err = fmt.Errorf("--%s cannot be given together", strings.Join(names, " and --"))
			}
		}
	})
	return err
}

// flagError says which flag is wrong, what was found and what was expected.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var broken *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown):
		if before := cmd.Flags().Args(); !cmd.HasParent() && len(before) > 0 && !scenario.IsFile(before[0]) {
			return unknownVerb(cmd, before[0])
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if name := unknown.GetSpecifiedName(); len(name) > 1 {
			if near := nearest.Name(name, names); near != "" {
				return fmt.Errorf("--%s is no flag of %s, did you mean --%s?", name, cmd.Name(), near)
			}
			return fmt.Errorf("--%s is no flag of %s, expected one of --%s", name, cmd.Name(), strings.Join(names, ", --"))
		}
		return fmt.Errorf("-%s is no flag of %s, expected one of --%s", unknown.GetSpecifiedName(), cmd.Name(), strings.Join(names, ", --"))
	case errors.As(err, &broken):
		return fmt.Errorf("found %q, expected --FLAG or --FLAG=VALUE", broken.GetSpecifiedFlag())
	case errors.As(err, &invalid):
		cause := invalid.Unwrap()
		var number *strconv.NumError
		if errors.As(cause, &number) {
			cause = fmt.Errorf("expected %s", numberOf(invalid.GetFlag().Value.Type(), errors.Is(number, strconv.ErrRange)))
		}
		return fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), cause)
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Usage)
	}
	return err
}

// numberOf is what a flag of a type takes.
func numberOf(kind string, outOfRange bool) string {
	what := "a number"
	switch {
	case strings.HasPrefix(kind, "uint"):
		what = "a whole number of 0 or more"
	case strings.HasPrefix(kind, "int"):
		what = "a whole number"
	case kind == "bool":
		what = "true or false"
	}
	if outOfRange {
		what += " of at most 64 bits"
	}
	return what
}
