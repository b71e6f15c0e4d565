package doctor

import "slimlab/lab/home"

// Diagnosis is all that was measured. Quantities are in base units: seconds, bytes, operations (a
// multiply-add is two), hertz.
type Diagnosis struct {
	// "slimlab.doctor/1"; a change that could break a reader changes it
	Version string       `json:"version"`
	Machine Machine      `json:"machine"`
	State   MachineState `json:"state"`
	Peaks   []Peak       `json:"peaks"`
	Kernels []Kernel     `json:"kernels,omitempty"`
	Model   *ModelSpeed  `json:"model,omitempty"`
	LeftOut []string     `json:"left_out,omitempty"` // what was not measured, and why
	// what the home folder holds, for the caller to fill
	Home *home.Disk `json:"home,omitempty"`
}

const schema = "slimlab.doctor/1"

// Machine is the processor and what was chosen for it.
type Machine struct {
	Vendor   string   `json:"vendor,omitempty"`
	CPU      string   `json:"cpu"`
	Family   int      `json:"family,omitempty"`
	Model    int      `json:"model,omitempty"`
	Stepping int      `json:"stepping,omitempty"`
	System   string   `json:"system"` // such as "linux/amd64"
	Features []string `json:"features,omitempty"`
	CPUs     int      `json:"cpus"`         // logical processors
	L1       int64    `json:"l1,omitempty"` // bytes of a core's first data cache
	L2       int64    `json:"l2,omitempty"`
	L3       int64    `json:"l3,omitempty"` // bytes that several cores share

	Threads         int      `json:"threads"` // that kernels were measured with, beside one
	Implementation  string   `json:"implementation"`
	Implementations []string `json:"implementations"` // that this build and CPU can run
	Reason          string   `json:"reason"`          // of the choice
}

// Sample is the spread of a quantity that was measured n times.
type Sample struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Peak is the highest rate that the machine reached.
type Peak struct {
	Name  string  `json:"name"`  // "float32", "bfloat16", "int8"; "L1", "L2", "L3", "DRAM"
	Unit  string  `json:"unit"`  // "operations/s" or "bytes/s"
	Means string  `json:"means"` // what was run, such as "VFMADD231PS, 512 bits"
	One   Sample  `json:"one"`   // of one thread
	All   *Sample `json:"all,omitempty"`
}

const (
	operationsPerSecond = "operations/s"
	bytesPerSecond      = "bytes/s"
)

// Kernel is one kernel on one size.
type Kernel struct {
	Name   string `json:"name"`
	Format string `json:"format,omitempty"` // of the weights
	Shape  string `json:"shape"`
	Rows   int    `json:"rows,omitempty"`
	// of a call; 0 where they are not what limits it
	Operations float64 `json:"operations,omitempty"`
	// of the memory that a call touches, each once
	Bytes   float64  `json:"bytes,omitempty"`
	Timings []Timing `json:"timings"` // by number of threads
}

// Timing is one kernel, or a step of a model, on so many threads, beside its limit.
type Timing struct {
	Threads int    `json:"threads"`
	Seconds Sample `json:"seconds"`
	// the peak that allows the least; empty where there is none
	Limit string `json:"limit,omitempty"`
	// what that peak, measured in samples between the kernel's, would take
	Least float64 `json:"limit_seconds,omitempty"`
	Share float64 `json:"share,omitempty"` // Least ÷ the median
}

// ModelSpeed is the speed of a whole model with random weights.
type ModelSpeed struct {
	Shape      string `json:"shape"`
	Format     string `json:"format"`
	Head       string `json:"head"`  // format of the head and the embedding
	Cache      string `json:"cache"` // format of keys and values
	CacheBytes int64  `json:"cache_bytes_per_token"`
	Parameters int    `json:"parameters"`
	Bytes      int64  `json:"bytes"` // of the weights in their formats
	Tests      []Test `json:"tests"`
}

// Test is one way to run a model, repeated.
type Test struct {
	Name       string  `json:"name"`      // such as "prefill 512"
	Sequences  int     `json:"sequences"` // that are run at once
	Tokens     int     `json:"tokens"`    // of a repetition, of all sequences
	Rate       Sample  `json:"rate"`      // tokens per second
	Mean       float64 `json:"mean"`      // of the same
	Operations float64 `json:"operations_per_token"`
	// weights and cached keys and values, read once for all sequences of a step
	Bytes  float64 `json:"bytes_per_token"`
	Timing         // of a repetition
}
