//go:build amd64 && !noasm

package machine

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/cpu"
)

var cycleLoop = Loop{"clock", "IMULQ, each waiting for the one before", 24, spinCycles}

// identify fills in what CPUID reports (Intel SDM volume 2, CPUID; AMD64 Architecture Programmer's
// Manual volume 3, appendix E).
func (c *CPU) identify() {
	highest, b, cx, d := cpuid(0, 0)
	c.Vendor = ascii(b, d, cx)
	signature, _, _, _ := cpuid(1, 0)
	c.Family, c.Model, c.Stepping = familyModel(signature)
	extended, _, _, _ := cpuid(0x80000000, 0)
	if extended >= 0x80000004 {
		for leaf := uint32(0x80000002); leaf <= 0x80000004; leaf++ {
			a, b, cx, d := cpuid(leaf, 0)
			c.Name += ascii(a, b, cx, d)
		}
		c.Name = strings.Join(strings.Fields(c.Name), " ")
	}
	// Both makers describe a cache in the same format, on different leaves.
	switch {
	case extended >= 0x8000001d && hasTopology():
		c.caches(0x8000001d)
	case highest >= 4:
		c.caches(4)
	}
	x := &cpu.X86
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx2", x.HasAVX2}, {"fma", x.HasFMA}, {"f16c", x.HasF16C}, {"bmi2", x.HasBMI2}, {"avx-vnni", x.HasAVXVNNI},
		{"avx512f", x.HasAVX512F}, {"avx512dq", x.HasAVX512DQ}, {"avx512bw", x.HasAVX512BW}, {"avx512vl", x.HasAVX512VL}, {"avx512vbmi", x.HasAVX512VBMI},
		{"avx512vnni", x.HasAVX512VNNI}, {"avx512bf16", x.HasAVX512BF16}, {"amx-int8", x.HasAMXInt8}, {"amx-bf16", x.HasAMXBF16},
	} {
		if f.has {
			c.Features = append(c.Features, f.name)
		}
	}
}

// hasTopology reports AMD's bit for leaf 0x8000001d.
func hasTopology() bool {
	_, _, c, _ := cpuid(0x80000001, 0)
	return c>>22&1 == 1
}

// familyModel decodes the signature of leaf 1.
func familyModel(signature uint32) (family, model, stepping int) {
	family, model = int(signature>>8&15), int(signature>>4&15)
	if family == 6 || family == 15 {
		model += int(signature >> 16 & 15 << 4)
	}
	if family == 15 {
		family += int(signature >> 20 & 255)
	}
	return family, model, int(signature & 15)
}

// caches reads the descriptions on a leaf: of data caches and unified ones.
func (c *CPU) caches(leaf uint32) {
	for i := range uint32(16) {
		a, b, sets, _ := cpuid(leaf, i)
		switch a & 31 {
		case 0:
			return
		case 1, 3:
			line, partitions, ways := b&4095+1, b>>12&1023+1, b>>22+1
			c.setCache(int(a>>5&7), int64(line)*int64(partitions)*int64(ways)*(int64(sets)+1))
		}
	}
}

// ascii is the text in registers, the lowest byte first, up to a zero.
func ascii(registers ...uint32) string {
	var b []byte
	for _, r := range registers {
		b = binary.LittleEndian.AppendUint32(b, r)
	}
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

//go:noescape
func spinCycles(rounds int)

func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)
