package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

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
	heights(p, height, int4int8tile512)
}

// int4int8tile is the plan of a tile of m rows in AVX-512: how many panels it takes at once, and in
// how many chains the sums of each.
type int4int8tile struct {
	*asm.Printer
	m, panels, chains int
}

// acc is the accumulator of row i and panel h, and of a second chain m after it.
func (t *int4int8tile) acc(i, h int) int { return t.panels*i + h }

func int4int8tile512(p *asm.Printer, m int) {
	t := &int4int8tile{p, m, 2, 1}
	switch {
	case m <= 2:
		t.panels, t.chains = 1, 2
	case m > 14:
		t.panels = 1
	}
	t.columns()
	t.group()
	t.fetch()
	for half := range 2 {
		t.dots(half, t.weights(half))
	}
	advanceRows(p, m, 8)
	p.Op("ADDQ $64, R15")
	p.Op("DECQ CX")
	p.Op("JNZ word%d", m)
	t.fetch()
	t.addGroup()
	t.store()
}

// columns begins a tile's columns: their masks, and totals of zero.
func (t *int4int8tile) columns() {
	t.Line("")
	t.Line("m%d:", t.m)
	if t.panels == 2 {
		columnMasks(t.Printer)
	} else {
		columnMask(t.Printer, fmt.Sprintf("columns%d", t.m))
	}
	t.Op("MOVQ totals-8(SP), CX")
	t.Op("VPXORQ Z30, Z30, Z30")
	for a := range t.panels * t.m {
		t.Op("VMOVDQA32 Z30, %d(CX)", 64*a)
	}
	t.Op("MOVQ DI, R15")
	if t.panels == 2 {
		t.Op("LEAQ (DI)(DX*2), BX")
	}
}

// group begins the groups, and the words of each.
func (t *int4int8tile) group() {
	firstGroup(t.Printer, t.m)
	for i := range t.m {
		t.Op("VPBROADCASTD %d(CX), Z%d", 4*i, t.acc(i, 0))
		if t.panels == 2 {
			t.Op("VMOVDQA32 Z%d, Z%d", t.acc(i, 0), t.acc(i, 1))
		}
		if t.chains == 2 {
			t.Op("VPXORQ Z%d, Z%d, Z%d", t.m+i, t.m+i, t.m+i)
		}
	}
	firstWord(t.Printer, t.m)
}

// fetch prefetches q.
func (t *int4int8tile) fetch() {
	switch {
	case t.panels == 2:
		t.Op("PREFETCHT1 (BX)")
		t.Op("PREFETCHT1 64(BX)")
		t.Op("ADDQ $128, BX")
	case t.m > 2:
		t.Op("PREFETCHT0 %d(R15)", int8ahead)
	}
}

// weights brings four inputs of a word of each panel to registers, of which it returns the first.
func (t *int4int8tile) weights(half int) (first int) {
	first = 28
	switch {
	case t.panels == 2 && half == 0:
		t.Op("VMOVDQU32 (R15), Z28")
		t.Op("VMOVDQU32 (R15)(DX*1), Z29")
	case t.panels == 2:
		t.Op("VPSRLD $4, (R15), Z28")
		t.Op("VPSRLD $4, (R15)(DX*1), Z29")
	case half == 0:
		t.Op("VMOVDQU32 (R15), Z26")
		t.Op("VPANDD Z27, Z26, Z28")
	default:
		first = 26
		t.Op("VPSRLD $4, Z26, Z26")
		t.Op("VPANDD Z27, Z26, Z26")
	}
	if t.panels == 2 {
		mask := "nibbles<>(SB)"
		t.Op("VPANDD.BCST %s, Z28, Z28", mask)
		t.Op("VPANDD.BCST %s, Z29, Z29", mask)
	}
	return first
}

// dots multiplies four activations of each row with the weights.
func (t *int4int8tile) dots(half, weights int) {
	for i := range t.m {
		x := 30 + i%2
		t.Op("VPBROADCASTD %d%s, Z%d", 4*half, rows16(i), x)
		for h := range t.panels {
			t.Op("VPDPBUSD Z%d, Z%d, Z%d", x, weights+h, t.acc(i, h)+half*(t.chains-1)*t.m)
		}
	}
}

// addGroup scales a group's sums, adds them to the totals, and goes on with the next group.
func (t *int4int8tile) addGroup() {
	t.Op("MOVQ totals-8(SP), CX")
	t.Op("VMOVUPS (R15), Z30")
	if t.panels == 2 {
		t.Op("VMOVUPS (R15)(DX*1), Z31")
	}
	for i := range t.m {
		for h := range t.panels {
			a := t.acc(i, h)
			if t.chains == 2 {
				t.Op("VPADDD Z%d, Z%d, Z%d", t.m+i, a, a)
			}
			t.Op("VCVTDQ2PS Z%d, Z%d", a, a)
			t.Op("VMULPS Z%d, Z%d, Z%d", 30+h, a, a)
			t.Op("VADDPS %d(CX), Z%d, Z%d", 64*a, a, a)
			t.Op("VMOVAPS Z%d, %d(CX)", a, 64*a)
		}
	}
	t.Op("ADDQ $64, R15")
	t.Op("DECQ left-16(SP)")
	t.Op("JNZ group%d", t.m)
}

// store writes the totals times the scale of their row to y, and goes on with the next columns.
func (t *int4int8tile) store() {
	t.Op("MOVQ rowScale_base+128(FP), R15")
	t.Op("MOVQ R13, SI")
	for i := range t.m {
		t.Op("VBROADCASTSS %d(R15), Z31", 4*i)
		for h := range t.panels {
			t.Op("VMULPS %d(CX), Z31, Z30", 64*t.acc(i, h))
			t.Op("VMOVUPS Z30, K%d, %d(SI)", 1+h, 64*h)
		}
		t.Op("ADDQ R14, SI")
	}
	t.Op("ADDQ $%d, R13", 64*t.panels)
	t.Op("LEAQ (DI)(DX*%d), DI", t.panels)
	t.Op("SUBQ $%d, AX", 16*t.panels)
	t.Op("JGT m%d", t.m)
	t.Op("JMP done")
}

// firstGroup begins a tile's groups and leaves the address of the starts of the group at work in
// CX.
func firstGroup(p *asm.Printer, m int) {
	rewindRows(p, m)
	p.Op("MOVQ groups+168(FP), CX")
	p.Op("MOVQ CX, left-16(SP)")
	p.Op("MOVQ start_base+64(FP), CX")
	p.Op("MOVQ CX, start-24(SP)")
	p.Line("group%d:", m)
	p.Op("MOVQ start-24(SP), CX")
}

// firstWord moves on the address of the starts and begins a group's words.
func firstWord(p *asm.Printer, m int) {
	p.Op("MOVQ startRow+88(FP), CX")
	p.Op("SHLQ $2, CX")
	p.Op("ADDQ CX, start-24(SP)")
	p.Op("MOVQ words+176(FP), CX")
	p.Line("word%d:", m)
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
	heights(p, height, int4int8tile256)
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
	firstGroup(p, m)
	for i := range m {
		p.Op("VPBROADCASTD %d(CX), Y%d", 4*i, 2*i)
		p.Op("VMOVDQA Y%d, Y%d", 2*i, 2*i+1)
	}
	firstWord(p, m)
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
