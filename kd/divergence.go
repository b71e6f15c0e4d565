package kd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/kernels"
)

// Divergence says how far the student's distribution q is from the teacher's p at a token.
type Divergence int

const (
	None      Divergence = iota // no teacher: supervised fine-tuning
	ForwardKL                   // KL(p‖q) = Σ p log(p/q)
	ReverseKL                   // KL(q‖p) = Σ q log(q/p)
	// β KL(p‖m) + (1−β) KL(q‖m), m = βp + (1−β)q (GKD, Agarwal et al., 2024)
	JSD
	// JSD divided by β(1−β), whose limits are forward KL (β → 0) and reverse KL (β → 1)
	NormalizedJSD
	SkewForwardKL  // KL(p‖αp + (1−α)q) (DistiLLM, Ko et al., 2024)
	SkewReverseKL  // KL(q‖(1−α)p + αq) (the same)
	TotalVariation // ½ Σ |p − q|
	// SkewForwardKL on given and the teacher's answers, SkewReverseKL on the student's own
	// (DistiLLM-2, Ko et al., 2025, without its weights of single answers)
	SkewPair
	// SampledReverseKL estimates the gradient of ReverseKL from the student's own tokens y alone:
	// the score function (log q(y) − log p(y))·∇log q(y). Its value is the mean of log q(y)
	// − log p(y).
	SampledReverseKL
	// WeightedReverseKL is SampledReverseKL times min(q(y)/q₀(y), Clip), q₀ being what y was
	// drawn from: the student's distribution some steps before, or at another temperature.
	WeightedReverseKL
)

// divergences are what ParseObjective reads.
var divergences = []struct {
	Divergence
	name      string
	parameter string  // its symbol; empty is none
	example   float64 // of the parameter
	// bounds of the parameter, exclusive; most 0 is no bound
	least, most float64
}{
	{None, "sft", "", 0, 0, 0},
	{ForwardKL, "fkl", "", 0, 0, 0},
	{ReverseKL, "rkl", "", 0, 0, 0},
	{JSD, "jsd", "β", 0.5, 0, 1},
	{NormalizedJSD, "njsd", "β", 0.5, 0, 1},
	{SkewForwardKL, "skl", "α", 0.1, 0, 1},
	{SkewReverseKL, "srkl", "α", 0.1, 0, 1},
	{TotalVariation, "tvd", "", 0, 0, 0},
	{SkewPair, "skew-pair", "α", 0.1, 0, 1},
	{SampledReverseKL, "sampled-rkl", "", 0, 0, 0},
	{WeightedReverseKL, "weighted-rkl", "c", 2, 0, 0},
}

// Divergences are the names that ParseObjective knows, with the symbol of the parameter that each
// takes.
func Divergences() (names, parameters []string) {
	for _, d := range divergences {
		names, parameters = append(names, d.name), append(parameters, d.parameter)
	}
	return names, parameters
}

// ParseObjective reads a divergence as "fkl" or, with its parameter, "jsd:0.5" into the objective
// of the paper with that divergence: CE 0.1, Sequence 0.05, Temperature 1. The caller changes the
// other fields as it likes.
func ParseObjective(text string) (Objective, error) {
	o := Objective{CE: 0.1, Sequence: 0.05, Temperature: 1}
	name, parameter, given := strings.Cut(text, ":")
	for _, d := range divergences {
		if d.name != name {
			continue
		}
		o.Divergence = d.Divergence
		switch {
		case d.parameter == "" && given:
			return Objective{}, fmt.Errorf("loss %q: %s takes no parameter, write %q", text, name, name)
		case d.parameter != "" && !given:
			return Objective{}, fmt.Errorf("loss %q: %s needs its %s, such as %s:%v", text, name, d.parameter, name, d.example)
		case d.parameter != "":
			value, err := strconv.ParseFloat(parameter, 64)
			if err != nil {
				return Objective{}, fmt.Errorf("loss %q: %s is %q, expected %s, such as %s:%v", text, d.parameter, parameter, o.expected(), name, d.example)
			}
			o.Parameter = value
		}
		if o.Divergence == None {
			o.CE = 1
		}
		if err := o.Validate(); err != nil {
			return Objective{}, fmt.Errorf("loss %q: %w", text, err)
		}
		return o, nil
	}
	names, _ := Divergences()
	return Objective{}, nearest.Unknown("loss", name, names)
}

