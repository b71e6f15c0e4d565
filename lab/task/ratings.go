package task

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// RatingsConfig sets the task of ratings: a folder of tables, and what of it is used.
type RatingsConfig struct {
	Path string `key:"path"` // a folder with ratings.csv and movies.csv, or these with .gz
	// Limit is the most prompts of each split, taken at even distances; 0 is all.
	Limit int `key:"limit"`
	// MaxTokens bounds a prompt with its answer: the oldest ratings of a longer one are left out.
	MaxTokens int `key:"max_tokens"`
	// Item is what a prompt says of a title, one of ItemTags to ItemWord; "" is ItemGenres.
	Item string `key:"item" default:"title genres" omit:"default"`
}

// What a prompt says of a title, from the longest text to the shortest.
const (
	ItemTags   = "title genres tags" // and its most frequent tags, from a third table
	ItemGenres = "title genres"
	ItemTitle  = "title"
	ItemWord   = "word" // the title's first
)

// Validate reports the first setting that cannot be.
func (c RatingsConfig) Validate() error {
	switch {
	case c.Path == "":
		return fmt.Errorf("ratings: path is empty, expected a folder with ratings.csv and movies.csv")
	case c.Limit < 0:
		return fmt.Errorf("ratings: limit is %d, expected 0 (all) or more", c.Limit)
	case c.MaxTokens < 8:
		return fmt.Errorf("ratings: max_tokens is %d, expected at least 8", c.MaxTokens)
	case !slices.Contains([]string{"", ItemTags, ItemGenres, ItemTitle, ItemWord}, c.Item):
		return fmt.Errorf("ratings: item is %.40q, expected %q, %q, %q or %q", c.Item, ItemTags, ItemGenres, ItemTitle, ItemWord)
	}
	return nil
}

// The rule of the ratings task.
const (
	ratingsBefore = 10 // ratings of a user before a candidate, all in its prompt
	likedFrom     = 4  // a rating from here on is a like
	// weight of ½ in a title's share of likes, in ratings
	titlePrior = 5
	// ratingsMost bounds the test prompts, which are all in memory.
	ratingsMost = 1_000_000
)

// Names of the guesses of the ratings task, by which a candidate is scored without a model.
const (
	GuessTitle = "title" // share of likes of the title in all training ratings, shrunk to ½
	GuessUser  = "user"  // share of likes in the prompt
	GuessBoth  = "title + user"
)

// ratingsPrompt is the place of a candidate: a user, and an index in the user's ratings.
type ratingsPrompt struct{ user, at int32 }

// RatingTable is the users' ratings in the order of time, and the prompts made of them by split.
type RatingTable struct {
	cfg     RatingsConfig
	titles  []string // the text of each title
	users   []ratingUser
	content string
	// training, validation, calibration, test
	splits [4][]ratingsPrompt
	likes  []float64 // of each title in the training ratings, and the count of those
	rated  []float64
	notes  []string
}

type ratingUser struct {
	id      int64
	ratings []rating
}

// rating is one of a user's.
type rating struct {
	time  int64 // seconds since 1970
	movie int64
	title int32 // index of the movie in RatingTable.titles
	liked bool
}

// Indices of RatingTable.splits.
const (
	ratingsTrain = iota
	ratingsValidation
	ratingsCalibration
	ratingsTest
)

// trainingRatings is how many of a user's n ratings come before those of the test split.
func trainingRatings(n int) int { return n * 4 / 5 }

// split makes the prompts. Those of a user before the cut are for training, but for the last tenth,
// which is for validation, and the tenth before that, which is for calibration.
func (t *RatingTable) split() error {
	t.likes, t.rated = make([]float64, len(t.titles)), make([]float64, len(t.titles))
	short := 0
	for u, of := range t.users {
		n := len(of.ratings)
		cut := trainingRatings(n)
		for _, r := range of.ratings[:cut] {
			t.rated[r.title]++
			if r.liked {
				t.likes[r.title]++
			}
		}
		if n <= ratingsBefore {
			short++
		}
		tenth := max(0, cut-ratingsBefore) / 10
		for i := ratingsBefore; i < n; i++ {
			part := ratingsTrain
			switch {
			case i >= cut:
				part = ratingsTest
			case i >= cut-tenth:
				part = ratingsValidation
			case i >= cut-2*tenth:
				part = ratingsCalibration
			}
			t.splits[part] = append(t.splits[part], ratingsPrompt{int32(u), int32(i)})
		}
	}
	if short > 0 {
		t.notes = append(t.notes, fmt.Sprintf("ratings: %d of %d users have %d ratings or fewer, of which no prompt can be made", short, len(t.users), ratingsBefore))
	}
	for part, of := range t.splits {
		if len(of) == 0 {
			return fmt.Errorf("ratings: no %s prompt can be made of %d ratings by %d users: a prompt needs %d earlier ratings of its user, and validation 10 training prompts of one",
				ratingsSplits[part], t.ratings(), len(t.users), ratingsBefore)
		}
		t.splits[part] = evenly(of, t.cfg.Limit)
	}
	if n := len(t.splits[ratingsTest]); n > ratingsMost {
		return fmt.Errorf("ratings: found %d test prompts, expected at most %d: set limit", n, ratingsMost)
	}
	return t.describe()
}

