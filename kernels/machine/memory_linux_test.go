package machine

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestMemoryOf: the narrowest limit counts, of the process, its control groups of both versions and
// the groups above them; cached files of a group are free.
func TestMemoryOf(t *testing.T) {
	const gib = 1 << 30
	meminfo := map[string]string{"proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 1048576 kB\nMemAvailable: 4194304 kB\n"}
	for name, c := range map[string]struct {
		files      map[string]string
		addresses  int64
		most, free int64
	}{
		"nothing known":    {nil, math.MaxInt64, math.MaxInt64, 0},
		"machine":          {meminfo, math.MaxInt64, math.MaxInt64, 4 * gib},
		"addresses":        {map[string]string{"proc/meminfo": meminfo["proc/meminfo"], "proc/self/status": "Name: x\nVmSize:\t1048576 kB\n"}, 3 * gib, 3 * gib, 2 * gib},
		"addresses are up": {map[string]string{"proc/meminfo": meminfo["proc/meminfo"], "proc/self/status": "VmSize:\t4194304 kB\n"}, 3 * gib, 3 * gib, 1},
		"groups": {map[string]string{
			"proc/meminfo": meminfo["proc/meminfo"], "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "2147483648\n", "sys/fs/cgroup/a/memory.current": "1610612736\n",
			"sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 536870912\n",
		}, math.MaxInt64, 2 * gib, gib},
		"groups of version 1, in a container": {map[string]string{
			"proc/meminfo": meminfo["proc/meminfo"], "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "536870912\n",
		}, math.MaxInt64, gib, gib / 2},
		"wide group": {map[string]string{
			"proc/meminfo": meminfo["proc/meminfo"], "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, math.MaxInt64, 9223372036854771712, 4 * gib},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			file = filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if most, free := memoryOf(root, c.addresses); most != c.most || free != c.free {
			t.Errorf("%s: at most %d, free %d; expected %d and %d", name, most, free, c.most, c.free)
		}
	}
}

// TestMemory: this machine has memory, and no more of it is free than there is.
func TestMemory(t *testing.T) {
	if all, free := Memory(), FreeMemory(); all <= 0 || free <= 0 || free > all {
		t.Errorf("%d bytes, %d free", all, free)
	}
}
