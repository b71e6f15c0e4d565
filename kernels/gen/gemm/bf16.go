package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// bfloat16 is the upper half of a float32. A word of its panels is two elements of the chain, 2p in
// the lower and 2p+1 in the upper half, which VDPBF16PS multiplies with two others and adds to a
// float32. So the strip and the panels are those of float32, a word in an element's place.

var bf16x512 = dot512{
	"stripBF16", "Words are two bfloat16, strides count words.",
	func(p *asm.Printer, b, a, acc int) { p.VDPBF16PS(b, a, acc) }, false,
}

// transposeBF16 is transpose512 with two float32 rounded to a word: k counts float32.
func transposeBF16(p *asm.Printer) {
	p.Comment(
		"dst[p*16+i] = src[i*stride+2p] and, above it, src[i*stride+2p+1] rounded to bfloat16, for 2p < k and i < 16, zero from",
		"i = rows and from element k on. Rounded 32 elements of a row at a time, then transposed as by packColumnsAVX512. K1, K2",
		"mask the last columns, AX.",
	)
	p.Line("// func packColumnsBF16%s", transposeArgs)
	p.Line("TEXT ·packColumnsBF16(SB), NOSPLIT, $0-72")
	loadTranspose(p)
	p.Op("MOVQ $-1, AX")
	p.Op("KMOVW AX, K1")
	p.Op("KMOVW AX, K2")
	p.Line("block:")
	p.Op("CMPQ CX, $32")
	p.Op("JGE load")
	p.Op("BZHIL CX, AX, AX")
	p.Op("KMOVW AX, K1")
	p.Op("SHRL $16, AX")
	p.Op("KMOVW AX, K2")
	p.Line("load:")
	loadRows(p, func(i int) {
		p.Op("VMOVUPS.Z (R8), K1, Z%d", i)
		p.Op("VMOVUPS.Z 64(R8), K2, Z31")
		p.VCVTNE2PS2BF16(i, 31, i)
	})
	shuffle512(p)
	storeTransposed(p, 2)
}

// interleave prints the indices that put word j of the lower half of a register into place 2j and
// word j of the upper into 2j+1.
func interleave(p *asm.Printer) {
	p.Line("")
	for j := range 16 {
		p.Line("DATA interleave<>+%d(SB)/4, $%#x", 4*j, j|(16+j)<<16)
	}
	p.Line("GLOBL interleave<>(SB), RODATA|NOPTR, $64")
}

