package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// widened256 prints the strip of few rows with words of two bfloat16, which are widened in
// registers: nothing is written that is read once.
func widened256(p *asm.Printer) {
	p.Comment(
		"c [m, n] = a·b, m at most 4: b's words hold two bfloat16, elements 2p and 2p+1 of the chain, columns in panels of 16 as",
		"of stripAVX2; a(i, p) is a[i*aRow+p], k counts words. Chains begin at zero and are stored (end 0) or added to c (1), or go",
		"on from c (2, with whole panels alone). Memory ahead bytes on is fetched for each line of b.",
		"Up to 4 x 16: Y0-Y7 accumulators, two a row; Y8-Y11 first and second elements of a word of both halves; Y12, Y13",
		"broadcast a in turn. One row takes 64 columns and two rows 32 at a time as long as there are so many: Y8-Y11",
		"broadcast a; Y12 words and second elements, Y13 first elements. Y15 the upper half's mask.",
		"SI a, R8 a at work, R9, R10 1, 3 times its row stride; DI b's tile, R15 b at work, BX its row and DX its panel stride;",
		"R12 what is fetched, of several panels R10 with R12 3 panel strides; R13, R14 c and its row stride; R11 end; AX columns",
		"left; CX words left.",
	)
	p.Line("// func widened4AVX2(c []float32, cRow int, a []float32, aRow int, b []uint16, bRow, bPanel, ahead, m, n, k, end int)")
	p.Line("TEXT ·widened4AVX2(SB), NOSPLIT, $0-144")
	for _, a := range []struct{ from, to string }{
		{"c_base+0(FP)", "R13"}, {"cRow+24(FP)", "R14"}, {"a_base+32(FP)", "SI"}, {"aRow+56(FP)", "R9"}, {"b_base+64(FP)", "DI"},
		{"bRow+88(FP)", "BX"}, {"bPanel+96(FP)", "DX"}, {"n+120(FP)", "AX"}, {"end+136(FP)", "R11"}, {"m+112(FP)", "CX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	for _, r := range []string{"R14", "R9", "BX", "DX"} {
		p.Op("SHLQ $2, %s", r)
	}
	p.Op("VPCMPEQD Y15, Y15, Y15")
	p.Op("VPSLLD $16, Y15, Y15")
	heights(p, 4, func(p *asm.Printer, m int) {
		p.Line("")
		p.Line("m%d:", m)
		if m <= 2 {
			widenedPanels256(p, m, 4/m)
		}
		widenedTile256(p, m)
	})
}

// widenedPanels256 prints the loop over several panels for one or two rows.
func widenedPanels256(p *asm.Printer, m, panels int) {
	acc := func(i, j, half int) int { return 2*(panels*i+j) + half }
	p.Op("LEAQ (DX)(DX*2), R12")
	p.Line("wide%d:", m)
	p.Op("CMPQ AX, $%d", 16*panels)
	p.Op("JLT tile%d", m)
	p.Op("MOVQ DI, R15")
	p.Op("MOVQ ahead+104(FP), R10")
	p.Op("ADDQ DI, R10")
	p.Op("MOVQ k+128(FP), CX")
	widenedBegin256(p, m, panels, acc, "wide")
	p.Op("MOVQ SI, R8")
	p.Line("wideword%d:", m)
	for i := range m {
		for e := range 2 {
			p.Op("VBROADCASTSS %d%s, Y%d", 4*e, row(i, "R8", "", "R9", "", ""), 8+2*i+e)
		}
	}
	for j := range panels {
		p.Op("PREFETCHT0 %s", panel(j, "R10", "", "DX", "R12"))
		for half := range 2 {
			p.Op("VMOVDQU %d%s, Y12", 32*half, panel(j, "R15", "", "DX", "R12"))
			p.Op("VPSLLD $16, Y12, Y13")
			p.Op("VPAND Y15, Y12, Y12")
			for i := range m {
				p.Op("VFMADD231PS Y13, Y%d, Y%d", 8+2*i, acc(i, j, half))
				p.Op("VFMADD231PS Y12, Y%d, Y%d", 9+2*i, acc(i, j, half))
			}
		}
	}
	p.Op("ADDQ $8, R8")
	p.Op("ADDQ BX, R15")
	p.Op("ADDQ BX, R10")
	p.Op("DECQ CX")
	p.Op("JNZ wideword%d", m)
	widenedEnd256(p, m, panels, acc, "wide")
	p.Op("ADDQ $%d, R13", 64*panels)
	p.Op("LEAQ (DI)(DX*%d), DI", panels)
	p.Op("SUBQ $%d, AX", 16*panels)
	p.Op("JGT wide%d", m)
	p.Op("JMP done")
}

// widenedTile256 prints the loop over single panels for m rows.
func widenedTile256(p *asm.Printer, m int) {
	acc := func(i, _, half int) int { return 2*i + half }
	p.Line("tile%d:", m)
	if m == 4 {
		p.Op("LEAQ (R9)(R9*2), R10")
	}
	p.Op("MOVQ DI, R15")
	p.Op("MOVQ ahead+104(FP), R12")
	p.Op("ADDQ DI, R12")
	p.Op("MOVQ k+128(FP), CX")
	widenedBegin256(p, m, 1, acc, "tile")
	p.Op("MOVQ SI, R8")
	p.Line("tileword%d:", m)
	p.Op("PREFETCHT0 (R12)")
	for half := range 2 {
		p.Op("VMOVDQU %d(R15), Y%d", 32*half, 9+2*half)
		p.Op("VPSLLD $16, Y%d, Y%d", 9+2*half, 8+2*half)
		p.Op("VPAND Y15, Y%d, Y%d", 9+2*half, 9+2*half)
	}
	for i := range m {
		for e := range 2 {
			p.Op("VBROADCASTSS %d%s, Y%d", 4*e, row(i, "R8", "", "R9", "R10", ""), 12+e)
			for half := range 2 {
				p.Op("VFMADD231PS Y%d, Y%d, Y%d", 8+2*half+e, 12+e, acc(i, 0, half))
			}
		}
	}
	p.Op("ADDQ $8, R8")
	p.Op("ADDQ BX, R15")
	p.Op("ADDQ BX, R12")
	p.Op("DECQ CX")
	p.Op("JNZ tileword%d", m)
	p.Op("CMPQ AX, $16")
	p.Op("JLT tail%d", m)
	widenedEnd256(p, m, 1, acc, "tile")
	p.Op("ADDQ $64, R13")
	p.Op("ADDQ DX, DI")
	p.Op("SUBQ $16, AX")
	p.Op("JGT tile%d", m)
	p.Op("JMP done")
	tail256(p, m, "CMPQ R11, $0")
}

// widenedBegin256 prints the start of m rows' chains in some panels.
func widenedBegin256(p *asm.Printer, m, panels int, acc func(i, j, half int) int, label string) {
	for a := range 2 * m * panels {
		p.Op("VXORPS Y%d, Y%d, Y%d", a, a, a)
	}
	p.Op("CMPQ R11, $2")
	p.Op("JNE %sbegun%d", label, m)
	widenedRows256(p, m, panels, acc, func(at string, acc int) { p.Op("VMOVUPS %s, Y%d", at, acc) })
	p.Line("%sbegun%d:", label, m)
}

// widenedEnd256 prints their end.
func widenedEnd256(p *asm.Printer, m, panels int, acc func(i, j, half int) int, label string) {
	p.Op("CMPQ R11, $1")
	p.Op("JNE %sstore%d", label, m)
	widenedRows256(p, m, panels, acc, func(at string, acc int) { p.Op("VADDPS %s, Y%d, Y%d", at, acc, acc) })
	p.Line("%sstore%d:", label, m)
	widenedRows256(p, m, panels, acc, func(at string, acc int) { p.Op("VMOVUPS Y%d, %s", acc, at) })
}

// widenedRows256 prints what is done with each accumulator and its place in c; R8 goes through the
// rows.
func widenedRows256(p *asm.Printer, m, panels int, acc func(i, j, half int) int, do func(at string, acc int)) {
	address := "R13"
	for i := range m {
		if i == 1 {
			p.Op("LEAQ (R13)(R14*1), R8")
			address = "R8"
		} else if i > 1 {
			p.Op("ADDQ R14, R8")
		}
		for j := range panels {
			for half := range 2 {
				do(fmt.Sprintf("%d(%s)", 64*j+32*half, address), acc(i, j, half))
			}
		}
	}
}
