package kd

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
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
//	L = (1−Sequence)·mean_A[M] + Sequence·mean_S[M′]
//	M = (1−CE)·D + CE·(−log q[token])      without a divergence: M = −log q[token]
//	M′ = −log q[token] (SequenceCE) or M (SequenceMixture)
//
// to which Hidden may add a loss of hidden states.
//
// Means are weighted by the tokens' weights; those of D are over the tokens at which the teacher
// has a distribution (see Comparer). What a student wrote itself is no label: of examples of
// OfStudent only D on their answer tokens counts, so that the mean of the cross-entropy and that
// over S are taken over the other examples.
//
// "Efficient AI in Practice" (Behdin et al., 2025) uses forward KL with CE 0.1 and Sequence 0.05.
type Objective struct {
	Divergence Divergence
	// β of JSD and NormalizedJSD, the teacher's share of m, and α of the skewed divergences, in
	// (0, 1); the bound of importance weights of WeightedReverseKL
	Parameter float64
	// share of the cross-entropy in the mixture, 0 to 1; without a divergence it is all of it
	CE           float64
	Sequence     float64 // share of the whole-sequence loss, 0 to 1
	SequenceLoss SequenceLoss
	// of p and q in the divergence; the cross-entropy is always at 1. 0 means 1
	Temperature float64
	TimesT2     bool // multiplies the divergence by Temperature² (Hinton et al., 2015)

	Hidden HiddenLoss // beside the shares of the other terms
}

// Validate reports the first field that has no meaning.
func (o Objective) Validate() error {
	switch {
	case o.Divergence < None || int(o.Divergence) >= len(divergences):
		return fmt.Errorf("objective: unknown divergence %d", o.Divergence)
	case !(o.CE >= 0 && o.CE <= 1):
		return fmt.Errorf("objective: cross-entropy share %v, expected 0 to 1", o.CE)
	case !(o.Sequence >= 0 && o.Sequence <= 1):
		return fmt.Errorf("objective: sequence share %v, expected 0 to 1", o.Sequence)
	case o.SequenceLoss < SequenceCE || o.SequenceLoss > SequenceMixture:
		return fmt.Errorf("objective: unknown sequence loss %d", o.SequenceLoss)
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0):
		return fmt.Errorf("objective: temperature %v, expected a finite number above 0", o.Temperature)
	case o.Sampled() && o.temperature() != 1:
		return fmt.Errorf("objective: %s with temperature %v, expected 1: samples say nothing of another distribution than the one that they are drawn from", o, o.Temperature)
	case o.Sampled() && o.SequenceLoss == SequenceMixture:
		return fmt.Errorf("objective: %s over whole sequences, expected over the student's answers alone", o)
	}
	if err := o.Hidden.validate(); err != nil {
		return err
	}
	return o.checkParameter()
}

// Formula writes the objective out, such as
// "0.95·mean_A[0.9·KL(p‖q) + 0.1·CE] + 0.05·mean_S[CE]", for answers of all origins.
func (o Objective) Formula() string { return o.FormulaOf(OfData, OfTeacher, OfStudent) }

// FormulaOf writes out what the objective is where all answers are of these origins: without the
// terms that others alone have.
func (o Objective) FormulaOf(answers ...Origin) string {
	own := slices.Contains(answers, OfStudent)
	others := slices.ContainsFunc(answers, func(by Origin) bool { return by != OfStudent })
	if o.Divergence == SkewPair && own != others {
		o.Divergence = SkewForwardKL
		if own {
			o.Divergence = SkewReverseKL
		}
	}
	formula := o.distributionFormula()
	if !others {
		formula = o.sampleFormula()
	}
	if o.Hidden.used() {
		return strings.TrimPrefix(formula+" + "+o.Hidden.formula(), "0 + ")
	}
	return formula
}

// SampleShare is the factor of the divergence where a student wrote all answers.
func (o Objective) SampleShare() float64 { return (1 - o.Sequence) * (1 - o.ceShare()) }

// sampleFormula is that of a student's own answers alone, which are no labels.
func (o Objective) sampleFormula() string {
	share := o.SampleShare()
	o.CE, o.Sequence = 0, 0
	switch share {
	case 0:
		return "0"
	case 1:
		return o.distributionFormula()
	}
	return number(share) + "·" + o.distributionFormula()
}

// distributionFormula writes out what is of the tokens' distributions.
func (o Objective) distributionFormula() string {
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
	d := o.divergenceFormula(p, q)
	if o.TimesT2 && t != 1 {
		d = number(t*t) + "·" + d
	}
	if ce == 0 {
		return d
	}
	return fmt.Sprintf("%s·%s + %s·CE", number(1-ce), d, number(ce))
}

// divergenceFormula writes the divergence of p and q out.
func (o Objective) divergenceFormula(p, q string) string {
	at, rest := number(o.Parameter), number(1-o.Parameter)
	forward := fmt.Sprintf("KL(%s‖%s%s + %s%s)", p, at, p, rest, q)
	reverse := fmt.Sprintf("KL(%s‖%s%s + %s%s)", q, rest, p, at, q)
	switch o.Divergence {
	case ForwardKL:
		return fmt.Sprintf("KL(%s‖%s)", p, q)
	case ReverseKL:
		return fmt.Sprintf("KL(%s‖%s)", q, p)
	case JSD, NormalizedJSD:
		d := fmt.Sprintf("(%s·KL(%s‖m) + %s·KL(%s‖m); m = %s%s + %s%s)", at, p, rest, q, at, p, rest, q)
		if o.Divergence == NormalizedJSD {
			d += "/" + number(o.Parameter*(1-o.Parameter))
		}
		return d
	case SkewForwardKL:
		return forward
	case SkewReverseKL:
		return reverse
	case TotalVariation:
		return fmt.Sprintf("Σ|%s − %s|/2", p, q)
	case SkewPair:
		return fmt.Sprintf("(%s, on the student's answers %s)", forward, reverse)
	case SampledReverseKL:
		return "(log q(y) − log p(y), y ~ q)"
	case WeightedReverseKL:
		return fmt.Sprintf("min(q(y)/q₀(y), %s)·(log q(y) − log p(y), y ~ q₀)", at)
	}
	return ""
}

// entropyOf is the most that a JSD of β can be, in nats.
func entropyOf(beta float64) float64 {
	return -beta*math.Log(beta) - (1-beta)*math.Log(1-beta)
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

// needsTeacher reports whether the teacher is asked anything.
func (o Objective) needsTeacher() bool { return o.needsRows() || o.Hidden.used() }

// needsRows reports whether any token's loss has a divergence with weight.
func (o Objective) needsRows() bool {
	return o.ceShare() < 1 && (o.Sequence < 1 || o.SequenceLoss == SequenceMixture)
}

// number prints at most six digits, so that 1−0.05 is 0.95.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
