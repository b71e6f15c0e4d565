package task

import (
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/datafile"
)

// TestRatingsRule: the prompts and the figures without a model are those of the rule, which another
// program computed on the same tables.
func TestRatingsRule(t *testing.T) {
	dir := shareddata.Path(t, "datasets", "movielens-latest-small")
	table, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 256})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(table.users); n != 671 || table.ratings() != 100004 || len(table.titles) != 9125 {
		t.Errorf("%d users, %d ratings, %d titles, expected 671, 100004, 9125", n, table.ratings(), len(table.titles))
	}
	liked, before := 0, 0
	for part, of := range table.splits {
		if part == ratingsTest {
			continue
		}
		for _, p := range of {
			before++
			if table.users[p.user].ratings[p.at].liked {
				liked++
			}
		}
	}
	a := table.answers()
	yes := 0
	for _, is := range a.Yes {
		if is {
			yes++
		}
	}
	if before != 73038 || liked != 38525 || len(a.Yes) != 20256 || yes != 9550 {
		t.Errorf("prompts before the cut %d, liked %d, test %d, liked %d; expected 73038, 38525, 20256, 9550", before, liked, len(a.Yes), yes)
	}
	f, err := a.Figures(a.Guesses[2].Score)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ auc, within float64 }{{0.6616, 0.6320}, {0.7572, 0.5523}, {0.7825, 0.6210}} {
		g := f.Guesses[i]
		if math.Abs(g.AUC.Value-want.auc) > 5e-5 || math.Abs(g.Within.Value-want.within) > 5e-5 {
			t.Errorf("%s: AUC %.4f, within users %.4f; expected %.4f, %.4f", g.Name, g.AUC.Value, g.Within.Value, want.auc, want.within)
		}
	}
	if both := f.Guesses[2]; both.Within.N != 606 || both.Gain.Value != 0 || both.Gain.Low != 0 || both.Gain.High != 0 {
		t.Errorf("%s: %d users with both answers, gain over itself %+v; expected 606, 0", both.Name, both.Within.N, both.Gain.Measure)
	}
	// by resampling users the standard deviation is 0.009: 95% from 0.766 to 0.800
	if of := f.AUC; math.Abs(of.Low-0.766) > 0.006 || math.Abs(of.High-0.800) > 0.006 {
		t.Errorf("the interval of %.4f is %.4f to %.4f, expected 0.766 to 0.800", of.Value, of.Low, of.High)
	}
	t.Log(strings.Join(table.notes, "\n"))
}

// writeTables writes a folder of ratings by users 1 and 2, each of 40 titles, rows in any order.
func writeTables(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	movies, ratings := "genres,movieId,title\n", "timestamp,userId,rating,movieId,note\n"
	for i := range 40 {
		movies += fmt.Sprintf("A|B,%d,\"Film, no. %d (19%02d)\"\n", 40-i, 40-i, 40-i)
		for user := 1; user <= 2; user++ {
			movie := (i*7)%40 + 1 // in the order of time: 1 to 40 for user 1, 40 to 1 for user 2
			at := movie
			if user == 2 {
				at = 41 - movie
			}
			ratings += fmt.Sprintf("%d,%d,%.1f,%d,x\n", 1000+at/2, user, float64(1+movie%5), movie)
		}
	}
	writeTable(t, dir, "movies.csv", movies)
	writeTable(t, dir, "ratings.csv", ratings)
	return dir
}

func writeTable(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRatingsPrompts: a prompt is the ten ratings before the candidate, in the order of time and
// movie, each with its outcome as an answer; the splits follow each other in time.
func TestRatingsPrompts(t *testing.T) {
	r, err := NewRatings(t.Context(), RatingsConfig{Path: writeTables(t), MaxTokens: 512}, hashEncoder{})
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, of := range r.splits {
		sizes = append(sizes, len(of))
	}
	// 22 before the cut at 32, the last 2 and the 2 before held out
	if !slices.Equal(sizes, []int{36, 4, 4, 16}) {
		t.Errorf("the splits have %v prompts, expected 36 4 4 16", sizes)
	}
	last := r.splits[ratingsTest][len(sizes)+3]
	text := r.text(last)
	if lines := strings.Split(text, "\n"); len(lines) != 11 || lines[10] != "Film, no. 40 (1940); A B: no" || lines[8] != "Film, no. 38 (1938); A B: yes" {
		t.Errorf("a prompt is %q", text)
	}
	e, earlier := r.write(last)
	answers := 0
	for i, is := range e.Answer {
		if is != (e.Tokens[i] == r.yes || e.Tokens[i] == r.no) {
			t.Errorf("token %d: an answer %v, the token is %d", i, is, e.Tokens[i])
		}
		if is {
			answers++
		}
	}
	if earlier != 10 || answers != 11 || !e.Answer[len(e.Answer)-1] {
		t.Errorf("%d earlier ratings, %d answers, expected 10, 11, the last token one of them", earlier, answers)
	}
	if p := r.Test().Prompts[0]; p[len(p)-1] == r.yes || p[len(p)-1] == r.no {
		t.Error("a test prompt holds its answer")
	}
}

// TestRatingsFit: a prompt that is longer than max_tokens loses its oldest ratings, and a note says
// so; limit takes prompts of each split at even distances.
func TestRatingsFit(t *testing.T) {
	dir := writeTables(t)
	r, err := NewRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 40, Limit: 3}, hashEncoder{})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := NewRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 512}, hashEncoder{})
	if err != nil {
		t.Fatal(err)
	}
	for part, of := range r.splits {
		if len(of) != 3 || of[0] != whole.splits[part][0] {
			t.Errorf("split %d has %v", part, of)
		}
		for i, e := range r.examples(of) {
			all, _ := whole.write(of[i])
			if n := len(e.Tokens); n > 40 || n < 30 || !slices.Equal(all.Tokens[len(all.Tokens)-n:], e.Tokens) {
				t.Errorf("split %d: a prompt of %d tokens, expected the last 30 to 40 of the whole one", part, n)
			}
		}
	}
	if notes := strings.Join(r.Notes(), "\n"); !strings.Contains(notes, "12 of 12 prompts have fewer than 10 earlier ratings, 4 at least, to fit max_tokens 40") {
		t.Errorf("notes:\n%s", notes)
	}
}

