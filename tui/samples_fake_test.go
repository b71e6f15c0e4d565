package tui

import (
	"fmt"
	"math"
	"strings"

	"slimlab/lab"
)

// onPolicyLog is the log of a run of a supervised step, a distillation and one on sampled answers,
// of so many seeds.
func onPolicyLog(seeds int) []lab.Event {
	begin := &lab.Begin{Run: "20261124-1130-on-policy-g7", Scenario: "on-policy", Columns: []string{"loss"}, Rows: []string{"teacher", "one", "two"}}
	for seed := 1; seed <= seeds; seed++ {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprintf("seed=%d", seed), Seed: seed})
	}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	now := 0.0
	add := func(e lab.Event) {
		now += 0.01
		e.Time = now
		events = append(events, e)
	}
	for _, cell := range begin.Cells {
		for i, stage := range begin.Rows {
			total := []int{200, 100, 120}[i]
			point := func(key string, step int, value float64) {
				add(lab.Event{Kind: lab.KindPoint, Cell: cell.ID, Stage: stage, Name: stage + "." + key, Step: step, Value: value})
			}
			for step := 1; step <= total; step++ {
				x := float64(step) / float64(total)
				point("loss", step, 0.5+float64(3-i)*math.Exp(-5*x))
				if i > 0 {
					point("divergence", step, 0.2+float64(3-i)*math.Exp(-4*x))
				}
				if step%20 == 0 {
					point("validation", step, 0.6+float64(3-i)*math.Exp(-3*x))
				}
				text := ""
				if i == 2 {
					point("ended", step, min(1, x*1.5))
					point("length", step, 40-30*x)
					point("repeated", step, x*x)
					text = fmt.Sprintf("%.0f%% of answers end, %.0f tokens", 100*min(1, x*1.5), 40-30*x)
				}
				if i == 2 && (step == 1 || step%12 == 0) {
					for n := range 4 {
						add(lab.Event{Kind: lab.KindSample, Cell: cell.ID, Stage: stage, Step: step, Sample: fakeSample(step, n)})
					}
				}
				add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Running, Stage: stage, Step: step, Total: total, Text: text})
				if i == 2 && step == 40 {
					add(lab.Event{Kind: lab.KindNote, Cell: cell.ID, Level: lab.Warning, Text: stage + ": step 40: none of the last 64 samples ended within its 40 tokens: the model has not learned to end, or the limit is too low"})
				}
				if i == 2 && step == 80 {
					add(lab.Event{Kind: lab.KindNote, Cell: cell.ID, Level: lab.Info, Text: stage + ": step 80: 32 of the last 64 samples end again, and not at once"})
				}
			}
			add(lab.Event{Kind: lab.KindRow, Cell: cell.ID, Row: stage, Values: map[string]lab.Measure{"loss": {Value: 0.6 + 0.1*float64(i)}}})
		}
		add(lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Done})
	}
	return append(events, lab.Event{Kind: lab.KindEnd, Time: now, State: lab.Done})
}

// fakeSample is the n-th sample of a step: of both writers, cut, of wide characters, empty.
func fakeSample(step, n int) *lab.Sample {
	s := &lab.Sample{Prompt: fmt.Sprintf("add %d and %d, case %d: \n", step, n, n), Answer: fmt.Sprintf("%d+%d=%d", step, n, step+n), Tokens: 7, Ended: true, By: lab.ByStudent}
	switch n {
	case 1:
		s.Answer, s.Tokens, s.Ended, s.AnswerCut = strings.Repeat("seven ", 60), 40, false, 17
	case 2:
		s.By, s.Prompt, s.Answer, s.PromptCut = lab.ByTeacher, strings.Repeat("日本語 ", 30), "答えは七\n\x1b[31mです", 321
	case 3:
		s.By, s.Answer, s.Tokens = lab.ByTeacher, "", 1
	}
	return s
}

// openOnPolicy shows the first events of such a run, all where n is 0; it is live where some are
// missing.
func (s *script) openOnPolicy(seeds, n int) *script {
	log := onPolicyLog(seeds)
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

// until is how many events a log has up to a step of a stage.
func until(log []lab.Event, stage string, step int) int {
	for i, e := range log {
		if e.Stage == stage && e.Step > step {
			return i
		}
	}
	return len(log)
}
