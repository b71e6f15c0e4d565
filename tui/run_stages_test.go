package tui

import (
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
