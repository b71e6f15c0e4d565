// Package mapped reads large files through the address space: opening one takes no time and no memory, what is read is a view of the
// system's own cache, and what is not read is never loaded. Where the system has no such mapping a File is read as any other.
//
// A file must not be shortened while it is mapped: reading what is gone ends the process, as the system has it.
package mapped
