// Package commalist reads lists that users write in one text, with spaces or commas between.
//
// It promises that what is left empty between two commas is an error with its place: it is as
// likely a value that is missing as a comma too many. It leaves out what the values mean.
package commalist

import (
	"fmt"
	"strings"
	"unicode"
)

// EmptyError is the error of a list that has nothing where a value stands. It goes on from what has
// the list.
type EmptyError struct {
	Text  string
	Place int // from 1
}

func (e *EmptyError) Error() string {
	return fmt.Sprintf("has nothing at place %d of %q: expected a value before and behind each comma", e.Place, e.Text)
}

// Parts are the values of a list, none of a text without any. Where a place is empty the error is
// an *EmptyError, and the parts are those that are there.
func Parts(text string) (parts []string, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for between := range strings.SplitSeq(text, ",") {
		some := strings.FieldsFunc(between, unicode.IsSpace)
		if len(some) == 0 && err == nil {
			err = &EmptyError{text, len(parts) + 1}
		}
		parts = append(parts, some...)
	}
	return parts, err
}
