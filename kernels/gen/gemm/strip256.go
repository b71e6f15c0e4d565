package gemm

import (
	"slimlab/kernels/gen/asm"
)

// strip256: tiles of up to 6 x 16, one panel at a time.
func strip256(p *asm.Printer) {
	p.Comment(
		"Up to 6 x 16: Y0-Y11 accumulators, two a row; Y12, Y13 b's row p; Y14, Y15 broadcast a(i, p) in turn. General",
		"registers as in stripAVX512. b's panels must be whole (padded); c is masked when fewer than 16 columns are left. b passes",
		"once for each tile, from the second cache, and is fetched 16 rows ahead.",
		"One row takes 64 columns and two rows 32 at a time as long as there are so many.",
	)
	p.Line("// func stripAVX2%s", stripArgs)
	p.Line("TEXT ·stripAVX2(SB), NOSPLIT, $0-137")
	loadStrip(p)
	jumps(p, 6)
	for m := 6; m >= 1; m-- {
		p.Line("")
		p.Line("m%d:", m)
		if m <= 2 {
			wide256(p, m, 4/m)
		}
		tile256(p, m)
	}
	p.Line("")
	end(p)
}

func tile256(p *asm.Printer, m int) {
	p.Line("tile%d:", m)
	p.Op("MOVQ DI, R15")
	rewindA(p, m)
	for i := range 2 * m {
		p.Op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.Line("tileloop%d:", m)
	p.Op("PREFETCHT0 1024(R15)")
	p.Op("VMOVUPS (R15), Y12")
	p.Op("VMOVUPS 32(R15), Y13")
	for i := range m {
		x := 14 + i%2
		p.Op("VBROADCASTSS %s, Y%d", row(i, "SI", "", "R9", "R10", "R11"), x)
		p.Op("VFMADD231PS Y12, Y%d, Y%d", x, 2*i)
		p.Op("VFMADD231PS Y13, Y%d, Y%d", x, 2*i+1)
	}
	advanceA(p, m)
	p.Op("ADDQ BX, R15")
	p.Op("DECQ CX")
	p.Op("JNZ tileloop%d", m)
	p.Op("CMPQ AX, $16")
	p.Op("JLT tail%d", m)
	p.Op("MOVQ R13, CX")
	p.Op("CMPB accumulate+136(FP), $0")
	p.Op("JEQ tilestore%d", m)
	for i := range m {
		p.Op("VADDPS (CX), Y%d, Y%d", 2*i, 2*i)
		p.Op("VADDPS 32(CX), Y%d, Y%d", 2*i+1, 2*i+1)
		p.Op("ADDQ R14, CX")
	}
	p.Op("MOVQ R13, CX")
	p.Line("tilestore%d:", m)
	for i := range m {
		p.Op("VMOVUPS Y%d, (CX)", 2*i)
		p.Op("VMOVUPS Y%d, 32(CX)", 2*i+1)
		p.Op("ADDQ R14, CX")
	}
	p.Op("ADDQ $64, R13")
	p.Op("ADDQ DX, DI")
	p.Op("SUBQ $16, AX")
	p.Op("JGT tile%d", m)
	p.Op("JMP done")
	tail256(p, m, "CMPB accumulate+136(FP), $0")
}

// tail256 prints the end of a tile of m rows with fewer than 16 columns, AX: Y0-Y11 are stored, two
// a row, or added to c where what adds compares with is not equal; R13, R14 c and its row stride.
func tail256(p *asm.Printer, m int, adds string) {
	p.Line("tail%d:", m)
	masks256(p, "AX")
	p.Op(adds)
	p.Op("JEQ tailstore%d", m)
	p.Op("MOVQ R13, CX")
	for i := range m {
		p.Op("VMASKMOVPS (CX), Y12, Y14")
		p.Op("VADDPS Y14, Y%d, Y%d", 2*i, 2*i)
		p.Op("VMASKMOVPS 32(CX), Y13, Y14")
		p.Op("VADDPS Y14, Y%d, Y%d", 2*i+1, 2*i+1)
		p.Op("ADDQ R14, CX")
	}
	p.Line("tailstore%d:", m)
	for i := range m {
		p.Op("VMASKMOVPS Y%d, Y12, (R13)", 2*i)
		p.Op("VMASKMOVPS Y%d, Y13, 32(R13)", 2*i+1)
		p.Op("ADDQ R14, R13")
	}
	p.Op("JMP done")
}

// masks256 sets Y12 and Y13 to the masks of the first n (1…15) of 16 columns.
func masks256(p *asm.Printer, n string) {
	p.Op("VMOVD %s, X12", n)
	p.Op("VPBROADCASTD X12, Y13")
	p.Op("VPCMPGTD iota16<>+0(SB), Y13, Y12")
	p.Op("VPCMPGTD iota16<>+32(SB), Y13, Y13")
}

// wide256 prints the loop over several panels for one or two rows.
func wide256(p *asm.Printer, m, panels int) {
	p.Op("LEAQ (DX)(DX*2), R10")
	p.Line("wide%d:", m)
	p.Op("CMPQ AX, $%d", 16*panels)
	p.Op("JLT tile%d", m)
	p.Op("MOVQ a_base+32(FP), SI")
	p.Op("MOVQ k+128(FP), CX")
	p.Op("MOVQ DI, R15")
	for i := range 2 * m * panels {
		p.Op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.Line("wideloop%d:", m)
	for i := range m {
		p.Op("VBROADCASTSS %s, Y%d", row(i, "SI", "", "R9", "", ""), 14+i)
	}
	for j := range panels {
		b := panel(j, "R15", "", "DX", "R10")
		for half := range 2 {
			at := b
			if half == 1 {
				at = "32" + b
			}
			p.Op("VMOVUPS %s, Y%d", at, 12+half)
			for i := range m {
				p.Op("VFMADD231PS Y%d, Y%d, Y%d", 12+half, 14+i, 2*(panels*i+j)+half)
			}
		}
	}
	p.Op("ADDQ R12, SI")
	p.Op("ADDQ BX, R15")
	p.Op("DECQ CX")
	p.Op("JNZ wideloop%d", m)
	p.Op("CMPB accumulate+136(FP), $0")
	p.Op("JEQ widestore%d", m)
	p.Op("MOVQ R13, CX")
	for i := range m {
		for j := range 2 * panels {
			p.Op("VADDPS %d(CX), Y%d, Y%d", 32*j, 2*panels*i+j, 2*panels*i+j)
		}
		p.Op("ADDQ R14, CX")
	}
	p.Line("widestore%d:", m)
	p.Op("MOVQ R13, CX")
	for i := range m {
		for j := range 2 * panels {
			p.Op("VMOVUPS Y%d, %d(CX)", 2*panels*i+j, 32*j)
		}
		p.Op("ADDQ R14, CX")
	}
	p.Op("ADDQ $%d, R13", 64*panels)
	p.Op("LEAQ (DI)(DX*%d), DI", panels)
	p.Op("SUBQ $%d, AX", 16*panels)
	p.Op("JGT wide%d", m)
	p.Op("JMP done")
	p.Line("")
}
