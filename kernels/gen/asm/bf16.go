package asm

import "fmt"

// VDPBF16PS prints acc += Σ over pairs of a·b on bfloat16: EVEX.512.F3.0F38.W0 52 /r. acc, a and b
// are numbers of Z registers.
func (p *Printer) VDPBF16PS(b, a, acc int) {
	p.evex(fmt.Sprintf("VDPBF16PS Z%d, Z%d, Z%d", b, a, acc), 2, 0x52, acc, a, b)
}

// VCVTNE2PS2BF16 prints dst = the 16 floats of low and, above them, of high, rounded to bfloat16 to
// nearest even: EVEX.512.F2.0F38.W0 72 /r.
func (p *Printer) VCVTNE2PS2BF16(low, high, dst int) {
	p.evex(fmt.Sprintf("VCVTNE2PS2BF16 Z%d, Z%d, Z%d", low, high, dst), 3, 0x72, dst, high, low)
}

// VCVTNEPS2BF16 prints dst (a Y register) = the 16 floats of Z register src rounded to bfloat16 to
// nearest even: EVEX.512.F3.0F38.W0 72 /r.
func (p *Printer) VCVTNEPS2BF16(src, dst int) {
	p.evex(fmt.Sprintf("VCVTNEPS2BF16 Z%d, Y%d", src, dst), 2, 0x72, dst, 0, src)
}

// evex prints a 512-bit instruction of map 0F38 with W0 on registers alone: reg is the destination,
// vvvv the first and rm the second source. prefix is 1 for 66, 2 for F3, 3 for F2. (Intel SDM,
// volume 2, 2.7: the upper bits of register numbers are stored inverted.)
func (p *Printer) evex(text string, prefix, opcode byte, reg, vvvv, rm int) {
	bit := func(n, i int) byte { return byte(n>>i&1) ^ 1 }
	b := []byte{
		0x62,
		bit(reg, 3)<<7 | bit(rm, 4)<<6 | bit(rm, 3)<<5 | bit(reg, 4)<<4 | 2,
		byte(^vvvv&15)<<3 | 4 | prefix,
		2<<5 | bit(vvvv, 4)<<3, // 512 bits, no mask
		opcode,
		0xc0 | byte(reg&7)<<3 | byte(rm&7),
	}
	p.bytes(text, b)
}
