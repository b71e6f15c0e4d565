// Package run turns the cells of a plan into work.
//
// A cell is one point of a sweep with one seed. Its steps run in order. Each yields a model, an
// artifact that is named by its recipe (lab/recipe): what the step does, the artifacts that it
// starts from, world or file, tokenizer, seed, the arithmetic and the version of the stage's code.
// Measurements are artifacts too, and so are files of a teacher's distributions, which several
// trainings read. An artifact that exists is never made again, so an interrupted run resumes, and
// two scenarios share a teacher. Each step's model is measured as it is read from its artifact, and
// the measures are a row event. Curves are kept with a trained model, and emitted again where it is
// found.
//
// A step with a search trains several times. Its trials are the artifacts of the plain trainings
// with their settings, and its own artifact has the files of the best one.
//
// Promises. The same seed gives the same quality figures bit for bit, resumed or not, however many
// cells run at once. What is finished is on disk before it is reported. Bad input is reported
// before anything is begun. A cell that fails, or panics, does not stop the others; a log that
// cannot be written stops the run. Timings are taken while nothing else of the run computes: all
// computing holds a lock for reading, which training releases between steps, and a timing holds it
// for writing. How the machine was meanwhile is kept with the timing. A P99 says of how few samples
// it is, below 100, and that it rests on an outlier: the larger of the two samples that it lies
// between is more than 2 times the smaller one, or more than 3 times the median. A stage that
// computes something else under its old version fails a test.
//
// The package leaves out screens and formats, and the folder in which everything is kept
// (lab/home): it reports everything as events.
package run
