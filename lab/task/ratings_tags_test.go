package task

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
)

// TestRatingsItems: what a prompt says of a title, by the key item; the default is that of a config
// that does not name it.
func TestRatingsItems(t *testing.T) {
	dir := writeTables(t)
	movies := "movieId,title,genres\n1,\"Matrix,  The (1999)\",A|B\n2,M,(no genres listed)\n3,:,A\n"
	for i := 4; i <= 40; i++ {
		movies += fmt.Sprintf("%d,Film,A\n", i)
	}
	writeTable(t, dir, "movies.csv", movies)
	writeTable(t, dir, "tags.csv", "userId,movieId,tag,timestamp\n1,1,  Sci  FI,1\n")
	for item, want := range map[string][3]string{
		ItemTags:   {"Matrix, The (1999); A B; sci fi:", "M:", ":; A:"},
		ItemGenres: {"Matrix, The (1999); A B:", "M:", ":; A:"},
		"":         {"Matrix, The (1999); A B:", "M:", ":; A:"},
		ItemTitle:  {"Matrix, The (1999):", "M:", "::"},
		ItemWord:   {"Matrix:", "M:", "::"},
	} {
		table, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 64, Item: item})
		if err != nil {
			t.Fatal(err)
		}
		if got := table.titles[:3]; !slices.Equal(got, want[:]) {
			t.Errorf("item %q: found %q, expected %q", item, got, want)
		}
		if long := len(table.Content()); long != 128+64*number(item == ItemTags) {
			t.Errorf("item %q: the content is named by %d digits: expected those of each table that is read", item, long)
		}
	}
	if _, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 64, Item: "genres"}); err == nil || err.Error() != `ratings: item is "genres", expected "title genres tags", "title genres", "title" or "word"` {
		t.Errorf("another item: %v", err)
	}
}

// TestRatingsTags: a title has its most frequent tags, those first in the alphabet of equally
// frequent ones, of what users gave before their first test rating.
func TestRatingsTags(t *testing.T) {
	dir := writeTables(t) // user 1 rates movies 1 to 40, of which the test split has 33 to 40, from second 1016 on
	writeTable(t, dir, "tags.csv", "movieId,userId,timestamp,tag,note\n"+strings.Join([]string{
		"7,1,1015,late,",
		"7,1,1016,test,", "7,1,1017,test,", "7,1,9999,test,", // from the first test rating on
		"7,2,1015,Best,", "7,1,1,\" best\",", // the same tag
		"7,1,1,b,", "7,1,1,a,", "7,1,1,c,",
		"40,1,1,only,",
		"8,3,1,stranger,", // user 3 rates nothing
	}, "\n"))
	table, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 64, Item: ItemTags})
	if err != nil {
		t.Fatal(err)
	}
	// movies.csv lists 40 to 1
	for movie, want := range map[int]string{7: "Film, no. 7 (1907); A B; best, a, b:", 40: "Film, no. 40 (1940); A B; only:", 8: "Film, no. 8 (1908); A B:"} {
		if got := table.titles[40-movie]; got != want {
			t.Errorf("movie %d: found %q, expected %q", movie, got, want)
		}
	}
	if notes := strings.Join(table.Notes(), "\n"); !strings.Contains(notes, "ratings: 11 tags: 2 of 40 titles have some, 3 at most; 3 were given at or after their user's first test rating and 1 by users without a rating, and do not count") {
		t.Errorf("notes:\n%s", notes)
	}
}

// TestRatingsTagsRefused: a table that holds no such tags is refused by line and column, and a
// missing one by the key that asks for it. Without the key it is not read.
func TestRatingsTagsRefused(t *testing.T) {
	const head = "userId,movieId,tag,timestamp\n"
	dir := writeTables(t)
	read := func(item string) error {
		_, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 64, Item: item})
		return err
	}
	if err := read(ItemTags); err == nil || !strings.HasPrefix(err.Error(), `ratings: item is "title genres tags", which reads tags.csv: `) || !strings.HasSuffix(err.Error(), `found "movies.csv", "ratings.csv", expected tags.csv or tags.csv.gz among them`) {
		t.Errorf("no tags: %v", err)
	}
	for content, want := range map[string]string{
		head + "1,1,a,5\n1,99,a,5\n":  "tags.csv:3:3: movieId: found movie 99, which has no row in ",
		head + "x,1,a,5\n":            `tags.csv:2:1: userId: found "x", expected a whole number`,
		head + "1,-1,a,5\n":           `tags.csv:2:3: movieId: found "-1", expected a whole number`,
		head + "1,1, ,5\n":            "tags.csv:2:5: tag: is empty, expected a tag",
		head + "1,1,a,2005-04-02\n":   `tags.csv:2:7: timestamp: found "2005-04-02", expected a time in whole seconds since 1970`,
		head + "1,1,a\n":              "tags.csv:2: found 3 fields, expected 4 as in the first line",
		head:                          "tags.csv: found no row, expected one for each tag",
		"userId,movieId,tags,time\n1": `tags.csv:1: found the columns "userId", "movieId", "tags", "time", expected tag among them`,
	} {
		writeTable(t, dir, "tags.csv", content)
		if err := read(ItemTags); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; expected %q", content, err, want)
		}
		if err := read(ItemGenres); err != nil {
			t.Errorf("%q: %v, and no tags are asked for", content, err)
		}
	}
}

// TestRatingsTagsOfMovieLens: the counts are those of another program on the same tables.
func TestRatingsTagsOfMovieLens(t *testing.T) {
	dir := shareddata.Path(t, "datasets", "movielens-latest-small")
	table, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 256, Item: ItemTags})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 256})
	if err != nil {
		t.Fatal(err)
	}
	tagged := 0
	for i, text := range table.titles {
		if text != plain.titles[i] {
			tagged++
		}
	}
	notes := strings.Join(table.Notes(), "\n")
	if tagged != 299 || !strings.Contains(notes, "1296 tags: 299 of 9125 titles have some") || !strings.Contains(notes, "; 655 were given at or after") {
		t.Errorf("%d titles have tags, expected 299; notes:\n%s", tagged, notes)
	}
}
