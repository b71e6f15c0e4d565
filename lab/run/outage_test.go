package run

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// busy has the endpoint refuse requests for which fails is true; the number is the run's own.
func (s *served) busy(fails func(n int) bool) {
	first, _ := s.Calls()
	s.SetBefore(func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if !fails(n - first) {
			return false
		}
		http.Error(w, "slow down", http.StatusTooManyRequests)
		return true
	})
}

// notesWith are a run's notes that have a text.
func notesWith(b *lab.Board, text string) (notes []lab.Note) {
	for _, n := range b.Snapshot().Notes {
		if strings.Contains(n.Text, text) {
			notes = append(notes, n)
		}
	}
	return notes
}

// TestOutageIsShown: while an endpoint does not answer, the progress names it, the attempt, the
// wait and the reason, and nothing of that afterwards; notes say that it does not answer, and that
// it does again, once. In a search and a cache's build too.
func TestOutageIsShown(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	for keys, progress := range map[string]string{
		"": "", ", cache: exact": "", ", search: { over: \"learning_rate=1e-2,2e-2\" }": "trial 1 of 2: learning_rate=0.01; ",
	} {
		s.busy(func(n int) bool { return n > 1 && n < 5 })
		var shown []lab.Event
		text := fmt.Sprintf(remoteSteps, data, s.folder, s.url, "", ", concurrent: 1")
		text = strings.Replace(text, "concurrent: 1 }", "concurrent: 1 }"+keys, 1)
		out := mustWork(t, newHome(t), parse(t, text, scenario.Options{}), Options{Sleep: noWait, Sink: func(e lab.Event) {
			if e.Kind == lab.KindCell && e.Stage == "far" {
				shown = append(shown, e)
			}
		}})
		name := "tiny at " + s.url + "/v1"
		first := notesWith(out.Board, "far: "+name+" does not answer: status 429 Too Many Requests: slow down; attempt 2 of 6 in ")
		again := notesWith(out.Board, "far: "+name+" answers again, after ")
		if len(first) != 1 || first[0].Level != lab.Warning || len(again) != 1 || again[0].Level != lab.Info || first[0].Cell == "" || again[0].Cell != first[0].Cell {
			t.Errorf("%s: %v and %v", keys, first, again)
		}
		attempts, at := 0, 0
		for i, e := range shown {
			if strings.HasPrefix(e.Text, fmt.Sprintf("%s%s: status 429, attempt %d of 6 in ", progress, name, attempts+2)) {
				attempts, at = attempts+1, i
			} else if strings.Contains(e.Text, "attempt") {
				t.Errorf("%s: progress says %q", keys, e.Text)
			}
		}
		if attempts != 3 || at+1 >= len(shown) || shown[at+1].Text != strings.TrimSuffix(progress, "; ") {
			t.Errorf("%s: progress shows %d attempts, then %v", keys, attempts, shown[at:])
		}
	}
}

// TestManyOutages: of outages that the second attempt ends some are said, of those that last all,
// and their number and time at the end.
func TestManyOutages(t *testing.T) {
	s, data := serveFixed(t), sums(t)
	s.busy(func(n int) bool { return n > 1 && n%2 == 0 || n == 21 })
	out := mustWork(t, newHome(t), s.plan(t, data, "", ", concurrent: 1"), Options{Sleep: noWait, Now: clock()})
	var said []string
	for _, n := range notesWith(out.Board, "does not answer") {
		_, rest, _ := strings.Cut(n.Text, "does not answer")
		said = append(said, strings.Split(rest, " in ")[0])
	}
	const busy = ": status 429 Too Many Requests: slow down; attempt "
	want := []string{busy + "2 of 6", " (outage 2)" + busy + "2 of 6", " (outage 4)" + busy + "2 of 6", " (outage 8)" + busy + "2 of 6", " (outage 10)" + busy + "3 of 6", " (outage 16)" + busy + "2 of 6"}
	if strings.Join(said, "|") != strings.Join(want, "|") {
		t.Errorf("said %q, expected %q", said, want)
	}
	if again := notesWith(out.Board, "answers again"); len(again) != len(want) {
		t.Errorf("%d times said to answer again, expected %d", len(again), len(want))
	}
	if sum := notesWith(out.Board, " times, for "); len(sum) != 1 || !strings.Contains(sum[0].Text, "did not answer 2") || strings.Contains(sum[0].Text, ", for 0") {
		t.Errorf("in all: %v", sum)
	}
}
