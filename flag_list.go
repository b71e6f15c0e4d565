package main

import (
	"strings"

	"slimlab/internal/commalist"
)

// listFlag is a flag with values that commas divide. The empty text is none; an empty place is an
// error. The first use replaces the default, and another one adds to the first.
type listFlag struct {
	list  *[]string
	given bool
}

func (f *listFlag) Set(text string) error {
	items, err := commalist.Items(text)
	if err != nil {
		return err
	}
	if !f.given {
		*f.list, f.given = nil, true
	}
	*f.list = append(*f.list, items...)
	return nil
}

func (*listFlag) Type() string { return "strings" }

func (f *listFlag) String() string {
	if len(*f.list) == 0 {
		return ""
	}
	return "[" + strings.Join(*f.list, ",") + "]"
}
