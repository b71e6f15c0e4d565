package run

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"slimlab/kernels"
)

// Machine describes where a run's timings were taken, in one line: the CPU, its cores, the kernels
// in use. Timings of different machines are not comparable.
func Machine() string {
	return fmt.Sprintf("%s · %d cores · %s", cpuName(), runtime.NumCPU(), kernels.Implementation())
}

func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	defer f.Close()
	var name, model string
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		switch strings.TrimSpace(key) {
		case "model name":
			name = strings.TrimSpace(value)
		case "model":
			model = strings.TrimSpace(value)
		case "":
			if name != "" {
				// Virtual machines often hide the name behind "Xeon Processor": the model number
				// tells them apart.
				return name + " model " + model
			}
		}
	}
	if name == "" {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	return name
}
