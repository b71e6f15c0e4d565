// Package rollout gives the batches of on-policy distillation: answers that the student, as it is
// after the steps so far, or a teacher writes to the data's prompts.
//
// A Sampler stands between a source of examples and a kd.Trainer. Of each batch it replaces the
// answers of a share of the examples, which a coin for each example decides (GKD, Agarwal et al.,
// 2024, toss one for each step: the mean is the same, a batch's share varies less so). The prompts
// go to an engine together and are answered in one continuous batch; the engine's prefix cache is
// emptied before each step, as keys and values of other weights are wrong.
//
// With Replay a threshold that follows the validation loss says how many answers are new samples
// and how many earlier ones (DistiLLM). With Speculative the student proposes tokens, of which the
// teacher replaces those that it finds unlikely (SKD).
//
// Promises. A batch is a function of the student's weights, the seed and the step, and with Replay
// of its state, which Save writes: neither the size of the engine's batches nor the number of
// threads changes a token, and a step that is asked for again gets the same batch. No token is
// drawn that one of the models does not have, and no answer is longer than both can read. What the
// student wrote has kd.OfStudent, so that it is no label, and what a teacher wrote kd.OfTeacher.
// Stats, StepStats, StepSamples, Late and Last say what is written, Doubt when none of it ends or
// all of it ends at once, and Relief when that is over.
//
// It leaves out text: prompts and answers are token ids, also those of a Writer, which stands for
// a teacher that is no model in memory.
package rollout
