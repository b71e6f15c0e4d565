package run

import "slimlab/kernels"

// UseKernels chooses the kernels' implementation for the process by name; "" picks the fastest.
func UseKernels(name string) error {
	_, err := kernels.Use(name)
	return err
}
