package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"

	"slimlab/lab/convert"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/lab/tokenview"
	"slimlab/tui"
)

// Model reads how a row's model is made and where it lies.
func (b *bench) Model(_ context.Context, q tui.ModelQuery) tui.ModelInfo {
	info, loaded := stepOf(q)
	info.Model, info.Bytes, info.Absent = b.artifact(q.Key)
	if info.Absent != nil && loaded != "" {
		info.Model, info.Absent = loaded, nil
	}
	if info.Model == "" {
		return info
	}
	in, err := convert.Inspect(info.Model, b.home.OpenModel)
	if err != nil { // no command would work on it
		info.Model, info.Absent = "", err
		return info
	}
	info.Shape = append(info.Shape, fmt.Sprintf("%s, %s parameters in %s", in.Family, countText(in.Parameters), bytesText(in.Bytes)))
	for _, f := range in.Formats {
		info.Shape = append(info.Shape, fmt.Sprintf("%s: %d linear layers", f.Name, f.Layers))
	}
	for _, v := range in.Verdicts {
		info.Engines = append(info.Engines, v.Engine+" "+v.String())
	}
	return info
}

// Tokens reads what a row's model says of a few answers.
func (b *bench) Tokens(ctx context.Context, key string) (*tokenview.View, error) {
	return readTokens(ctx, b.home, key)
}

// stepOf resolves the step of a row by the scenario that its log holds. loaded is the MODEL that
// the step measures as it is; "" where it makes one.
func stepOf(q tui.ModelQuery) (info tui.ModelInfo, loaded string) {
	if q.Begin.Source == "" {
		info.Unread = errors.New("the run's log has no scenario's text")
		return info, ""
	}
	s, err := scenario.Parse(q.Begin.Scenario+".yaml", []byte(q.Begin.Source), scenario.Options{
		Vocabulary: run.Vocabulary(), Set: q.Begin.Settings, Quick: q.Begin.Quick,
	})
	if err != nil {
		info.Unread = fmt.Errorf("this version does not read the run's scenario: %w", err)
		return info, ""
	}
	for i := range s.Points {
		p := &s.Points[i]
		step, found := p.Step(q.Step)
		if !found || len(p.Params)+len(q.Params) > 0 && !reflect.DeepEqual(p.Params, q.Params) {
			continue
		}
		info.Does, info.Stages = step.String(), stagesOf(p, step)
		for _, setting := range step.Settings() {
			info.Settings = append(info.Settings, tui.Setting(setting))
		}
		if work, ok := step.Work.(*run.Baseline); ok {
			if m, ok := p.Model(work.Model); ok {
				loaded = m.Load
			}
		}
		return info, loaded
	}
	info.Unread = fmt.Errorf("the run's scenario has no step %s at this point of its sweep", q.Step)
	return info, ""
}

// stagesOf names the steps that train on the way of the weights to a step's model, in order.
func stagesOf(p *scenario.Point, step scenario.Step) (stages []string) {
	for range p.Steps { // no way is longer
		from := step.From
		var training *run.Training
		switch work := step.Work.(type) {
		case *run.Train:
			training = &work.Training
		case *run.Distil:
			training = &work.Training
		}
		if training != nil {
			stages = append([]string{step.Name}, stages...)
			if training.Into != "" {
				from = training.Into
			}
		}
		var found bool
		if step, found = p.Step(from); !found {
			break
		}
	}
	return stages
}

// artifact finds a model of the home by its key. Its checksums are not read.
func (b *bench) artifact(key string) (folder string, bytes int64, err error) {
	if key == "" {
		return "", 0, errors.New("no model yet: the row has not been measured")
	}
	entries, err := b.home.Artifacts.Entries()
	if err != nil {
		return "", 0, err
	}
	for _, e := range entries {
		switch {
		case e.Name != key:
		case e.Condition == store.Complete:
			return filepath.Join(b.home.Folder, "artifacts", key), e.Bytes, nil
		default:
			return "", 0, fmt.Errorf("its artifact in this home is %s", e.Condition)
		}
	}
	return "", 0, errors.New("its model is not in this home: slimlab clean removed it, or another machine made it; a run of the scenario makes it again")
}
