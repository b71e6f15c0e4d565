package kd

import (
	"context"
	"fmt"

	"slimlab/kernels"
	"slimlab/model"
)

// Loss measures a model in any weight format: the cross-entropy in nats per answer token, and the
// number of answer tokens. It notices a cancelled ctx between layers.
func Loss(ctx context.Context, m *model.Model, examples []Example) (perAnswerToken float64, tokens int, err error) {
	return meanLoss(ctx, m, examples, func([]float32) {})
}

// TokenLosses is Loss with the loss of each answer token, in the order of the examples.
func TokenLosses(ctx context.Context, m *model.Model, examples []Example) (perAnswerToken float64, losses []float32, err error) {
	perAnswerToken, _, err = meanLoss(ctx, m, examples, func(of []float32) { losses = append(losses, of...) })
	return perAnswerToken, losses, err
}

// WeightedLoss is Loss with each token's loss times its weight, divided by the sum of the weights:
// what a training validates by. Loss counts each token of a weight above 0 once.
func WeightedLoss(ctx context.Context, m *model.Model, examples []Example) (float64, error) {
	total, err := lossSum(ctx, m, examples, func([]float32) {})
	if err == nil && total.tokens == 0 {
		err = noAnswers(examples)
	}
	if err != nil {
		return 0, fmt.Errorf("loss: %w", err)
	}
	return total.weighted / total.weight, nil
}

func meanLoss(ctx context.Context, m *model.Model, examples []Example, see func([]float32)) (mean float64, tokens int, err error) {
	total, err := lossSum(ctx, m, examples, see)
	if err == nil && total.tokens == 0 {
		err = noAnswers(examples)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("loss: %w", err)
	}
	return total.loss / float64(total.tokens), total.tokens, nil
}

func noAnswers(examples []Example) error {
	return fmt.Errorf("none of the %d examples has an answer token", len(examples))
}

// lossTotal is the cross-entropy of answer tokens, added up.
type lossTotal struct {
	loss, weighted float64 // each token's as it is, and times its weight
	weight         float64 // of all tokens
	tokens         int
}

// lossSum sums the cross-entropy of the answer tokens, of which there may be none, and lets see
// have those of each chunk. Weights of 1 give the weighted sum the bits of the other.
func lossSum(ctx context.Context, m *model.Model, examples []Example, see func([]float32)) (total lossTotal, err error) {
	chunk := chunkRows(m.Vocab)
	loss, weight, labels := make([]float32, chunk), make([]float32, chunk), make([]int32, chunk)
	var rows headRows
	err = eachAnswerChunk(ctx, examples, m.Vocab, chunk, []*model.Model{m}, func(targets []Target, of []states) {
		n := len(targets)
		rows.gather(of[0], targets)
		logits := rows.multiply(m, n, m.Vocab)
		for i, t := range targets {
			labels[i] = t.Label
		}
		kernels.CrossEntropy(loss, logits, labels, weight, n, m.Vocab)
		weighted := 0.0
		for i, t := range targets {
			weighted += float64(t.weight) * float64(loss[i])
			total.weight += float64(t.weight)
		}
		total.loss += sum(loss[:n])
		total.weighted += weighted
		total.tokens += n
		see(loss[:n])
	})
	return total, err
}

// Fidelity says how closely a student follows its teacher on answer tokens.
type Fidelity struct {
	Top1      float64 // share of tokens whose likeliest next token is the same
	ForwardKL float64 // mean KL(teacher‖student), in nats
	Tokens    int
	// Of each answer token, in the order of the examples: whether both have the same likeliest
	// token, whether the teacher's is the answer's, whether the student's is, and
	// KL(teacher‖student) in nats.
	Same, TeacherRight, StudentRight []bool    `json:"-"`
	KL                               []float64 `json:"-"`
}

// Agreement measures a student against a teacher, both in any weight format, over the vocabulary
// that both have. It notices a cancelled ctx between layers.
func Agreement(ctx context.Context, teacher, student *model.Model, examples []Example) (Fidelity, error) {
	vocab := min(student.Vocab, teacher.Vocab)
	chunk := chunkRows(vocab)
	kl, ce, weight, labels := make([]float32, chunk), make([]float32, chunk), make([]float32, chunk), make([]int32, chunk)
	var ofTeacher, ofStudent headRows
	var f Fidelity
	var same int
	var total float64
	err := eachAnswerChunk(ctx, examples, vocab, chunk, []*model.Model{teacher, student}, func(targets []Target, of []states) {
		n := len(targets)
		ofTeacher.gather(of[0], targets)
		ofStudent.gather(of[1], targets)
		p := ofTeacher.multiply(teacher, n, vocab)
		q := ofStudent.multiply(student, n, vocab)
		for i, t := range targets {
			its, mine := int32(kernels.Argmax(p[i*vocab:(i+1)*vocab])), int32(kernels.Argmax(q[i*vocab:(i+1)*vocab]))
			if its == mine {
				same++
			}
			f.Same = append(f.Same, its == mine)
			f.TeacherRight, f.StudentRight = append(f.TeacherRight, its == t.Label), append(f.StudentRight, mine == t.Label)
		}
		kernels.Distillation{Divergence: kernels.ForwardKL}.Loss(kernels.DistillationRows{
			Divergence: kl, CE: ce, Logits: q, Teacher: p, Labels: labels[:n],
			DivergenceWeight: weight, CEWeight: weight, Vocab: vocab,
		})
		for _, d := range kl[:n] {
			f.KL = append(f.KL, float64(d))
			total += float64(d)
		}
		f.Tokens += n
	})
	if err == nil && f.Tokens == 0 {
		err = noAnswers(examples)
	}
	if err != nil {
		return Fidelity{}, fmt.Errorf("agreement: %w", err)
	}
	f.Top1, f.ForwardKL = float64(same)/float64(f.Tokens), total/float64(f.Tokens)
	return f, nil
}

// eachAnswerChunk runs the examples through the models, pass by pass, and calls f with chunks of
// their answer tokens and the states of each model.
func eachAnswerChunk(ctx context.Context, examples []Example, vocab, chunk int, models []*model.Model, f func(targets []Target, of []states)) error {
	positions := models[0].MaxPositions
	for _, m := range models {
		positions = min(positions, m.MaxPositions)
	}
	if err := checkExamples(examples, vocab, positions); err != nil {
		return err
	}
	var p pass
	of := make([]states, len(models))
	return eachPass(&p, examples, passTokens, false, func(p *pass) error {
		for i, m := range models {
			of[i] = states{m, m.Forward(p.batch, until(ctx))}
		}
		for _, k := range []kind{labels, samples} {
			for targets := p.targets[k]; len(targets) > 0; {
				if err := ctx.Err(); err != nil {
					return err
				}
				n := min(chunk, len(targets))
				f(targets[:n], of)
				targets = targets[n:]
			}
		}
		return nil
	})
}
