package machine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// CPU describes the processor. What is unknown or absent is zero.
type CPU struct {
	Vendor string // such as "AuthenticAMD"
	// such as "AMD EPYC 9654 96-Core Processor"; virtual machines often shorten it
	Name     string
	Family   int // on amd64, with the extended part
	Model    int // on amd64, with the extended part
	Stepping int // on amd64
	// instruction sets that both the CPU and the system allow, of those that kernels use or may use
	Features []string
	Threads  int   // logical processors that this process may run on
	L1       int64 // bytes of a core's first data cache
	L2       int64 // bytes of a core's second cache
	L3       int64 // bytes of the third cache, shared by several cores
}

// ThisCPU describes this machine's processor: from CPUID where there is one, and from the operating
// system otherwise.
func ThisCPU() CPU {
	c := CPU{Threads: runtime.NumCPU()}
	c.identify()
	if c.L1 == 0 {
		c.cachesOf("/sys/devices/system/cpu/cpu0/cache")
	}
	if c.Name == "" {
		c.Name = runtime.GOOS + "/" + runtime.GOARCH
	}
	return c
}

// cachesOf reads the sizes that Linux reports in a folder for each cache.
func (c *CPU) cachesOf(folder string) {
	for i := range 16 {
		text := func(name string) string {
			b, _ := os.ReadFile(fmt.Sprintf("%s/index%d/%s", folder, i, name))
			return strings.TrimSpace(string(b))
		}
		level, _ := strconv.Atoi(text("level"))
		if kind := text("type"); kind == "Data" || kind == "Unified" {
			c.setCache(level, parseSize(text("size")))
		}
	}
}

// parseSize reads "32K" or "8M"; any other text is 0.
func parseSize(text string) int64 {
	unit := int64(1)
	switch {
	case strings.HasSuffix(text, "K"):
		unit = 1 << 10
	case strings.HasSuffix(text, "M"):
		unit = 1 << 20
	}
	n, _ := strconv.ParseInt(strings.TrimRight(text, "KM"), 10, 64)
	return n * unit
}

func (c *CPU) setCache(level int, bytes int64) {
	switch level {
	case 1:
		c.L1 = bytes
	case 2:
		c.L2 = bytes
	case 3:
		c.L3 = bytes
	}
}

// CycleLoop returns a loop that takes a known number of clock cycles of the core, its Operations,
// so that its rate is the clock's; ok is false where there is none. Its speed does not depend on
// the core's other thread, as it leaves almost all of the core unused.
func CycleLoop() (l Loop, ok bool) { return cycleLoop, cycleLoop.run != nil }
