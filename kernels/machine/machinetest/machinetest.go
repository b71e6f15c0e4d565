//go:build unix

// Package machinetest measures for benchmarks what other work on the machine does not disturb: CPU
// time, and the float64 peak in it.
package machinetest

import (
	"syscall"

	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/kernels/parallel"
)

// CPUSeconds is the CPU time of this process so far, of all threads.
func CPUSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// Float64Peak is half of the float32 operations of package machine's loop in a CPU second, on all
// threads.
func Float64Peak() float64 {
	const rounds = 1 << 21
	loop := machine.Loops(kernels.Implementation())[0]
	start := CPUSeconds()
	loop.Run(parallel.Threads(), rounds)
	return float64(loop.Operations*rounds*parallel.Threads()) / (CPUSeconds() - start) / 2
}
