// Package lab is the vocabulary of a run: events, metrics, cells, and the Board that folds them.
//
// A run is a log of events; all that anyone sees, live, in replay, in a report or a verdict, is a
// fold of that log by one reducer, Board.Apply. Values are in base units (seconds, bytes, nats,
// fractions); prefixes belong to the screen. The package imports nothing of slimlab and does no
// I/O.
package lab
