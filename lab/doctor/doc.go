// Package doctor measures the machine that it runs on: what its cores and memory give at most, how
// near each kernel comes to that, and how fast the serving engine runs a whole model.
//
// Limits are measured, never taken from a data sheet. The samples of a limit and of what it limits
// are interleaved, a few milliseconds apart, so both see the same clock speed and the same
// neighbours. Every figure carries the spread of its samples, and the diagnosis says whether the
// machine was steady. The package computes plain structs in base units and writes them as text or
// JSON; it opens no files.
package doctor
