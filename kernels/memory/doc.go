// Package memory holds the buffers of the kernels: Aligned allocates slices that begin at a cache
// line, Grown reuses a slice where it is large enough, FreeList keeps values from one call to the
// next, and Scratch is reused memory for one piece of work.
//
// It promises that a steady loop over any of them allocates nothing: free lists are not emptied by
// the garbage collector as a sync.Pool is. It leaves out zeroing: memory that is used again holds
// what it held.
package memory
