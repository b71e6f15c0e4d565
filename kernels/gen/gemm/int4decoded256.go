package gemm

import (
	"slimlab/kernels/gen/asm"
)

// int4decoded256 prints the product of many rows: a group's codes are decoded once for all of them,
// and multiplied from memory.
func int4decoded256(p *asm.Printer) {
	p.Comment(
		"dst[16i+j] = the value of code i of 16 columns of words, from the highest bits of each word down. Y14, Y15 the table's",
		"halves, which are looked up by the lower three of a code's four bits; the highest chooses.",
	)
	p.Line("// func decode4AVX2(dst []float32, q []uint32, words int, table *[16]uint32)")
	p.Line("TEXT ·decode4AVX2(SB), NOSPLIT, $0-64")
	for _, a := range []struct{ from, to string }{{"dst_base+0(FP)", "DI"}, {"q_base+24(FP)", "SI"}, {"words+48(FP)", "CX"}, {"table+56(FP)", "AX"}} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("VMOVUPS (AX), Y14")
	p.Op("VMOVUPS 32(AX), Y15")
	p.Line("word:")
	p.Op("VMOVDQU (SI), Y0")
	p.Op("VMOVDQU 32(SI), Y1")
	for i := range 8 {
		for half := range 2 {
			p.Op("VPSRLD $28, Y%d, Y%d", half, 2+half)
			p.Op("VPERMPS Y14, Y%d, Y%d", 2+half, 4+half)
			p.Op("VPERMPS Y15, Y%d, Y%d", 2+half, 6+half)
			p.Op("VBLENDVPS Y%d, Y%d, Y%d, Y%d", half, 6+half, 4+half, 4+half)
			p.Op("VMOVUPS Y%d, %d(DI)", 4+half, 64*i+32*half)
			if i < 7 {
				p.Op("VPSLLD $4, Y%d, Y%d", half, half)
			}
		}
	}
	p.Op("ADDQ $512, DI")
	p.Op("ADDQ $64, SI")
	p.Op("DECQ CX")
	p.Op("JNZ word")
	p.Op("VZEROUPPER")
	p.Op("RET")

	const height = 6
	p.Comment(
		"y [m, n] += scale·(x·codes), or without the sum where first is set: x [m, k] with a stride, codes [k, 16], n at most 16, k",
		"a multiple of 8. Tiles of up to 6 x 16: Y0-Y11 accumulators, two a row; Y12, Y13 codes, Y14, Y15 broadcast x in turn.",
		"R12 rows left; SI a tile's x, R8 x at work, R9, R10, R11 1, 3, 5 times its row stride; DI codes, R15 codes at work;",
		"DX scale; R13, R14 y and its row stride; AX columns; BX 1 where first is set.",
	)
	p.Line("// func mulDecoded4AVX2(y []float32, yRow int, x []uint32, xRow int, codes, scale []float32, m, n, k int, first bool)")
	p.Line("TEXT ·mulDecoded4AVX2(SB), NOSPLIT, $0-137")
	for _, a := range []struct{ from, to string }{
		{"y_base+0(FP)", "R13"}, {"yRow+24(FP)", "R14"}, {"x_base+32(FP)", "SI"}, {"xRow+56(FP)", "R9"},
		{"codes_base+64(FP)", "DI"}, {"scale_base+88(FP)", "DX"}, {"m+112(FP)", "R12"}, {"n+120(FP)", "AX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("MOVBLZX first+136(FP), BX")
	for _, r := range []string{"R14", "R9"} {
		p.Op("SHLQ $2, %s", r)
	}
	p.Op("LEAQ (R9)(R9*2), R10")
	p.Op("LEAQ (R9)(R9*4), R11")
	p.Line("rows:")
	p.Op("CMPQ R12, $%d", height)
	p.Op("JGE m%d", height)
	for m := 1; m < height; m++ {
		p.Op("CMPQ R12, $%d", m)
		p.Op("JEQ m%d", m)
	}
	p.Op("JMP done")
	for m := height; m >= 1; m-- {
		decodedTile256(p, m)
		p.Op("SUBQ $%d, R12", m)
		if m < height {
			p.Op("JMP done")
			continue
		}
		p.Op("LEAQ (SI)(R10*2), SI")
		p.Op("JMP rows")
	}
	p.Line("")
	end(p)
}

// decodedTile256 prints a tile of m rows, behind which R13 is the next.
func decodedTile256(p *asm.Printer, m int) {
	const steps = 4 // of the chain in a round
	p.Line("")
	p.Line("m%d:", m)
	p.Op("MOVQ SI, R8")
	p.Op("MOVQ DI, R15")
	p.Op("MOVQ k+128(FP), CX")
	for i := range 2 * m {
		p.Op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.Line("inputs%d:", m)
	for s := range steps {
		p.Op("VMOVUPS %d(R15), Y12", 64*s)
		p.Op("VMOVUPS %d(R15), Y13", 64*s+32)
		for i := range m {
			x := 14 + i%2
			p.Op("VBROADCASTSS %d%s, Y%d", 4*s, row(i, "R8", "", "R9", "R10", "R11"), x)
			p.Op("VFMADD231PS Y12, Y%d, Y%d", x, 2*i)
			p.Op("VFMADD231PS Y13, Y%d, Y%d", x, 2*i+1)
		}
	}
	p.Op("ADDQ $%d, R8", 4*steps)
	p.Op("ADDQ $%d, R15", 64*steps)
	p.Op("SUBQ $%d, CX", steps)
	p.Op("JNZ inputs%d", m)
	p.Op("VMOVUPS (DX), Y14")
	p.Op("VMOVUPS 32(DX), Y15")
	p.Op("CMPQ AX, $16")
	p.Op("JLT masked%d", m)
	p.Op("TESTQ BX, BX")
	p.Op("JNZ first%d", m)
	for _, first := range []bool{false, true} {
		if first {
			p.Line("first%d:", m)
		}
		for i := range m {
			for half := range 2 {
				addDecoded(p, first, 2*i+half, 14+half, 12, func() { p.Op("VMOVUPS %d(R13), Y12", 32*half) })
				p.Op("VMOVUPS Y12, %d(R13)", 32*half)
			}
			p.Op("ADDQ R14, R13")
		}
		p.Op("JMP end%d", m)
	}
	p.Line("masked%d:", m)
	for half := range 2 {
		masks256(p, "AX")
		mask, sum := 12+half, 13-half
		p.Op("MOVQ R13, CX")
		p.Op("TESTQ BX, BX")
		p.Op("JNZ maskedfirst%d_%d", m, half)
		for _, first := range []bool{false, true} {
			if first {
				p.Line("maskedfirst%d_%d:", m, half)
			}
			for i := range m {
				addDecoded(p, first, 2*i+half, 14+half, sum, func() { p.Op("VMASKMOVPS %d(CX), Y%d, Y%d", 32*half, mask, sum) })
				p.Op("VMASKMOVPS Y%d, Y%d, %d(CX)", sum, mask, 32*half)
				p.Op("ADDQ R14, CX")
			}
			if !first {
				p.Op("JMP maskedend%d_%d", m, half)
			}
		}
		p.Line("maskedend%d_%d:", m, half)
	}
	p.Op("MOVQ CX, R13")
	p.Line("end%d:", m)
}

// addDecoded prints sum = a group's scaled end of a chain, added to what load brings to sum unless
// the group is the first.
func addDecoded(p *asm.Printer, first bool, acc, scale, sum int, load func()) {
	if first {
		p.Op("VMULPS Y%d, Y%d, Y%d", scale, acc, sum)
		return
	}
	load()
	p.Op("VFMADD231PS Y%d, Y%d, Y%d", scale, acc, sum)
}
