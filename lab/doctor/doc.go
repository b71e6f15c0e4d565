// Package doctor measures the machine that it runs on: what its cores and memory give at most, how
// near each kernel comes to that, and how fast a whole model runs.
//
// A limit is measured, never taken from a data sheet, and measured in turn with what is held
// against it, a few milliseconds apart: machines change their clock and are shared. What a figure
// may hide travels with it: the samples' spread, and a verdict on the machine's state. The package
// computes plain structs in base units and writes them as text or JSON; it opens no files.
package doctor
