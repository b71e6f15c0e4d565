package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// The int8 functions compute y [m, n] = rowScale·scale·(x·qᵀ) exactly as integers up to the
// scaling:
//
//	func mulInt8(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)
//
// k counts groups of four inputs. A panel of q holds 16 outputs: for each group, four bytes of each
// output.

const int8Args = "(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)"

// columnMasks sets K1 and K2 to the columns that exist of two panels, and DX to 0 where there is no
// second panel, so that the first is read twice instead of memory behind the last. AX is the number
// of columns left; CX and R15 are free.
func columnMasks(p *asm.Printer) {
	p.Op("MOVL $32, CX // K1, K2: the lower and upper halves of min(n, 32) ones")
	p.Op("CMPQ AX, CX")
	p.Op("CMOVQLT AX, CX")
	p.Op("MOVL $-1, R15")
	p.Op("BZHIL CX, R15, R15")
	p.Op("KMOVW R15, K1")
	p.Op("SHRL $16, R15")
	p.Op("KMOVW R15, K2")
	p.Op("XORL CX, CX")
	p.Op("CMPQ AX, $16")
	p.Op("CMOVQLE CX, DX")
}

func int8x512(p *asm.Printer) {
	p.Comment(
		"Activations are bytes q_x+128, which VPDPBUSD multiplies with signed weights; correction, -128 times the sum of an",
		"output's weights, starts its accumulator. Z31 and what is free beside it: four activations of a row, in turn; SI, R8,",
		"R12 rows 0, 7, 14 of x; R9, R10, R11 1, 3, 5 times its row stride; DI q, DX its panel stride; R13, R14 y and its row",
		"stride; BX bytes of correction and scale behind; AX columns left.",
		"Up to 8 rows, and 15 and 16, take one panel at a time, so that memory is read from the first byte to the last: Z0-Z15",
		"accumulators, Z28 weights. Up to four rows have several chains an element, to have enough in flight: sums of integers",
		"are exact in any order. 9 to 14 rows take two panels: Z0-Z27 accumulators, two a row; Z28, Z29 weights; R15 q at work.",
	)
	p.Line("// func mulInt8AVX512%s", int8Args)
	p.Line("TEXT ·mulInt8AVX512(SB), NOSPLIT, $0-192")
	loadInt8(p, "BX")
	p.Op("LEAQ (R9)(R9*4), R11")
	jumps(p, 16)
	for m := 16; m >= 1; m-- {
		p.Line("")
		p.Line("m%d:", m)
		if m > 4 && m <= 14 {
			int8pair512(p, m)
		} else {
			int8single512(p, m)
		}
	}
	p.Line("")
	end(p)
}

