package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// ReadRatings reads the tables of a folder and makes the prompts.
func ReadRatings(ctx context.Context, cfg RatingsConfig) (*RatingTable, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	movies, err := openRatings(ctx, cfg.Path, "movies.csv", movieColumns)
	if err != nil {
		return nil, err
	}
	defer movies.Close()
	ratings, err := openRatings(ctx, cfg.Path, "ratings.csv", ratingColumns)
	if err != nil {
		return nil, err
	}
	defer ratings.Close()
	if cfg.Item != ItemTags {
		return readRatings(ctx, cfg, movies, ratings, nil)
	}
	tags, err := openRatings(ctx, cfg.Path, "tags.csv", tagColumns)
	if err != nil {
		return nil, fmt.Errorf("ratings: item is %q, which reads tags.csv: %w", cfg.Item, err)
	}
	defer tags.Close()
	return readRatings(ctx, cfg, movies, ratings, tags)
}

// The columns that are read.
var (
	movieColumns  = []string{"movieId", "title", "genres"}
	ratingColumns = []string{"userId", "movieId", "rating", "timestamp"}
)

// openRatings opens a table of a folder, packed by gzip or not.
func openRatings(ctx context.Context, folder, name string, columns []string) (*datafile.Table, error) {
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s: found a file, expected a folder with ratings.csv and movies.csv", folder)
	}
	for _, ending := range []string{"", ".gz"} {
		t, err := datafile.OpenTable(ctx, filepath.Join(folder, name+ending), columns...)
		if !errors.Is(err, os.ErrNotExist) {
			return t, err
		}
	}
	return nil, fmt.Errorf("%s: found %s, expected %s or %s.gz among them", folder, filesOf(folder), name, name)
}

// filesOf lists the first names of a folder.
func filesOf(folder string) string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "a folder that cannot be listed"
	}
	if len(entries) == 0 {
		return "no file"
	}
	const most = 8
	var names []string
	for _, e := range entries[:min(len(entries), most)] {
		names = append(names, fmt.Sprintf("%.60q", e.Name()))
	}
	text := strings.Join(names, ", ")
	if n := len(entries) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// readRatings reads the tables; tags is nil where none are asked for.
func readRatings(ctx context.Context, cfg RatingsConfig, movies, ratings, tags *datafile.Table) (*RatingTable, error) {
	t := &RatingTable{cfg: cfg}
	places, err := t.readTitles(movies)
	if err == nil {
		err = t.readUsers(ctx, ratings, places, movies.Name())
	}
	tables := []*datafile.Table{ratings, movies}
	if err == nil && tags != nil {
		err, tables = t.readTags(ctx, tags, places, movies.Name()), append(tables, tags)
	}
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		sum, err := table.Sum()
		if err != nil {
			return nil, err
		}
		t.content += sum
		t.notes = append(t.notes, table.Notes()...)
	}
	return t, t.split()
}

// readTitles reads the titles and returns their indices by movie.
func (t *RatingTable) readTitles(table *datafile.Table) (places map[int64]int32, err error) {
	places = map[int64]int32{}
	for {
		row, err := table.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		movie, err := whole(row[0])
		if err != nil {
			return nil, table.At(0, err)
		}
		if _, again := places[movie]; again {
			return nil, table.At(0, fmt.Errorf("found movie %d a second time, expected each once", movie))
		}
		if strings.TrimSpace(row[1]) == "" {
			return nil, table.At(1, errors.New("is empty, expected a title"))
		}
		places[movie] = int32(len(t.titles))
		t.titles = append(t.titles, t.cfg.titleText(row[1], row[2]))
	}
	if len(t.titles) == 0 {
		return nil, fmt.Errorf("%s: found no row, expected one for each title", table.Name())
	}
	return places, nil
}

// titleText is what a model reads of a title: by default the title and its genres, on one line. Of
// "Matrix, The (1999)" the first word is "Matrix".
func (c RatingsConfig) titleText(title, genres string) string {
	words := strings.Fields(title)
	text := strings.Join(words, " ")
	switch c.Item {
	case ItemTitle:
		return text + ":"
	case ItemWord:
		return cmp.Or(strings.TrimRight(words[0], ",:;"), words[0]) + ":"
	}
	if genres != "" && genres != "(no genres listed)" {
		text += "; " + strings.Join(strings.Fields(strings.ReplaceAll(genres, "|", " ")), " ")
	}
	return text + ":"
}

// readUsers reads the ratings, by user in the order of time.
func (t *RatingTable) readUsers(ctx context.Context, table *datafile.Table, places map[int64]int32, titles string) error {
	users := map[int64]int{}
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := table.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		user, one, err := readRating(table, row)
		if err != nil {
			return err
		}
		title, known := places[one.movie]
		if !known {
			return table.At(1, fmt.Errorf("found movie %d, which has no row in %s", one.movie, titles))
		}
		one.title = title
		at, known := users[user]
		if !known {
			at = len(t.users)
			users[user], t.users = at, append(t.users, ratingUser{id: user})
		}
		t.users[at].ratings = append(t.users[at].ratings, one)
	}
	if len(t.users) == 0 {
		return fmt.Errorf("%s: found no row, expected one for each rating", table.Name())
	}
	t.sort()
	return nil
}

// sort puts users in the order of their ids, and the ratings of each in that of time and movie; so
// the order of the rows does not count.
func (t *RatingTable) sort() {
	slices.SortFunc(t.users, func(a, b ratingUser) int { return cmp.Compare(a.id, b.id) })
	again := 0
	for _, of := range t.users {
		slices.SortFunc(of.ratings, func(a, b rating) int {
			return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.movie, b.movie), cmp.Compare(number(a.liked), number(b.liked)))
		})
		seen := make(map[int64]bool, len(of.ratings))
		for _, r := range of.ratings {
			if seen[r.movie] {
				again++
			}
			seen[r.movie] = true
		}
	}
	if again > 0 {
		t.notes = append(t.notes, fmt.Sprintf("ratings: %s %s of a title that the same user rated before: all are kept, and a prompt may show the answer to its own candidate", plural.Of(again, "rating"), plural.Verb(again)))
	}
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// readRating reads a row.
func readRating(table *datafile.Table, row []string) (user int64, one rating, err error) {
	if user, err = whole(row[0]); err != nil {
		return 0, one, table.At(0, err)
	}
	if one.movie, err = whole(row[1]); err != nil {
		return 0, one, table.At(1, err)
	}
	stars, err := strconv.ParseFloat(row[2], 64)
	if err != nil || !(stars >= 0 && stars <= 5) {
		return 0, one, table.At(2, fmt.Errorf("found %.40q, expected a number of stars from 0 to 5", row[2]))
	}
	if one.time, err = whole(row[3]); err != nil {
		return 0, one, table.At(3, fmt.Errorf("found %.40q, expected a time in whole seconds since 1970", row[3]))
	}
	one.liked = stars >= likedFrom
	return user, one, nil
}

// whole reads a whole number that is not negative.
func whole(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("found %.40q, expected a whole number", text)
	}
	return n, nil
}
