package kernels

import "golang.org/x/sys/unix"

// adviseHugePages asks for huge pages under b, which begins at the boundary of one. It is advice: where the system does not give any, all works as before.
func adviseHugePages(b []byte) { _ = unix.Madvise(b[:len(b)/hugePage*hugePage], unix.MADV_HUGEPAGE) }
