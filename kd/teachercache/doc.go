// Package teachercache keeps a teacher's distributions in a file, so that a training run, or many,
// need the teacher once.
//
// Build asks a teacher for the distributions at the tokens of examples, and writes them by one of
// three codecs. Exact keeps whole rows of float32: training with it has the same bits as with the
// teacher. TopK keeps the k most likely tokens of each row with their log-probabilities under the
// whole softmax, and the logarithm of the tail's mass, so that the tail counts as one outcome.
// Sampled keeps tokens that are drawn at random, with importance weights whose expectation is the
// distribution: the gradient of forward KL is then unbiased ("Sparse Logit Sampling", Anshumann et
// al., 2025), while that of the k most likely tokens alone is not. Open reads such a file, and its
// Teacher is a kd.Teacher.
//
// Promises. A row is found by its example's content, a hash of its tokens and answer marks up to
// the last answer (and of its task, where the rows depend on that); an example that is absent is an
// error that names it. The header says what the rows depend on: the teacher, the tokenizer, the
// chat template and the task by their hashes, the codec with its parameters, the vocabulary, the
// temperature and the shift of the labels. A cache of anything else is refused with what differs.
// Each part has a checksum; a damaged or cut file is an error, whatever byte is wrong. A cache has
// its name only when it is whole: until then it is NAME.part, whose finished records another Build
// goes on from, to the same bytes. A cache is a function of the teacher's rows, the examples and
// the Spec alone.
//
// Rows of TopK and Sampled are for the vocabulary and the temperature that they were built at;
// their log-probabilities are in steps of 1/2048 nat, from 0 to −32. The package leaves out the
// hashes themselves, and answers that a student draws while it learns, which no file can have.
package teachercache
