// Package starter writes the text of new scenarios: commented, and ready to run.
//
// Task gives a scenario of a kind of task; Compression.Text gives a sweep over a checkpoint: shares
// of neurons to remove times number formats. Records makes records of a plain text, since scenarios
// read records.
//
// Promises: the same input gives the same text; what a model's widths do not allow is left out,
// with a note. The package writes no files and opens no models: the caller says what a model's
// shape is, and checks the text as any other scenario.
package starter
