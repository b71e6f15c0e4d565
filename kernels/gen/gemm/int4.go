package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// The int4 functions compute y [m, n] = x·ŵᵀ, ŵ = scale·q, from activations that stand for real
// numbers or from 8-bit ones:
//
//	func mulInt4(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int)
//	func mulInt4Int8(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)
//
// A panel of q holds 16 outputs: for each group of inputs, for each eight inputs of it, a word of
// each output, then the scale of each output. Byte i of a word is q+8 of input i in its low half,
// of input 4+i in its high half. A group's sum is scaled and added to those before, in ascending
// order.

const (
	int4Args     = "(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int)"
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
	p.Line("")
	for i := range 16 {
		p.Line("DATA int4values<>+%d(SB)/4, $%d.0", 4*i, i-8)
	}
	p.Line("GLOBL int4values<>(SB), RODATA|NOPTR, $64")
	p.Comment(
		"Activations are float32, each eight in the order of a word's bits from the highest down. A rotation brings the next four",
		"bits of 16 words down, and VPERMPS looks their value up. Up to 12 x 32: Z0-Z23 accumulators, two a row; Z24, Z25 words;",
		"Z26, Z27 weights; Z28, Z29 broadcast x in turn; Z31 the table; SI, R8 rows 0 and 7 of x; R9, R10, R11 1, 3, 5 times",
		"its row stride; DI q, R12 q at work, DX its panel stride; R13, R14 y and its row stride; AX columns left; CX words left",
		"in the group, R15 inputs in the word.",
	)
	p.Line("// func mulInt4AVX512%s", int4Args)
	p.Line("TEXT ·mulInt4AVX512(SB), NOSPLIT, $8-128")
	loadInt4(p)
	p.Op("VMOVUPS int4values<>(SB), Z31")
	for m := 1; m < height; m++ {
		p.Op("CMPQ CX, $%d", m)
		p.Op("JEQ m%d", m)
	}
	for m := height; m >= 1; m-- {
		int4tile512(p, m)
	}
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
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
	for m := 1; m < height; m++ {
		p.Op("CMPQ CX, $%d", m)
		p.Op("JEQ m%d", m)
	}
	for m := height; m >= 1; m-- {
		int4tile256(p, m)
	}
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

func int4tile256(p *asm.Printer, m int) {
	p.Line("")
	p.Line("m%d:", m)
	int4begin(p, m)
	for i := range 2 * m {
		p.Op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.Op("MOVQ words+120(FP), CX")
	p.Line("word%d:", m)
	p.Op("VPXOR (R12), Y15, Y8")
	p.Op("VPXOR 32(R12), Y15, Y9")
	int4word(p, m)
	p.Op("VPSRAD $28, Y8, Y10")
	p.Op("VPSRAD $28, Y9, Y11")
	p.Op("VCVTDQ2PS Y10, Y10")
	p.Op("VCVTDQ2PS Y11, Y11")
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

// int4Frame is the frame of the functions that keep totals in memory: 28 vectors of 64 bytes
// aligned to 64, whose address is at totals-8, and below it the groups left and the address of the
// group's starts.
const int4Frame = 28*64 + 64 + 24

// loadInt4Int8 loads what all heights share.
func loadInt4Int8(p *asm.Printer) {
	for _, a := range []struct{ from, to string }{
		{"y_base+0(FP)", "R13"}, {"yRow+24(FP)", "R14"}, {"xRow+56(FP)", "R9"}, {"q_base+96(FP)", "DI"}, {"panel+120(FP)", "DX"}, {"n+160(FP)", "AX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	for _, r := range []string{"R14", "DX"} {
		p.Op("SHLQ $2, %s", r)
	}
	p.Op("LEAQ (R9)(R9*2), R10")
	p.Op("LEAQ (R9)(R9*4), R11")
}

// alignTotals sets the address of the totals.
func alignTotals(p *asm.Printer) {
	p.Op("LEAQ memory-%d(SP), CX", int4Frame)
	p.Op("ADDQ $63, CX")
	p.Op("ANDQ $-64, CX")
	p.Op("MOVQ CX, totals-8(SP)")
}

func int4int8x512(p *asm.Printer) {
	const height = 16
	p.Comment(
		"VPDPBUSD multiplies weights, four unsigned bytes q+8, with four signed activations; the sums start at -8·Σx. A mask gives",
		"inputs 0 to 3 of a word, a shift and a mask inputs 4 to 7. Totals are kept in memory, between groups alone, so that their",
		"registers are free. SI, R8, R12 rows 0, 7, 14 of x; R9, R10, R11 1, 3, 5 times its row stride; DI q, R15 q at work, DX",
		"its panel stride; BX q ahead; R13, R14 y and its row stride; AX columns left; CX words left in the group, and totals.",
		"One and two rows, and 15 and 16, take one panel at a time, so that memory is read from the first byte to the last: Z0-Z15",
		"accumulators, two a row of one or two, to have enough in flight; Z26, Z28 weights; Z27 the mask. 3 to 14 rows take two",
		"panels: Z0-Z27 accumulators, two a row; Z28, Z29 weights. Z30, Z31 four activations of a row, in turn.",
	)
	p.Line("// func mulInt4Int8AVX512%s", int4Int8Args)
	p.Line("TEXT ·mulInt4Int8AVX512(SB), 0, $%d-184", int4Frame)
	loadInt4Int8(p)
	alignTotals(p)
	p.Op("MOVQ m+152(FP), CX")
	p.Op("VPBROADCASTD nibbles<>(SB), Z27")
	for m := 1; m < height; m++ {
		p.Op("CMPQ CX, $%d", m)
		p.Op("JEQ m%d", m)
	}
	for m := height; m >= 1; m-- {
		int4int8tile512(p, m)
	}
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

func int4int8tile512(p *asm.Printer, m int) {
	panels, chains := 2, 1
	switch {
	case m <= 2:
		panels, chains = 1, 2
	case m > 14:
		panels = 1
	}
	// Accumulators: of row i and panel h, and the second chain of it.
	acc := func(i, h int) int { return panels*i + h }
	p.Line("")
	p.Line("m%d:", m)
	if panels == 2 {
		columnMasks(p)
	} else {
		columnMask(p, fmt.Sprintf("columns%d", m))
	}
	p.Op("MOVQ totals-8(SP), CX")
	p.Op("VPXORQ Z30, Z30, Z30")
	for a := range panels * m {
		p.Op("VMOVDQA32 Z30, %d(CX)", 64*a)
	}
	p.Op("MOVQ DI, R15")
	if panels == 2 {
		p.Op("LEAQ (DI)(DX*2), BX")
	}
	rewindRows(p, m)
	p.Op("MOVQ groups+168(FP), CX")
	p.Op("MOVQ CX, left-16(SP)")
	p.Op("MOVQ start_base+64(FP), CX")
	p.Op("MOVQ CX, start-24(SP)")
	p.Line("group%d:", m)
	p.Op("MOVQ start-24(SP), CX")
	for i := range m {
		p.Op("VPBROADCASTD %d(CX), Z%d", 4*i, acc(i, 0))
		if panels == 2 {
			p.Op("VMOVDQA32 Z%d, Z%d", acc(i, 0), acc(i, 1))
		}
		if chains == 2 {
			p.Op("VPXORQ Z%d, Z%d, Z%d", m+i, m+i, m+i)
		}
	}
	p.Op("MOVQ startRow+88(FP), CX")
	p.Op("SHLQ $2, CX")
	p.Op("ADDQ CX, start-24(SP)")
	p.Op("MOVQ words+176(FP), CX")
	p.Line("word%d:", m)
	fetch := func() {
		switch {
		case panels == 2:
			p.Op("PREFETCHT1 (BX)")
			p.Op("PREFETCHT1 64(BX)")
			p.Op("ADDQ $128, BX")
		case m > 2:
			p.Op("PREFETCHT0 %d(R15)", int8ahead)
		}
	}
	fetch()
	for half := range 2 {
		w := 28
		switch {
		case panels == 2 && half == 0:
			p.Op("VMOVDQU32 (R15), Z28")
			p.Op("VMOVDQU32 (R15)(DX*1), Z29")
		case panels == 2:
			p.Op("VPSRLD $4, (R15), Z28")
			p.Op("VPSRLD $4, (R15)(DX*1), Z29")
		case half == 0:
			p.Op("VMOVDQU32 (R15), Z26")
			p.Op("VPANDD Z27, Z26, Z28")
		default:
			w = 26
			p.Op("VPSRLD $4, Z26, Z26")
			p.Op("VPANDD Z27, Z26, Z26")
		}
		if panels == 2 {
			mask := "nibbles<>(SB)"
			p.Op("VPANDD.BCST %s, Z28, Z28", mask)
			p.Op("VPANDD.BCST %s, Z29, Z29", mask)
		}
		for i := range m {
			x := 30 + i%2
			p.Op("VPBROADCASTD %d%s, Z%d", 4*half, rows16(i), x)
			for h := range panels {
				p.Op("VPDPBUSD Z%d, Z%d, Z%d", x, w+h, acc(i, h)+half*(chains-1)*m)
			}
		}
	}
	advanceRows(p, m, 8)
	p.Op("ADDQ $64, R15")
	p.Op("DECQ CX")
	p.Op("JNZ word%d", m)
	fetch()
	p.Op("MOVQ totals-8(SP), CX")
	p.Op("VMOVUPS (R15), Z30")
	if panels == 2 {
		p.Op("VMOVUPS (R15)(DX*1), Z31")
	}
	for i := range m {
		for h := range panels {
			a := acc(i, h)
			if chains == 2 {
				p.Op("VPADDD Z%d, Z%d, Z%d", m+i, a, a)
			}
			p.Op("VCVTDQ2PS Z%d, Z%d", a, a)
			p.Op("VMULPS Z%d, Z%d, Z%d", 30+h, a, a)
			p.Op("VADDPS %d(CX), Z%d, Z%d", 64*a, a, a)
			p.Op("VMOVAPS Z%d, %d(CX)", a, 64*a)
		}
	}
	p.Op("ADDQ $64, R15")
	p.Op("DECQ left-16(SP)")
	p.Op("JNZ group%d", m)
	p.Op("MOVQ rowScale_base+128(FP), R15")
	p.Op("MOVQ R13, SI")
	for i := range m {
		p.Op("VBROADCASTSS %d(R15), Z31", 4*i)
		for h := range panels {
			p.Op("VMULPS %d(CX), Z31, Z30", 64*acc(i, h))
			p.Op("VMOVUPS Z30, K%d, %d(SI)", 1+h, 64*h)
		}
		p.Op("ADDQ R14, SI")
	}
	p.Op("ADDQ $%d, R13", 64*panels)
	p.Op("LEAQ (DI)(DX*%d), DI", panels)
	p.Op("SUBQ $%d, AX", 16*panels)
	p.Op("JGT m%d", m)
	p.Op("JMP done")
}

// int4nibbles prints the mask of the low half of each byte of a word.
func int4nibbles(p *asm.Printer) {
	p.Line("")
	p.Line("DATA nibbles<>+0(SB)/4, $0x0f0f0f0f")
	p.Line("GLOBL nibbles<>(SB), RODATA|NOPTR, $4")
}

func int4int8x256(p *asm.Printer) {
	const height = 3
	p.Comment(
		"VPMADDUBSW multiplies weights, unsigned bytes q+8, with signed activations and sums pairs in int16, which four products of",
		"at most 15·127 fit; VPMADDWD with ones sums pairs of those in int32. The sums start at -8·Σx. Up to 3 x 16: Y0-Y5",
		"accumulators, two a row; Y6-Y9 weights: inputs 0 to 3 and 4 to 7 of outputs 0 to 7, then of 8 to 15; Y10, Y11 eight",
		"activations of a row; Y12, Y13 sums, and masks of the last columns; Y14 the mask of the low half of a byte; Y15 ones.",
		"General registers as in mulInt4Int8AVX512.",
	)
	p.Line("// func mulInt4Int8AVX2%s", int4Int8Args)
	p.Line("TEXT ·mulInt4Int8AVX2(SB), 0, $%d-184", int4Frame)
	loadInt4Int8(p)
	alignTotals(p)
	p.Op("MOVQ m+152(FP), CX")
	p.Op("VPBROADCASTD nibbles<>(SB), Y14")
	p.Op("VPCMPEQD Y15, Y15, Y15")
	p.Op("VPSRLW $15, Y15, Y15")
	for m := 1; m < height; m++ {
		p.Op("CMPQ CX, $%d", m)
		p.Op("JEQ m%d", m)
	}
	for m := height; m >= 1; m-- {
		int4int8tile256(p, m)
	}
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

func int4int8tile256(p *asm.Printer, m int) {
	p.Line("")
	p.Line("m%d:", m)
	p.Op("MOVQ totals-8(SP), CX")
	p.Op("VPXOR Y12, Y12, Y12")
	for a := range 2 * m {
		p.Op("VMOVDQA Y12, %d(CX)", 32*a)
	}
	p.Op("MOVQ DI, R15")
	rewindRows(p, m)
	p.Op("MOVQ groups+168(FP), CX")
	p.Op("MOVQ CX, left-16(SP)")
	p.Op("MOVQ start_base+64(FP), CX")
	p.Op("MOVQ CX, start-24(SP)")
	p.Line("group%d:", m)
	p.Op("MOVQ start-24(SP), CX")
	for i := range m {
		p.Op("VPBROADCASTD %d(CX), Y%d", 4*i, 2*i)
		p.Op("VMOVDQA Y%d, Y%d", 2*i, 2*i+1)
	}
	p.Op("MOVQ startRow+88(FP), CX")
	p.Op("SHLQ $2, CX")
	p.Op("ADDQ CX, start-24(SP)")
	p.Op("MOVQ words+176(FP), CX")
	p.Line("word%d:", m)
	for h := range 2 {
		p.Op("VMOVDQU %d(R15), Y%d", 32*h, 7+2*h)
		p.Op("VPAND Y%d, Y14, Y%d", 7+2*h, 6+2*h)
		p.Op("VPSRLD $4, Y%d, Y%d", 7+2*h, 7+2*h)
		p.Op("VPAND Y%d, Y14, Y%d", 7+2*h, 7+2*h)
	}
	for i := range m {
		p.Op("VPBROADCASTD %s, Y10", rows16(i))
		p.Op("VPBROADCASTD 4%s, Y11", rows16(i))
		for h := range 2 {
			p.Op("VPMADDUBSW Y10, Y%d, Y12", 6+2*h)
			p.Op("VPMADDUBSW Y11, Y%d, Y13", 7+2*h)
			p.Op("VPADDW Y13, Y12, Y12")
			p.Op("VPMADDWD Y12, Y15, Y12")
			p.Op("VPADDD Y12, Y%d, Y%d", 2*i+h, 2*i+h)
		}
	}
	advanceRows(p, m, 8)
	p.Op("ADDQ $64, R15")
	p.Op("DECQ CX")
	p.Op("JNZ word%d", m)
	p.Op("MOVQ totals-8(SP), CX")
	for i := range m {
		for h := range 2 {
			a := 2*i + h
			p.Op("VCVTDQ2PS Y%d, Y%d", a, a)
			p.Op("VMULPS %d(R15), Y%d, Y%d", 32*h, a, a)
			p.Op("VADDPS %d(CX), Y%d, Y%d", 32*a, a, a)
			p.Op("VMOVAPS Y%d, %d(CX)", a, 32*a)
		}
	}
	p.Op("ADDQ $64, R15")
	p.Op("DECQ left-16(SP)")
	p.Op("JNZ group%d", m)
	p.Op("VPCMPEQD Y12, Y12, Y12")
	p.Op("VPCMPEQD Y13, Y13, Y13")
	p.Op("CMPQ AX, $16")
	p.Op("JGE masked%d", m)
	masks256(p, "AX")
	p.Line("masked%d:", m)
	p.Op("MOVQ totals-8(SP), CX")
	p.Op("MOVQ rowScale_base+128(FP), R15")
	p.Op("MOVQ R13, SI")
	for i := range m {
		p.Op("VBROADCASTSS %d(R15), Y11", 4*i)
		for h := range 2 {
			p.Op("VMULPS %d(CX), Y11, Y10", 32*(2*i+h))
			p.Op("VMASKMOVPS Y10, Y%d, %d(SI)", 12+h, 32*h)
		}
		p.Op("ADDQ R14, SI")
	}
	p.Op("ADDQ $64, R13")
	p.Op("ADDQ DX, DI")
	p.Op("SUBQ $16, AX")
	p.Op("JGT m%d", m)
	p.Op("JMP done")
}
