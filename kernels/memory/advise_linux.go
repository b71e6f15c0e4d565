package memory

import "golang.org/x/sys/unix"

// adviseHugePages asks for huge pages under b, which begins at the boundary of one: for what is not
// there yet by the first advice, and by the second (Linux 6.1) for memory that the heap has used
// before in small pages. Where the system does not give any, all works as before.
func adviseHugePages(b []byte) {
	b = b[:len(b)/hugePage*hugePage]
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(b, unix.MADV_COLLAPSE)
}
