package tui

import (
	"fmt"
	"math"

	"slimlab/lab"
)

// layersLog is the log of a run of so many seeds that measures a model of so many layers by some
// choices: KL over several powers of ten, an error of each layer with one that is not a number.
func layersLog(seeds, layers int, choices ...string) []lab.Event {
	begin := &lab.Begin{Run: "20261130-0900-layers-h8", Scenario: "layers", Columns: []string{"bytes", "auc_soft"}, Rows: []string{"FM", "layers"}}
	for seed := 1; seed <= seeds; seed++ {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprintf("seed=%d", seed), Seed: seed})
	}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	now := 0.0
	add := func(e lab.Event) {
		now += 0.5
		e.Time = now
		events = append(events, e)
	}
	for n, cell := range begin.Cells {
		values := map[string]lab.Measure{"bytes": {Value: 6e6}, "auc_soft": {Value: 0.77}}
		add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Running, Stage: "FM"})
		add(lab.Event{Kind: lab.KindRow, Cell: cell.ID, Row: "FM", Values: values})
		kl := &lab.Matrix{Rows: layers, Columns: len(choices), ColumnLabels: choices}
		for layer := range layers {
			kl.RowLabels = append(kl.RowLabels, fmt.Sprintf("layer %d", layer))
		}
		wrong := *kl
		for i := range layers * len(choices) {
			layer, choice := i/len(choices), i%len(choices)
			x := math.Exp(-1.7*float64(choice)) * (1 + 0.7*math.Sin(float64(3*layer+n))) / float64(1+layer)
			kl.Values, wrong.Values = append(kl.Values, 0.3*x*x), append(wrong.Values, 0.2+0.1*x)
			add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Running, Stage: "layers", Step: i + 1, Total: layers * len(choices), Text: fmt.Sprintf("%s, layer %d: KL %.3g", choices[choice], layer, 0.3*x*x)})
		}
		wrong.Values[0] = math.NaN()
		add(lab.Event{Kind: lab.KindMatrix, Cell: cell.ID, Stage: "layers", Name: "KL", Matrix: kl})
		add(lab.Event{Kind: lab.KindMatrix, Cell: cell.ID, Stage: "layers", Name: "output error", Matrix: &wrong})
		add(lab.Event{Kind: lab.KindRow, Cell: cell.ID, Row: "layers", Values: values})
		add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Done})
	}
	return append(events, lab.Event{Kind: lab.KindEnd, Time: now, State: lab.Done})
}

var fewChoices = []string{"mlp 25%", "mlp 50%", "w8a8", "w4a16-g32"}

// manyChoices are more than any window has room for with their numbers.
func manyChoices(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("w4a16-gptq-act-g%d", 8*(i+1)))
	}
	return names
}

// openLayers shows the first events of a log on the Run screen, all where n is 0; the run goes on
// where some are missing.
func (s *script) openLayers(log []lab.Event, n int) *script {
	shown := &session{id: log[0].Begin.Run}
	if n > 0 {
		log = log[:n]
		shown.live, shown.began = &Live{Done: make(chan struct{})}, epoch
	}
	shown.board = lab.Fold(log)
	if shown.live != nil {
		shown.live.Board = shown.board
	}
	s.send(watchMsg{shown})
	return s
}
