package asm

import (
	"fmt"
	"strings"
)

// general are the general registers by their number in an instruction.
var general = []string{"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

// VDPBF16PSMemory prints VDPBF16PS with b the 64 bytes at lines·64 from base. The displacement of a
// full vector is counted in vectors (Intel SDM, volume 2, 2.7.5), so lines is -128 … 127. base is
// not SP or R12, which would need another byte.
func (p *Printer) VDPBF16PSMemory(lines int, base string, a, acc int) {
	number := -1
	for i, name := range general {
		if name == base {
			number = i
		}
	}
	if number < 0 || number&7 == 4 || lines < -128 || lines > 127 {
		panic(fmt.Sprintf("VDPBF16PS with memory %d lines from %s", lines, base))
	}
	bit := func(n, i int) byte { return byte(n>>i&1) ^ 1 }
	b := []byte{
		0x62,
		bit(acc, 3)<<7 | 1<<6 | bit(number, 3)<<5 | bit(acc, 4)<<4 | 2,
		byte(^a&15)<<3 | 4 | 2,
		2<<5 | bit(a, 4)<<3,
		0x52,
		1<<6 | byte(acc&7)<<3 | byte(number&7),
		byte(int8(lines)),
	}
	p.bytes(fmt.Sprintf("VDPBF16PS %d(%s), Z%d, Z%d", 64*lines, base, a, acc), b)
}

// bytes prints an instruction as the bytes that it is.
func (p *Printer) bytes(text string, b []byte) {
	parts := make([]string, len(b))
	for i, v := range b {
		parts[i] = fmt.Sprintf("BYTE $0x%02x", v)
	}
	p.Op("%s // %s", strings.Join(parts, "; "), text)
}
