package home

import (
	"fmt"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/kernels/machine"
)

// Machine describes where timings are taken, in one line: the CPU, its cores, the kernels in use.
// Timings of different machines are not comparable.
func Machine() string {
	cpu := machine.ThisCPU()
	name := cpu.Name
	if cpu.Model != 0 {
		// Virtual machines often hide the name behind "Xeon Processor": the model number
		// distinguishes them.
		name += fmt.Sprintf(" model %d", cpu.Model)
	}
	return fmt.Sprintf("%s · %s · %s", name, plural.Of(cpu.Threads, "core"), kernels.Implementation())
}

// Kernels names the kernels' implementation in use.
func Kernels() string { return kernels.Implementation() }

// UseKernels chooses the kernels' implementation for the process by name; "" picks the fastest.
func UseKernels(name string) error {
	_, err := kernels.Use(name)
	return err
}
