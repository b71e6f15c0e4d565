package gemm

import (
	"slimlab/kernels/gen/asm"
)

// The int4 functions compute y [m, n] = x·ŵᵀ, ŵ = scale·q, from bfloat16 or 8-bit activations:
//
//	func mulInt4(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32)
//	func mulInt4Int8(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)
//
// A panel of q holds 16 outputs: for each group of inputs, for each eight inputs of it, a word of
// each output, then the scale of each output. Byte i of a word is q+8 of input i in its low half,
// of input 4+i in its high half. A group's sum is scaled and added to those before, in ascending
// order. From bfloat16 activations mulInt4 multiplies with whatever values a table gives the
// sixteen codes; mulInt4AVX2 alone has no table but the integers, and mulTable4AVX2 is its other
// form.

const (
	int4Args     = "(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int)"
	table4Args   = "(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32)"
	int4Int8Args = "(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)"
)

// loadInt4 loads what all heights share. The frame holds the groups left at left-8.
func loadInt4(p *asm.Printer) {
	for _, a := range []struct{ from, to string }{
		{"y_base+0(FP)", "R13"}, {"yRow+24(FP)", "R14"}, {"xRow+56(FP)", "R9"}, {"q_base+64(FP)", "DI"}, {"panel+88(FP)", "DX"}, {"n+104(FP)", "AX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	for _, r := range []string{"R14", "R9", "DX"} {
		p.Op("SHLQ $2, %s", r)
	}
	p.Op("LEAQ (R9)(R9*2), R10")
	p.Op("LEAQ (R9)(R9*4), R11")
	p.Op("MOVQ m+96(FP), CX")
}

func int4x512(p *asm.Printer) {
	const height = 12
	p.Comment(
		"Activations are float32, each eight in the order of a word's bits from the highest down. A rotation brings the next four",
		"bits of 16 words down, and VPERMPS looks their value up. Up to 12 x 32: Z0-Z23 accumulators, two a row; Z24, Z25 words;",
		"Z26, Z27 weights; Z28, Z29 broadcast x in turn; Z31 the table; SI, R8 rows 0 and 7 of x; R9, R10, R11 1, 3, 5 times",
		"its row stride; DI q, R12 q at work, DX its panel stride; R13, R14 y and its row stride; AX columns left; CX words left",
		"in the group, R15 inputs in the word.",
	)
	p.Line("// func mulInt4AVX512%s", table4Args)
	p.Line("TEXT ·mulInt4AVX512(SB), NOSPLIT, $8-136")
	loadInt4(p)
	p.Op("MOVQ table+128(FP), R15")
	p.Op("VMOVUPS (R15), Z31")
	heights(p, height, int4tile512)
}

func int4tile512(p *asm.Printer, m int) {
	p.Line("")
	p.Line("m%d:", m)
	columnMasks(p)
	int4begin(p, m)
	for i := range 2 * m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.Op("MOVQ words+120(FP), CX")
	p.Line("word%d:", m)
	p.Op("VMOVDQU32 (R12), Z24")
	p.Op("VMOVDQU32 (R12)(DX*1), Z25")
	int4word(p, m)
	p.Op("VPROLD $4, Z24, Z24")
	p.Op("VPROLD $4, Z25, Z25")
	p.Op("VPERMPS Z31, Z24, Z26")
	p.Op("VPERMPS Z31, Z25, Z27")
	for i := range m {
		x := 28 + i%2
		p.Op("VBROADCASTSS %s, Z%d", row(i, "SI", "R8", "R9", "R10", "R11"), x)
		p.Op("VFMADD231PS Z26, Z%d, Z%d", x, 2*i)
		p.Op("VFMADD231PS Z27, Z%d, Z%d", x, 2*i+1)
	}
	int4next(p, m)
	p.Op("VMOVUPS (R12), Z26")
	p.Op("VMOVUPS (R12)(DX*1), Z27")
	int4first(p, m)
	for i := range m {
		for half := range 2 {
			p.Op("VMOVUPS.Z %d(CX), K%d, Z28", 64*half, 1+half)
			p.Op("VFMADD231PS Z%d, Z%d, Z28", 26+half, 2*i+half)
			p.Op("VMOVUPS Z28, K%d, %d(CX)", 1+half, 64*half)
		}
		p.Op("ADDQ R14, CX")
	}
	p.Op("JMP flushed%d", m)
	p.Line("first%d:", m)
	for i := range m {
		for half := range 2 {
			p.Op("VMULPS Z%d, Z%d, Z28", 26+half, 2*i+half)
			p.Op("VMOVUPS Z28, K%d, %d(CX)", 1+half, 64*half)
		}
		p.Op("ADDQ R14, CX")
	}
	int4end(p, m, 2)
}

// int4begin begins a tile's columns and each of their groups.
func int4begin(p *asm.Printer, m int) {
	p.Op("MOVQ DI, R12")
	p.Op("MOVQ groups+112(FP), CX")
	p.Op("MOVQ CX, left-8(SP)")
	p.Op("MOVQ x_base+32(FP), SI")
	if m > 7 {
		p.Op("LEAQ (SI)(R9*8), R8")
		p.Op("SUBQ R9, R8")
	}
	p.Line("group%d:", m)
}

// int4word begins the loop over the inputs of the words at R12 and passes on to the next.
func int4word(p *asm.Printer, m int) {
	p.Op("ADDQ $64, R12")
	p.Op("MOVL $8, R15")
	p.Line("input%d:", m)
}

// int4next ends the loops over a word's inputs and over a group's words.
func int4next(p *asm.Printer, m int) {
	p.Op("ADDQ $4, SI")
	if m > 7 {
		p.Op("ADDQ $4, R8")
	}
	p.Op("DECQ R15")
	p.Op("JNZ input%d", m)
	p.Op("DECQ CX")
	p.Op("JNZ word%d", m)
}

// int4first sets CX to y and jumps where this is the first group, which is stored and not added.
func int4first(p *asm.Printer, m int) {
	p.Op("ADDQ $64, R12")
	p.Op("MOVQ R13, CX")
	p.Op("MOVQ left-8(SP), R15")
	p.Op("CMPQ R15, groups+112(FP)")
	p.Op("JEQ first%d", m)
}

// int4end ends the loops over groups and over columns, which are done so many panels at a time.
func int4end(p *asm.Printer, m, panels int) {
	p.Line("flushed%d:", m)
	p.Op("DECQ left-8(SP)")
	p.Op("JNZ group%d", m)
	p.Op("ADDQ $%d, R13", 64*panels)
	p.Op("LEAQ (DI)(DX*%d), DI", panels)
	p.Op("SUBQ $%d, AX", 16*panels)
	p.Op("JGT m%d", m)
	p.Op("JMP done")
}

// int4x256 prints the product with integers, and that with the values of a table.
func int4x256(p *asm.Printer) {
	const height = 4
	p.Comment(
		"Activations as for mulInt4AVX512. With the highest bit of each four inverted these are two's complement, and an arithmetic",
		"shift brings a word's highest four bits down with their sign. Up to 4 x 16: Y0-Y7 accumulators, two a row; Y8, Y9 words;",
		"Y10, Y11 weights; Y12, Y13 broadcast x in turn, and masks of the last columns; Y15 the bits to invert; Y14 is free.",
		"General registers as in mulInt4AVX512.",
	)
	p.Line("// func mulInt4AVX2%s", int4Args)
	p.Line("TEXT ·mulInt4AVX2(SB), NOSPLIT, $8-128")
	loadInt4(p)
	p.Op("MOVL $0x88888888, R15")
	p.Op("VMOVD R15, X15")
	p.Op("VPBROADCASTD X15, Y15")
	heights(p, height, func(p *asm.Printer, m int) {
		int4tile256(p, m, func(half int) { p.Op("VPXOR %d(R12), Y15, Y%d", 32*half, 8+half) }, func(half int) {
			p.Op("VPSRAD $28, Y%d, Y%d", 8+half, 10+half)
			p.Op("VCVTDQ2PS Y%d, Y%d", 10+half, 10+half)
		})
	})
	p.Comment(
		"mulInt4AVX2 with the values of a table at R8: both halves of it are looked up by the lower three of a code's four bits, and",
		"the highest, which is the highest of the word, chooses.",
	)
	p.Line("// func mulTable4AVX2%s", table4Args)
	p.Line("TEXT ·mulTable4AVX2(SB), NOSPLIT, $8-136")
	loadInt4(p)
	p.Op("MOVQ table+128(FP), R8")
	heights(p, height, func(p *asm.Printer, m int) {
		int4tile256(p, m, func(half int) { p.Op("VMOVDQU %d(R12), Y%d", 32*half, 8+half) }, func(half int) {
			p.Op("VPSRLD $28, Y%d, Y%d", 8+half, 10+half)
			p.Op("VPERMPS (R8), Y%d, Y%d", 10+half, 12+half)
			p.Op("VPERMPS 32(R8), Y%d, Y%d", 10+half, 10+half)
			p.Op("VBLENDVPS Y%d, Y%d, Y%d, Y%d", 8+half, 10+half, 12+half, 10+half)
		})
	})
}

// int4tile256 prints a tile of m rows. load brings a word of eight outputs to Y8 or Y9, decode the
// values of its highest four bits to Y10 or Y11; Y12 to Y14 are free.
func int4tile256(p *asm.Printer, m int, load, decode func(half int)) {
	p.Line("")
	p.Line("m%d:", m)
	int4begin(p, m)
	for i := range 2 * m {
		p.Op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.Op("MOVQ words+120(FP), CX")
	p.Line("word%d:", m)
	load(0)
	load(1)
	int4word(p, m)
	decode(0)
	decode(1)
	p.Op("VPSLLD $4, Y8, Y8")
	p.Op("VPSLLD $4, Y9, Y9")
	for i := range m {
		x := 12 + i%2
		p.Op("VBROADCASTSS %s, Y%d", row(i, "SI", "", "R9", "R10", "R11"), x)
		p.Op("VFMADD231PS Y10, Y%d, Y%d", x, 2*i)
		p.Op("VFMADD231PS Y11, Y%d, Y%d", x, 2*i+1)
	}
	int4next(p, m)
	p.Op("VMOVUPS (R12), Y10")
	p.Op("VMOVUPS 32(R12), Y11")
	p.Op("VPCMPEQD Y12, Y12, Y12")
	p.Op("VPCMPEQD Y13, Y13, Y13")
	p.Op("CMPQ AX, $16")
	p.Op("JGE masked%d", m)
	masks256(p, "AX")
	p.Line("masked%d:", m)
	int4first(p, m)
	for i := range m {
		for half := range 2 {
			p.Op("VMASKMOVPS %d(CX), Y%d, Y14", 32*half, 12+half)
			p.Op("VFMADD231PS Y%d, Y%d, Y14", 10+half, 2*i+half)
			p.Op("VMASKMOVPS Y14, Y%d, %d(CX)", 12+half, 32*half)
		}
		p.Op("ADDQ R14, CX")
	}
	p.Op("JMP flushed%d", m)
	p.Line("first%d:", m)
	for i := range m {
		for half := range 2 {
			p.Op("VMULPS Y%d, Y%d, Y14", 10+half, 2*i+half)
			p.Op("VMASKMOVPS Y14, Y%d, %d(CX)", 12+half, 32*half)
		}
		p.Op("ADDQ R14, CX")
	}
	int4end(p, m, 1)
}