// TestRatingsRefused: tables that hold no such ratings are refused by line and column with what was
// found and expected.
func TestRatingsRefused(t *testing.T) {
	const head = "userId,movieId,rating,timestamp\n"
	for content, want := range map[string]string{
		head + "1,1,4.0,5\n1,99,4.0,5\n": "ratings.csv:3:3: movieId: found movie 99, which has no row in ",
		head + "x,1,4.0,5\n":             `ratings.csv:2:1: userId: found "x", expected a whole number`,
		head + "1,1,9,5\n":               `ratings.csv:2:5: rating: found "9", expected a number of stars from 0 to 5`,
		head + "1,1,NaN,5\n":             `ratings.csv:2:5: rating: found "NaN", expected`,
		head + "1,1,4,2005-04-02\n":      `ratings.csv:2:7: timestamp: found "2005-04-02", expected a time in whole seconds since 1970`,
		head:                             "ratings.csv: found no row, expected one for each rating",
		"user,item\n1,2\n":               `ratings.csv:1: found the columns "user", "item", expected userId among them`,
		head + "1,1,4,5\n":               "no training prompt can be made of 1 ratings by 1 users",
	} {
		dir := writeTables(t)
		writeTable(t, dir, "ratings.csv", content)
		if _, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 64}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; expected %q", content, err, want)
		}
	}
	dir := writeTables(t)
	writeTable(t, dir, "movies.csv", "movieId,title,genres\n1,a,\n1,b,\n")
	if _, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 64}); err == nil || !strings.Contains(err.Error(), "movies.csv:3:1: movieId: found movie 1 a second time") {
		t.Errorf("a title twice: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "movies.csv")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRatings(t.Context(), RatingsConfig{Path: dir, MaxTokens: 64}); err == nil || !strings.HasSuffix(err.Error(), `found "ratings.csv", expected movies.csv or movies.csv.gz among them`) {
		t.Errorf("no titles: %v", err)
	}
	if _, err := ReadRatings(t.Context(), RatingsConfig{Path: filepath.Join(dir, "ratings.csv"), MaxTokens: 64}); err == nil || !strings.Contains(err.Error(), "found a file, expected a folder") {
		t.Errorf("a file: %v", err)
	}
}

// FuzzRatings: no tables make the reader panic, and what it reads of them are prompts with both
// answers.
func FuzzRatings(f *testing.F) {
	f.Add("movieId,title,genres\n1,\"a, (1990)\",X|Y\n", "userId,movieId,rating,timestamp\n1,1,4.0,5\n")
	f.Add("movieId,title,genres\r\n1,a,\r\n", "timestamp,rating,movieId,userId\r\n9,5,1,2\r\n")
	f.Fuzz(func(t *testing.T, movies, ratings string) {
		ctx := t.Context()
		m, err := datafile.NewTable(ctx, "movies.csv", strings.NewReader(movies), movieColumns...)
		if err != nil {
			return
		}
		r, err := datafile.NewTable(ctx, "ratings.csv", strings.NewReader(ratings), ratingColumns...)
		if err != nil {
			return
		}
		table, err := readRatings(ctx, RatingsConfig{Path: "x", MaxTokens: 64}, m, r, nil)
		if err == nil && !table.answers().both() {
			t.Error("prompts with one answer were read")
		}
	})
}

// hashEncoder has a token for each word, and for a line's end.
type hashEncoder struct{}

func (hashEncoder) Encode(text string) (ids []int32) {
	if text == "\n" {
		return []int32{1}
	}
	for _, word := range strings.Fields(text) {
		h := fnv.New32a()
		h.Write([]byte(word))
		ids = append(ids, int32(h.Sum32()>>2))
	}
	return ids
}

func (hashEncoder) Err() error { return nil }
