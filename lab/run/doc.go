// Package run turns the cells of a plan into work: it is the only package that knows both the lab
// and the methods.
//
// A cell is one point of a sweep with one seed. Its steps run in order; each yields a model, an
// artifact named by the hash of all that made it: what the step does, the artifacts that it starts
// from, world or file, tokenizer, seed, the kernels' implementation and the version of the stage's
// code. Measurements are artifacts too. So an artifact that exists is never made again, by
// whichever run: an interrupted run resumes, and two scenarios share a teacher. Each step's model
// is measured, as it is read from its artifact, and the measures are a row event.
//
// Promises. The same seed gives the same quality figures bit for bit, resumed or not, however many
// cells run at once. What is finished is on disk before it is reported. Bad input is told before
// anything is begun. A cell that fails, or panics, does not stop the others; a log that cannot be
// written stops the run. Timings are taken while nothing else of the run computes: whoever computes
// holds a lock for reading, which training lets go of between steps, and a timing holds it for
// writing.
//
// The package leaves out screens and formats; it tells everything as events.
package run