// copyBF16 is copy512 with the elements of two rows rounded to a word: k counts rows of src.
func copyBF16(p *asm.Printer) {
	p.Comment(
		"dst[p*16+j] = src[2p*stride+j] and, above it, src[(2p+1)*stride+j] rounded to bfloat16, for 2p < k and j < 16, zero",
		"from j = n and from row k on. K1 masks the columns; Z31 holds the indices that interleave two rows.",
	)
	p.Line("// func packRowsBF16(dst, src []float32, stride, n, k int)")
	p.Line("TEXT ·packRowsBF16(SB), NOSPLIT, $0-72")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ stride+48(FP), R9")
	p.Op("MOVQ n+56(FP), DX")
	p.Op("MOVQ k+64(FP), CX")
	p.Op("SHLQ $2, R9")
	p.Op("MOVL $0xffff, AX")
	p.Op("BZHIL DX, AX, AX // n is at most 16")
	p.Op("KMOVW AX, K1")
	p.Op("VMOVDQU32 interleave<>(SB), Z31")
	p.Line("loop:")
	p.Op("VMOVUPS.Z (SI), K1, Z0")
	p.Op("VPXORQ Z1, Z1, Z1")
	p.Op("CMPQ CX, $1")
	p.Op("JEQ round")
	p.Op("VMOVUPS.Z (SI)(R9*1), K1, Z1")
	p.Line("round:")
	p.VCVTNE2PS2BF16(0, 1, 2)
	p.Op("VPERMW Z2, Z31, Z2")
	p.Op("VMOVDQU32 Z2, (DI)")
	p.Op("LEAQ (SI)(R9*2), SI")
	p.Op("ADDQ $64, DI")
	p.Op("SUBQ $2, CX")
	p.Op("JG loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// Rounding adds half a unit of the last place, less one where that place is even already, and cuts
// the lower half off: ties go to even, an overflow of the fraction carries into the exponent, up to
// infinity. A NaN could lose its fraction that way; it gets its highest bit set instead.

// round512 prints the rounding of a slice: to bfloat16, and to float32 that bfloat16 holds.
func round512(p *asm.Printer) {
	const constants = "Z28 holds the quiet bit of a NaN, Z29 the upper half's mask, Z30 1, Z31 0x7fff."
	setup := func() {
		for i, v := range []string{"$0x400000", "$0xffff0000", "$1", "$0x7fff"} {
			p.Op("MOVL %s, AX", v)
			p.Op("VPBROADCASTD AX, Z%d", 28+i)
		}
		p.Op("MOVL $0xffff, AX")
		p.Op("KMOVW AX, K1")
	}
	round := func() {
		p.Line("loop:")
		p.Op("CMPQ CX, $16")
		p.Op("JGE whole")
		p.Op("TESTQ CX, CX")
		p.Op("JLE done")
		p.Op("BZHIL CX, AX, AX")
		p.Op("KMOVW AX, K1")
		p.Line("whole:")
		p.Op("VMOVDQU32.Z (SI), K1, Z0")
		p.Op("VCMPPS $3, Z0, Z0, K2 // NaN")
		p.Op("VPORD Z28, Z0, Z2")
		p.Op("VPSRLD $16, Z0, Z1")
		p.Op("VPANDD Z30, Z1, Z1")
		p.Op("VPADDD Z31, Z0, Z0")
		p.Op("VPADDD Z1, Z0, Z0")
		p.Op("VMOVDQA32 Z2, K2, Z0")
	}
	p.Comment("dst = the upper halves of src rounded to nearest even. " + constants)
	p.Line("// func roundAVX512(dst []uint16, src []float32)")
	p.Line("TEXT ·roundAVX512(SB), NOSPLIT, $0-48")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ src_len+32(FP), CX")
	setup()
	round()
	p.Op("VPSRLD $16, Z0, Z0")
	p.Op("VPMOVDW Z0, K1, (DI)")
	p.Op("ADDQ $32, DI")
	p.Op("ADDQ $64, SI")
	p.Op("SUBQ $16, CX")
	p.Op("JMP loop")
	end(p)
	p.Comment("x = x rounded to nearest even to what bfloat16 holds. " + constants)
	p.Line("// func roundFloatsAVX512(x []float32)")
	p.Line("TEXT ·roundFloatsAVX512(SB), NOSPLIT, $0-24")
	p.Op("MOVQ x_base+0(FP), SI")
	p.Op("MOVQ x_len+8(FP), CX")
	setup()
	round()
	p.Op("VPANDD Z29, Z0, Z0")
	p.Op("VMOVDQU32 Z0, K1, (SI)")
	p.Op("ADDQ $64, SI")
	p.Op("SUBQ $16, CX")
	p.Op("JMP loop")
	end(p)
}

// round256 prints roundFloatsAVX512 on whole groups of 8.
func round256(p *asm.Printer) {
	p.Comment(
		"x = x rounded to nearest even to what bfloat16 holds, for a length that 8 divides. Y12 holds the quiet bit of a NaN, Y13",
		"the upper half's mask, Y14 1, Y15 0x7fff.",
	)
	p.Line("// func roundFloats8AVX2(x []float32)")
	p.Line("TEXT ·roundFloats8AVX2(SB), NOSPLIT, $0-24")
	p.Op("MOVQ x_base+0(FP), SI")
	p.Op("MOVQ x_len+8(FP), CX")
	roundConstants(p)
	p.Line("loop:")
	p.Op("VMOVUPS (SI), Y0")
	roundY0(p)
	p.Op("VMOVUPS Y0, (SI)")
	p.Op("ADDQ $32, SI")
	p.Op("SUBQ $8, CX")
	p.Op("JG loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// roundConstants sets Y12 to Y15, and roundY0 rounds Y0 with them; Y1 to Y3 are free.
func roundConstants(p *asm.Printer) {
	for i, v := range []string{"$0x400000", "$0xffff0000", "$1", "$0x7fff"} {
		p.Op("MOVL %s, AX", v)
		p.Op("VMOVD AX, X%d", 12+i)
		p.Op("VPBROADCASTD X%d, Y%d", 12+i, 12+i)
	}
}

func roundY0(p *asm.Printer) {
	p.Op("VCMPPS $3, Y0, Y0, Y3 // NaN")
	p.Op("VPOR Y12, Y0, Y2")
	p.Op("VPSRLD $16, Y0, Y1")
	p.Op("VPAND Y14, Y1, Y1")
	p.Op("VPADDD Y15, Y0, Y0")
	p.Op("VPADDD Y1, Y0, Y0")
	p.Op("VBLENDVPS Y3, Y2, Y0, Y0")
	p.Op("VPAND Y13, Y0, Y0")
}

// order4 prints the rounding of activations for codes of 4 bits.
func order4(p *asm.Printer) {
	p.Line("")
	for i, from := range []int{7, 3, 6, 2, 5, 1, 4, 0} {
		p.Line("DATA order4<>+%d(SB)/4, $%d", 4*i, from)
	}
	p.Line("GLOBL order4<>(SB), RODATA|NOPTR, $32")
	p.Comment("dst = x rounded as by roundFloats8AVX2, each eight in the order of a word's codes from the highest bits down, Y11.")
	p.Line("// func roundInt4x8AVX2(dst []uint32, x []float32)")
	p.Line("TEXT ·roundInt4x8AVX2(SB), NOSPLIT, $0-48")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ x_base+24(FP), SI")
	p.Op("MOVQ x_len+32(FP), CX")
	roundConstants(p)
	p.Op("VMOVDQU order4<>(SB), Y11")
	p.Line("loop:")
	p.Op("VPERMPS (SI), Y11, Y0")
	roundY0(p)
	p.Op("VMOVUPS Y0, (DI)")
	p.Op("ADDQ $32, SI")
	p.Op("ADDQ $32, DI")
	p.Op("SUBQ $8, CX")
	p.Op("JG loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// widen512 and widen256 print the way from panels of words to panels of float32.
func widen512(p *asm.Printer) {
	p.Comment("dst[32p+j] = the lower, dst[32p+16+j] = the upper half of word src[16p+j] as float32, for p < n and j < 16. Z31 masks the upper half.")
	p.Line("// func widenAVX512(dst, src []float32, n int)")
	p.Line("TEXT ·widenAVX512(SB), NOSPLIT, $0-56")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ n+48(FP), CX")
	p.Op("MOVL $0xffff0000, AX")
	p.Op("VPBROADCASTD AX, Z31")
	p.Line("loop:")
	p.Op("VMOVDQU32 (SI), Z0")
	p.Op("VPSLLD $16, Z0, Z1")
	p.Op("VPANDD Z31, Z0, Z0")
	p.Op("VMOVDQU32 Z1, (DI)")
	p.Op("VMOVDQU32 Z0, 64(DI)")
	p.Op("ADDQ $64, SI")
	p.Op("ADDQ $128, DI")
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

func widen256(p *asm.Printer) {
	p.Comment("dst[32p+j] = the lower, dst[32p+16+j] = the upper half of word src[16p+j] as float32, for p < n and j < 16. Y15 masks the upper half.")
	p.Line("// func widenAVX2(dst, src []float32, n int)")
	p.Line("TEXT ·widenAVX2(SB), NOSPLIT, $0-56")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ n+48(FP), CX")
	p.Op("VPCMPEQD Y15, Y15, Y15")
	p.Op("VPSLLD $16, Y15, Y15")
	p.Line("loop:")
	for half := range 2 {
		p.Op("VMOVDQU %d(SI), Y0", 32*half)
		p.Op("VPSLLD $16, Y0, Y1")
		p.Op("VPAND Y15, Y0, Y0")
		p.Op("VMOVDQU Y1, %d(DI)", 32*half)
		p.Op("VMOVDQU Y0, %d(DI)", 64+32*half)
	}
	p.Op("ADDQ $64, SI")
	p.Op("ADDQ $128, DI")
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// widenInt8 prints the way from bytes to float32: the lines of 16 keep their order.
func widenInt8(p *asm.Printer, suffix, reg string, lanes int) {
	p.Comment(fmt.Sprintf("dst[i] = src[i] as float32 for i < 32n. %s0 to %s%d are numbers.", reg, reg, 32/lanes-1))
	p.Line("// func widenInt8%s(dst []float32, src []int8, n int)", suffix)
	p.Line("TEXT ·widenInt8%s(SB), NOSPLIT, $0-56", suffix)
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ n+48(FP), CX")
	p.Line("loop:")
	for i := range 32 / lanes {
		p.Op("VPMOVSXBD %d(SI), %s%d", i*lanes, reg, i)
	}
	for i := range 32 / lanes {
		p.Op("VCVTDQ2PS %s%d, %s%d", reg, i, reg, i)
		p.Op("VMOVUPS %s%d, %d(DI)", reg, i, 4*i*lanes)
	}
	p.Op("ADDQ $32, SI")
	p.Op("ADDQ $128, DI")
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// widenInt8BF16 prints the way from bytes to words of two bfloat16.
func widenInt8BF16(p *asm.Printer) {
	p.Comment(
		"dst[16p+j] = src[32p+j] and, above it, src[32p+16+j] as bfloat16, for p < n and j < 16: a whole number of so few bits ends",
		"within the upper half of a float32. Z0, Z1 numbers.",
	)
	p.Line("// func widenInt8BF16(dst []float32, src []int8, n int)")
	p.Line("TEXT ·widenInt8BF16(SB), NOSPLIT, $0-56")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ n+48(FP), CX")
	p.Line("loop:")
	p.Op("PREFETCHT0 1024(SI)")
	p.Op("VPMOVSXBD (SI), Z0")
	p.Op("VPMOVSXBD 16(SI), Z1")
	p.Op("VCVTDQ2PS Z0, Z0")
	p.Op("VCVTDQ2PS Z1, Z1")
	p.Op("VPSRLD $16, Z0, Z0")
	p.Op("VPORD Z0, Z1, Z0")
	p.Op("VMOVDQU32 Z0, (DI)")
	p.Op("ADDQ $32, SI")
	p.Op("ADDQ $64, DI")
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
