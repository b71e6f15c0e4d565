package attention

import (
	"slimlab/kernels/gen/asm"
)

// round prints the rounding of rows to bfloat16.
func round(p *asm.Printer) {
	p.Comment(
		"roundBF16: dst [rows, n] = src rounded to bfloat16, to nearest even, subnormals to zero; n is a multiple of 16, src's rows are stride",
		"elements apart. DI dst, SI src, BX from a row's end to the next, R8 rows left, R9 n, CX of it left.",
	)
	p.Line("// func roundBF16(dst *uint16, src *float32, rows, n, stride int)")
	p.Line("TEXT ·roundBF16(SB), NOSPLIT, $0-40")
	p.Op("MOVQ dst+0(FP), DI")
	p.Op("MOVQ src+8(FP), SI")
	p.Op("MOVQ rows+16(FP), R8")
	p.Op("MOVQ n+24(FP), R9")
	p.Op("MOVQ stride+32(FP), BX")
	p.Op("SUBQ R9, BX")
	p.Op("SHLQ $2, BX")
	p.Line("row:")
	p.Op("MOVQ R9, CX")
	p.Line("by16:")
	p.Op("VMOVUPS (SI), Z0")
	p.VCVTNEPS2BF16(0, 1)
	p.Op("VMOVDQU Y1, (DI)")
	p.Op("ADDQ $64, SI")
	p.Op("ADDQ $32, DI")
	p.Op("SUBQ $16, CX")
	p.Op("JNZ by16")
	p.Op("ADDQ BX, SI")
	p.Op("DECQ R8")
	p.Op("JNZ row")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// unpack prints the conversion of int8 codes to bfloat16, which holds them exactly.
func unpack(p *asm.Printer) {
	p.Comment(
		"unpackInt8BF16: dst = src [rows, width] in bfloat16, width a multiple of 32; dst's rows are stride elements apart, src's follow each",
		"other. What stands at next as src does here is fetched, since it comes next. DI dst, SI src, R10 next from there, BX the distance from",
		"a row's end to the next, R8 rows left, R9 width, CX of it left.",
	)
	p.Line("// func unpackInt8BF16(dst *uint16, src, next *int8, rows, width, stride int)")
	p.Line("TEXT ·unpackInt8BF16(SB), NOSPLIT, $0-48")
	p.Op("MOVQ dst+0(FP), DI")
	p.Op("MOVQ src+8(FP), SI")
	p.Op("MOVQ next+16(FP), R10")
	p.Op("SUBQ SI, R10")
	p.Op("MOVQ rows+24(FP), R8")
	p.Op("MOVQ width+32(FP), R9")
	p.Op("MOVQ stride+40(FP), BX")
	p.Op("SUBQ R9, BX")
	p.Op("SHLQ $1, BX")
	p.Line("row:")
	p.Op("MOVQ R9, CX")
	p.Line("by32:")
	p.Op("PREFETCHT1 (SI)(R10*1)")
	p.Op("VPMOVSXBD (SI), Z0")
	p.Op("VPMOVSXBD 16(SI), Z1")
	p.Op("VCVTDQ2PS Z0, Z0")
	p.Op("VCVTDQ2PS Z1, Z1")
	p.VCVTNE2PS2BF16(0, 1, 2)
	p.Op("VMOVUPS Z2, (DI)")
	p.Op("ADDQ $32, SI")
	p.Op("ADDQ $64, DI")
	p.Op("SUBQ $32, CX")
	p.Op("JNZ by32")
	p.Op("ADDQ BX, DI")
	p.Op("DECQ R8")
	p.Op("JNZ row")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
