package run

import (
	"errors"
	"fmt"
	"slices"

	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/rollout"
	"slimlab/model"
)

// Samples say whose answers a distillation learns from.
type Samples struct {
	Fraction    float64 `key:"fraction" default:"0" omit:"default" min:"0" max:"1" doc:"share of the answers that are sampled; 0 is none"`
	Teacher     float64 `key:"teacher" default:"0" omit:"default" min:"0" max:"1" doc:"share of the sampled answers that the teacher writes; the student writes the others"`
	Temperature float64 `key:"temperature" default:"0.9" omit:"default" min:"0" max:"100" doc:"temperature of sampling; 0 is greedy"`
	TopK        int     `key:"top_k" default:"0" omit:"default" min:"0" doc:"tokens to choose from; 0 is all"`
	TopP        float64 `key:"top_p" default:"1" omit:"default" above:"0" max:"1" doc:"share of the most probable to choose from; 1 is all"`
	Speculative int     `key:"speculative" default:"0" omit:"default" min:"0" doc:"a token of the student stands where it is among so many of the teacher's likeliest, and is drawn from the teacher else (SKD); 0 lets all stand"`
	Replay      bool    `json:",omitempty" key:"replay" default:"false" omit:"default" doc:"sample as the validation loss asks for, in place of fraction, and use earlier samples again (DistiLLM)"`
	Threshold   float64 `json:",omitempty" key:"threshold" default:"0" omit:"default" min:"0" max:"1" doc:"of replay: share of the answers that are sampled, as it begins; it rises by 0.1 when the validation loss has risen by 0.1 nats"`
	Capacity    int     `json:",omitempty" key:"capacity" default:"1000" omit:"default" min:"1" max:"10000000" doc:"of replay: samples that are kept"`
	Tokens      int     `key:"tokens" default:"0" omit:"default" min:"0" doc:"at most so many tokens of an answer; 0 is as many as the longest of the data's first 256"`
}

// IsZero reports a training without samples.
func (s Samples) IsZero() bool { return s.Fraction == 0 && !s.Replay }

// origins are those of the answers that a training learns from, but where a prompt has no room for
// an answer.
func (s Samples) origins() (answers []kd.Origin) {
	if s.Fraction < 1 { // also with replay
		answers = append(answers, kd.OfData)
	}
	if s.Fraction > 0 && s.Teacher > 0 {
		answers = append(answers, kd.OfTeacher)
	}
	if s.Replay || s.Fraction > 0 && s.Teacher < 1 {
		answers = append(answers, kd.OfStudent)
	}
	return answers
}

