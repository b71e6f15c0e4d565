// Package tokenview is what a student and its teacher say at each token of a few answers: their
// divergence, the rank and the probability of the token that stands there, the likeliest tokens of
// both, and what each would have written itself.
//
// A View is made by a run (lab/run) and kept as an artifact of its own; Read reads it. Write turns
// views into a table for people, JSON or CSV.
//
// The package promises that a table holds no character that a terminal would act on, and that a
// token that is a part of a character stays what it is: JSON has the list of its bytes. It leaves
// out models and tokenizers: a View has texts.
package tokenview
