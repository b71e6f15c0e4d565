package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// quantize512 prints the two passes of quantizing a row.
func quantize512(p *asm.Printer) {
	p.Comment("The greatest |x|, as the bits of a float32: on those the order of unsigned integers is that of the values, NaN above all.")
	p.Line("// func absMaxAVX512(x []float32) uint32")
	p.Line("TEXT ·absMaxAVX512(SB), NOSPLIT, $0-28")
	p.Op("MOVQ x_base+0(FP), SI")
	p.Op("MOVQ x_len+8(FP), CX")
	p.Op("VPXORQ Z0, Z0, Z0")
	p.Op("MOVL $0x7fffffff, AX")
	p.Op("VPBROADCASTD AX, Z1")
	p.Line("loop:")
	p.Op("SUBQ $16, CX")
	p.Op("JLT tail")
	p.Op("VPANDD (SI), Z1, Z2")
	p.Op("VPMAXUD Z2, Z0, Z0")
	p.Op("ADDQ $64, SI")
	p.Op("JMP loop")
	p.Line("tail:")
	p.Op("ADDQ $16, CX")
	p.Op("JEQ reduce")
	p.Op("MOVL $0xffff, AX")
	p.Op("BZHIL CX, AX, AX")
	p.Op("KMOVW AX, K1")
	p.Op("VPANDD.Z (SI), Z1, K1, Z2")
	p.Op("VPMAXUD Z2, Z0, Z0")
	p.Line("reduce:")
	p.Op("VEXTRACTI64X4 $1, Z0, Y1")
	maxReduce(p)
	p.Op("VZEROUPPER")
	p.Op("RET")

	p.Comment("dst[i] = offset + x[i]/scale rounded to even and held to ±127.")
	p.Line("// func quantizeAVX512(dst []byte, x []float32, scale float32, offset int32)")
	p.Line("TEXT ·quantizeAVX512(SB), NOSPLIT, $0-56")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ x_base+24(FP), SI")
	p.Op("MOVQ x_len+32(FP), CX")
	p.Op("VBROADCASTSS scale+48(FP), Z1")
	for i, v := range []int{-127, 127} {
		p.Op("MOVL $%d, AX", v)
		p.Op("VPBROADCASTD AX, Z%d", 2+i)
	}
	p.Op("MOVL offset+52(FP), AX")
	p.Op("VPBROADCASTD AX, Z4")
	p.Op("MOVL $0xffff, AX")
	p.Op("KMOVW AX, K1")
	p.Line("loop:")
	p.Op("CMPQ CX, $16")
	p.Op("JGE body")
	p.Op("BZHIL CX, AX, AX")
	p.Op("KMOVW AX, K1")
	p.Line("body:")
	p.Op("VMOVUPS.Z (SI), K1, Z0")
	p.Op("VDIVPS Z1, Z0, Z0")
	p.Op("VCVTPS2DQ Z0, Z0")
	p.Op("VPMAXSD Z2, Z0, Z0")
	p.Op("VPMINSD Z3, Z0, Z0")
	p.Op("VPADDD Z4, Z0, Z0")
	p.Op("VPMOVDB Z0, K1, (DI)")
	p.Op("ADDQ $64, SI")
	p.Op("ADDQ $16, DI")
	p.Op("SUBQ $16, CX")
	p.Op("JGT loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// maxReduce reduces Y0 and Y1 to their greatest element and returns it.
func maxReduce(p *asm.Printer) {
	p.Op("VPMAXUD Y1, Y0, Y0")
	p.Op("VEXTRACTI128 $1, Y0, X1")
	p.Op("VPMAXUD X1, X0, X0")
	p.Op("VPSHUFD $0x4e, X0, X1")
	p.Op("VPMAXUD X1, X0, X0")
	p.Op("VPSHUFD $0xb1, X0, X1")
	p.Op("VPMAXUD X1, X0, X0")
	p.Op("VMOVD X0, AX")
	p.Op("MOVL AX, ret+24(FP)")
}

// quantize256 is quantize512 for a multiple of eight elements, without the offset.
func quantize256(p *asm.Printer) {
	p.Comment("The greatest |x| as in absMaxAVX512, of a positive multiple of eight elements.")
	p.Line("// func absMax8AVX2(x []float32) uint32")
	p.Line("TEXT ·absMax8AVX2(SB), NOSPLIT, $0-28")
	p.Op("MOVQ x_base+0(FP), SI")
	p.Op("MOVQ x_len+8(FP), CX")
	p.Op("VPXOR Y0, Y0, Y0")
	p.Op("VPCMPEQD Y2, Y2, Y2")
	p.Op("VPSRLD $1, Y2, Y2")
	p.Line("loop:")
	p.Op("VPAND (SI), Y2, Y1")
	p.Op("VPMAXUD Y1, Y0, Y0")
	p.Op("ADDQ $32, SI")
	p.Op("SUBQ $8, CX")
	p.Op("JGT loop")
	p.Op("VMOVDQA Y0, Y1")
	maxReduce(p)
	p.Op("VZEROUPPER")
	p.Op("RET")

	quantize256to(p, 16)
	quantize256to(p, 8)
}

// quantize256to prints the second pass with results of so many bits.
func quantize256to(p *asm.Printer, bits int) {
	p.Comment(fmt.Sprintf("dst[i] = x[i]/scale rounded to even and held to ±127, as int%d, for a positive multiple of eight elements.", bits))
	p.Line("// func quantizeInt%dAVX2(dst []byte, x []float32, scale float32)", bits)
	p.Line("TEXT ·quantizeInt%dAVX2(SB), NOSPLIT, $0-52", bits)
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ x_base+24(FP), SI")
	p.Op("MOVQ x_len+32(FP), CX")
	p.Op("VBROADCASTSS scale+48(FP), Y1")
	for i, v := range []int{-127, 127} {
		p.Op("MOVL $%d, AX", v)
		p.Op("VMOVD AX, X%d", 2+i)
		p.Op("VPBROADCASTD X%d, Y%d", 2+i, 2+i)
	}
	p.Line("loop:")
	p.Op("VMOVUPS (SI), Y0")
	p.Op("VDIVPS Y1, Y0, Y0")
	p.Op("VCVTPS2DQ Y0, Y0")
	p.Op("VPMAXSD Y2, Y0, Y0")
	p.Op("VPMINSD Y3, Y0, Y0")
	p.Op("VEXTRACTI128 $1, Y0, X4")
	p.Op("VPACKSSDW X4, X0, X0")
	if bits == 16 {
		p.Op("VMOVDQU X0, (DI)")
	} else {
		p.Op("VPACKSSWB X0, X0, X0")
		p.Op("VMOVQ X0, (DI)")
	}
	p.Op("ADDQ $32, SI")
	p.Op("ADDQ $%d, DI", bits)
	p.Op("SUBQ $8, CX")
	p.Op("JGT loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
