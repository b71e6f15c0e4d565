// Package kd trains a student: supervised fine-tuning, and distillation from a teacher by one of
// ten divergences.
//
// An Example is a token sequence that marks which of its tokens are the answer, who wrote it, and
// how much each token counts. An Objective mixes a divergence and a cross-entropy on the answer
// tokens with a weak loss on the whole sequence, and may add a loss of hidden states (HiddenLoss);
// its Formula writes that out. A Teacher gives whole distributions, lists of tokens or groups of
// tokens: ModelTeacher is a model in memory, Aligned one of another vocabulary, others are kept on
// disk or are asked over a network, and a Mixture weighs several by an example's task. A Trainer
// minimises it with AdamW, one step at a time, and its state can be saved and restored between
// steps; Train runs all steps. The batch of a step comes from a function, Batches: given examples
// (see Shuffle), or samples that the caller draws from the student between two steps. Loss and
// Agreement measure a model.
//
// Promises. Each loss is normalised by its own number of tokens over the whole batch of a step,
// however the batch is split into passes and among the ranks of a Group. Logits exist for a chunk
// of tokens at a time, never [tokens, vocabulary], and only for tokens that carry a loss; the
// teacher's only for tokens that carry a divergence. Labels are shifted here, once: the logits at
// position t−1 predict token t. The same examples in the same order give the same weights bit for
// bit, whatever the number of threads; another number of ranks changes the order of sums, and so
// the last bits. A step that fails or is cancelled leaves the weights as they were, unless the
// Group itself failed. A model that teaches may be in any weight format; the student's weights must
// be float32.
//
// The package leaves out sampling, text, files, the choice of examples and the transport between
// ranks (Alone is the one Group that it has); reports of steps go to a plain func(StepReport). What
// a student wrote itself is never its own label: such answers have a divergence alone.
package kd
