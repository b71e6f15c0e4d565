// Package recipe says what an artifact is made of, and names the artifact by it.
//
// A Recipe is an explicit list of all that decides a stage's output: the stage and the version of
// its code, the arithmetic (implementation of the kernels, processor architecture), the keys of the
// inputs, the parameters, the task, the tokenizer and the seed. Its canonical text is JSON with
// sorted keys in which integers, floats and texts cannot be confused; its key is the SHA-256 of
// that text. Equal recipes have equal keys on every machine, and a change of any field gives
// another key.
//
// Inputs from outside are named by their content (Content, File), never by path, size or time, so a
// file that moved keeps its key and one that changed does not.
//
// The package leaves out where artifacts are kept (lab/store), and which version a stage has: the
// package with the stage's code says so.
package recipe
