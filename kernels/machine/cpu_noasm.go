//go:build !amd64 || noasm

package machine

import (
	"os"
	"strings"
)

var cycleLoop Loop

// identify reads the name from Linux.
func (c *CPU) identify() {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			c.Name = strings.TrimSpace(value)
			return
		}
	}
}