// expected says what the parameter may be.
func (o Objective) expected() string {
	if d := divergences[o.Divergence]; d.most == 0 {
		return "a finite number above 0"
	}
	return "a number between 0 and 1"
}

// checkParameter reports a parameter that has no meaning.
func (o Objective) checkParameter() error {
	d := divergences[o.Divergence]
	switch {
	case d.parameter == "":
		return nil
	case (o.Divergence == JSD || o.Divergence == NormalizedJSD) && (o.Parameter == 0 || o.Parameter == 1):
		limit := map[float64]string{0: "fkl", 1: "rkl"}[o.Parameter]
		return fmt.Errorf("objective: %s with β %v is 0 for every student and teaches nothing; its normalised limit is %s, write that instead", d.name, o.Parameter, limit)
	case o.Parameter > d.least && (d.most == 0 && o.Parameter <= largestClip || o.Parameter < d.most):
		return nil
	}
	return fmt.Errorf("objective: %s with %s %v, expected %s, such as %s:%v", d.name, d.parameter, o.Parameter, o.expected(), d.name, d.example)
}

// largestClip bounds importance weights to what float32 holds with room.
const largestClip = 1e6

// String names the divergence as ParseObjective reads it: "sft", "fkl", "jsd:0.5".
func (o Objective) String() string {
	if o.Divergence < 0 || int(o.Divergence) >= len(divergences) {
		return fmt.Sprintf("divergence(%d)", int(o.Divergence))
	}
	d := divergences[o.Divergence]
	if d.parameter == "" {
		return d.name
	}
	return d.name + ":" + strconv.FormatFloat(o.Parameter, 'g', -1, 64)
}

// Sampled reports whether the divergence is estimated from the student's own tokens alone, and so
// needs examples of OfStudent.
func (o Objective) Sampled() bool {
	return o.Divergence == SampledReverseKL || o.Divergence == WeightedReverseKL
}

// Notes are what an objective's user should know of it.
func (o Objective) Notes() []string {
	if b := o.Parameter; o.Divergence == JSD && (b < 0.01 || b > 0.99) {
		return []string{fmt.Sprintf("jsd with β %v is at most %.3g nats, and its gradient is as small: the learning rate of another β does not fit; njsd:%v is divided by β(1−β)", b, entropyOf(b), b)}
	}
	return nil
}

// errNotStudents is the error of an example that a sampled divergence cannot use.
var errNotStudents = errors.New("its answer is not the student's own sample")

// kernel is the divergence of answers of an origin, over whole rows or lists.
func (o Objective) kernel(by Origin) kernels.Distillation {
	d := kernels.Distillation{Beta: o.Parameter, Alpha: o.Parameter, Temperature: o.temperature(), TimesT2: o.TimesT2}
	switch o.Divergence {
	case ReverseKL:
		d.Divergence = kernels.ReverseKL
	case JSD, NormalizedJSD:
		d.Divergence, d.Normalized = kernels.JensenShannon, o.Divergence == NormalizedJSD
	case SkewForwardKL:
		d.Divergence = kernels.SkewForwardKL
	case SkewReverseKL:
		d.Divergence = kernels.SkewReverseKL
	case TotalVariation:
		d.Divergence = kernels.TotalVariation
	case SkewPair:
		d.Divergence = kernels.SkewForwardKL
		if by == OfStudent {
			d.Divergence = kernels.SkewReverseKL
		}
	}
	return d
}
