package run

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// writeRatings writes a folder of ratings: 4 users, who like every second, third, … title, and
// the titles whose number shift moves.
func writeRatings(t *testing.T, shift int) string {
	t.Helper()
	dir := t.TempDir()
	movies, ratings := "movieId,title,genres\n", "userId,movieId,rating,timestamp\n"
	for i := 1; i <= 60; i++ {
		movies += fmt.Sprintf("%d,\"Film %c (19%02d)\",A|B\n", i, 'a'+i%26, i)
		for user := 1; user <= 4; user++ {
			stars := 2
			if (i*user+i*i+shift)%(user+1) < 1 {
				stars = 4
			}
			ratings += fmt.Sprintf("%d,%d,%d,%d\n", user, (i*7)%60+1, stars, 1000+i)
		}
	}
	for name, content := range map[string]string{"movies.csv": movies, "ratings.csv": ratings} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRatingsRun: a run on ratings measures AUC over all and within users, beside the guesses that
// need no model; gains are of the figures beside them, and a row's own influences are given.
func TestRatingsRun(t *testing.T) {
	const second = "  - distil: { name: second, into: little, teacher: first, steps: 3, batch: 4 }\nevaluate:"
	text := strings.Replace(fmt.Sprintf(onRatings, writeRatings(t, 1)), "evaluate:", second, 1)
	view := mustWork(t, copyHome(t, onlyTokenizer), parse(t, text, scenario.Options{}), Options{}).Board.Snapshot()
	for _, row := range view.Rows {
		values := map[string]lab.Measure{}
		for _, key := range []string{"auc", "auc_within", "auc_within_mean", "auc_title", "auc_user", "auc_title_user", "auc_gain", "auc_within_title", "auc_within_gain", "auc_delta", "loss"} {
			s, has := row.Metric(key)
			if !has {
				t.Errorf("%s has no %s", row.Name, key)
				continue
			}
			values[key] = lab.Measure{Value: s.Value}
			if of := s.Seeds[0].Influence; of == nil || key != "loss" && (of.Unit != "users" || of.Units != 4) {
				t.Errorf("%s of %s: influence %+v, expected that of 4 users", key, row.Name, of)
			}
		}
		name := row.Name
		if got, want := values["auc_gain"].Value, values["auc"].Value/values["auc_title_user"].Value-1; math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: gain %v, expected %v", name, got, want)
		}
		if got, want := values["auc_within_gain"].Value, values["auc_within"].Value/values["auc_within_title"].Value-1; math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: gain within %v, expected %v", name, got, want)
		}
	}
}
