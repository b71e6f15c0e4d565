package tui

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"slimlab/lab"
	"slimlab/lab/report"
)

// TestMatrixScreens: the heat map of layers at the sizes that matter, with few columns and with
// more than fit, and in ASCII.
func TestMatrixScreens(t *testing.T) {
	log := layersLog(2, 12, fewChoices...)
	for _, size := range [][2]int{{40, 10}, {60, 15}, {80, 24}, {124, 40}, {240, 60}} {
		name := fmt.Sprintf("matrix-%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			goldenScreen(t, name, newScript(t, size[0], size[1], Options{}).openLayers(log, 0).keys("Ljj<right>").screen())
		})
	}
	many := layersLog(1, 64, manyChoices(30)...)
	for _, one := range []struct{ name, keys string }{{"shades", "L<end><right><right>"}, {"numbers", "Li<pgdown><right><right><right>s"}} {
		t.Run(one.name, func(t *testing.T) {
			goldenScreen(t, "matrix-many-"+one.name, newScript(t, 100, 30, Options{}).openLayers(many, 0).keys(one.keys).screen())
		})
	}
	t.Run("ascii", func(t *testing.T) {
		s := newScript(t, 80, 24, Options{ASCII: true}).openLayers(log, 0).keys("Ls")
		if i := strings.IndexFunc(s.screen(), func(r rune) bool { return r >= 0x80 }); i >= 0 {
			t.Errorf("%q in an ASCII screen", s.screen()[i:min(i+8, len(s.screen()))])
		}
		goldenScreen(t, "matrix-ascii", s.screen())
	})
}

// TestMatrixKeys: matrices and cells of the run are chosen, rows sorted, what is under the cursor
// named in full with its rank.
func TestMatrixKeys(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openLayers(layersLog(2, 12, fewChoices...), 0).expect("L layers")
	s.keys("L").expect("KL ↓ of layers, seed=1", "1 of 2 (v)", "worst 0.300", "shades are logarithmic", "[ ] layer 0, mlp 25%: 0.3 nats · rank 1 of 48, in its column 1 of 12, from the highest")
	s.keys("<left><up>").expect("[ ] layer 0, mlp 25%").keys("<right><right><right><right>").expect("[ ] layer 0, w4a16-g32: ", "in its column 1 of 12")
	s.keys("<end>").expect("[ ] layer 11, w4a16-g32").keys("<home><").expect("[ ] layer 0, w8a8")
	// sorted by the column under the cursor; the cursor stays on its row
	s.keys("jj").expect("[ ] layer 2, w8a8").keys("s").expect("w8a8▼", "[ ] layer 2, w8a8").keys("s").expect("w8a8▲")
	r := s.runScreen()
	ranks := func(ascending bool) {
		t.Helper()
		r.onMatrix(func(_ *lab.View, _ string, m *lab.MatrixView, c *matrixChart) {
			column := report.MatrixColumn(m.Matrix, 2)
			sorted := make([]float64, len(c.order))
			for i, row := range c.order {
				sorted[i] = column[row]
			}
			if !ascending {
				slices.Reverse(sorted)
			}
			if !slices.IsSorted(sorted) {
				t.Errorf("sorted, ascending %v: %v", ascending, sorted)
			}
		})
	}
	ranks(true)
	s.keys("s")
	ranks(false)
	top := r.matrix.made.order[0]
	s.keys("<home>").expect(fmt.Sprintf("[ ] layer %d, w8a8", top), "in its column 1 of 12").keys("z<home>").expect("[ ] layer 0, w8a8").expectNot("▼")
	// matrices, cells
	s.keys("n").expect("output error ↓ of layers, seed=1", "2 of 2", "1 not finite").expectNot("logarithmic").keys("n").expect("KL ↓").keys("N").expect("output error ↓")
	s.keys("<left><left>").expect("[ ] layer 0, mlp 25%: NaN · no rank").keys("s<end>").expect("[ ] layer 0, mlp 25%")
	s.keys("vKL<enter>").expect("KL ↓ of layers, seed=1").keys("wseed=2<enter>").expect("KL ↓ of layers, seed=2")
	s.keys("l").expectNot("logarithmic").keys("l").expect("logarithmic").keys("nl").expectNot("logarithmic").keys("N")
	s.keys("<enter>").expect("row 2 of 2").keys("<esc>").expect("KL ↓ of layers, seed=2")
	copied := ""
	s.m.clipboard = func(text string) tea.Cmd {
		copied = text
		return nil
	}
	s.keys("Y").expect("copied; the same: slimlab show 20261130-0900-layers-h8 --matrix layers.KL --format csv")
	if !strings.HasPrefix(copied, "run,cell,step,matrix,row,column,value\n20261130-0900-layers-h8,seed=1,layers,KL,layer 0,mlp 25%,0.3\n") {
		t.Errorf("copied %q", copied)
	}
	s.keys("e").expect("csv as shown", "matrix layers.KL").keys("<esc>?").expect("Run: Layers", "next matrix; the one before: N").keys("<esc>")
	s.keys("z:sort the rows<enter>").expect("▼").keys("<esc>").expect("▸step").keys("mlayer loses<enter>").expect("KL ↓")
}

