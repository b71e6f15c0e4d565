// Package machine describes the machine and measures its limits: the processor with its features
// and caches (ThisCPU), the densest arithmetic that it can do (Loops, CycleLoop), and the rate at
// which it reads memory (ReadBuffer).
//
// A loop counts its operations, and the caller measures the time. It promises that no loop depends
// on memory and that Read reads every byte once. It leaves out deciding what a figure means.
package machine
