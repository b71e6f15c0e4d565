package hardware

import (
	"math"
	"strings"
	"testing"
)

func TestDevices(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Devices() {
		if err := d.Validate(); err != nil {
			t.Error(err)
		}
		if seen[d.Name] || d.Price != 0 || d.Source == "" || d.About == "" {
			t.Errorf("%+v: expected a name of its own, a source and no price", d)
		}
		seen[d.Name] = true
		found, count, err := ParseDevices(d.Name + "x4")
		if err != nil || found.Name != d.Name || count != 4 {
			t.Errorf("%sx4 is %d of %q, %v", d.Name, count, found.Name, err)
		}
	}
	for _, c := range Calibrations() {
		for _, k := range c.Kernels {
			if !seen[k.Device] {
				t.Errorf("calibration %s was measured on %s, which is no device", c.Name, k.Device)
			}
		}
	}
}

func TestParseDevices(t *testing.T) {
	for _, c := range []struct {
		text, name string
		count      int
		err        string
	}{
		{"h100", "h100", 1, ""}, {"h100x4", "h100", 4, ""}, {"a100-40gx8", "a100-40g", 8, ""},
		{"h100x0", "", 0, "1 to 1024"}, {"h100x99999999999999999999", "", 0, "1 to 1024"}, {"h10", "", 0, `did you mean "h100"`},
		{"", "", 0, "device"}, {"x4", "", 0, "device"}, {"h100x", "", 0, "device"}, {"h100x-1", "", 0, "device"},
	} {
		d, n, err := ParseDevices(c.text)
		if c.err == "" && (err != nil || d.Name != c.name || n != c.count) {
			t.Errorf("%q: %d of %q, %v, expected %d of %q", c.text, n, d.Name, err, c.count, c.name)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: %v, expected an error with %q", c.text, err, c.err)
		}
	}
}

const deviceExample = `name: ours
about: "a test"
memory_gb: 80 # of each
bandwidth_gbs: 3350
bf16_tflops: 989.5
fp8_tflops: 1979
multiprocessors: 132
link_gbs: 450
watts: 700
price_per_hour: 2.5
source: its datasheet
`

func TestReadDevice(t *testing.T) {
	d, err := ReadDevice(strings.NewReader(deviceExample))
	want := Device{
		Name: "ours", About: "a test", Memory: 80e9, Bandwidth: 3350e9, Peaks: Peaks{BF16: 989.5e12, FP8: 1979e12},
		Units: 132, Link: 450e9, Power: 700, Price: 2.5, Source: "its datasheet",
	}
	if err != nil || d != want {
		t.Errorf("%+v, %v, expected %+v", d, err, want)
	}
	for _, c := range []struct{ old, new, err string }{
		{"fp8_tflops", "fp8_tflop", `did you mean "fp8_tflops"`},
		{"memory_gb: 80", "memory_gb: lots", "expected a number"},
		{"memory_gb: 80", "memory_gb: -1", "expected a number"},
		{"memory_gb: 80", "memory_gb: .inf", "expected a number"},
		{"memory_gb: 80", "memory_gb: 1.0e+300", "at most"},
		{"memory_gb: 80", "", "memory is 0"},
		{"bandwidth_gbs: 3350", "", "bandwidth"},
		{"bf16_tflops: 989.5", "", "BF16 peak"},
		{"name: ours", "", "name"},
		{"name: ours", "name: 7", "a text"},
		{"multiprocessors: 132", "multiprocessors: 1.5", "whole number"},
		{"watts: 700", "watts: 700\nwatts: 800", "key: value"},
		{"source: its datasheet", "source: *x", "& or *"},
		{"source: its datasheet", "---\nname: other", "second document"},
		{"name: ours", "- ours", "key: value"},
	} {
		if _, err := ReadDevice(strings.NewReader(strings.Replace(deviceExample, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q for %q: %v, expected an error with %q", c.new, c.old, err, c.err)
		}
	}
	if _, err := ReadDevice(strings.NewReader(strings.Repeat("#\n", maxDeviceFile))); err == nil {
		t.Error("a file without end is read")
	}
}

func FuzzReadDevice(f *testing.F) {
	f.Add(deviceExample)
	f.Add("name: a\nmemory_gb: 1\nbandwidth_gbs: 1\nbf16_tflops: 1")
	f.Add("{name: a, memory_gb: 1e9, bandwidth_gbs: 1e-300, bf16_tflops: 0x10}")
	f.Add("name: |\n  a\nmemory_gb: [1]\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ReadDevice(strings.NewReader(text))
		if err != nil {
			return
		}
		if err := d.Validate(); err != nil {
			t.Fatalf("%q is read as %+v: %v", text, d, err)
		}
		for _, x := range []float64{d.Bandwidth, d.Peaks.BF16, d.Peaks.FP8, d.Link, d.Power, d.Price} {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("%q is read as %+v", text, d)
			}
		}
	})
}

func FuzzParseDevices(f *testing.F) {
	for _, s := range []string{"h100x4", "h100", "x", "h200xx2", "h100x007"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, n, err := ParseDevices(text)
		if err == nil && (d.Validate() != nil || n < 1 || n > maxDevices) {
			t.Fatalf("%q is %d of %+v", text, n, d)
		}
	})
}