// TestMatrixTakesTheMouse: a click takes a cell, a second one opens its row, one on a column's name
// sorts, the wheel scrolls.
func TestMatrixTakesTheMouse(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openLayers(layersLog(1, 12, fewChoices...), 0).keys("L")
	x, y := s.at("layer 4 ")
	s.click(x+10, y).expect("[ ] layer 4, mlp 25%").clickOn("w4a16-g32 ").expect("w4a16-g32▼", "[ ] layer 4, w4a16-g32")
	s.wheel(20, y, tea.MouseButtonWheelDown).expectNot("[ ] layer 4, w4a16-g32")
	x, y = s.at("layer 9 ")
	s.click(x+10, y).expect("[ ] layer 9, mlp 25%").click(x+10, y).expect("row 2 of 2")
}

// TestMatrixIsAwaited: before the measure is there the view says what is awaited and how far the
// run is; as it comes it is shown. A run that has none says why.
func TestMatrixIsAwaited(t *testing.T) {
	log := layersLog(2, 6, fewChoices...)
	at := slices.IndexFunc(log, func(e lab.Event) bool { return e.Kind == lab.KindMatrix })
	s := newScript(t, 80, 24, Options{}).openLayers(log, at-4).expectNot("L layers")
	s.keys("L").expect("No matrix: none is measured yet; a step sensitivity reports KL", "seed=1 layers 20/24, w4a16-g32, layer 4: KL")
	s.keys("s").expect("s: no matrix: none is measured yet").expectNot("▼")
	for _, e := range log[at-4 : at+1] {
		s.m.session.board.Apply(e)
	}
	s.send(tickMsg(epoch))
	s.expect("KL ↓ of layers, seed=1", "[ ] layer 0, mlp 25%").expectNot("1 of 1")
	s.keys("w").expect("seed=2", "not measured yet").keys("seed=2<enter>").expect("KL ↓ of layers, seed=1") // until it is there
	for _, e := range log[at+1:] {
		s.m.session.board.Apply(e)
	}
	s.send(tickMsg(epoch))
	s.expect("KL ↓ of layers, seed=2", "1 of 2 (v)")
	newScript(t, 80, 24, Options{}).openLayers(fakeLog("r", 1, 0), 0).keys("L").expect("No matrix: none of its steps measures its layers").expectNot("Y").keys("Ynvwsil<enter><left>").expect("No matrix")
}

// TestMatrixReplayed: a replay shows the matrix from its event on.
func TestMatrixReplayed(t *testing.T) {
	s := newScript(t, 80, 24, Options{})
	s.run(func() tea.Msg { return openedMsg{run: "r", events: layersLog(1, 3, fewChoices...)} })
	s.keys("L(").expect("none is measured yet", "replay paused").keys(")").expect("[ ] layer 0, mlp 25%").keys("(").expect("none is measured yet")
}

