package run

import (
	"context"
	"fmt"

	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/lab/scenario"
)

// Distil trains on a teacher's distributions.
type Distil struct {
	Training
	Teacher      string       `key:"teacher" ref:"weights" any:"has no teacher: expected teacher, teachers or remote" doc:"the model to learn from: a loaded model or an earlier step"`
	Teachers     string       `json:",omitempty" key:"teachers" ref:"weighted" list:", " any:"has no teacher: expected teacher, teachers or remote" doc:"several models to learn from, in place of teacher, with weights: FM=1, other=0.5, or as a list [FM=1, other=0.5], learns from the mixture of their distributions. With tasks (recsys; jsonl by task_field) also a list for each: { like feed: FM=1, \"*\": other=1 }, as a text like feed: FM=1; *: other=1, where * is all that are not named; an example of recsys is of the task of its candidate"`
	Loss         string       `key:"loss" default:"fkl" names:"losses" doc:"divergence from the teacher"`
	CE           float64      `key:"ce" default:"0.1" min:"0" max:"1" doc:"share of the cross-entropy with the labels in the loss on answer tokens"`
	Temperature  float64      `key:"temperature" default:"1" min:"0.01" max:"100" doc:"temperature of both distributions in the divergence"`
	TimesT2      bool         `json:",omitempty" key:"times_t2" default:"false" doc:"multiply the divergence by the square of the temperature (Hinton et al., 2015)"`
	Samples      Samples      `json:",omitzero" key:"samples" omit:"default" doc:"answers that the student or the teacher writes during the training, in place of the data's"`
	Remote       Remote       `json:",omitzero" key:"remote" omit:"default" short:"url" any:"has no teacher: expected teacher, teachers or remote" doc:"a teacher at a URL, in place of teacher"`
	Cache        Cache        `json:",omitzero" key:"cache" omit:"default" short:"codec" doc:"a file of the teacher's distributions at the training's examples, built once for all trainings on the same ones and read in the teacher's place"`
	Hidden       Hidden       `json:",omitzero" key:"hidden" omit:"default" short:"weight" doc:"a loss beside the others that pulls the student's hidden states towards the teacher's at the answer tokens, through a learned projection"`
	Align        alignment    `json:",omitzero" key:"align" default:"none" omit:"default" one:"none|bytes" doc:"bytes: the teacher may have other tokens than the student; their distributions of the next byte are compared, where both divide the text at the same place"`
	SequenceLoss sequenceLoss `json:",omitzero" key:"sequence_loss" default:"ce" one:"ce|mixture" doc:"loss over the whole sequence: cross-entropy, or the mixture of the answer tokens"`
}

// Hidden is the loss of hidden states.
type Hidden struct {
	Weight float64 `key:"weight" default:"0" omit:"default" min:"0" max:"1000" doc:"factor of the squared distance of the states by the square of the teacher's; 0 is none"`
	Layers layers  `json:",omitzero" key:"layers" default:"last" omit:"default" one:"last|even" doc:"the states before the head alone, or those of all the student's layers, spread evenly over the teacher's"`
}

// IsZero reports a training without the loss.
func (h Hidden) IsZero() bool { return h.Weight == 0 }

func (h Hidden) describe() string {
	if h.IsZero() {
		return ""
	}
	return " and its hidden states"
}

type layers string

// IsZero reports the default.
func (l layers) IsZero() bool { return l == "" || l == "last" }

// notOneModel is the key by which the step learns from something else than one model in memory; ""
// where it does not.
func (d *Distil) notOneModel() string {
	switch {
	case !d.Remote.IsZero():
		return "remote"
	case d.Teachers != "":
		return "teachers"
	case !d.Cache.IsZero():
		return "cache"
	}
	return ""
}

// checkHidden reports teachers that have no hidden states.
func (d *Distil) checkHidden(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	if d.Hidden.IsZero() {
		if given("hidden") {
			bad("hidden", "", "has no weight, expected one above 0")
		}
		return
	}
	if with := d.notOneModel(); with != "" {
		bad("hidden", with, "needs the states of one model in memory, and %s gives distributions alone: expected teacher without it, or no hidden", with)
	}
}

