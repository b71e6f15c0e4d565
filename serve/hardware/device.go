package hardware

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
)

// Device is one accelerator, as its datasheet or its owner describes it.
type Device struct {
	Name      string
	About     string
	Memory    int64   // bytes
	Bandwidth float64 // of its memory, bytes a second
	Peaks     Peaks
	Units     int     // multiprocessors, among which a product is divided in tiles; 0 is unknown
	Link      float64 // to each of the others of its machine, bytes a second one way; 0 is none
	Power     float64 // watts at full load; 0 is unknown
	Price     float64 // per hour, in the currency of its owner; 0 is unknown
	Source    string  // of the figures
}

// Peaks is dense operations a second by the format of the product; 0 where it has none.
type Peaks struct{ BF16, FP8, INT8, INT4 float64 }

// Of returns the peak of a format: INT4 is decoded to BF16 before the product.
func (p Peaks) Of(f Format) float64 {
	switch f {
	case FP8:
		return p.FP8
	case INT8:
		return p.INT8
	}
	return p.BF16
}

const (
	gigabyte = 1e9
	tera     = 1e12
)

// Devices returns the devices that slimlab knows from their datasheets. None has a price.
func Devices() []Device {
	sheet := func(name, about string, memory, bandwidth, bf16, fp8, int8, int4 float64, units int, link, power float64) Device {
		return Device{
			Name: name, About: about, Memory: int64(memory * gigabyte), Bandwidth: bandwidth * gigabyte,
			Peaks: Peaks{bf16 * tera, fp8 * tera, int8 * tera, int4 * tera},
			Units: units, Link: link * gigabyte, Power: power, Source: "NVIDIA's datasheet, dense figures",
		}
	}
	return []Device{
		sheet("a100", "NVIDIA A100 SXM4 80 GB", 80, 2039, 312, 0, 624, 1248, 108, 300, 400),
		sheet("a100-40g", "NVIDIA A100 SXM4 40 GB", 40, 1555, 312, 0, 624, 1248, 108, 300, 400),
		sheet("a100-pcie", "NVIDIA A100 PCIe 80 GB", 80, 1935, 312, 0, 624, 1248, 108, 0, 300),
		sheet("h100", "NVIDIA H100 SXM5 80 GB", 80, 3350, 989.4, 1978.9, 1978.9, 0, 132, 450, 700),
		sheet("h100-pcie", "NVIDIA H100 PCIe 80 GB", 80, 2048, 756.5, 1513, 1513, 0, 114, 0, 350),
		sheet("h200", "NVIDIA H200 SXM 141 GB", 141, 4800, 989.4, 1978.9, 1978.9, 0, 132, 450, 700),
		sheet("b200", "NVIDIA B200 HGX 180 GB", 180, 7700, 2250, 4500, 4500, 0, 148, 900, 1000),
		sheet("l40s", "NVIDIA L40S 48 GB", 48, 864, 362, 733, 733, 733, 142, 0, 350),
		sheet("l4", "NVIDIA L4 24 GB", 24, 300, 121, 242, 242, 0, 58, 0, 72),
		sheet("a10", "NVIDIA A10 24 GB", 24, 600, 125, 0, 250, 500, 72, 0, 150),
		sheet("a40", "NVIDIA A40 48 GB", 48, 696, 149.7, 0, 299.3, 598.7, 84, 0, 300),
		sheet("h20", "NVIDIA H20 96 GB", 96, 4022, 148, 296, 296, 0, 78, 450, 400),
	}
}

// DeviceNames lists the names of Devices.
func DeviceNames() []string {
	var names []string
	for _, d := range Devices() {
		names = append(names, d.Name)
	}
	return names
}

// FindDevice returns the device of a name, as Devices lists them.
func FindDevice(name string) (Device, error) {
	for _, d := range Devices() {
		if d.Name == name {
			return d, nil
		}
	}
	return Device{}, nearest.Unknown("device", name, DeviceNames())
}

// maxDevices is the most that ParseDevices takes: tensor parallelism ends at a few machines.
const maxDevices = 1024

// ParseDevices reads a device and how many of it: "h100x4" is four, "l40s" is one.
func ParseDevices(s string) (Device, int, error) {
	name, count := s, 1
	if i := strings.LastIndexByte(s, 'x'); i > 0 && i < len(s)-1 && digits(s[i+1:]) {
		n, err := strconv.Atoi(s[i+1:])
		if err != nil || n < 1 || n > maxDevices {
			return Device{}, 0, fmt.Errorf("devices: found %q, expected a count of 1 to %d after x, such as h100x4", s, maxDevices)
		}
		name, count = s[:i], n
	}
	d, err := FindDevice(name)
	if err != nil {
		return Device{}, 0, err
	}
	return d, count, nil
}

func digits(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < '0' || c > '9' })
}

// Validate reports the first figure of a device that no model's time can be computed from.
func (d Device) Validate() error {
	if d.Name == "" {
		return fmt.Errorf("device: found no name")
	}
	if d.Memory <= 0 {
		return fmt.Errorf("device %s: memory is %d bytes, expected more than 0", d.Name, d.Memory)
	}
	for _, figure := range []struct {
		name     string
		value    float64
		required bool
	}{
		{"memory bandwidth", d.Bandwidth, true}, {"BF16 peak", d.Peaks.BF16, true}, {"FP8 peak", d.Peaks.FP8, false},
		{"INT8 peak", d.Peaks.INT8, false}, {"INT4 peak", d.Peaks.INT4, false}, {"link", d.Link, false},
		{"power", d.Power, false}, {"price", d.Price, false}, {"number of units", float64(d.Units), false},
	} {
		if !(figure.value >= 0) || math.IsInf(figure.value, 0) || figure.required && figure.value == 0 {
			return fmt.Errorf("device %s: %s is %v, expected a positive number", d.Name, figure.name, figure.value)
		}
	}
	return nil
}
