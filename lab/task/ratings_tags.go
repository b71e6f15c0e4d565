package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// tagColumns are the columns of tags.csv that are read.
var tagColumns = []string{"userId", "movieId", "tag", "timestamp"}

// titleTags is how many tags a title's text has, at most.
const titleTags = 3

// readTags reads the tags and adds the most frequent of each title to its text, of equally frequent
// ones those first in the alphabet. Tags that differ in case or white space are one. A tag counts
// only where its user gave it before the user's first rating of the test split, so that no text
// rests on a test answer of the same user: as the title's share of likes, it rests on all users'
// training spans, whatever the time of the prompt that shows it.
func (t *RatingTable) readTags(ctx context.Context, table *datafile.Table, places map[int64]int32, titles string) error {
	ends := make(map[int64]int64, len(t.users)) // the time of each user's first test rating
	for _, of := range t.users {
		ends[of.id] = of.ratings[trainingRatings(len(of.ratings))].time
	}
	counts := map[int32]map[string]int{}
	read, late, strangers := 0, 0, 0
	for ; ; read++ {
		if read%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := table.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		one, err := readTag(table, row)
		if err != nil {
			return err
		}
		title, known := places[one.movie]
		if !known {
			return table.At(1, fmt.Errorf("found movie %d, which has no row in %s", one.movie, titles))
		}
		switch end, rates := ends[one.user]; {
		case !rates:
			strangers++
			continue
		case one.time >= end:
			late++
			continue
		}
		if counts[title] == nil {
			counts[title] = map[string]int{}
		}
		counts[title][one.text]++
	}
	if read == 0 {
		return fmt.Errorf("%s: found no row, expected one for each tag", table.Name())
	}
	for title, of := range counts {
		t.titles[title] = strings.TrimSuffix(t.titles[title], ":") + "; " + strings.Join(mostFrequent(of), ", ") + ":"
	}
	t.notes = append(t.notes, fmt.Sprintf("ratings: %s: %d of %d titles have some, %d at most; %d were given at or after their user's first test rating and %d by users without a rating, and do not count",
		plural.Of(read, "tag"), len(counts), len(t.titles), titleTags, late, strangers))
	return nil
}

// mostFrequent lists the tags of a title that its text has.
func mostFrequent(counts map[string]int) []string {
	tags := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return tags[:min(len(tags), titleTags)]
}

// tag is a row of tags.csv.
type tag struct {
	user, movie, time int64
	text              string
}

func readTag(table *datafile.Table, row []string) (one tag, err error) {
	if one.user, err = whole(row[0]); err != nil {
		return one, table.At(0, err)
	}
	if one.movie, err = whole(row[1]); err != nil {
		return one, table.At(1, err)
	}
	if one.text = strings.Join(strings.Fields(strings.ToLower(row[2])), " "); one.text == "" {
		return one, table.At(2, errors.New("is empty, expected a tag"))
	}
	if one.time, err = whole(row[3]); err != nil {
		return one, table.At(3, fmt.Errorf("found %.40q, expected a time in whole seconds since 1970", row[3]))
	}
	return one, nil
}
