package hardware

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"slimlab/internal/nearest"
)

// maxDeviceFile is the most bytes of a device file that are read.
const maxDeviceFile = 64 << 10

// deviceFields is the keys of a device file: texts, and numbers with the unit that each has.
var (
	deviceTexts   = []string{"name", "about", "source"}
	deviceNumbers = []struct {
		key  string
		unit float64
		of   func(d *Device) *float64
	}{
		{"bandwidth_gbs", gigabyte, func(d *Device) *float64 { return &d.Bandwidth }},
		{"bf16_tflops", tera, func(d *Device) *float64 { return &d.Peaks.BF16 }},
		{"fp8_tflops", tera, func(d *Device) *float64 { return &d.Peaks.FP8 }},
		{"int8_tops", tera, func(d *Device) *float64 { return &d.Peaks.INT8 }},
		{"int4_tops", tera, func(d *Device) *float64 { return &d.Peaks.INT4 }},
		{"link_gbs", gigabyte, func(d *Device) *float64 { return &d.Link }},
		{"watts", 1, func(d *Device) *float64 { return &d.Power }},
		{"price_per_hour", 1, func(d *Device) *float64 { return &d.Price }},
	}
	deviceSizes = []string{"memory_gb", "multiprocessors"}
)

// deviceKeys lists the keys of a device file.
func deviceKeys() []string {
	keys := append(slices.Clone(deviceTexts), deviceSizes...)
	for _, n := range deviceNumbers {
		keys = append(keys, n.key)
	}
	return keys
}

// ReadDevice reads the description of a device, YAML of one level:
//
//	name: our-h100
//	about: rented, with NVLink
//	memory_gb: 80          # 10^9 bytes
//	bandwidth_gbs: 3350    # of its memory
//	bf16_tflops: 989.4     # dense, as all peaks; those that it has not are left out
//	fp8_tflops: 1978.9
//	int8_tops: 1978.9
//	multiprocessors: 132
//	link_gbs: 450          # one way
//	watts: 700
//	price_per_hour: 2.5    # in any currency, of one device
//	source: its datasheet
//
// name, memory, bandwidth and the BF16 peak are needed. An unknown key is an error.
func ReadDevice(r io.Reader) (Device, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxDeviceFile+1))
	if err != nil {
		return Device{}, fmt.Errorf("device file: %w", err)
	}
	if len(text) > maxDeviceFile {
		return Device{}, fmt.Errorf("device file: found more than %d bytes, expected a few lines", maxDeviceFile)
	}
	if strings.ContainsAny(string(text), "&*") {
		return Device{}, fmt.Errorf("device file: found & or *, expected texts and numbers: write each value out")
	}
	var fields map[string]any
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&fields); err != nil {
		message, _, _ := strings.Cut(err.Error(), "\n")
		return Device{}, fmt.Errorf("device file: expected lines of key: value: %s", message)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Device{}, fmt.Errorf("device file: found a second document, expected one device")
	}
	var d Device
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if err := d.set(key, fields[key]); err != nil {
			return Device{}, fmt.Errorf("device file: %w", err)
		}
	}
	if err := d.Validate(); err != nil {
		return Device{}, fmt.Errorf("device file: %w", err)
	}
	return d, nil
}

// set takes one key of a device file.
func (d *Device) set(key string, value any) error {
	if slices.Contains(deviceTexts, key) {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s is %v, expected a text: put it in quotes", key, value)
		}
		*map[string]*string{"name": &d.Name, "about": &d.About, "source": &d.Source}[key] = text
		return nil
	}
	number, ok := numberOf(value)
	if slices.Contains(deviceKeys(), key) && (!ok || !(number >= 0) || math.IsInf(number, 0)) {
		return fmt.Errorf("%s is %v, expected a number of 0 or more", key, value)
	}
	const most = 1e9 // of any size: no product overflows
	switch key {
	case "memory_gb":
		if number > most {
			return fmt.Errorf("memory_gb is %v, expected at most %.0e", number, most)
		}
		d.Memory = int64(number * gigabyte)
		return nil
	case "multiprocessors":
		if number > most || number != math.Trunc(number) {
			return fmt.Errorf("multiprocessors is %v, expected a whole number", number)
		}
		d.Units = int(number)
		return nil
	}
	for _, n := range deviceNumbers {
		if n.key == key {
			*n.of(d) = number * n.unit
			return nil
		}
	}
	return nearest.Unknown("key", key, deviceKeys())
}

func numberOf(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case uint64:
		return float64(v), true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}
