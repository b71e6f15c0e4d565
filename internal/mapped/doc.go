// Package mapped reads large files through the address space: opening one takes no time and no
// memory, what is read is a view of the system's own cache, and what is not read is never loaded.
// Where the system has no such mapping a File is read as any other.
//
// Where a file is shortened while it is mapped, or its disk fails, reading a view of it ends the
// process, as the system has it, unless it is read within Guard. ReadAt is guarded.
package mapped
