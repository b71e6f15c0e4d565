package memorypeak

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"slimlab/internal/mapped"
)

// TestPeakCountsPrivateMemory: a mapped file that is read whole does not raise the peak, memory of
// the program's own does, also when it is given back before the end.
func TestPeakCountsPrivateMemory(t *testing.T) {
	const size = 64 << 20
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	before := Now()
	if before == 0 {
		t.Fatal("the system does not say how much memory is private")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := mapped.New(f)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data := file.View(0, size)
	ticks := make(chan time.Time)
	m := begin(ticks)
	sum := byte(0)
	for i := 0; i < size; i += 512 {
		sum += data[i]
	}
	ticks <- time.Time{}
	if grown := m.End() - before; sum != 0 || grown > size/2 {
		t.Errorf("a mapped file of %d bytes raised the peak by %d", size, grown)
	}
	m = begin(ticks)
	own := make([]byte, size)
	for i := 0; i < size; i += 512 {
		own[i] = 1
	}
	ticks <- time.Time{}
	ticks <- time.Time{} // the first sample is taken
	if grown := m.End() - before; own[0] != 1 || grown < size*9/10 {
		t.Errorf("%d bytes of memory raised the peak by %d", size, grown)
	}
}
