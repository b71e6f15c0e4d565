package kernels

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// implementation is one complete set of kernels. Its fields are set once, before the first use.
type implementation struct {
	name     string
	products productKernels
	rows     rowKernels
}

// available holds what this build and CPU can run, slowest first; it always begins with the
// reference.
var available = supported()

// active is the implementation in use. It is never nil.
var active = firstActive()

// firstActive honours SLIMLAB_KERNELS. An unavailable name must not stop a program before main
// could report it, so it counts as "auto" here; a program that wants the error calls Use itself.
func firstActive() *atomic.Pointer[implementation] {
	chosen, err := find(os.Getenv("SLIMLAB_KERNELS"))
	if err != nil {
		chosen = available[len(available)-1]
	}
	p := new(atomic.Pointer[implementation])
	p.Store(chosen)
	return p
}

func find(name string) (*implementation, error) {
	if name == "" || name == "auto" {
		return available[len(available)-1], nil
	}
	for _, im := range available {
		if im.name == name {
			return im, nil
		}
	}
	return nil, fmt.Errorf("kernels: no implementation %q: this machine and build offer auto, %s", name, strings.Join(Implementations(), ", "))
}

// Use selects the implementation by name ("ref", "avx2", "avx512", "avx512vnni", "avx512bf16"; ""
// and "auto" pick the fastest that the CPU has) and returns a func that restores the earlier one.
// The error names what this machine offers. Packed weights keep the layout of the implementation
// that was in use when they were packed.
//
// The choice at start-up is that of the environment variable SLIMLAB_KERNELS, where an unknown or
// unsupported name counts as "auto".
func Use(name string) (restore func(), err error) {
	chosen, err := find(name)
	if err != nil {
		return nil, err
	}
	old := active.Swap(chosen)
	return func() { active.Store(old) }, nil
}

// Implementation returns the name of the implementation in use.
func Implementation() string { return active.Load().name }

// Implementations returns the names that this build and CPU can run, slowest first.
func Implementations() []string {
	names := make([]string, len(available))
	for i, im := range available {
		names[i] = im.name
	}
	return names
}