var ratingsSplits = [4]string{"training", "validation", "calibration", "test"}

// evenly takes at most n of a list at even distances; n ≤ 0 takes all.
func evenly[T any](all []T, n int) []T {
	if n <= 0 || n >= len(all) {
		return all
	}
	taken := make([]T, n)
	for i := range taken {
		taken[i] = all[i*len(all)/n]
	}
	return taken
}

func (t *RatingTable) ratings() (n int) {
	for _, of := range t.users {
		n += len(of.ratings)
	}
	return n
}

// describe notes what was read, and how it is ranked without a model.
func (t *RatingTable) describe() error {
	first, last := t.users[0].ratings[0].time, t.users[0].ratings[0].time
	for _, of := range t.users {
		first, last = min(first, of.ratings[0].time), max(last, of.ratings[len(of.ratings)-1].time)
	}
	a := t.answers()
	if !a.both() {
		return fmt.Errorf("ratings: the %d test prompts have one answer only, so nothing can be ranked", len(a.Yes))
	}
	liked := 0
	for _, yes := range a.Yes {
		if yes {
			liked++
		}
	}
	day := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.DateOnly) }
	limit := ""
	if t.cfg.Limit > 0 {
		limit = fmt.Sprintf(" (limit %d of each split)", t.cfg.Limit)
	}
	t.notes = append(t.notes, fmt.Sprintf("ratings: %d of %d titles by %d users, %s to %s; prompts%s: %d training, %d validation, %d calibration, %d test, %.2f%% of these liked",
		t.ratings(), len(t.titles), len(t.users), day(first), day(last), limit,
		len(t.splits[ratingsTrain]), len(t.splits[ratingsValidation]), len(t.splits[ratingsCalibration]), len(a.Yes), 100*float64(liked)/float64(len(a.Yes))))
	text, count := "", slices.Repeat([]float64{1}, a.Groups)
	for _, g := range a.Guesses {
		rank, err := a.rank(g.Score)
		if err != nil {
			return err
		}
		text += fmt.Sprintf(", %s %.4f", g.Name, rank.auc(count))
		if rank.both() > 0 {
			text += fmt.Sprintf(" (within users %.4f)", rank.pooled(count))
		}
	}
	text = "ratings: AUC without a model: " + text[len(", "):]
	t.notes = append(t.notes, text)
	return nil
}

// answers is the test set without its prompts' tokens.
func (t *RatingTable) answers() *Answers {
	a := &Answers{Unit: "users", Groups: len(t.users), Grouped: true}
	var title, user, both []float64
	for _, p := range t.splits[ratingsTest] {
		of := t.users[p.user].ratings
		a.Yes, a.Group = append(a.Yes, of[p.at].liked), append(a.Group, int(p.user))
		movie := of[p.at].title
		byTitle := (t.likes[movie] + titlePrior/2.) / (t.rated[movie] + titlePrior)
		byUser := 0.
		for _, r := range of[p.at-ratingsBefore : p.at] {
			if r.liked {
				byUser += 1. / ratingsBefore
			}
		}
		title, user, both = append(title, byTitle), append(user, byUser), append(both, byTitle+byUser)
	}
	a.Guesses = []Guess{{GuessTitle, title}, {GuessUser, user}, {GuessBoth, both}}
	return a
}

// Content is the hexadecimal SHA-256 of the tables that are read, one after another.
func (t *RatingTable) Content() string { return t.content }

// Notes say what was read and made.
func (t *RatingTable) Notes() []string { return t.notes }

// Texts of an answer and after it.
const (
	answerYes  = " yes"
	answerNo   = " no"
	answerEnds = "\n"
)

// Corpus returns the texts of n training prompts, at even distances.
func (t *RatingTable) Corpus(n int) []string {
	prompts := evenly(t.splits[ratingsTrain], n)
	texts := make([]string, len(prompts))
	for i, p := range prompts {
		texts[i] = t.text(p)
	}
	return texts
}

// text is a prompt with its answer.
func (t *RatingTable) text(p ratingsPrompt) string {
	var b strings.Builder
	for i, r := range t.users[p.user].ratings[p.at-ratingsBefore : p.at+1] {
		if i > 0 {
			b.WriteString(answerEnds)
		}
		b.WriteString(t.titles[r.title])
		if r.liked {
			b.WriteString(answerYes)
		} else {
			b.WriteString(answerNo)
		}
	}
	return b.String()
}
