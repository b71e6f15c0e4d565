// Package kd trains a student: supervised fine-tuning, and distillation from a teacher by forward
// KL, reverse KL or a Jensen–Shannon divergence on given answers.
//
// An Example is a token sequence that marks which of its tokens are the answer. An Objective mixes
// a divergence and a cross-entropy on the answer tokens with a weak loss on the whole sequence,
// each normalised by its own number of tokens over the whole batch of a step, however the batch is
// split into passes. Train minimises it with AdamW; Loss and Agreement measure.
//
// Promises. Logits are made a chunk at a time, never [tokens, vocabulary], and only for tokens that
// carry a loss; the teacher's only for tokens that carry a divergence. Labels are shifted here,
// once: the logits at position t−1 predict token t. The same examples in the same order give the
// same weights bit for bit, whatever the number of threads. The teacher may be in any weight
// format; the student's weights must be float32.
//
// The package leaves out sampling, text, files and the choice of examples; progress goes to a plain
// func(Step).
package kd
