package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// nearestFloat64 prints
//
//	func nearest(codes []byte, y, scale, zero []float64, lowest, highest float64)
//
// for a multiple of 8 elements: an integer code is the nearest to y/scale + zero that is not beyond
// the ends, y becomes what is left of it. Registers have width bytes; each instruction is one
// operation of plain Go, and so are the bits.
func nearestFloat64(p *asm.Printer, suffix, reg string, width int) {
	p.Comment(
		"DI codes, R9 y, R10 scale, R11 zero, CX elements left; registers 13, 14 lowest, highest. Vector v",
		"of 8 elements: registers 4v y, 4v+1 scale, 4v+2 zero, 4v+3 the code and what follows; 12 the code",
		"in bytes.",
	)
	p.Line("// func nearest%s(codes []byte, y, scale, zero []float64, lowest, highest float64)", suffix)
	p.Line("TEXT ·nearest%s(SB), NOSPLIT, $0-112", suffix)
	for _, a := range []struct{ from, to string }{
		{"codes_base+0(FP)", "DI"}, {"codes_len+8(FP)", "CX"}, {"y_base+24(FP)", "R9"},
		{"scale_base+48(FP)", "R10"}, {"zero_base+72(FP)", "R11"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("VBROADCASTSD lowest+96(FP), %s13", reg)
	p.Op("VBROADCASTSD highest+104(FP), %s14", reg)
	p.Line("")
	p.Line("loop:")
	each := func(print func(at int, y, scale, zero, x string)) {
		for v := range 64 / width {
			name := func(i int) string { return fmt.Sprintf("%s%d", reg, 4*v+i) }
			print(v*width, name(0), name(1), name(2), name(3))
		}
	}
	each(func(at int, y, scale, zero, x string) {
		p.Op("VMOVUPD %d(R9), %s", at, y)
		p.Op("VMOVUPD %d(R10), %s", at, scale)
		p.Op("VMOVUPD %d(R11), %s", at, zero)
		p.Op("VDIVPD %s, %s, %s", scale, y, x)
	})
	each(func(_ int, _, _, zero, x string) {
		if width == 64 {
			p.Op("VRNDSCALEPD $8, %s, %s", x, x)
		} else {
			p.Op("VROUNDPD $8, %s, %s", x, x)
		}
		p.Op("VADDPD %s, %s, %s", zero, x, x)
		p.Op("VMINPD %s14, %s, %s", reg, x, x)
		p.Op("VMAXPD %s13, %s, %s", reg, x, x)
	})
	if width == 64 {
		p.Op("VCVTPD2DQ Z3, Y12")
		p.Op("VPMOVDB Z12, X12")
	} else {
		p.Op("VCVTPD2DQY Y3, X11")
		p.Op("VCVTPD2DQY Y7, X12")
		p.Op("VPACKSSDW X12, X11, X12")
		p.Op("VPACKSSWB X12, X12, X12")
	}
	p.Op("VMOVQ X12, (DI)")
	each(func(at int, y, scale, zero, x string) {
		p.Op("VSUBPD %s, %s, %s", zero, x, x)
		p.Op("VMULPD %s, %s, %s", scale, x, x)
		p.Op("VSUBPD %s, %s, %s", x, y, x)
		p.Op("VMOVUPD %s, %d(R9)", x, at)
	})
	p.Op("ADDQ $8, DI")
	for _, r := range []string{"R9", "R10", "R11"} {
		p.Op("ADDQ $64, %s", r)
	}
	p.Op("SUBQ $8, CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
