// Package filelock holds advisory locks of files and folders, and of the targets of commands: the
// folders and files that a command writes in stages.
//
// The operating system releases a lock when its process ends, however it ends. A lock is held
// against other processes and against other holders in the same one. A process that does not ask
// for a lock can read and write all the same.
//
// The lock of a target is a file beside it, which says which process holds it and is removed when
// the lock is released. One that a killed process left is not locked, and the next holder uses it.
//
// The package leaves out waiting for the lock of a target.
package filelock
