package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"slimlab/internal/await"
	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/lab/datafile"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
)

// maxBatch bounds the sequences of a step, as in scenarios.
const maxBatch = 1 << 16

// Distillation is how a student is trained. Its zero fields have no defaults: the command line has.
type Distillation struct {
	// a file of records, of which the responses are learned, or of text, of which every token is
	Data string
	// of records that hold prompt and response; empty ones are found by their usual names
	PromptField, ResponseField string
	// of records: the factor of a record's loss, and the spans of its response that have none
	WeightField, MaskField string
	Objective              kd.Objective
	Steps                  int
	Batch                  int // sequences of a step
	// tokens of a sequence; 0 is 256, or the models' positions where they are fewer
	Length       int
	LearningRate float64
	WarmUp       int
	// sequences that are kept from training and measured after the last step
	Validation int
	Seed       uint64
	Precision  kernels.Precision // of the student's products
	Recompute  bool              // activations: less memory for a third more time

	eos int32 // of the student's config; −1 is none
}

// Set sets the objective and the precision by their names; an empty loss is the usual one with a
// teacher or without.
func (d *Distillation) Set(loss, precision string, teacher bool) (err error) {
	if loss == "" {
		loss = map[bool]string{true: "fkl", false: "sft"}[teacher]
	}
	if d.Objective, err = kd.ParseObjective(loss); err != nil {
		return err
	}
	if needs := d.Objective.Divergence != kd.None; needs != teacher {
		return fmt.Errorf("--loss %s: found %s, expected %s", loss, has(teacher), has(needs))
	}
	for _, p := range []kernels.Precision{kernels.Float32, kernels.BFloat16} {
		if p.String() == precision {
			d.Precision = p
			return nil
		}
	}
	return fmt.Errorf("--precision %q: expected float32 or bfloat16", precision)
}

func has(teacher bool) string {
	if teacher {
		return "--teacher MODEL"
	}
	return "no --teacher"
}

// defaultExample is the tokens of a sequence where none are given.
const defaultExample = 256

// check reports settings that no model can be trained with.
func (d Distillation) check() error {
	switch {
	case d.Steps < 1:
		return fmt.Errorf("--steps %d: expected at least 1", d.Steps)
	case d.Batch < 1 || d.Batch > maxBatch:
		return fmt.Errorf("--batch %d: expected 1 to %d sequences", d.Batch, maxBatch)
	case d.Length != 0 && d.Length < 2:
		return fmt.Errorf("--length %d: expected at least 2 tokens", d.Length)
	case d.Validation < 0:
		return fmt.Errorf("--validation %d: expected 0, none, or more sequences", d.Validation)
	case d.WarmUp < 0 || d.WarmUp > d.Steps:
		return fmt.Errorf("--warm-up %d: expected 0 to %d, the --steps", d.WarmUp, d.Steps)
	case !(d.LearningRate > 0) || math.IsInf(d.LearningRate, 0):
		return fmt.Errorf("--learning-rate %v: expected a finite number above 0", d.LearningRate)
	case d.PromptField != "" && d.PromptField == d.ResponseField:
		return fmt.Errorf("--prompt-field and --response-field are both %q", d.PromptField)
	case d.WeightField != "" && d.WeightField == d.MaskField:
		return fmt.Errorf("--weight-field and --mask-field are both %q", d.WeightField)
	}
	return nil
}

// Distil trains the checkpoint student to answer as the checkpoint teacher does, or alone where
// teacher is "", and writes it to the new folder to.
func Distil(ctx context.Context, student, teacher, to string, d Distillation, o Options) (*Result, error) {
	return locked(acquireFolder, to, func(to string) (*Result, error) { return distil(ctx, student, teacher, to, d, o) })
}