// loadInt8 loads what all heights share, and zero for the bytes of correction and scale behind.
func loadInt8(p *asm.Printer, behind string) {
	for _, a := range []struct{ from, to string }{
		{"y_base+0(FP)", "R13"}, {"yRow+24(FP)", "R14"}, {"xRow+56(FP)", "R9"}, {"q_base+64(FP)", "DI"}, {"panel+88(FP)", "DX"}, {"n+176(FP)", "AX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("SHLQ $2, R14")
	p.Op("XORL %s, %s", behind, behind)
	p.Op("LEAQ (R9)(R9*2), R10")
	p.Op("MOVQ m+168(FP), CX")
}

// rows16 is row for up to 16 rows.
func rows16(i int) string {
	if i >= 14 {
		return row(i-14, "R12", "", "R9", "R10", "R11")
	}
	return row(i, "SI", "R8", "R9", "R10", "R11")
}

// rewindRows and advanceRows set and move the rows of x of a tile of m.
func rewindRows(p *asm.Printer, m int) {
	p.Op("MOVQ x_base+32(FP), SI")
	if m > 7 {
		p.Op("LEAQ (SI)(R9*8), R8")
		p.Op("SUBQ R9, R8")
	}
	if m > 14 {
		p.Op("LEAQ (R8)(R9*8), R12")
		p.Op("SUBQ R9, R12")
	}
}

func advanceRows(p *asm.Printer, m, bytes int) {
	p.Op("ADDQ $%d, SI", bytes)
	if m > 7 {
		p.Op("ADDQ $%d, R8", bytes)
	}
	if m > 14 {
		p.Op("ADDQ $%d, R12", bytes)
	}
}

func int8pair512(p *asm.Printer, m int) {
	columnMasks(p)
	p.Op("MOVQ correction_base+96(FP), CX")
	p.Op("ADDQ BX, CX")
	p.Op("VMOVDQU32.Z (CX), K1, Z0")
	p.Op("VMOVDQU32.Z 64(CX), K2, Z1")
	for i := 1; i < m; i++ {
		p.Op("VMOVDQA32 Z0, Z%d", 2*i)
		p.Op("VMOVDQA32 Z1, Z%d", 2*i+1)
	}
	p.Op("MOVQ DI, R15")
	p.Op("LEAQ (DI)(DX*2), R12")
	rewindRows(p, m)
	p.Op("MOVQ k+184(FP), CX")
	p.Line("loop%d:", m)
	p.Op("PREFETCHT1 (R12)")
	p.Op("PREFETCHT1 64(R12)")
	p.Op("VMOVDQU32 (R15), Z28")
	p.Op("VMOVDQU32 (R15)(DX*1), Z29")
	for i := range m {
		x := 30 + i%2
		p.Op("VPBROADCASTD %s, Z%d", rows16(i), x)
		p.Op("VPDPBUSD Z28, Z%d, Z%d", x, 2*i)
		p.Op("VPDPBUSD Z29, Z%d, Z%d", x, 2*i+1)
	}
	advanceRows(p, m, 4)
	p.Op("ADDQ $64, R15")
	p.Op("ADDQ $128, R12")
	p.Op("DECQ CX")
	p.Op("JNZ loop%d", m)
	p.Op("MOVQ scale_base+120(FP), CX")
	p.Op("ADDQ BX, CX")
	p.Op("VMOVUPS.Z (CX), K1, Z28")
	p.Op("VMOVUPS.Z 64(CX), K2, Z29")
	p.Op("MOVQ rowScale_base+144(FP), R15")
	p.Op("MOVQ R13, CX")
	for i := range m {
		p.Op("VBROADCASTSS %d(R15), Z31", 4*i)
		for half := range 2 {
			int8scale512(p, 28+half, 2*i+half)
			p.Op("VMOVUPS Z%d, K%d, %d(CX)", 2*i+half, 1+half, 64*half)
		}
		p.Op("ADDQ R14, CX")
	}
	p.Op("ADDQ $128, BX")
	p.Op("ADDQ $128, R13")
	p.Op("LEAQ (DI)(DX*2), DI")
	p.Op("SUBQ $32, AX")
	p.Op("JGT m%d", m)
	p.Op("JMP done")
}

// int8scale512 makes the outputs of an accumulator, with the row's scale in Z31.
func int8scale512(p *asm.Printer, scale, acc int) {
	p.Op("VCVTDQ2PS Z%d, Z%d", acc, acc)
	p.Op("VMULPS Z%d, Z31, Z30", scale)
	p.Op("VMULPS Z30, Z%d, Z%d", acc, acc)
}

// columnMask sets K1 to the columns that exist of a panel; AX is the number of columns left, R15 is
// free.
func columnMask(p *asm.Printer, label string) {
	p.Op("MOVL $0xffff, R15")
	p.Op("CMPQ AX, $16")
	p.Op("JGE %s", label)
	p.Op("BZHIL AX, R15, R15")
	p.Line("%s:", label)
	p.Op("KMOVW R15, K1")
}

// int8ahead is how many bytes ahead of the weights at work one panel at a time fetches.
const int8ahead = 3072

func int8single512(p *asm.Printer, m int) {
	chains := map[int]int{1: 8, 2: 4, 3: 2, 4: 2}[m] // at least six in all
	columnMask(p, fmt.Sprintf("columns%d", m))
	p.Op("MOVQ correction_base+96(FP), CX")
	p.Op("VMOVDQU32.Z (CX)(BX*1), K1, Z0")
	for i := 1; i < m; i++ {
		p.Op("VMOVDQA32 Z0, Z%d", i)
	}
	for z := m; z < chains*m; z++ {
		p.Op("VPXORQ Z%d, Z%d, Z%d", z, z, z)
	}
	rewindRows(p, m)
	p.Op("MOVQ k+184(FP), CX")
	step := func(chain int) {
		if m > 4 {
			p.Op("PREFETCHT0 %d(DI)", int8ahead+64*chain)
		}
		p.Op("VMOVDQU32 %d(DI), Z28", 64*chain)
		for i := range m {
			x := 29 + i%3
			p.Op("VPBROADCASTD %d%s, Z%d", 4*chain, rows16(i), x)
			p.Op("VPDPBUSD Z28, Z%d, Z%d", x, chain*m+i)
		}
	}
	if chains > 1 {
		p.Op("SUBQ $%d, CX", chains)
		p.Op("JLT last%d", m)
		p.Line("chains%d:", m)
		for c := range chains {
			step(c)
		}
		advanceRows(p, m, 4*chains)
		p.Op("ADDQ $%d, DI", 64*chains)
		p.Op("SUBQ $%d, CX", chains)
		p.Op("JGE chains%d", m)
		p.Line("last%d:", m)
		p.Op("ADDQ $%d, CX", chains)
		p.Op("JEQ sum%d", m)
	}
	p.Line("loop%d:", m)
	step(0)
	advanceRows(p, m, 4)
	p.Op("ADDQ $64, DI")
	p.Op("DECQ CX")
	p.Op("JNZ loop%d", m)
	if chains > 1 {
		p.Line("sum%d:", m)
		for z := m; z < chains*m; z++ {
			p.Op("VPADDD Z%d, Z%d, Z%d", z, z%m, z%m)
		}
	}
	p.Op("MOVQ scale_base+120(FP), CX")
	p.Op("VMOVUPS.Z (CX)(BX*1), K1, Z28")
	p.Op("MOVQ rowScale_base+144(FP), R15")
	p.Op("MOVQ R13, CX")
	for i := range m {
		p.Op("VBROADCASTSS %d(R15), Z31", 4*i)
		int8scale512(p, 28, i)
		p.Op("VMOVUPS Z%d, K1, (CX)", i)
		p.Op("ADDQ R14, CX")
	}
	p.Op("ADDQ $64, BX")
	p.Op("ADDQ $64, R13")
	p.Op("SUBQ $16, AX")
	p.Op("JGT m%d", m)
	p.Op("JMP done")
}

func int8x256(p *asm.Printer) {
	p.Comment(
		"Activations are int16; weights are widened to int16 and VPMADDWD sums pairs of products in int32, which cannot",
		"overflow there. Up to 2 x 16: Y0-Y7 accumulators, four a row, each the pairs of four outputs; Y8 weights; Y9, Y10",
		"products; Y12, Y13 four activations of a row. General registers as in mulInt8AVX512, R12 for BX.",
	)
	p.Line("// func mulInt8AVX2%s", int8Args)
	p.Line("TEXT ·mulInt8AVX2(SB), NOSPLIT, $0-192")
	loadInt8(p, "R12")
	p.Op("CMPQ CX, $1")
	p.Op("JEQ m1")
	for m := 2; m >= 1; m-- {
		p.Line("")
		p.Line("m%d:", m)
		p.Op("MOVQ DI, R15")
		p.Op("MOVQ x_base+32(FP), SI")
		p.Op("MOVQ k+184(FP), CX")
		for i := range 4 * m {
			p.Op("VPXOR Y%d, Y%d, Y%d", i, i, i)
		}
		p.Line("loop%d:", m)
		p.Op("PREFETCHT0 1024(R15)")
		for i := range m {
			p.Op("VPBROADCASTQ %s, Y%d", row(i, "SI", "", "R9", "", ""), 12+i)
		}
		for j := range 4 {
			p.Op("VPMOVSXBW %d(R15), Y8", 16*j)
			for i := range m {
				p.Op("VPMADDWD Y8, Y%d, Y%d", 12+i, 9+i)
				p.Op("VPADDD Y%d, Y%d, Y%d", 9+i, 4*i+j, 4*i+j)
			}
		}
		p.Op("ADDQ $8, SI")
		p.Op("ADDQ $64, R15")
		p.Op("DECQ CX")
		p.Op("JNZ loop%d", m)
		p.Op("MOVQ scale_base+120(FP), CX")
		p.Op("ADDQ R12, CX")
		p.Op("MOVQ rowScale_base+144(FP), R15")
		for i := range m {
			p.Op("VBROADCASTSS %d(R15), Y8", 4*i)
			for half := range 2 {
				acc := 4*i + 2*half
				p.Op("VPHADDD Y%d, Y%d, Y%d", acc+1, acc, acc)
				p.Op("VPERMQ $0xd8, Y%d, Y%d", acc, acc)
				p.Op("VCVTDQ2PS Y%d, Y%d", acc, acc)
				p.Op("VMULPS %d(CX), Y8, Y9", 32*half)
				p.Op("VMULPS Y9, Y%d, Y%d", acc, acc)
			}
		}
		p.Op("CMPQ AX, $16")
		p.Op("JLT tail%d", m)
		for i := range m {
			at := "R13"
			if i == 1 {
				at = "R13)(R14*1"
			}
			p.Op("VMOVUPS Y%d, (%s)", 4*i, at)
			p.Op("VMOVUPS Y%d, 32(%s)", 4*i+2, at)
		}
		p.Op("ADDQ $64, R12")
		p.Op("ADDQ $64, R13")
		p.Op("ADDQ DX, DI")
		p.Op("SUBQ $16, AX")
		p.Op("JGT m%d", m)
		p.Op("VZEROUPPER")
		p.Op("RET")
		p.Line("tail%d:", m)
		masks256(p, "AX")
		for i := range m {
			at := "R13"
			if i == 1 {
				at = "R13)(R14*1"
			}
			p.Op("VMASKMOVPS Y%d, Y12, (%s)", 4*i, at)
			p.Op("VMASKMOVPS Y%d, Y13, 32(%s)", 4*i+2, at)
		}
		p.Op("VZEROUPPER")
		p.Op("RET")
	}
}
