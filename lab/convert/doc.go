// Package convert turns one checkpoint into another, from the command line: it inspects, imports
// (and merges LoRA adapters), exports, prunes, quantizes and distils.
//
// Pruning and quantizing take a model's layers one at a time: what is in memory is one layer in
// float32, the residual stream of the calibration text, and the statistics of one input of that
// layer. MemoryEstimate says how much that is; the Result what it was. Each finished layer is a
// file; the same command after an interruption goes on with the layer that it was at, and yields
// the same bytes. The new folder gets its name when all of it is there and was read again.
//
// A conversion holds the lock of its target (package filelock) from its beginning to its end: of
// two processes that write one target, the second ends with a filelock.LockedError.
//
// Distilling trains the student as a whole in memory, with its gradients and the optimizer's
// moments.
//
// The package leaves out sweeps, tasks and measures of quality: those are scenarios (package run)
// and package eval.
package convert