func distil(ctx context.Context, student, teacher, to string, d Distillation, o Options) (*Result, error) {
	start := time.Now()
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := checkpoint.CheckNew(to); err != nil {
		return nil, err
	}
	source, r, err := o.begin(student)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	inputs, err := d.watch(ctx, student, teacher, o)
	if err != nil {
		return nil, err
	}
	if err := o.checkRoom(to, int64(o.DType.Size())*int64(source.Config().Parameters())+source.OtherBytes()); err != nil {
		return nil, err
	}
	err = whole("distil", to, func(partial string) error {
		if err := os.MkdirAll(partial, 0o755); err != nil {
			return err
		}
		// which may change while the student learns
		if err := source.CopyOtherFiles(partial); err != nil {
			return err
		}
		trained, err := d.train(ctx, source, teacher, inputs, o, r)
		if err != nil {
			return fmt.Errorf("distil: %w", err)
		}
		return checkpoint.Save(ctx, partial, trained, nil, checkpoint.SaveOptions{DType: o.DType})
	})
	if err != nil {
		return nil, err
	}
	if err := inputs.noteChanges(ctx, r); err != nil {
		return nil, err
	}
	return r, r.complete(to, start)
}

// train returns the trained model of source, and adds its report to r.
func (d Distillation) train(ctx context.Context, source *checkpoint.Checkpoint, teacher string, inputs watched, o Options, r *Result) (*model.Model, error) {
	config := kd.TrainConfig{
		Objective: d.Objective, Steps: d.Steps, LearningRate: d.LearningRate, WarmUp: d.WarmUp, Floor: 0.1, WeightDecay: 0.01,
		Precision: d.Precision, Recompute: d.Recompute,
	}
	positions, notes, err := loadModels(ctx, source, teacher, o.Open, &config)
	if err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, notes...)
	if d.Length == 0 {
		d.Length = min(defaultExample, positions)
		if positions < defaultExample {
			r.Notes = append(r.Notes, fmt.Sprintf("sequences have at most --length %s, the positions of the models", plural.Of(positions, "token")))
		}
	}
	if d.Length < 2 || d.Length > positions {
		return nil, fmt.Errorf("--length %d: expected sequences of 2 to %d tokens, the positions of the models", d.Length, positions)
	}
	examples, err := d.examples(ctx, source, positions)
	if err != nil {
		return nil, err
	}
	if err := inputs.check(ctx); err != nil {
		return nil, err
	}
	config.Next, config.Validation = examples.batches, examples.validation
	r.Notes = append(r.Notes, examples.notes...)
	r.Distillation = &DistillationReport{Objective: d.Objective.Formula(), Steps: d.Steps, HeldOut: len(config.Validation)}
	if len(config.Validation) > 0 {
		before, err := kd.WeightedLoss(ctx, config.Student, config.Validation)
		if err != nil {
			return nil, err
		}
		r.Distillation.Before = &before
	}
	result, err := kd.Train(ctx, config, func(s kd.StepReport) {
		o.Progress(s.Step, s.Total, fmt.Sprintf("loss %.4f, gradient norm %.3g", s.Loss, s.GradNorm))
	})
	if err != nil {
		return nil, err
	}
	r.Distillation.Tokens, r.Distillation.Loss = result.Last.Tokens, result.Last.Loss
	if after := result.Last.Validation; !math.IsNaN(after) {
		r.Distillation.After = &after
	}
	return config.Student, nil
}

// loadModels reads the student, and the teacher unless its name is "", into a config, and returns
// the positions that both have and the notes on the teacher's files.
func loadModels(ctx context.Context, source *checkpoint.Checkpoint, teacher string, open Opener, config *kd.TrainConfig) (positions int, notes []string, err error) {
	if err := source.CheckFinite(ctx, "the student"); err != nil {
		return 0, nil, err
	}
	if config.Student, err = source.Model(ctx); err != nil {
		return 0, nil, err
	}
	if err := config.Student.Trainable(); err != nil {
		return 0, nil, fmt.Errorf("the student: %w", err)
	}
	if teacher == "" {
		return config.Student.MaxPositions, nil, nil
	}
	t, err := open(teacher)
	if err != nil {
		return 0, nil, err
	}
	defer t.Close()
	note, err := sameTokens(source, t)
	if err != nil {
		return 0, nil, err
	}
	if note != "" {
		notes = append(notes, note)
	}
	if err := t.CheckFinite(ctx, "the teacher"); err != nil {
		return 0, nil, err
	}
	of, err := t.Model(ctx)
	if err != nil {
		return 0, nil, err
	}
	config.Teacher = kd.NewModelTeacher(of, config.Precision)
	for _, note := range t.Notes() {
		notes = append(notes, "the teacher: "+note)
	}
	return min(config.Student.MaxPositions, of.MaxPositions), notes, nil
}

