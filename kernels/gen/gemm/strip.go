package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// The strip functions compute c [m, n] (+)= a·b for at most one tile's height of rows and any
// number of columns:
//
//	func strip(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)
//
// a(i, p) is a[i*aRow+p*aCol]; b's columns are in panels of 16: b(p, j) is
// b[j/16*bPanel+p*bRow+j%16]. Every element of c is one chain of k fused multiply-adds in ascending
// p, started at zero and then stored or added to c, whatever the tile around it.

const stripArgs = "(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)"

// loadStrip loads the arguments that all heights share, strides in bytes.
func loadStrip(p *asm.Printer) {
	for _, a := range []struct{ from, to string }{
		{"c_base+0(FP)", "R13"}, {"cRow+24(FP)", "R14"}, {"a_base+32(FP)", "SI"}, {"aRow+56(FP)", "R9"}, {"aCol+64(FP)", "R12"},
		{"b_base+72(FP)", "DI"}, {"bRow+96(FP)", "BX"}, {"bPanel+104(FP)", "DX"}, {"n+120(FP)", "AX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	for _, r := range []string{"R14", "R9", "R12", "BX", "DX"} {
		p.Op("SHLQ $2, %s", r)
	}
	p.Op("LEAQ (R9)(R9*2), R10")
	p.Op("LEAQ (R9)(R9*4), R11")
	p.Op("MOVQ m+112(FP), CX")
}

// dot512 is the instruction of a 512-bit strip: acc += a·b on numbers of Z registers.
type dot512 struct {
	name, about string
	print       func(p *asm.Printer, b, a, acc int)
	memory      bool // whether it can take an operand from memory here
}

var fma512 = dot512{
	"stripAVX512", "Words are float32.",
	func(p *asm.Printer, b, a, acc int) { p.Op("VFMADD231PS Z%d, Z%d, Z%d", b, a, acc) }, true,
}

// strip512: tiles of up to 14 x 32.
//
//	Z0…Z27   accumulators, two a row        K1, K2  columns of the two panels that exist
//	Z28, Z29 b's row p                      Z30, Z31 broadcast a(i, p), in turn
//	SI, R8   rows 0 and 7 of a at p         R9, R10, R11  1, 3, 5 times a's row stride; R12 its column stride
//	DI, R15  b's tile and its row p, BX its row stride, DX its panel stride
//	R13, R14 c and its row stride           CX  rounds left
//	AX       columns left; inside a loop, with those in the argument n, the place in the next tile that is prefetched
func strip512(p *asm.Printer, dot dot512) {
	p.Comment(
		dot.about,
		"Up to 14 x 32: Z0-Z27 accumulators, two a row; Z28, Z29 b's row p; Z30, Z31 broadcast a(i, p) in turn; K1, K2 the",
		"columns that exist. SI, R8 rows 0 and 7 of a at p; R9, R10, R11 1, 3, 5 times a's row stride, R12 its column",
		"stride; DI, R15 b's tile and row p, BX its row and DX its panel stride; R13, R14 c and its row stride; AX columns left, kept",
		"in the argument n while AX goes through the next tile; CX rounds.",
		"One to three rows take 128 columns at a time as long as there are so many, four 96, five and six 64: to have enough",
		"chains and, above all, lines of memory in flight.",
	)
	p.Line("// func %s%s", dot.name, stripArgs)
	p.Line("TEXT ·%s(SB), NOSPLIT, $0-137", dot.name)
	loadStrip(p)
	jumps(p, 14)
	for m := 14; m >= 1; m-- {
		p.Line("")
		p.Line("m%d:", m)
		if m < len(widePanels) {
			wide512(p, m, dot)
		}
		pair512(p, m, dot)
		single512(p, m, dot)
	}
	p.Line("")
	end(p)
}

func rewindA(p *asm.Printer, m int) {
	p.Op("MOVQ a_base+32(FP), SI")
	if m > 7 {
		p.Op("LEAQ (SI)(R9*8), R8")
		p.Op("SUBQ R9, R8")
	}
	p.Op("MOVQ k+128(FP), CX")
}

func advanceA(p *asm.Printer, m int) {
	p.Op("ADDQ R12, SI")
	if m > 7 {
		p.Op("ADDQ R12, R8")
	}
}

// nextTile, with the columns left put back into their argument, sets AX to the beginning of the
// panels of the next tile, which follow one another in memory; where there is none, or b is not
// packed, that of this one.
func nextTile(p *asm.Printer, panels int, label string) {
	p.Op("CMPQ n+120(FP), $%d", 16*panels)
	p.Op("MOVQ DI, AX")
	p.Op("JLE %s", label)
	p.Op("CMPQ BX, $64")
	p.Op("JNE %s", label)
	skipPanels(p, panels, "DI", "AX")
	p.Line("%s:", label)
}

// fetchC prints the prefetching of the tile of c, whose rows are far apart where no hardware sees
// them coming, while the chains are computed: short chains would gain nothing.
func fetchC(p *asm.Printer, m int) {
	p.Op("CMPQ CX, $64")
	p.Op("JLT pairshort%d", m)
	p.Op("MOVQ R13, AX")
	for range m {
		p.Op("PREFETCHT0 (AX)")
		p.Op("PREFETCHT0 64(AX)")
		p.Op("ADDQ R14, AX")
	}
	p.Line("pairshort%d:", m)
}

// prefetch prints the prefetching of a step's share of the next tile into the second cache. So a
// weight comes from memory in one stream while the tile before it is multiplied.
func prefetch(p *asm.Printer, panels int) {
	for i := range panels {
		p.Op("PREFETCHT1 %d(AX)", 64*i)
	}
	p.Op("ADDQ $%d, AX", 64*panels)
}

// pair512 prints the loop over pairs of panels for a tile of m rows.
func pair512(p *asm.Printer, m int, dot dot512) {
	p.Line("pair%d:", m)
	p.Op("CMPQ AX, $16")
	p.Op("JLE single%d", m)
	p.Op("LEAQ -16(AX), CX // K2: min(n-16, 16) columns")
	p.Op("MOVL $16, R15")
	p.Op("CMPQ CX, R15")
	p.Op("CMOVQGT R15, CX")
	p.Op("MOVL $0xffff, R15")
	p.Op("BZHIL CX, R15, R15")
	p.Op("KMOVW R15, K2")
	p.Op("MOVQ DI, R15")
	rewindA(p, m)
	p.Op("MOVQ AX, n+120(FP)")
	fetchC(p, m)
	nextTile(p, 2, fmt.Sprintf("pairnext%d", m))
	for i := range 2 * m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.Line("pairloop%d:", m)
	p.Op("VMOVUPS (R15), Z28")
	p.Op("VMOVUPS.Z (R15)(DX*1), K2, Z29")
	for i := range m {
		x := 30 + i%2
		p.Op("VBROADCASTSS %s, Z%d", row(i, "SI", "R8", "R9", "R10", "R11"), x)
		dot.print(p, 28, x, 2*i)
		dot.print(p, 29, x, 2*i+1)
	}
	prefetch(p, 2)
	advanceA(p, m)
	p.Op("ADDQ BX, R15")
	p.Op("DECQ CX")
	p.Op("JNZ pairloop%d", m)
	p.Op("MOVQ n+120(FP), AX")
	p.Op("MOVQ R13, CX")
	p.Op("CMPB accumulate+136(FP), $0")
	p.Op("JEQ pairstore%d", m)
	for i := range m {
		p.Op("VADDPS (CX), Z%d, Z%d", 2*i, 2*i)
		p.Op("VMOVUPS.Z 64(CX), K2, Z30")
		p.Op("VADDPS Z30, Z%d, Z%d", 2*i+1, 2*i+1)
		p.Op("ADDQ R14, CX")
	}
	p.Op("MOVQ R13, CX")
	p.Line("pairstore%d:", m)
	for i := range m {
		p.Op("VMOVUPS Z%d, (CX)", 2*i)
		p.Op("VMOVUPS Z%d, K2, 64(CX)", 2*i+1)
		p.Op("ADDQ R14, CX")
	}
	p.Op("ADDQ $128, R13")
	p.Op("LEAQ (DI)(DX*2), DI")
	p.Op("SUBQ $32, AX")
	p.Op("JGT pair%d", m)
	p.Op("JMP done")
}

// single512 prints the last panel, of at most 16 columns, for a tile of m rows; it comes with AX in
// 1…16.
func single512(p *asm.Printer, m int, dot dot512) {
	p.Line("single%d:", m)
	p.Op("MOVL $0xffff, R15")
	p.Op("BZHIL AX, R15, R15")
	p.Op("KMOVW R15, K1")
	rewindA(p, m)
	for i := range m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.Line("singleloop%d:", m)
	p.Op("VMOVUPS.Z (DI), K1, Z28")
	for i := range m {
		a := row(i, "SI", "R8", "R9", "R10", "R11")
		if dot.memory {
			p.Op("VFMADD231PS.BCST %s, Z28, Z%d", a, i)
			continue
		}
		p.Op("VBROADCASTSS %s, Z%d", a, 30+i%2)
		dot.print(p, 28, 30+i%2, i)
	}
	advanceA(p, m)
	p.Op("ADDQ BX, DI")
	p.Op("DECQ CX")
	p.Op("JNZ singleloop%d", m)
	p.Op("CMPB accumulate+136(FP), $0")
	p.Op("JEQ singlestore%d", m)
	p.Op("MOVQ R13, CX")
	for i := range m {
		p.Op("VMOVUPS.Z (CX), K1, Z30")
		p.Op("VADDPS Z30, Z%d, Z%d", i, i)
		p.Op("ADDQ R14, CX")
	}
	p.Line("singlestore%d:", m)
	for i := range m {
		p.Op("VMOVUPS Z%d, K1, (R13)", i)
		p.Op("ADDQ R14, R13")
	}
	p.Op("JMP done")
}

// widePanels is the number of panels that so many rows take at a time.
var widePanels = [...]int{1: 8, 2: 8, 3: 8, 4: 6, 5: 4, 6: 4}

// wide512 prints the loop over several panels for a few rows. A step broadcasts a's column into the
// last registers and reads b into the two before them. Up to three rows find panels with R8 and
// R10, the fifth panel and three panel strides, more rows with R8 alone, the fourth.
func wide512(p *asm.Printer, m int, dot dot512) {
	panels := widePanels[m]
	x, b := 32-m, 30-m
	third := 3
	if m <= 3 {
		third = 4
		p.Op("LEAQ (DX)(DX*2), R10")
	}
	p.Line("wide%d:", m)
	p.Op("CMPQ AX, $%d", 16*panels)
	p.Op("JLT pair%d", m)
	rewindA(p, m)
	p.Op("MOVQ DI, R15")
	skipPanels(p, third, "DI", "R8")
	p.Op("MOVQ AX, n+120(FP)")
	nextTile(p, panels, fmt.Sprintf("widenext%d", m))
	for i := range panels * m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.Line("wideloop%d:", m)
	for i := range m {
		p.Op("VBROADCASTSS %s, Z%d", row(i, "SI", "", "R9", "R10", "R11"), x+i)
	}
	for j := range panels {
		at := panelAt(j, third, "R15", "R8", "DX", "R10")
		if m == 1 && dot.memory {
			p.Op("VFMADD231PS %s, Z%d, Z%d", at, x, j)
			continue
		}
		p.Op("VMOVUPS %s, Z%d", at, b+j%2)
		for i := range m {
			dot.print(p, b+j%2, x+i, panels*i+j)
		}
	}
	prefetch(p, panels)
	advanceA(p, m)
	p.Op("ADDQ BX, R15")
	p.Op("ADDQ BX, R8")
	p.Op("DECQ CX")
	p.Op("JNZ wideloop%d", m)
	p.Op("MOVQ n+120(FP), AX")
	p.Op("CMPB accumulate+136(FP), $0")
	p.Op("JEQ widestore%d", m)
	p.Op("MOVQ R13, CX")
	for i := range m {
		for j := range panels {
			p.Op("VADDPS %d(CX), Z%d, Z%d", 64*j, panels*i+j, panels*i+j)
		}
		p.Op("ADDQ R14, CX")
	}
	p.Line("widestore%d:", m)
	p.Op("MOVQ R13, CX")
	for i := range m {
		for j := range panels {
			p.Op("VMOVUPS Z%d, %d(CX)", panels*i+j, 64*j)
		}
		p.Op("ADDQ R14, CX")
	}
	p.Op("ADDQ $%d, R13", 64*panels)
	skipPanels(p, panels, "DI", "DI")
	p.Op("SUBQ $%d, AX", 16*panels)
	p.Op("JGT wide%d", m)
	p.Op("JMP done")
	p.Line("")
}

// skipPanels prints to = from + n panel strides.
func skipPanels(p *asm.Printer, n int, from, to string) {
	for scale := 8; scale > 0; scale /= 2 {
		if n&scale != 0 {
			p.Op("LEAQ (%s)(DX*%d), %s", from, scale, to)
			from = to
		}
	}
}

// panelAt is the address of panel j: base is panel 0's, later that of panel first, d1 and d3 one
// and three strides.
func panelAt(j, first int, base, later, d1, d3 string) string {
	if j >= first {
		base, j = later, j-first
	}
	switch j {
	case 0:
		return "(" + base + ")"
	case 1:
		return "(" + base + ")(" + d1 + "*1)"
	case 2:
		return "(" + base + ")(" + d1 + "*2)"
	}
	return "(" + base + ")(" + d3 + "*1)"
}

// panel is panelAt where the later panels begin with the fifth.
func panel(j int, base, base4, d1, d3 string) string { return panelAt(j, 4, base, base4, d1, d3) }
