package kd

import (
	"fmt"
	"math"
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
	JSD                         // β KL(p‖m) + (1−β) KL(q‖m), m = βp + (1−β)q
)

// SequenceLoss says what the loss over the whole sequence is.
type SequenceLoss int

const (
	// cross-entropy: the teacher's logits are needed on answer tokens only
	SequenceCE      SequenceLoss = iota
	SequenceMixture              // the mixture of the answer tokens, on all tokens
)

// Objective is what Train minimises. With A the answer tokens and S all predicted tokens (each but
// the first of a sequence, answers included) of a step's whole batch:
//
//	L = (1−Sequence)·(1/|A|) Σ_A M + Sequence·(1/|S|) Σ_S M′
//	M = (1−CE)·D + CE·(−log q[token])      without a divergence: M = −log q[token]
//	M′ = −log q[token] (SequenceCE) or M (SequenceMixture)
//
// "Efficient AI in Practice" (Behdin et al., 2025) uses forward KL with CE 0.1 and Sequence 0.05.
type Objective struct {
	Divergence Divergence
	Beta       float64 // of JSD: the teacher's share of m, in (0, 1)
	// share of the cross-entropy in the mixture, 0 to 1; without a divergence it is all of it
	CE           float64
	Sequence     float64 // share of the whole-sequence loss, 0 to 1
	SequenceLoss SequenceLoss
	// of p and q in the divergence; the cross-entropy is always at 1. 0 means 1
	Temperature float64
	TimesT2     bool // multiplies the divergence by Temperature² (Hinton et al., 2015)
}

// ParseObjective reads "sft", "fkl", "rkl" or "jsd:β" (as "jsd:0.5") into the objective of the
// paper with that divergence: CE 0.1, Sequence 0.05, Temperature 1. The caller changes the other
// fields as it likes.
func ParseObjective(text string) (Objective, error) {
	o := Objective{CE: 0.1, Sequence: 0.05, Temperature: 1}
	name, beta, hasBeta := strings.Cut(text, ":")
	switch name {
	case "sft":
		o.Divergence, o.CE = None, 1
	case "fkl":
		o.Divergence = ForwardKL
	case "rkl":
		o.Divergence = ReverseKL
	case "jsd":
		o.Divergence = JSD
		if !hasBeta {
			return Objective{}, fmt.Errorf("loss %q: jsd needs its β, such as jsd:0.5", text)
		}
		value, err := strconv.ParseFloat(beta, 64)
		if err != nil {
			return Objective{}, fmt.Errorf("loss %q: β is %q, expected a number between 0 and 1, such as jsd:0.5", text, beta)
		}
		o.Beta = value
	default:
		return Objective{}, nearest.Unknown("loss", name, []string{"sft", "fkl", "rkl", "jsd"})
	}
	if hasBeta && o.Divergence != JSD {
		return Objective{}, fmt.Errorf("loss %q: %s takes no parameter, write %q", text, name, name)
	}
	if err := o.Validate(); err != nil {
		return Objective{}, fmt.Errorf("loss %q: %w", text, err)
	}
	return o, nil
}

// Validate reports the first field that has no meaning.
func (o Objective) Validate() error {
	switch {
	case o.Divergence < None || o.Divergence > JSD:
		return fmt.Errorf("objective: unknown divergence %d", o.Divergence)
	case o.Divergence == JSD && (o.Beta == 0 || o.Beta == 1):
		limit := map[float64]string{0: "fkl", 1: "rkl"}[o.Beta]
		return fmt.Errorf("objective: jsd with β %v is 0 for every student and teaches nothing; its normalised limit is %s, write that instead", o.Beta, limit)
	case o.Divergence == JSD && !(o.Beta > 0 && o.Beta < 1):
		return fmt.Errorf("objective: jsd with β %v, expected a number between 0 and 1, such as jsd:0.5", o.Beta)
	case !(o.CE >= 0 && o.CE <= 1):
		return fmt.Errorf("objective: cross-entropy share %v, expected 0 to 1", o.CE)
	case !(o.Sequence >= 0 && o.Sequence <= 1):
		return fmt.Errorf("objective: sequence share %v, expected 0 to 1", o.Sequence)
	case o.SequenceLoss < SequenceCE || o.SequenceLoss > SequenceMixture:
		return fmt.Errorf("objective: unknown sequence loss %d", o.SequenceLoss)
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0):
		return fmt.Errorf("objective: temperature %v, expected a finite number above 0", o.Temperature)
	}
	return nil
}

// String names the divergence as ParseObjective reads it: "sft", "fkl", "rkl", "jsd:0.5".
func (o Objective) String() string {
	switch o.Divergence {
	case None:
		return "sft"
	case ForwardKL:
		return "fkl"
	case ReverseKL:
		return "rkl"
	case JSD:
		return "jsd:" + strconv.FormatFloat(o.Beta, 'g', -1, 64)
	}
	return fmt.Sprintf("divergence(%d)", int(o.Divergence))
}

// Formula writes the objective out, such as
// "0.95·mean_A[0.9·KL(p‖q) + 0.1·CE] + 0.05·mean_S[CE]".
func (o Objective) Formula() string {
	mixture := o.mixtureFormula()
	sequence := "CE"
	if o.SequenceLoss == SequenceMixture {
		sequence = mixture
	}
	switch o.Sequence {
	case 0:
		return "mean_A[" + mixture + "]"
	case 1:
		return "mean_S[" + sequence + "]"
	}
	return fmt.Sprintf("%s·mean_A[%s] + %s·mean_S[%s]", number(1-o.Sequence), mixture, number(o.Sequence), sequence)
}

func (o Objective) mixtureFormula() string {
	ce := o.ceShare()
	if ce == 1 {
		return "CE"
	}
	p, q := "p", "q"
	t := o.temperature()
	if t != 1 {
		p, q = fmt.Sprintf("p^(1/%s)", number(t)), fmt.Sprintf("q^(1/%s)", number(t))
	}
	var d string
	switch o.Divergence {
	case ForwardKL:
		d = fmt.Sprintf("KL(%s‖%s)", p, q)
	case ReverseKL:
		d = fmt.Sprintf("KL(%s‖%s)", q, p)
	case JSD:
		a, b := number(o.Beta), number(1-o.Beta)
		d = fmt.Sprintf("(%s·KL(%s‖m) + %s·KL(%s‖m); m = %s%s + %s%s)", a, p, b, q, a, p, b, q)
	}
	if o.TimesT2 && t != 1 {
		d = number(t*t) + "·" + d
	}
	if ce == 0 {
		return d
	}
	return fmt.Sprintf("%s·%s + %s·CE", number(1-ce), d, number(ce))
}

// ceShare is the cross-entropy's share of the mixture: all of it without a divergence.
func (o Objective) ceShare() float64 {
	if o.Divergence == None {
		return 1
	}
	return o.CE
}

func (o Objective) temperature() float64 {
	if o.Temperature == 0 {
		return 1
	}
	return o.Temperature
}

// needsTeacher reports whether any token's loss has a divergence with weight.
func (o Objective) needsTeacher() bool {
	return o.ceShare() < 1 && (o.Sequence < 1 || o.SequenceLoss == SequenceMixture)
}

func (o Objective) kernel() kernels.Distillation {
	d := kernels.Distillation{Beta: o.Beta, Temperature: o.temperature(), TimesT2: o.TimesT2}
	switch o.Divergence {
	case ReverseKL:
		d.Divergence = kernels.ReverseKL
	case JSD:
		d.Divergence = kernels.JensenShannon
	}
	return d
}

// number prints at most six digits, so that 1−0.05 is 0.95.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
