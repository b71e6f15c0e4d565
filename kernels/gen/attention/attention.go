// Package attention writes the assembly of attention over bfloat16 keys and values: a strip of
// queries against one block of positions, from scores to weighted values, without leaving the
// function.
package attention

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

const (
	height = 7 // rows of a strip: 28 accumulators with four panels of 16 columns
	panels = 4 // of 16 positions in a block
)

// Where the work area keeps, in bytes: each row's maxima of 16 lanes, the rows' maxima and shrink
// factors, the rows' weights.
const (
	maxima  = 0
	highest = 8 * 64
	shrink  = highest + 64
	weights = shrink + 64
)

// Files returns the assembly by file name.
func Files() map[string]string {
	p := &asm.Printer{}
	p.WriteString(asm.Header)
	p.Line("#include \"go_asm.h\"")
	constants(p)
	attend(p)
	round(p)
	unpack(p)
	interleave(p)
	product(p)
	gradient(p)
	w := &asm.Printer{}
	w.WriteString(asm.Header)
	widen(w)
	return map[string]string{"attention_avx512_amd64.s": p.String(), "attention_avx2_amd64.s": w.String()}
}

// constant is what a register is broadcast from.
type constant struct {
	name string
	bits uint32
}

// The polynomial is the one of degree 4 with c0 = 1 whose relative distance to 2^f on [0, 1] is
// least: 2.9e-6, against the 2⁻⁹ of rounding to bfloat16. Since c0 is 1, a maximum that has not
// moved shrinks nothing.
var table = []constant{
	{"c1", 0x3f316b63}, {"c2", 0x3e771228}, {"c3", 0x3d55fc34}, {"c4", 0x3c5bfb98}, {"one", 0x3f800000},
	{"ones", 0x3f803f80}, // two bfloat16
	{"minusInf", 0xff800000},
}

func address(name string) string {
	for i, c := range table {
		if c.name == name {
			return fmt.Sprintf("attentionConstants<>+%d(SB)", 64+4*i)
		}
	}
	panic("no constant " + name)
}

// constants prints the order that sorts the rows' maxima, and the table.
func constants(p *asm.Printer) {
	p.Line("")
	for i := range 8 {
		pair := func(lane int) int { return lane%4*4 + lane/4%2 }
		p.Line("DATA attentionConstants<>+%d(SB)/8, $0x%08x%08x", 8*i, pair(2*i+1), pair(2*i))
	}
	for i, c := range table {
		p.Line("DATA attentionConstants<>+%d(SB)/4, $0x%08x // %s", 64+4*i, c.bits, c.name)
	}
	p.Line("GLOBL attentionConstants<>(SB), RODATA|NOPTR, $%d", 64+4*len(table))
}

// field is a field of the argument, whose address is in DI.
func field(name string, offset int) string {
	return fmt.Sprintf("attentionStrip_%s+%d(DI)", name, offset)
}

// row is the address of query i in the strip: SI is row 0's, R9, R10 and R11 one, three and five
// strides.
func row(i int) string {
	return []string{"(SI)", "(SI)(R9*1)", "(SI)(R9*2)", "(SI)(R10*1)", "(SI)(R9*4)", "(SI)(R11*1)", "(SI)(R10*2)"}[i]
}

