//go:build !amd64 || noasm

package kernels

import (
	"os"
	"strings"
)

var cycleLoop Loop

// identify takes the name that Linux knows.
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