// TestMatrixShades: the worst cell has the lowest step of the heat scale and the best the highest,
// by the logarithm where that is said; where neither is better the highest value has.
func TestMatrixShades(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   []float64
	}{
		{"KL", []float64{1, 10, 1000}, []float64{1, 2. / 3, 0}},
		{"KL", []float64{1, 2, 3}, []float64{1, 0.5, 0}},
		{"KL", []float64{0, 1, 1000}, []float64{1, 1, 0}},
		{"other", []float64{1, 2, 3}, []float64{0, 0.5, 1}},
		{"KL", []float64{2, 2, 2}, []float64{1, 1, 1}},
	} {
		r := &runScreen{workbench: &workbench{theme: plainTheme(false)}}
		chart := r.matrixOf(&lab.MatrixView{Name: c.name, Matrix: &lab.Matrix{Rows: 3, Columns: 1, Values: c.values}})
		for i, x := range c.values {
			if g := chart.goodness(x); math.Abs(g-c.want[i]) > 1e-12 {
				t.Errorf("%s of %v: %v is %v good, expected %v", c.name, c.values, x, g, c.want[i])
			}
		}
	}
	rd := lipgloss.NewRenderer(io.Discard)
	rd.SetColorProfile(termenv.ANSI256)
	s := newScript(t, 124, 40, Options{}).openLayers(layersLog(1, 12, fewChoices...), 0)
	s.m.theme = themeNamed(rd, "dark", "", false)
	s.keys("L")
	worst, best := s.m.theme.heat(0), s.m.theme.heat(1)
	if screen := s.screen(); !strings.Contains(screen, worst.Open+"[    0.300]") || strings.Count(screen, best.Open) < 3 {
		t.Errorf("the worst cell is not in the worst colour, or none in the best:\n%s", screen)
	}
	s.keys("ii")
	if screen := s.screen(); !strings.Contains(screen, worst.Open+"[") || strings.Contains(screen, "░") {
		t.Errorf("without numbers:\n%s", screen)
	}
}

// TestMatrixAnySize: whatever the window and the matrix, frames are exact, the cursor's cell is
// seen, and the line below names it.
func TestMatrixAnySize(t *testing.T) {
	for _, log := range [][]lab.Event{layersLog(1, 1, "w8a8"), layersLog(2, 12, fewChoices...), layersLog(1, 80, manyChoices(40)...), frighten(layersLog(1, 5, fewChoices...), strings.Repeat("long日本 ", 30))} {
		s := newScript(t, 124, 40, Options{}).openLayers(log, 0).keys("L")
		for _, size := range [][2]int{{40, 10}, {41, 11}, {60, 15}, {79, 23}, {80, 24}, {124, 40}, {240, 60}, {40, 60}, {240, 10}} {
			s.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			for _, keys := range []string{"", "<end>", "<right><right><right><right><right>", "s", "i", "<pgup>", "i", "i", "n", "<home>"} {
				s.keys(keys)
				checkSize(t, s)
				screen := s.screen()
				if !strings.Contains(screen, "\n [ ] ") {
					t.Fatalf("%d×%d after %q: no line about the cursor\n%s", size[0], size[1], keys, screen)
				}
				lines := strings.Split(screen, "\n")
				if n := strings.Count(strings.Join(lines[3:len(lines)-1], "\n"), "["); n < 2 {
					t.Fatalf("%d×%d after %q: the cursor's cell is not seen\n%s", size[0], size[1], keys, screen)
				}
			}
		}
	}
}

// TestMatrixOfASweep: the command that is copied names the point of the sweep whose matrix is
// shown; the cell is that of the row under the cursor until one is chosen.
func TestMatrixOfASweep(t *testing.T) {
	log := layersLog(3, 4, fewChoices...)
	for i := range log[0].Begin.Cells {
		log[0].Begin.Cells[i].Params = []lab.Param{{Key: "ratio", Value: fmt.Sprint(0.25 * float64(i))}}
	}
	log[0].Begin.Depends = [][]string{{}, {"ratio"}}
	s := newScript(t, 160, 40, Options{}).openLayers(log, 0)
	s.m.clipboard = func(string) tea.Cmd { return nil }
	s.keys("<end>L").expect("KL ↓ of layers, seed=3").keys("Y").expect("--where 'row=layers ratio=0.5' --matrix layers.KL --format csv")
	s.keys("wseed=2<enter>").expect("KL ↓ of layers, seed=2").keys("Y").expect("--where 'row=layers ratio=0.25' --matrix layers.KL --format csv")
	s.keys("<esc><home>L").expect("KL ↓ of layers, seed=2")
}
