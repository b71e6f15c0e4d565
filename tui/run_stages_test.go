package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestCurvesByStage: the trainings of a row's model stand one after the other on one axis; under
// the inspect cursor is the stage that it is in. A row of one training has no such chart.
func TestCurvesByStage(t *testing.T) {
	for _, size := range [][2]int{{124, 40}, {160, 50}} {
		s := newScript(t, size[0], size[1], Options{}).openOne().keys("jjjjj<enter>mloss by stage<enter>")
		s.expect("loss by stage: distilled | mlp-37%-kd")
	}
	s := newScript(t, 200, 60, Options{}).openOne().keys("jjjjj<enter>mloss by stage<enter>")
	s.expect("loss by stage: distilled | mlp-37%-kd | heads-50%-kd", "400")
	goldenScreen(t, "stages-200x60", s.screen())
	s.keys("<left>").expect("at step 500").expectNot("distilled 0.")
	s.keys("<esc>kkkk<enter>m").expect("distilled.loss").expectNot("by stage")
}

// openOne opens a run of one seed.
func (s *script) openOne() *script {
	s.send(openedMsg{run: DemoRun, board: foldDemo()})
	return s
}

func foldDemo() *lab.Board { return lab.Fold(fakeLog(DemoRun, 1, 0)) }

// TestChartsByStage: a chart for each kind of curve has all stages one after the other, or one
// alone; shares are in per cent and lengths in tokens; what is hidden, marked or chosen alone is
// what is exported.
func TestChartsByStage(t *testing.T) {
	for _, size := range [][2]int{{60, 15}, {80, 24}, {124, 40}, {200, 60}} {
		name := fmt.Sprintf("by-stage-%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			goldenScreen(t, name, newScript(t, size[0], size[1], Options{}).openOnPolicy(1, until(onPolicyLog(1), "two", 60)).keys("Ts").screen())
		})
	}
	t.Run("ascii", func(t *testing.T) {
		s := newScript(t, 80, 24, Options{ASCII: true}).openOnPolicy(1, 0).keys("Ts")
		if i := strings.IndexFunc(s.screen(), func(r rune) bool { return r >= 0x80 }); i >= 0 {
			t.Errorf("%q in an ASCII screen", s.screen()[i:min(i+8, len(s.screen()))])
		}
		goldenScreen(t, "by-stage-ascii", s.screen())
	})
	s := newScript(t, 124, 40, Options{}).openOnPolicy(1, 0).keys("T").expect("11 series", "two.ended   100% at step 120", "two.length   10 tokens at step 120", "0%┤")
	s.keys("s").expect("6 charts · stages one after the other:", "ended   two 100% at step 120").expectNot("11 series", "two.ended")
	s.keys("<right>").expect("2 charts · one stage alone:", "[teacher]", "teacher.loss", "teacher.validation").expectNot("divergence")
	s.keys("<right><right>").expect("[two]", "two.repeated   100% at step 120", "6 charts")
	if shown := s.runScreen().shown(); shown.Curves != "two.loss,two.divergence,two.ended,two.length,two.repeated,two.validation" {
		t.Errorf("exports %q", shown.Curves)
	}
	s.keys("<right>").expect("stages one after the other:").keys("<left>").expect("[two]").keys("s").expect("11 series").keys("<left>").expect("11 series")
	s.keys("sMtwo.ended<enter>").expect("5 charts", "1 hidden (M)").keys("Mall<enter>").expect("6 charts")
	s.keys("<esc>j<space>T").expect("3 charts", "of the marked rows").expectNot("teacher", "ended")
	s.keys("<esc>mcurves by stage<enter>").expect("stages one after the other:")
	// two seeds: each stage in its style, all seeds of it
	newScript(t, 124, 40, Options{}).openOnPolicy(2, 0).keys("Ts").expect("stage:", "teacher (2)", "one (2)", "two (2)")
	// the axis has room for all stages on every chart
	s = newScript(t, 200, 60, Options{}).openOnPolicy(1, 0).keys("Ts")
	if !slices.ContainsFunc(strings.Split(s.screen(), "\n"), func(line string) bool { return strings.Count(line, "╎") == 6 }) {
		t.Errorf("no line has the two bounds of three charts:\n%s", s.screen())
	}
	// the curves of samples on a row's page
	s = newScript(t, 124, 40, Options{}).openOnPolicy(1, 0).keys("jj<enter>mtwo.ended<enter>").expect("two.ended", "100% at step 120")
	s.keys("mtwo.length<enter>").expect("10 tokens at step 120")
}
