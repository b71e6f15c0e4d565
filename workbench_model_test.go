package main

import (
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/scenarios"
	"slimlab/tui"
)

// TestModelOfEveryRowOfTheDemo: the detail of each row of a log says how its step was set, and,
// where its model is not on this machine, why not.
func TestModelOfEveryRowOfTheDemo(t *testing.T) {
	h := home.Open(t.TempDir(), "test")
	board, _, err := foldRun(h, tui.DemoRun)
	if err != nil {
		t.Fatal(err)
	}
	v := board.Snapshot()
	b := newBench(h, "")
	for i := range v.Rows {
		row := &v.Rows[i]
		info := b.Model(t.Context(), tui.ModelQuery{Begin: v.Begin, Step: row.Name, Params: row.Params, Key: "absent"})
		if info.Unread != nil || !strings.HasPrefix(info.Does, row.Name+": ") || len(info.Settings) == 0 {
			t.Errorf("%s: %+v", row.Name, info)
		}
		switch loaded := strings.HasPrefix(info.Model, "pretrained:"); {
		case loaded && (len(info.Engines) == 0 || len(info.Shape) == 0):
			t.Errorf("%s: nothing is known of %s: %v", row.Name, info.Model, info.Absent)
		case !loaded && (info.Absent == nil || info.Model != ""):
			t.Errorf("%s: found %q in an empty home", row.Name, info.Model)
		}
	}
	begin := v.Begin
	begin.Source = "name: [torn"
	if info := b.Model(t.Context(), tui.ModelQuery{Begin: begin, Step: "FM"}); info.Unread == nil {
		t.Error("a scenario that does not load has settings")
	}
}

// TestStagesOfAModel: the trainings on the way of a model's weights, in order, and no other step.
func TestStagesOfAModel(t *testing.T) {
	text, err := scenarios.Files.ReadFile("figure1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	begin := lab.Begin{Scenario: "figure1", Source: string(text)}
	for step, want := range map[string][]string{
		"FM": nil, "distilled": {"distilled"}, "mlp-37%": {"distilled"}, "mlp-37%-kd": {"distilled", "mlp-37%-kd"}, "w4a16": {"distilled", "mlp-37%-kd", "heads-50%-kd"},
	} {
		if info, _ := stepOf(tui.ModelQuery{Begin: begin, Step: step}); info.Unread != nil || !slices.Equal(info.Stages, want) {
			t.Errorf("%s: stages %q, %v, expected %q", step, info.Stages, info.Unread, want)
		}
	}
}