// sameTokens reports a teacher whose ids stand for other tokens than the student's, and returns a
// note where only the rest of the tokenizers differs.
func sameTokens(student, teacher *checkpoint.Checkpoint) (note string, err error) {
	a, err := student.Tokenizer()
	if err != nil {
		return "", err
	}
	b, err := teacher.Tokenizer()
	if err != nil {
		return "", err
	}
	switch {
	case a == nil:
		return "", errors.New("the student has no tokenizer, so no data can be read")
	case b == nil:
		return "", errors.New("the teacher has no tokenizer, expected one with the student's tokens")
	case a.Hash() == b.Hash():
		return "", nil
	}
	if err := a.SameTokens(b); err != nil {
		return "", fmt.Errorf("the teacher's tokens are not the student's, so their probabilities are of different things: %w (first: the student)", err)
	}
	return "the teacher's tokenizer has the student's tokens and differs in the rest: the student's makes the tokens that both read", nil
}

// examples are what a student learns from, and what is kept for validation.
type examples struct {
	batches    kd.Batches
	validation []kd.Example
	notes      []string
}

// examples reads the data. positions are those of the models.
func (d Distillation) examples(ctx context.Context, from *checkpoint.Checkpoint, positions int) (*examples, error) {
	t, err := from.Tokenizer()
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("the student has no tokenizer, so no data can be read")
	}
	file, err := datafile.Open(ctx, d.Data)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d.eos = int32(from.Config().EOS)
	var e *examples
	if file.Form() == datafile.Text {
		e, err = d.textExamples(ctx, t, file)
	} else {
		e, err = d.recordExamples(ctx, t, file, positions)
	}
	if err != nil {
		return nil, err
	}
	check := func(list []kd.Example) error {
		for _, one := range list {
			if err := t.CheckIDs(one.Tokens, from.Config().Vocab); err != nil {
				return fmt.Errorf("%s: %w", file.Name(), err)
			}
		}
		return nil
	}
	all := e.batches
	e.batches = func(ctx context.Context, step int) ([]kd.Example, error) {
		batch, err := all(ctx, step)
		if err == nil {
			err = check(batch)
		}
		return batch, err
	}
	return e, check(e.validation)
}

