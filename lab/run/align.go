package run

import (
	"context"
	"fmt"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model/tokenizer"
)

// alignment says how a teacher of another vocabulary is compared.
type alignment string

// IsZero reports the default.
func (a alignment) IsZero() bool { return a == "" || a == "none" }

func (a alignment) describe() string {
	if a.IsZero() {
		return ""
	}
	return " byte by byte"
}

// checkAlign reports what a teacher of another vocabulary cannot do.
func (d *Distil) checkAlign(objective kd.Objective, bad func(key, with, format string, args ...any)) {
	if d.Align.IsZero() {
		return
	}
	with := d.notOneModel()
	switch {
	case with != "":
	case !d.Hidden.IsZero():
		with = "hidden"
	case d.Samples.Teacher != 0 || d.Samples.Speculative != 0:
		bad("samples", "align", "has answers that the teacher writes or judges, and its tokens are others: expected answers of the student alone")
		return
	}
	if with != "" {
		bad("align", with, "is %s, which is for one model in memory and its distributions: expected no %s, or align: none", d.Align, with)
		return
	}
	if err := new(kd.Aligned).CheckObjective(objective); err != nil {
		bad("loss", "align", "is %s: %v", d.Loss, err)
	}
}

// aliens are the loaded models of a point that only teach, step by step aligned: their tokens are
// not those of the data.
func aliens(p *scenario.Point) map[string]bool {
	found, used := map[string]bool{}, map[string]bool{}
	for _, s := range p.Steps {
		d, ok := s.Work.(*Distil)
		for _, name := range s.Inputs() {
			if ok && !d.Align.IsZero() && name == d.Teacher && name != s.From && name != d.Into {
				found[name] = true
			} else {
				used[name] = true
			}
		}
	}
	for name := range used {
		delete(found, name)
	}
	return found
}

// alien opens a teacher whose tokens may be others than those of the data.
func (w *worker) alien(ctx context.Context, name string) (*artifactModel, error) {
	same := keyError{"align", fmt.Errorf("is bytes, and teacher %s has the tokens of the data, since it is no loaded model of other tokens that does nothing else in the scenario: leave align out", name)}
	model, ok := w.cell.Point.Model(name)
	if !ok || model.Fresh() || !aliens(w.cell.Point)[name] {
		return nil, same
	}
	m, err := w.run.model(ctx, model.Load)
	if err != nil {
		return nil, err
	}
	tok, err := m.tokenizer()
	if err == nil && tok != nil && w.data.tokenizer.SameTokens(tok) == nil {
		err = same
	}
	return m, err
}

// aligned is a teacher of another vocabulary.
func (t *teaching) aligned(ctx context.Context, of *training, config *kd.TrainConfig) (kd.Teacher, error) {
	m := t.models[0]
	loaded, err := m.load(ctx)
	if err != nil {
		return nil, err
	}
	own := of.data.tokenizer
	tok, err := m.tokenizer()
	if err != nil {
		return nil, err
	}
	if tok == nil {
		return nil, fmt.Errorf("teacher %s has no tokenizer, and align: %s reads texts: give its folder tokenizer.json, or leave align out where its tokens are the student's", m.name, t.align)
	}
	ends := func(eos int32) []int32 {
		if eos < 0 {
			return nil
		}
		return []int32{eos}
	}
	eos := tok.EOS()
	if eos < 0 {
		eos = int32(m.origin.EOS)
	}
	a, err := kd.NewAligned(kd.NewModelTeacher(loaded, config.Precision), kd.Alignment{
		Student: kd.Vocabulary{Bytes: tokenBytes(own), Ends: ends(of.data.eos)},
		Teacher: kd.Vocabulary{Bytes: tokenBytes(tok), Ends: ends(eos)},
		Encode: func(text []byte) ([]int32, error) {
			ids := tok.Encode(string(text))
			return ids, tok.Err()
		},
		Begin: tok.Beginning(), Specials: counterparts(own, tok),
	})
	if err != nil {
		return nil, fmt.Errorf("teacher %s: %w", m.name, err)
	}
	of.run.noteOnce(lab.Warning, fmt.Sprintf("%s: the teacher %s has other tokens: its distributions of the next byte are compared, where both divide the text, which is an approximation", of.name(), m.name))
	for _, note := range a.Notes() {
		of.run.noteOnce(lab.Info, of.name()+": "+note)
	}
	return a, nil
}

// tokenBytes are the bytes of a tokenizer's tokens; special ones have none.
func tokenBytes(t *tokenizer.Tokenizer) [][]byte {
	all := make([][]byte, t.Vocab())
	for id := range all {
		if !t.Special(int32(id)) {
			all[id] = []byte(t.Text(int32(id)))
		}
	}
	return all
}

// counterparts are the special tokens that both have by the same name, but for those that begin
// every text.
func counterparts(student, teacher *tokenizer.Tokenizer) map[int32]int32 {
	same := map[int32]int32{}
	for id := range int32(student.Vocab()) {
		if !student.Special(id) {
			continue
		}
		if other, ok := teacher.ID(student.Token(id)); ok && teacher.Special(other) {
			same[id] = other
		}
	}
	for _, id := range student.Beginning() {
		delete(same, id)
	}
	return same
}