func (s Samples) describe() string {
	switch {
	case s.IsZero():
		return ""
	case s.Replay:
		return " on replayed answers of its own"
	case s.Teacher == 1:
		return fmt.Sprintf(" on the teacher's answers for %s", percent(s.Fraction))
	case s.Teacher > 0 || s.Speculative > 0:
		return fmt.Sprintf(" on sampled answers for %s", percent(s.Fraction))
	}
	return fmt.Sprintf(" on its own answers for %s", percent(s.Fraction))
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.3g%%", 100*share) }

// CheckTask implements scenario.TaskChecker.
func (d *Distil) CheckTask(kind string, bad func(key, format string, args ...any)) {
	d.Training.CheckTask(kind, bad)
	if kind == "recsys" && !d.Samples.IsZero() {
		bad("samples", "are of no use: the answers of task recsys are single tokens that stand within the prompt, expected a task whose answers are texts")
	}
}

// Check implements scenario.Checker: what the samples of a loss must be.
func (d *Distil) Check(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	d.Training.Check(given, bad)
	d.checkSamples(given, bad)
	d.checkHidden(given, bad)
	checkSearch(d, given, bad)
}

const withoutTeacher = "which leaves the teacher no share in the loss: expected less, hidden, answers that the teacher writes (samples: { fraction: 1, teacher: 1 }), or a step of kind train"

// noTeacher reports a step that learns nothing from its teacher but by a divergence.
func (d *Distil) noTeacher() bool {
	return d.Hidden.IsZero() && !(d.Samples.Fraction > 0 && (d.Samples.Teacher > 0 || d.Samples.Speculative > 0))
}

func (d *Distil) checkSamples(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	objective, err := d.objective()
	if err != nil {
		return // the key's own check says it
	}
	d.checkAlign(objective, bad)
	d.checkCache(objective, given, bad)
	d.checkRemote(objective, given, bad)
	d.checkTeachers(given, bad)
	s := d.Samples
	switch {
	case objective.Sampled() && (s.Fraction != 1 || s.Teacher != 0 || s.Speculative != 0):
		bad("loss", "samples", "is %s, which learns from the student's own answers alone: expected samples: { fraction: 1 }", d.Loss)
	case objective.Sampled() && (s.TopK != 0 || s.TopP != 1):
		bad("loss", "samples", "is %s, which takes samples of the whole distribution: expected samples without top_k and top_p", d.Loss)
	case objective.Sampled() && s.Temperature == 0:
		bad("loss", "samples", "is %s, and the samples are greedy, which are of no distribution: expected a temperature above 0", d.Loss)
	case objective.SampleShare() == 0 && d.Hidden.IsZero() && slices.Equal(s.origins(), []kd.Origin{kd.OfStudent}):
		bad("samples", "", "has the student's own answers alone, which are no labels, and ce %v and sequence %v leave the divergence no share: expected both below 1, or a fraction below 1", d.CE, d.Sequence)
	case objective.Divergence == kd.SkewPair && s.IsZero():
		bad("loss", "samples", "is %s, whose second half is for the student's own answers, and none are sampled: expected samples such as { fraction: 0.5 }, or loss: skl:%v", d.Loss, objective.Parameter)
	case d.CE == 1 && d.noTeacher():
		bad("ce", "", "is 1, %s", withoutTeacher)
	case d.Sequence == 1 && d.SequenceLoss.IsZero() && d.noTeacher():
		bad("sequence", "", "is 1, %s", withoutTeacher)
	case s.Speculative != 0 && s.Teacher != 0:
		bad("samples", "", "has a teacher's share of %v and speculative %d, expected one of them: by speculative the teacher replaces tokens of the student's answers", s.Teacher, s.Speculative)
	case objective.Divergence == kd.SampledReverseKL && s.Temperature != 1:
		bad("loss", "samples", "is %s, which is reverse KL for samples at temperature 1 alone, and theirs is %v: expected temperature: 1, or loss: weighted-rkl:2", d.Loss, s.Temperature)
	case s.Replay && (s.Fraction != 0 || s.Teacher != 0):
		bad("samples", "", "has replay, whose threshold says how many answers the student writes: expected neither fraction nor teacher, or no replay")
	case s.Replay && objective.Divergence == kd.SampledReverseKL:
		bad("loss", "samples", "is %s, and replay uses answers of an earlier student again: expected loss: weighted-rkl:2, or samples: { fraction: 1 }", d.Loss)
	case !s.Replay && (s.Threshold != 0 || s.Capacity != 0 && s.Capacity != 1000):
		bad("samples", "", "has a threshold or a capacity, which are of replay: expected replay: true, or neither")
	case s.IsZero() && given("samples"):
		bad("samples", "", "has no fraction, expected a share above 0 of the answers that are sampled")
	}
}

// sampler stands between a training and its data where answers are sampled; nil where none are.
func (t *training) sampler(given kd.Batches, student *model.Model, teacher source) (*rollout.Sampler, error) {
	s := t.samples
	if s.IsZero() {
		return nil, nil
	}
	o := rollout.Options{
		Fraction: s.Fraction, Teacher: s.Teacher, Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MaxTokens: s.Tokens,
		End: []int32{t.data.eos}, Seed: t.seed,
	}
	if s.Speculative > 0 {
		o.Speculative = &rollout.Speculative{TopK: s.Speculative}
	}
	if s.Replay {
		o.Replay = &rollout.Replay{Steps: t.keys.Steps, Capacity: s.Capacity, Threshold: s.Threshold}
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = t.data.longestAnswer(t.seed)
	}
	o.Writer = teacher.writer
	return rollout.New(given, student, teacher.writes, o)
}

// checkSamples reports data whose answers cannot be sampled.
func (w *worker) checkSamples(s Samples) error {
	switch {
	case s.IsZero():
		return nil
	case w.data.eos < 0:
		return keyError{"samples", errors.New("would never end: the tokenizer has no end token")}
	}
	return nil
}

// longestAnswer is the number of tokens of the longest answer of the first training examples.
func (d *dataset) longestAnswer(seed uint64) (longest int) {
	for i := range 256 {
		n := 0
		for _, answer := range d.Train(seed, i).Answer {
			if answer {
				n++
			}
		}
		longest = max(longest, n)
	}
	return longest
}

// sampled shows what is written: points of how it ends, how long it is and how much of it was
// written before, and a doubt.
func (w *worker) sampled(s *rollout.Sampler, step int, c *curves, before rollout.Stats) rollout.Stats {
	if doubt := s.Doubt(); doubt != "" {
		w.run.note(w.cell.ID, lab.Warning, fmt.Sprintf("%s: step %d: %s", w.stage, step, doubt))
	}
	if relief := s.Relief(); relief != "" {
		w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: step %d: %s", w.stage, step, relief))
	}
	now := s.Stats()
	if step%c.every != 0 || now.Samples == before.Samples {
		return before
	}
	n := float64(now.Samples - before.Samples)
	c.point("ended", step, float64(now.Ended-before.Ended)/n)
	c.point("length", step, float64(now.Tokens-before.Tokens)/n)
	c.point("repeated", step, float64(now.Duplicates-before.Duplicates)/n)
	return now
}

// lately says how the last samples end and how long they are; "" where there are none.
func lately(late rollout.Stats) string {
	if late.Samples == 0 {
		return ""
	}
	return fmt.Sprintf("%s of answers end, %.0f tokens", percent(late.EndRate()), late.Length())
}

// sayTime says where the time of an on-policy training went, and what was written.
func (w *worker) sayTime(s *rollout.Sampler, spent kd.Spent, seconds float64) {
	stats := s.Stats()
	if stats.Samples == 0 {
		w.run.note(w.cell.ID, lab.Warning, fmt.Sprintf("%s: no answer was sampled: its threshold for replay is %.3g, and rises only as the validation loss does: give samples.threshold, or fraction in place of replay", w.stage, s.Threshold()))
		return
	}
	share := func(part float64) string { return percent(part / max(seconds, 1e-9)) }
	text := fmt.Sprintf("%s: %s sampled, %s of them ended, %.1f tokens each (%d to %d), %s written before; %.0f tokens/s; time: sampling %s, teacher %s",
		w.stage, plural.Of(stats.Samples, "answer"), percent(stats.EndRate()), stats.Length(), stats.Shortest, stats.Longest,
		percent(float64(stats.Duplicates)/float64(max(1, stats.Samples))), stats.TokensPerSecond(), share(spent.Batches.Seconds()), share(spent.Teacher.Seconds()))
	if stats.NoRoom > 0 {
		text += fmt.Sprintf("; %s left no room for an answer: the data's stands", plural.Of(stats.NoRoom, "prompt"))
	}
	w.run.note(w.cell.ID, lab.Info, text)
}
