// Package lab is the vocabulary of a run: events, metrics, cells, and the Board that folds them.
//
// A run is a log of events. Screens, replays, reports and verdicts are folds of that log by one
// reducer, Board.Apply. Values are in base units (seconds, bytes, nats,
// fractions); prefixes belong to the screen. The package does no I/O, and of
// slimlab imports only lab/stat.
package lab
