package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestThisCPU: CPUID and Linux report the same caches.
func TestThisCPU(t *testing.T) {
	c := ThisCPU()
	if c.Name == "" || c.Threads < 1 {
		t.Errorf("the CPU is %+v", c)
	}
	var system CPU
	system.cachesOf("/sys/devices/system/cpu/cpu0/cache")
	if system.L1 > 0 && (c.L1 != system.L1 || c.L2 != system.L2) {
		t.Errorf("caches of %d and %d bytes, the system says %d and %d", c.L1, c.L2, system.L1, system.L2)
	}
}

func TestCachesOf(t *testing.T) {
	folder := t.TempDir()
	for i, text := range []string{"1 Data 48K", "1 Instruction 32K", "2 Unified 2048K", "3 Unified 105M"} {
		dir := filepath.Join(folder, "index"+string(rune('0'+i)))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for k, name := range []string{"level", "type", "size"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Fields(text)[k]+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	var c CPU
	c.cachesOf(folder)
	if c.L1 != 48<<10 || c.L2 != 2<<20 || c.L3 != 105<<20 {
		t.Errorf("caches of %d, %d and %d bytes", c.L1, c.L2, c.L3)
	}
}