// sequenceLoss is a key that came after runs were logged. Like TimesT2 and KeepBest it is left out
// of a scenario's canonical text where it has its default, so that those runs stay comparable.
type sequenceLoss string

// IsZero reports the default.
func (l sequenceLoss) IsZero() bool { return l == "" || l == "ce" }

// losses are the divergences of a distillation. p is the teacher's distribution, q the student's.
var losses = []scenario.Name{
	{Name: "fkl", Formula: "KL(p‖q) = Σ p log(p/q)", About: "forward KL: the student covers all that the teacher finds likely"},
	{Name: "rkl", Formula: "KL(q‖p) = Σ q log(q/p)", About: "reverse KL: the student avoids what the teacher finds unlikely"},
	{Name: "jsd", Parameter: "β", Formula: "β KL(p‖m) + (1−β) KL(q‖m), m = βp + (1−β)q", About: "generalized Jensen-Shannon divergence: between forward and reverse KL"},
	{Name: "njsd", Parameter: "β", Formula: "jsd/(β(1−β))", About: "jsd as large as the KL divergences, which are its limits"},
	{Name: "skl", Parameter: "α", Formula: "KL(p‖αp + (1−α)q)", About: "skewed forward KL (DistiLLM): gradients stay bounded where the student finds nothing likely"},
	{Name: "srkl", Parameter: "α", Formula: "KL(q‖(1−α)p + αq)", About: "skewed reverse KL (DistiLLM)"},
	{Name: "skew-pair", Parameter: "α", Formula: "skl, and srkl on the student's answers", About: "the pair of DistiLLM-2: for steps with samples of both kinds"},
	{Name: "sampled-rkl", Formula: "log q(y) − log p(y), y ~ q", About: "reverse KL by the student's own tokens alone, as a policy gradient: needs samples: { fraction: 1, temperature: 1 }"},
	{Name: "weighted-rkl", Parameter: "c", Unbounded: true, Formula: "min(q(y)/q₀(y), c)·(log q(y) − log p(y)), y ~ q₀", About: "the same with importance weights up to c, for samples at another temperature"},
	{Name: "tvd", Formula: "Σ|p − q|/2", About: "total variation distance"},
}

// Describe says what the step does.
func (d *Distil) Describe(from string) string {
	teacher := d.Teacher
	switch {
	case !d.Remote.IsZero():
		teacher = d.Remote.name()
	case d.Teachers != "":
		teacher = d.Teachers
	}
	return fmt.Sprintf("distil %s into %s by %s%s%s%s%s%s, %s of %d%s", teacher, d.student(from), d.Loss, d.Align.describe(), d.Hidden.describe(), d.Cache.describe(), d.Samples.describe(), d.describeThrough(), plural.Of(d.Steps, "step"), d.Batch, d.Search.describe())
}

func (d *Distil) objective() (kd.Objective, error) {
	o, err := kd.ParseObjective(d.Loss)
	if err != nil {
		return kd.Objective{}, err
	}
	o.CE, o.Sequence, o.Temperature, o.TimesT2 = d.CE, d.Sequence, d.Temperature, d.TimesT2
	if d.SequenceLoss == "mixture" {
		o.SequenceLoss = kd.SequenceMixture
	}
	o.Hidden = kd.HiddenLoss{Weight: d.Hidden.Weight, Even: !d.Hidden.IsZero() && d.Hidden.Layers == "even"}
	return o, nil
}

func (d *Distil) plan(ctx context.Context, w *worker, s scenario.Step) (job, error) {
	return w.planTraining(ctx, s, d)
}

func (d *Distil) training(ctx context.Context, w *worker, s scenario.Step) (*training, error) {
	objective, err := d.objective()
	if err != nil {
		return nil, err
	}
	teacher, err := d.teaching(ctx, w)
	if err == nil {
		w.noteHeads(s.Name, teacher)
	}
	if err != nil {
		return nil, err
	}
	training, err := w.train(ctx, s, &d.Training, teacher, objective, d.Samples)
	if err == nil {
		err = training.checkKey()
	}
	if err == nil && !d.Cache.IsZero() {
		err = training.planCache(d.Cache)
	}
	if err == nil {
		training.noteCuts(d)
	}
	return training, err
}