// attend prints the function, a body for each number of rows.
func attend(p *asm.Printer) {
	p.Comment(
		"attendBF16 takes m = 1 to 7 queries through one block of 64 positions:",
		"",
		"	S = Q·Kᵀ                        a chain of VDPBF16PS over pairs of dimensions",
		"	S[hidden] = -∞                  only if s.masked",
		"	M = max(max, c·max S)           c = headDim^-½·log2 e: exponents are of two",
		"	shrink = 2^(max − M), max = M",
		"	P = bf16(2^(c·S − M))           floor by VREDUCEPS and VSCALEFPS, the fraction's power a polynomial of degree 4",
		"	sum = sum·shrink + P·1          16 lanes a row, added up by the caller at the end",
		"	O = O·shrink + P·V              a chain of VDPBF16PS over pairs of positions",
		"",
		"With scales (int8 codes as bfloat16) S is multiplied by the keys' scales, and P, once it is summed, by the values' and rounded again.",
		"",
		"Meanwhile, if s.ahead is 0 (else it is negative), the scores' loop fetches the block's V, and that of the values s.linesAhead lines of",
		"each panel of the next block's K: memory is never waited for.",
		"",
		"Z0-Z27 S, four vectors a row, then O likewise; Z28-Z30 three lines of K or V, Z31 a pair of Q or P broadcast; the fourth line is",
		"read from memory with each row. Between the products Z28, Z29 are temporary, Z30 is c4, Z31 is c; Z0-Z3, once row 0 is done, the",
		"other coefficients. DI s, R14 its work area; SI, R9-R11 queries and 1, 3, 5 of their strides; R8, R12, R13, R15 panels of K, BX",
		"their stride, CX pairs left, AX the offset fetched, DX its page. In P·V: SI weights, DX offset of the columns, R13 panels left, R10 the",
		"list of pages of V, R8 V, BX its stride, CX pairs left, R12 of this page, R9 the stride of O, R11 lines to fetch, R15 their offset.",
	)
	p.Line("// func attendBF16(s *attentionStrip)")
	p.Line("TEXT ·attendBF16(SB), NOSPLIT, $0-8")
	p.Op("MOVQ s+0(FP), DI")
	p.Op("MOVQ %s, R14", field("work", 0))
	p.Op("MOVQ %s, CX", field("rows", 0))
	p.Op("MOVL $1, DX")
	p.Op("SHLL CX, DX")
	p.Op("DECL DX")
	p.Op("KMOVW DX, K2")
	for m := 1; m < height; m++ {
		p.Op("CMPQ CX, $%d", m)
		p.Op("JEQ rows%d", m)
	}
	for m := height; m >= 1; m-- {
		p.Line("")
		p.Line("rows%d:", m)
		scores(p, m)
		maximum(p, m)
		exponentials(p, m)
		values(p, m)
		p.Op("JMP done")
	}
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// scores leaves S, scaled and masked, in Z0….
func scores(p *asm.Printer, m int) {
	p.Op("MOVQ %s, SI", field("q", 0))
	p.Op("MOVQ %s, R9", field("qStride", 0))
	p.Op("LEAQ (R9)(R9*2), R10")
	p.Op("LEAQ (R9)(R9*4), R11")
	for j, r := range []string{"R8", "R12", "R13", "R15"} {
		p.Op("MOVQ %s, %s", field("k", 8*j), r)
	}
	p.Op("MOVQ %s, BX", field("kStride", 0))
	p.Op("MOVQ %s, CX", field("dimPairs", 0))
	for i := range panels * m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.Op("MOVQ %s, AX", field("ahead", 0))
	p.Line("scores%d:", m)
	p.Op("TESTQ AX, AX")
	p.Op("JLT near%d", m)
	for j := range panels {
		p.Op("MOVQ %s, DX", field("v", 8*j))
		p.Op("PREFETCHT1 (DX)(AX*1)")
	}
	p.Op("ADDQ $64, AX")
	p.Line("near%d:", m)
	for j, r := range []string{"R8", "R12", "R13"} {
		p.Op("VMOVUPS (%s), Z%d", r, 28+j)
	}
	for i := range m {
		p.Op("VBROADCASTSS %s, Z31", row(i))
		for j := range 3 {
			p.VDPBF16PS(28+j, 31, panels*i+j)
		}
		p.VDPBF16PSMemory(0, "R15", 31, panels*i+3)
	}
	p.Op("ADDQ $4, SI")
	for _, r := range []string{"R8", "R12", "R13", "R15"} {
		p.Op("ADDQ BX, %s", r)
	}
	p.Op("DECQ CX")
	p.Op("JNZ scores%d", m)

	p.Op("MOVQ %s, AX", field("kScale", 0))
	p.Op("TESTQ AX, AX")
	p.Op("JEQ unscaled%d", m)
	for j := range panels {
		p.Op("VMOVUPS %d(AX), Z%d", 64*j, 28+j)
	}
	for i := range panels * m {
		p.Op("VMULPS Z%d, Z%d, Z%d", 28+i%panels, i, i)
	}
	p.Line("unscaled%d:", m)
	p.Op("CMPQ %s, $0", field("masked", 0))
	p.Op("JEQ seen%d", m)
	p.Op("VBROADCASTSS %s, Z31", address("minusInf"))
	for i := range panels * m {
		p.Op("KMOVW %s, K1", field("hidden", 2*i))
		p.Op("VMOVAPS Z31, K1, Z%d", i)
	}
	p.Line("seen%d:", m)
}

// maximum updates the rows' maxima and leaves them and the shrink factors in the work area. Rows
// are reduced together: halves of 8 lanes by twos into one vector, quarters by fours, and the last
// two folds on all rows at once.
func maximum(p *asm.Printer, m int) {
	for i := range m {
		t := 28 + i%2*2
		p.Op("VMAXPS Z%d, Z%d, Z%d", 4*i, 4*i+1, t)
		p.Op("VMAXPS Z%d, Z%d, Z%d", 4*i+2, 4*i+3, t+1)
		p.Op("VMAXPS Z%d, Z%d, Z%d", t, t+1, t)
		p.Op("VMOVUPS Z%d, %d(R14)", t, maxima+64*i)
	}
	fours := []int{31, 30}
	if m <= 4 {
		fours = fours[:1]
	}
	for q, result := range fours {
		at := maxima + 256*q
		for h, to := range []int{28, 29} {
			p.Op("VMOVUPS %d(R14), Y%d", at+128*h, to)
			p.Op("VINSERTF64X4 $1, %d(R14), Z%d, Z%d", at+128*h+64, to, to)
			p.Op("VMOVUPS %d(R14), Y30", at+128*h+32)
			p.Op("VINSERTF64X4 $1, %d(R14), Z30, Z30", at+128*h+96)
			p.Op("VMAXPS Z30, Z%d, Z%d", to, to)
		}
		p.Op("VSHUFF32X4 $0x88, Z29, Z28, Z30")
		p.Op("VSHUFF32X4 $0xdd, Z29, Z28, Z28")
		p.Op("VMAXPS Z28, Z30, Z%d", result)
	}
	second := fours[len(fours)-1]
	p.Op("VUNPCKLPS Z%d, Z31, Z28", second)
	p.Op("VUNPCKHPS Z%d, Z31, Z29", second)
	p.Op("VMAXPS Z29, Z28, Z28")
	p.Op("VPERMILPS $0xee, Z28, Z29")
	p.Op("VMAXPS Z29, Z28, Z28")
	p.Op("VMOVUPS attentionConstants<>(SB), Z29")
	p.Op("VPERMPS Z28, Z29, Z28")

	p.Op("VBROADCASTSS %s, Z31", field("scale", 0))
	p.Op("MOVQ %s, AX", field("max", 0))
	p.Op("VMOVUPS.Z (AX), K2, Z29")
	p.Op("VMULPS Z31, Z28, Z28")
	p.Op("VMAXPS Z29, Z28, Z28")
	p.Op("VMOVUPS Z28, K2, (AX)")
	p.Op("VMOVUPS Y28, %d(R14)", highest)
	p.Op("VSUBPS Z28, Z29, Z29")
	p.Op("VBROADCASTSS %s, Z30", address("c4"))
	power(p, 29, 28, 30, func(name string) string { return ".BCST " + address(name) })
	p.Op("VMOVUPS Y29, %d(R14)", shrink)
}

// power prints Zx = 2^Zx; f is temporary and Z30 holds c4. It works on a copy of c4 in register to,
// which may be Z30 itself the last time.
func power(p *asm.Printer, x, f, to int, coefficient func(name string) string) {
	p.Op("VREDUCEPS $1, Z%d, Z%d", x, f)
	if to != 30 {
		p.Op("VMOVAPS Z30, Z%d", to)
	}
	for _, c := range []string{"c3", "c2", "c1", "one"} {
		p.Op("VFMADD213PS%s, Z%d, Z%d", coefficient(c), f, to)
	}
	p.Op("VSCALEFPS Z%d, Z%d, Z%d", x, to, x)
}

// exponentials turns S into P, rounded, in the work area, and updates the sums.
func exponentials(p *asm.Printer, m int) {
	p.Op("VBROADCASTSS %s, Z30", address("c4"))
	p.Op("MOVQ %s, AX", field("sum", 0))
	p.Op("MOVQ %s, R8", field("vScale", 0))
	coefficient := func(name string) string { return ".BCST " + address(name) }
	for i := range m {
		for j := range panels {
			s := panels*i + j
			p.Op("VFMSUB213PS.BCST %d(R14), Z31, Z%d", highest+4*i, s)
			power(p, s, 28, 29, coefficient)
		}
		p.VCVTNE2PS2BF16(4*i, 4*i+1, 28)
		p.VCVTNE2PS2BF16(4*i+2, 4*i+3, 29)
		p.Op("TESTQ R8, R8")
		p.Op("JNE scaled%d%d", m, i)
		p.Op("VMOVUPS Z28, %d(R14)", weights+128*i)
		p.Op("VMOVUPS Z29, %d(R14)", weights+128*i+64)
		p.Line("sum%d%d:", m, i)
		p.Op("VMOVUPS %d(AX), Z%d", 64*i, 4*i)
		p.Op("VMULPS.BCST %d(R14), Z%d, Z%d", shrink+4*i, 4*i, 4*i)
		p.Op("VBROADCASTSS %s, Z%d", address("ones"), 4*i+1)
		p.VDPBF16PS(28, 4*i+1, 4*i)
		p.VDPBF16PS(29, 4*i+1, 4*i)
		p.Op("VMOVUPS Z%d, %d(AX)", 4*i, 64*i)
		if i == 0 {
			names := []string{"c3", "c2", "c1", "one"}
			for k, name := range names {
				p.Op("VBROADCASTSS %s, Z%d", address(name), k)
			}
			coefficient = func(name string) string {
				for k, n := range names {
					if n == name {
						return fmt.Sprintf(" Z%d", k)
					}
				}
				panic("no coefficient " + name)
			}
		}
	}
	p.Op("JMP values%d", m)
	for i := range m {
		p.Line("scaled%d%d:", m, i)
		for j := range panels {
			p.Op("VMULPS %d(R8), Z%d, Z%d", 64*j, 4*i+j, 4*i+j)
		}
		p.VCVTNE2PS2BF16(4*i, 4*i+1, 4*i)
		p.VCVTNE2PS2BF16(4*i+2, 4*i+3, 4*i+1)
		p.Op("VMOVUPS Z%d, %d(R14)", 4*i, weights+128*i)
		p.Op("VMOVUPS Z%d, %d(R14)", 4*i+1, weights+128*i+64)
		p.Op("JMP sum%d%d", m, i)
	}
	p.Line("values%d:", m)
}

// values prints O = O·shrink + P·V, four panels of 16 columns at a time and the rest.
func values(p *asm.Printer, m int) {
	p.Op("XORQ DX, DX")
	p.Op("MOVQ %s, R13", field("outPanels", 0))
	p.Op("MOVQ %s, R9", field("outStride", 0))
	p.Op("MOVQ %s, BX", field("vStride", 0))
	p.Op("MOVQ %s, R11", field("linesAhead", 0))
	p.Op("XORQ R15, R15")
	p.Line("columns%d:", m)
	for n := 1; n < panels; n++ {
		p.Op("CMPQ R13, $%d", n)
		p.Op("JEQ columns%d%d", m, n)
	}
	for n := panels; n >= 1; n-- {
		if n < panels {
			p.Line("columns%d%d:", m, n)
		}
		columns(p, m, n)
		if n == panels {
			p.Op("ADDQ $%d, DX", 64*panels)
			p.Op("SUBQ $%d, R13", panels)
			p.Op("JNZ columns%d", m)
		}
		if n > 1 {
			p.Op("JMP done")
		}
	}
}

// columns prints the pass over n panels of columns.
func columns(p *asm.Printer, m, n int) {
	name := fmt.Sprintf("%d%d", m, n)
	p.Op("MOVQ %s, AX", field("out", 0))
	p.Op("ADDQ DX, AX")
	for i := range m {
		p.Op("VBROADCASTSS %d(R14), Z31", shrink+4*i)
		for j := range n {
			p.Op("VMULPS %d(AX), Z31, Z%d", 64*j, panels*i+j)
		}
		if i+1 < m {
			p.Op("ADDQ R9, AX")
		}
	}
	p.Op("LEAQ %d(R14), SI", weights)
	p.Op("LEAQ %s, R10", field("v", 0))
	p.Op("MOVQ %s, CX", field("pairs", 0))
	p.Line("page%s:", name)
	p.Op("MOVQ (R10), R8")
	p.Op("ADDQ DX, R8")
	p.Op("ADDQ $8, R10")
	p.Op("MOVQ $8, R12")
	p.Op("CMPQ CX, R12")
	p.Op("CMOVQLT CX, R12")
	p.Op("SUBQ R12, CX")
	p.Line("pair%s:", name)
	p.Op("TESTQ R11, R11")
	p.Op("JEQ near%s", name)
	for j := range panels {
		p.Op("MOVQ %s, AX", field("kNext", 8*j))
		p.Op("PREFETCHT1 (AX)(R15*1)")
	}
	p.Op("ADDQ %s, R15", field("kStride", 0))
	p.Op("DECQ R11")
	p.Line("near%s:", name)
	lines := min(n, 3)
	for j := range lines {
		p.Op("VMOVUPS %d(R8), Z%d", 64*j, 28+j)
	}
	for i := range m {
		p.Op("VBROADCASTSS %d(SI), Z31", 128*i)
		for j := range lines {
			p.VDPBF16PS(28+j, 31, panels*i+j)
		}
		if n > lines {
			p.VDPBF16PSMemory(3, "R8", 31, panels*i+3)
		}
	}
	p.Op("ADDQ $4, SI")
	p.Op("ADDQ BX, R8")
	p.Op("DECQ R12")
	p.Op("JNZ pair%s", name)
	p.Op("TESTQ CX, CX")
	p.Op("JNZ page%s", name)
	p.Op("MOVQ %s, AX", field("out", 0))
	p.Op("ADDQ DX, AX")
	for i := range m {
		for j := range n {
			p.Op("VMOVUPS Z%d, %d(AX)", panels*i+j, 64*j)
		}
		if i+1 < m {
			p.Op("ADDQ R9, AX")
		}
	}
}
