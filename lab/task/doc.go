// Package task is what a model is measured on: training examples, calibration text, test cases with
// a known truth, and the statistics that turn a model's scores into figures with intervals.
//
// There are five tasks that train and measure. Recsys is a synthetic world of members and items
// whose click probabilities are known, so the best possible AUC is known too. Reasoning is a
// generated world of problems whose answers write chains of steps in words of known probability, so
// the lowest possible loss is known, and whose ends are checked. JSONL is a user's file of prompts
// and responses. Ratings is users' ratings of titles, from tables. Windows is a file of text, every
// token of which is predicted. Two more only measure: Text, the perplexity of a file, and Choice,
// questions with given answers. All yield plain token sequences: the package does not depend on
// models, training or engines, and declares what it needs of them, an Encoder of text and a Scorer
// of prompts.
//
// The rule of Ratings. Will a user like a title? A rating of 4 stars or more is a like. A user's
// ratings are in the order of time, then of the movie's number; the first four fifths, rounded
// down, are before the cut. Each rating from the eleventh on is a candidate: its prompt is the ten
// ratings of its user just before it, each a line with title, genres and outcome, and the
// candidate's line without. Candidates before the cut are for training, those after it are the
// test set, whose prompts may show earlier ratings of the test set, which lie in their past. Of a
// user's training candidates the last tenth is for validation and the tenth before that for
// calibration. Nothing is drawn at random. Three guesses need no model: the title's share of likes
// among all ratings before the cut, (likes + 2.5)/(ratings + 5); the user's share of likes in the
// prompt; their sum. AUC is over all test prompts, and within users over the pairs of one user's
// prompts: the first rewards knowing which users like everything, the second does not.
//
// Weights. A token's loss has a factor, 1 where the data says nothing, and every mean is divided by
// the sum of the factors: they are relative. Of JSONL a message of the assistant has the one under
// "weight", from 0 to 1000; a record has that of WeightField, which multiplies the losses of all
// its tokens, those of the prompt in the loss over the whole sequence too; MaskField lists spans of
// the response's characters (code points), [[from, to], …] without their ends. A token counts
// where any of its bytes is outside of all spans, and the token that ends a response always. A
// token of weight 0 is read and has no loss; a record that has no other answers is left out. Of
// Recsys each outcome that an example shows, past ones too, has the weight of its own task
// (Weighted). The validation loss along a training is weighted as the training is. Figures in
// reports are not: they are means over all answer tokens but those to which a file gives weight 0.
//
// Everything is a pure function of settings and indices: the same example has the same tokens in
// every run, on every machine, in any order and from any number of goroutines.
package task

import "context"

// Encoder turns text into token ids. It adds no special tokens. Err is why a text that it was given
// has no ids.
type Encoder interface {
	Encode(text string) []int32
	Err() error
}

// Scorer returns, for each prompt, the logits or log-probabilities of the label tokens as the next
// token: [prompts][labels].
type Scorer interface {
	Score(ctx context.Context, prompts [][]int32, labels []int32) ([][]float32, error)
}

// Example is a sequence to train, validate or calibrate on.
type Example struct {
	Tokens []int32
	// Answer [len(Tokens)] marks the tokens that the loss on answers predicts: Answer[t] says that
	// token t is a target.
	Answer []bool
	// Weights [len(Tokens)] are factors of the tokens' losses, 0 or more; nil is 1 for all.
	Weights []float32
	// Task is the number of the example's task where a world or a file has several, 0 elsewhere: of
	// TaskNames, or of the Tasks of Records.
	Task int
}

// Turn is the last answer of an example and the prompt before it: all that a model reads until it
// answers. Of an example without a prompt the answer begins with the second token.
func (e *Example) Turn() (prompt, answer []int32) {
	end := len(e.Tokens)
	for end > 0 && !e.Answer[end-1] { // what a template writes after an answer
		end--
	}
	begin := end
	for begin > 0 && e.Answer[begin-1] {
		begin--
	}
	return e.Tokens[:begin:begin], e.Tokens[begin:end:end]
}

// Sources of calibration text.
const (
	InDomain = "in-domain" // the task's own prompts
	Generic  = "generic"   // other text in the same vocabulary
)

// Task is what every task offers to training and calibration. Its splits are
// disjoint. Implementations are safe for concurrent use.
type Task interface {
	// Train returns the i-th training example, i ≥ 0, in the order that seed sets. It never ends: a
	// finite set repeats in another order.
	Train(seed uint64, i int) Example
	// TrainSize is the number of different training examples; 0 is without end.
	TrainSize() int
	// Validation returns the first n validation examples, or as many as there are; n ≤ 0 asks for
	// all of a finite set.
	Validation(n int) []Example
	// Calibration returns n examples of a source, or as many as there are.
	Calibration(source string, n int) ([]Example, error)
	// Notes are remarks on the data for its user, such as truncated examples.
	Notes() []string
}

var (
	_ Task = (*Recsys)(nil)
	_ Task = (*Reasoning)(nil)
	_ Task = (*JSONL)(nil)
	_ Task = (*Ratings)(nil)
	_ Task = (*Windows)(nil)
)