// recordExamples are prompts with responses, of which the responses are learned.
func (d Distillation) recordExamples(ctx context.Context, t *tokenizer.Tokenizer, file *datafile.File, positions int) (*examples, error) {
	var notes []string
	eos := t.EOS()
	if eos < 0 && d.eos >= 0 && int(d.eos) < t.Vocab() {
		eos = d.eos
		notes = append(notes, fmt.Sprintf("the tokenizer names no end-of-sequence token: responses end with %d (%q), the model's", eos, t.Token(eos)))
	}
	if eos < 0 {
		return nil, errors.New("the tokenizer names no end-of-sequence token, and the model none, expected one to end each response: give eos_token_id in config.json or eos_token in tokenizer_config.json")
	}
	c := task.DefaultJSONL(d.Data)
	c.MostTokens, c.MaxTokens, c.PromptField, c.ResponseField = positions, d.Length, d.PromptField, d.ResponseField
	c.WeightField, c.MaskField = d.WeightField, d.MaskField
	c.Knobs = task.Knobs{MaxTokens: "--length", PromptField: "--prompt-field", ResponseField: "--response-field", WeightField: "--weight-field", MaskField: "--mask-field", KeepNone: "--validation 0"}
	if d.Validation == 0 {
		c.ValidationShare, c.CalibrationShare = 0, 0
	}
	records, err := await.Do(ctx, func() (*task.JSONL, error) {
		r, err := task.NewRecords(c, file)
		if err != nil {
			return nil, err
		}
		return r.Tokenize(ctx, t, eos, chatOf(t))
	})
	if err != nil {
		return nil, err
	}
	e := &examples{notes: append(notes, records.Notes()...)}
	if d.Validation > 0 {
		for _, one := range records.Validation(d.Validation) {
			e.validation = append(e.validation, kd.Example{Tokens: one.Tokens, Answer: one.Answer, Weights: one.Weights})
		}
		e.notes = append(e.notes, fmt.Sprintf("%s: %s %s kept from training, by a hash of each prompt, %d of which are measured (--validation %d); --validation 0 trains on all",
			file.Name(), plural.Of(records.Kept(), "record"), plural.Verb(records.Kept()), len(e.validation), d.Validation))
	}
	e.batches = func(_ context.Context, step int) ([]kd.Example, error) {
		batch := make([]kd.Example, d.Batch)
		for i := range batch {
			one := records.Train(d.Seed, (step-1)*d.Batch+i)
			batch[i] = kd.Example{Tokens: one.Tokens, Answer: one.Answer, Weights: one.Weights}
		}
		return batch, nil
	}
	return e, nil
}

// textExamples are places of a text, of which every token is learned; its end is held out.
func (d Distillation) textExamples(ctx context.Context, t *tokenizer.Tokenizer, file *datafile.File) (*examples, error) {
	if d.WeightField+d.MaskField != "" {
		return nil, fmt.Errorf("%s: found a text, every token of which is learned alike, expected records for --weight-field and --mask-field", file.Name())
	}
	text, err := file.Text(0)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%s: found no text, only white space", file.Name())
	}
	ids, err := encodeText(ctx, t, text)
	if err != nil {
		return nil, err
	}
	held := d.Validation * d.Length
	if len(ids) < held+d.Length {
		return nil, fmt.Errorf("%s has %s, expected at least %d: %d for validation and one sequence to learn from; give a longer text, a shorter --length or a smaller --validation", file.Name(), plural.Of(len(ids), "token"), held+d.Length, held)
	}
	places := len(ids) - held - d.Length + 1
	e := &examples{notes: append(file.Notes(), fmt.Sprintf("%s: a text of %s, every one of which is learned", file.Name(), plural.Of(len(ids), "token")))}
	share, note := t.Missing(func(yield func(place, text string) bool) { yield("", text) })
	if share > task.MostMissing {
		return nil, fmt.Errorf("%s: %s: expected a text that is mostly of characters which the tokenizer knows", file.Name(), note)
	}
	if note != "" {
		e.notes = append(e.notes, file.Name()+": "+note)
	}
	if text := task.Repeats(ids); text != "" {
		e.notes = append(e.notes, file.Name()+": "+text)
	}
	if held > 0 {
		e.notes = append(e.notes, fmt.Sprintf("%s: the last %s %s kept from training and measured (--validation: %s of --length %d)", file.Name(), plural.Of(held, "token"), plural.Verb(held), plural.Of(d.Validation, "sequence"), d.Length))
	}
	for i := range d.Validation {
		at := len(ids) - held + i*d.Length
		e.validation = append(e.validation, everyToken(ids[at:at+d.Length]))
	}
	e.batches = func(_ context.Context, step int) ([]kd.Example, error) {
		rng := rand.New(rand.NewPCG(d.Seed, uint64(step)))
		batch := make([]kd.Example, d.Batch)
		for i := range batch {
			at := rng.IntN(places)
			batch[i] = everyToken(ids[at : at+d.Length])
		}
		return batch, nil
	}
	return e, nil
}

// everyToken is an example that learns every token but the first.
func everyToken(ids []int32) kd.Example {
	e := kd.Example{Tokens: ids, Answer: make([]bool, len(ids))}
	for i := range e.Answer {
		e.Answer[i] = i > 0
	}
	return e
}
