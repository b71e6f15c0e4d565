// Package commalist reads lists that users write in one text, with commas between, or also spaces.
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

// Items are the values of a list whose values may have spaces: commas alone divide it. The error is
// as that of Parts.
func Items(text string) (items []string, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		} else if err == nil {
			err = &EmptyError{text, len(items) + 1}
		}
	}
	return items, err
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
