package attention

import "slimlab/kernels/gen/asm"

// widen prints what CPUs without bfloat16 products do first.
func widen(p *asm.Printer) {
	p.Comment(
		"widen8AVX2: rows 2i and 2i+1 of dst, stride elements apart, are the first and second of the pairs [n, width, 2] of bfloat16; width is a",
		"multiple of 8. DI the even row, DX the odd one, R10 two strides, SI pairs, R8 rows left, R9 width, CX of it left, AX offset in the rows;",
		"Y15 the mask of upper halves.",
	)
	p.Line("// func widen8AVX2(dst *float32, pairs *uint16, n, width, stride int)")
	p.Line("TEXT ·widen8AVX2(SB), NOSPLIT, $0-40")
	p.Op("MOVQ dst+0(FP), DI")
	p.Op("MOVQ pairs+8(FP), SI")
	p.Op("MOVQ n+16(FP), R8")
	p.Op("MOVQ width+24(FP), R9")
	p.Op("MOVQ stride+32(FP), R10")
	p.Op("SHLQ $2, R10")
	p.Op("LEAQ (DI)(R10*1), DX")
	p.Op("ADDQ R10, R10")
	p.Op("VPCMPEQD Y15, Y15, Y15")
	p.Op("VPSLLD $16, Y15, Y15")
	p.Line("row:")
	p.Op("XORQ AX, AX")
	p.Op("MOVQ R9, CX")
	p.Line("by8:")
	p.Op("VMOVDQU (SI)(AX*1), Y0")
	p.Op("VPSLLD $16, Y0, Y1")
	p.Op("VPAND Y15, Y0, Y2")
	p.Op("VMOVDQU Y1, (DI)(AX*1)")
	p.Op("VMOVDQU Y2, (DX)(AX*1)")
	p.Op("ADDQ $32, AX")
	p.Op("SUBQ $8, CX")
	p.Op("JNZ by8")
	p.Op("ADDQ AX, SI")
	p.Op("ADDQ R10, DI")
	p.Op("ADDQ R10, DX")
	p.Op("DECQ R8")
	p.Op("JNZ row")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
