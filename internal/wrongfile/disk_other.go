//go:build !unix

package wrongfile

import "io/fs"

// disk is not known here.
func disk(fs.FileInfo) (number uint64, known bool) { return 0, false }
