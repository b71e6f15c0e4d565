package trace

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"slimlab/internal/visible"
)

const azureHead = "TIMESTAMP,ContextTokens,GeneratedTokens"

// ReadAzure reads a trace in the form of Azure's (Patel et al. 2024, and those of 2024): a table of
// TIMESTAMP,ContextTokens,GeneratedTokens, whose times are such as 2023-11-16 18:17:03.9799600, or
// with a zone behind. Of their prompts nothing but the length is known.
func ReadAzure(r io.Reader) (*Trace, error) {
	t := &Trace{}
	var start time.Time
	headed := false
	err := lines(r, func(n int, line []byte) error {
		text := strings.TrimSuffix(string(line), "\r")
		if n == 1 {
			if headed = text == azureHead; !headed {
				return fmt.Errorf("found %.80q, expected the head %s", visible.Line(text), azureHead)
			}
			return nil
		}
		cells := strings.Split(text, ",")
		if len(cells) != 3 {
			return fmt.Errorf("found %d columns, expected 3: %s", len(cells), azureHead)
		}
		at, err := azureTime(cells[0])
		if err != nil {
			return err
		}
		record := Record{Line: n}
		for i, into := range []*int{&record.Input, &record.Output} {
			if *into, err = strconv.Atoi(cells[i+1]); err != nil {
				return fmt.Errorf("found %.40q, expected a number of tokens", visible.Line(cells[i+1]))
			}
		}
		if start.IsZero() {
			start = at
		}
		since := at.Sub(start)
		if float64(since.Abs()) > maxTime {
			return fmt.Errorf("found a time %v after the first, expected at most 10 years", since)
		}
		record.At = since
		return t.add(record)
	})
	switch {
	case err != nil:
		return nil, err
	case !headed:
		return nil, fmt.Errorf("trace: found an empty file, expected the head %s", azureHead)
	}
	return t.finish()
}

func azureTime(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00"} { // a fraction is read with either
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("found the time %.60q, expected one such as 2023-11-16 18:17:03.9799600", visible.Line(text))
}
