package attention

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// product prints the block product that the backward pass is made of.
func product(p *asm.Printer) {
	p.Comment(
		"panelsBF16: c [m, 16·panels] = a·b, or c += a·b, of k pairs of bfloat16: a(i, p) is the pair at a[i·aRow + p·aCol], b(p, j) at",
		"b[p·ldb + j]. Each element is a chain of VDPBF16PS over ascending p, from zero or from c, whatever m and panels.",
		"",
		"Z0-Z27 tile of up to 7 rows by 4 panels; Z28-Z30 b's lines at p, the fourth is read with each row; Z31 a(i, p). DI c of the tile, R13",
		"its stride, DX a of the tile, SI at p, R9, R10, R11 1, 3, 5 of its row strides, R12 its stride over p, R8 b at p, BX its stride, CX",
		"pairs left, R15 rows left.",
	)
	p.Line("// func panelsBF16(c *float32, a, b *uint16, m, k, ldc, aRow, aCol, ldb, panels int, accumulate bool)")
	p.Line("TEXT ·panelsBF16(SB), NOSPLIT, $0-81")
	for _, a := range []struct{ from, to string }{{"c+0", "DI"}, {"a+8", "DX"}, {"m+24", "R15"}, {"ldc+40", "R13"}, {"aRow+48", "R9"}, {"aCol+56", "R12"}, {"ldb+64", "BX"}, {"panels+72", "AX"}} {
		p.Op("MOVQ %s(FP), %s", a.from, a.to)
	}
	for _, r := range []string{"R13", "R9", "R12", "BX"} {
		p.Op("SHLQ $2, %s", r)
	}
	p.Op("LEAQ (R9)(R9*2), R10")
	p.Op("LEAQ (R9)(R9*4), R11")
	for n := 1; n < panels; n++ {
		p.Op("CMPQ AX, $%d", n)
		p.Op("JEQ panels%d", n)
	}
	for n := panels; n >= 1; n-- {
		p.Line("")
		p.Line("panels%d:", n)
		for m := 0; m < height; m++ {
			p.Op("CMPQ R15, $%d", m)
			if m == 0 {
				p.Op("JEQ done")
			} else {
				p.Op("JEQ tile%d%d", m, n)
			}
		}
		for m := height; m >= 1; m-- {
			tile(p, m, n)
		}
	}
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

func tile(p *asm.Printer, m, n int) {
	name := fmt.Sprintf("%d%d", m, n)
	rows := func(op func(i, j int)) {
		p.Op("MOVQ DI, AX")
		for i := range m {
			for j := range n {
				op(i, j)
			}
			if i+1 < m {
				p.Op("ADDQ R13, AX")
			}
		}
	}
	p.Line("tile%s:", name)
	p.Op("CMPB accumulate+80(FP), $0")
	p.Op("JEQ zero%s", name)
	rows(func(i, j int) { p.Op("VMOVUPS %d(AX), Z%d", 64*j, panels*i+j) })
	p.Op("JMP begin%s", name)
	p.Line("zero%s:", name)
	for i := range m {
		for j := range n {
			p.Op("VPXORQ Z%d, Z%d, Z%d", panels*i+j, panels*i+j, panels*i+j)
		}
	}
	p.Line("begin%s:", name)
	p.Op("MOVQ DX, SI")
	p.Op("MOVQ b+16(FP), R8")
	p.Op("MOVQ k+32(FP), CX")
	p.Line("step%s:", name)
	lines := min(n, 3)
	for j := range lines {
		p.Op("VMOVUPS %d(R8), Z%d", 64*j, 28+j)
	}
	for i := range m {
		p.Op("VBROADCASTSS %s, Z31", row(i))
		for j := range lines {
			p.VDPBF16PS(28+j, 31, panels*i+j)
		}
		if n > lines {
			p.VDPBF16PSMemory(3, "R8", 31, panels*i+3)
		}
	}
	p.Op("ADDQ R12, SI")
	p.Op("ADDQ BX, R8")
	p.Op("DECQ CX")
	p.Op("JNZ step%s", name)
	rows(func(i, j int) { p.Op("VMOVUPS Z%d, %d(AX)", panels*i+j, 64*j) })
	if m < height {
		p.Op("JMP done")
		return
	}
	p.Op("LEAQ (AX)(R13*1), DI")
	p.Op("LEAQ (DX)(R9*8), DX")
	p.Op("SUBQ R9, DX")
	p.Op("SUBQ $%d, R15", height)
	p.Op("JMP panels%d", n)
}

// gradient prints the elementwise part of the backward pass.
func gradient(p *asm.Printer) {
	at := func(name string, offset int) string { return fmt.Sprintf("attentionGradient_%s+%d(DI)", name, offset) }
	p.Comment(
		"gradientBF16 takes two rows of scores S and of dP = dO·Vᵀ, [2, 64], to bfloat16, hidden positions to zero:",
		"",
		"	P = 2^(c·S − lse)            lse in powers of two, c = scale·log2 e",
		"	dS = P·(dP − delta)·scale",
		"",
		"P and dS as pairs of the two rows for each position, and dS also row by row. 32 positions a step, x.steps steps.",
		"",
		"Z0-Z3 P of rows 0, 1 and two vectors of positions, Z4-Z7 dS likewise, Z8, Z9 temporary, Z16-Z19 coefficients, Z20 c, Z21, Z22 lse,",
		"Z23, Z24 delta, Z25 scale, Z27 the order of pairs, Z30 c4, K1 positions seen. DI x, SI S, DX dP, R8 and R9 pairs of P and dS, R10 rows",
		"of dS, R11 masks, CX steps left.",
	)
	p.Line("// func gradientBF16(x *attentionGradient)")
	p.Line("TEXT ·gradientBF16(SB), NOSPLIT, $0-8")
	p.Op("MOVQ x+0(FP), DI")
	for _, f := range []struct{ name, reg string }{{"s", "SI"}, {"dp", "DX"}, {"pPairs", "R8"}, {"dsPairs", "R9"}, {"dsRows", "R10"}, {"steps", "CX"}} {
		p.Op("MOVQ %s, %s", at(f.name, 0), f.reg)
	}
	p.Op("LEAQ %s, R11", at("seen", 0))
	coefficients := map[string]int{"c3": 16, "c2": 17, "c1": 18, "one": 19}
	for _, name := range []string{"c3", "c2", "c1", "one"} {
		p.Op("VBROADCASTSS %s, Z%d", address(name), coefficients[name])
	}
	p.Op("VBROADCASTSS %s, Z20", at("c", 0))
	for i := range 2 {
		p.Op("VBROADCASTSS %s, Z%d", at("lse", 4*i), 21+i)
		p.Op("VBROADCASTSS %s, Z%d", at("delta", 4*i), 23+i)
	}
	p.Op("VBROADCASTSS %s, Z25", at("scale", 0))
	p.Op("VMOVUPS attentionPairs<>(SB), Z27")
	p.Op("VBROADCASTSS %s, Z30", address("c4"))
	p.Line("step:")
	for i := range 2 {
		for j := range 2 {
			x := 2*i + j
			p.Op("KMOVW %d(R11), K1", 8*i+2*j)
			p.Op("VMOVUPS %d(SI), Z%d", 256*i+64*j, x)
			p.Op("VMOVUPS %d(DX), Z%d", 256*i+64*j, 4+x)
			p.Op("VFMSUB213PS Z%d, Z20, Z%d", 21+i, x)
			power(p, x, 8, 9, func(name string) string { return fmt.Sprintf(" Z%d", coefficients[name]) })
			p.Op("VMOVAPS.Z Z%d, K1, Z%d", x, x)
			p.Op("VSUBPS Z%d, Z%d, Z%d", 23+i, 4+x, 4+x)
			p.Op("VMULPS Z25, Z%d, Z%d", 4+x, 4+x)
			p.Op("VMULPS.Z Z%d, Z%d, K1, Z%d", x, 4+x, 4+x)
		}
	}
	for j := range 2 {
		for _, of := range []struct {
			first int
			to    string
		}{{0, "R8"}, {4, "R9"}} {
			p.VCVTNE2PS2BF16(of.first+j, of.first+2+j, 8)
			p.Op("VPERMW Z8, Z27, Z8")
			p.Op("VMOVUPS Z8, %d(%s)", 64*j, of.to)
		}
	}
	for i := range 2 {
		p.VCVTNE2PS2BF16(4+2*i, 5+2*i, 8)
		p.Op("VMOVUPS Z8, %d(R10)", 128*i)
	}
	for _, r := range []string{"SI", "DX", "R8", "R9"} {
		p.Op("ADDQ $128, %s", r)
	}
	p.Op("ADDQ $64, R10")
	p.Op("ADDQ $4, R11")
	p.Op("DECQ CX")
	p.Op("JNZ step")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// interleave prints the rounding of two vectors to pairs.
func interleave(p *asm.Printer) {
	p.Line("")
	for i := range 8 {
		word := func(k int) int { return k%2*16 + k/2 }
		p.Line("DATA attentionPairs<>+%d(SB)/8, $0x%04x%04x%04x%04x", 8*i, word(4*i+3), word(4*i+2), word(4*i+1), word(4*i))
	}
	p.Line("GLOBL attentionPairs<>(SB), RODATA|NOPTR, $64")
	p.Comment(
		"interleaveBF16: dst [pairs, n, 2] = pairs of src's rows 2i and 2i+1, which are stride elements apart, rounded as by roundBF16; n is a",
		"multiple of 16. DI dst, SI and DX both rows, BX from the end of a row to the one after the next, R8 pairs left, R9 n, CX of it left.",
	)
	p.Line("// func interleaveBF16(dst *uint16, src *float32, pairs, n, stride int)")
	p.Line("TEXT ·interleaveBF16(SB), NOSPLIT, $0-40")
	p.Op("MOVQ dst+0(FP), DI")
	p.Op("MOVQ src+8(FP), SI")
	p.Op("MOVQ pairs+16(FP), R8")
	p.Op("MOVQ n+24(FP), R9")
	p.Op("MOVQ stride+32(FP), BX")
	p.Op("LEAQ (SI)(BX*4), DX")
	p.Op("ADDQ BX, BX")
	p.Op("SUBQ R9, BX")
	p.Op("SHLQ $2, BX")
	p.Op("VMOVUPS attentionPairs<>(SB), Z3")
	p.Line("pair:")
	p.Op("MOVQ R9, CX")
	p.Line("by16:")
	p.Op("VMOVUPS (SI), Z0")
	p.Op("VMOVUPS (DX), Z1")
	p.VCVTNE2PS2BF16(0, 1, 2)
	p.Op("VPERMW Z2, Z3, Z2")
	p.Op("VMOVUPS Z2, (DI)")
	p.Op("ADDQ $64, SI")
	p.Op("ADDQ $64, DX")
	p.Op("ADDQ $64, DI")
	p.Op("SUBQ $16, CX")
	p.Op("JNZ by16")
	p.Op("ADDQ BX, SI")
	p.Op("ADDQ BX, DX")
	p.Op("DECQ R8")
	p.Op("JNZ pair")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
