package main

// The int4 functions compute y [m, n] = x·ŵᵀ, ŵ = scale·q:
//
//	func mulInt4(y []float32, yRow int, x []float32, xRow int, q []uint32, panel int, scale []float32, scalePanel int, m, n, groups, group int)
//
// A panel of q holds 16 outputs: for each group of inputs, for each eight inputs of it, a word of each output with the first
// input in the highest four bits, two's complement. Within a group y's element is a chain of fused multiply-adds x·q;
// the groups' sums are scaled and added with one more, in ascending order.

const int4Args = "(y []float32, yRow int, x []float32, xRow int, q []uint32, panel int, scale []float32, scalePanel int, m, n, groups, group int)"

// loadInt4 loads what all heights share. The frame holds the groups left at left-8 and the column's scales at at-16.
func loadInt4(p *printer) {
	for _, a := range []struct{ from, to string }{
		{"y_base+0(FP)", "R13"}, {"yRow+24(FP)", "R14"}, {"xRow+56(FP)", "R9"}, {"q_base+64(FP)", "DI"}, {"panel+88(FP)", "DX"}, {"n+136(FP)", "AX"},
	} {
		p.op("MOVQ %s, %s", a.from, a.to)
	}
	for _, r := range []string{"R14", "R9", "DX"} {
		p.op("SHLQ $2, %s", r)
	}
	p.op("MOVQ scale_base+96(FP), CX")
	p.op("MOVQ CX, at-16(SP)")
	p.op("LEAQ (R9)(R9*2), R10")
	p.op("LEAQ (R9)(R9*4), R11")
	p.op("MOVQ m+128(FP), CX")
}

func int4x512(p *printer) {
	const height = 12
	p.line("")
	p.line("DATA int4values<>+0(SB)/4, $0.0")
	for i := 1; i < 16; i++ {
		p.line("DATA int4values<>+%d(SB)/4, $%d.0", 4*i, (i+8)%16-8)
	}
	p.line("GLOBL int4values<>(SB), RODATA|NOPTR, $64")
	p.comment(
		"A rotation brings the next four bits of 16 words down, and VPERMPS looks their value up. Up to 12 x 32: Z0-Z23",
		"accumulators, two a row; Z24, Z25 words; Z26, Z27 weights; Z28, Z29 broadcast x in turn; Z31 the table; SI, R8 rows 0",
		"and 7 of x; R9, R10, R11 1, 3, 5 times its row stride; DI q, R12 q at work, DX its panel stride; BX scales at work;",
		"R13, R14 y and its row stride; AX columns left; CX inputs left in the group, R15 in the word.",
	)
	p.line("// func mulInt4AVX512%s", int4Args)
	p.line("TEXT ·mulInt4AVX512(SB), NOSPLIT, $16-160")
	loadInt4(p)
	p.op("VMOVUPS int4values<>(SB), Z31")
	for m := 1; m < height; m++ {
		p.op("CMPQ CX, $%d", m)
		p.op("JEQ m%d", m)
	}
	for m := height; m >= 1; m-- {
		int4tile512(p, m)
	}
	p.line("")
	p.line("done:")
	p.op("VZEROUPPER")
	p.op("RET")
}

func int4tile512(p *printer, m int) {
	p.line("")
	p.line("m%d:", m)
	columnMasks(p)
	int4begin(p, m)
	for i := range 2 * m {
		p.op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.op("MOVQ group+152(FP), CX")
	p.line("word%d:", m)
	p.op("VMOVDQU32 (R12), Z24")
	p.op("VMOVDQU32 (R12)(DX*1), Z25")
	int4word(p, m)
	p.op("VPROLD $4, Z24, Z24")
	p.op("VPROLD $4, Z25, Z25")
	p.op("VPERMPS Z31, Z24, Z26")
	p.op("VPERMPS Z31, Z25, Z27")
	for i := range m {
		x := 28 + i%2
		p.op("VBROADCASTSS %s, Z%d", row(i, "SI", "R8", "R9", "R10", "R11"), x)
		p.op("VFMADD231PS Z26, Z%d, Z%d", x, 2*i)
		p.op("VFMADD231PS Z27, Z%d, Z%d", x, 2*i+1)
	}
	int4next(p, m)
	p.op("MOVQ scalePanel+120(FP), R15 // 0 where there is no second panel, as for q")
	p.op("SHLQ $2, R15")
	p.op("CMPQ AX, $16")
	p.op("CMOVQLE DX, R15")
	p.op("VMOVUPS (BX), Z26")
	p.op("VMOVUPS (BX)(R15*1), Z27")
	p.op("MOVQ R13, CX")
	p.op("MOVQ left-8(SP), R15")
	p.op("CMPQ R15, groups+144(FP)")
	p.op("JEQ first%d", m)
	for i := range m {
		for half := range 2 {
			p.op("VMOVUPS.Z %d(CX), K%d, Z28", 64*half, 1+half)
			p.op("VFMADD231PS Z%d, Z%d, Z28", 26+half, 2*i+half)
			p.op("VMOVUPS Z28, K%d, %d(CX)", 1+half, 64*half)
		}
		p.op("ADDQ R14, CX")
	}
	p.op("JMP flushed%d", m)
	p.line("first%d:", m)
	for i := range m {
		for half := range 2 {
			p.op("VMULPS Z%d, Z%d, Z28", 26+half, 2*i+half)
			p.op("VMOVUPS Z28, K%d, %d(CX)", 1+half, 64*half)
		}
		p.op("ADDQ R14, CX")
	}
	int4end(p, m, 2)
}

// int4begin begins a tile's columns and each of their groups.
func int4begin(p *printer, m int) {
	p.op("MOVQ DI, R12")
	p.op("MOVQ at-16(SP), BX")
	p.op("MOVQ groups+144(FP), CX")
	p.op("MOVQ CX, left-8(SP)")
	p.op("MOVQ x_base+32(FP), SI")
	if m > 7 {
		p.op("LEAQ (SI)(R9*8), R8")
		p.op("SUBQ R9, R8")
	}
	p.line("group%d:", m)
}

// int4word sets R15 to the inputs of the word at R12 and passes on to the next.
func int4word(p *printer, m int) {
	p.op("ADDQ $64, R12")
	p.op("MOVL $8, R15")
	p.op("CMPQ CX, R15")
	p.op("CMOVQLT CX, R15")
	p.line("input%d:", m)
}

// int4next ends the loops over a word's inputs and over a group's words.
func int4next(p *printer, m int) {
	p.op("ADDQ $4, SI")
	if m > 7 {
		p.op("ADDQ $4, R8")
	}
	p.op("DECQ R15")
	p.op("JNZ input%d", m)
	p.op("SUBQ $8, CX")
	p.op("JGT word%d", m)
}

// int4end ends the loops over groups and over columns, which are done so many panels at a time.
func int4end(p *printer, m, panels int) {
	p.line("flushed%d:", m)
	p.op("ADDQ $64, BX")
	p.op("DECQ left-8(SP)")
	p.op("JNZ group%d", m)
	p.op("MOVQ scalePanel+120(FP), CX")
	p.op("SHLQ $%d, CX", 1+panels) // bytes of so many panels
	p.op("ADDQ CX, at-16(SP)")
	p.op("ADDQ $%d, R13", 64*panels)
	p.op("LEAQ (DI)(DX*%d), DI", panels)
	p.op("SUBQ $%d, AX", 16*panels)
	p.op("JGT m%d", m)
	p.op("JMP done")
}

func int4x256(p *printer) {
	const height = 4
	p.comment(
		"An arithmetic shift brings a word's highest four bits down with their sign. Up to 4 x 16: Y0-Y7 accumulators, two a",
		"row; Y8, Y9 words; Y10, Y11 weights; Y12, Y13 broadcast x in turn, and masks of the last columns; Y14 is free.",
		"General registers as in mulInt4AVX512.",
	)
	p.line("// func mulInt4AVX2%s", int4Args)
	p.line("TEXT ·mulInt4AVX2(SB), NOSPLIT, $16-160")
	loadInt4(p)
	for m := 1; m < height; m++ {
		p.op("CMPQ CX, $%d", m)
		p.op("JEQ m%d", m)
	}
	for m := height; m >= 1; m-- {
		int4tile256(p, m)
	}
	p.line("")
	p.line("done:")
	p.op("VZEROUPPER")
	p.op("RET")
}

func int4tile256(p *printer, m int) {
	p.line("")
	p.line("m%d:", m)
	int4begin(p, m)
	for i := range 2 * m {
		p.op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.op("MOVQ group+152(FP), CX")
	p.line("word%d:", m)
	p.op("VMOVDQU (R12), Y8")
	p.op("VMOVDQU 32(R12), Y9")
	int4word(p, m)
	p.op("VPSRAD $28, Y8, Y10")
	p.op("VPSRAD $28, Y9, Y11")
	p.op("VCVTDQ2PS Y10, Y10")
	p.op("VCVTDQ2PS Y11, Y11")
	p.op("VPSLLD $4, Y8, Y8")
	p.op("VPSLLD $4, Y9, Y9")
	for i := range m {
		x := 12 + i%2
		p.op("VBROADCASTSS %s, Y%d", row(i, "SI", "", "R9", "R10", "R11"), x)
		p.op("VFMADD231PS Y10, Y%d, Y%d", x, 2*i)
		p.op("VFMADD231PS Y11, Y%d, Y%d", x, 2*i+1)
	}
	int4next(p, m)
	p.op("VMOVUPS (BX), Y10")
	p.op("VMOVUPS 32(BX), Y11")
	p.op("VPCMPEQD Y12, Y12, Y12")
	p.op("VPCMPEQD Y13, Y13, Y13")
	p.op("CMPQ AX, $16")
	p.op("JGE masked%d", m)
	masks256(p, "AX")
	p.line("masked%d:", m)
	p.op("MOVQ R13, CX")
	p.op("MOVQ left-8(SP), R15")
	p.op("CMPQ R15, groups+144(FP)")
	p.op("JEQ first%d", m)
	for i := range m {
		for half := range 2 {
			p.op("VMASKMOVPS %d(CX), Y%d, Y14", 32*half, 12+half)
			p.op("VFMADD231PS Y%d, Y%d, Y14", 10+half, 2*i+half)
			p.op("VMASKMOVPS Y14, Y%d, %d(CX)", 12+half, 32*half)
		}
		p.op("ADDQ R14, CX")
	}
	p.op("JMP flushed%d", m)
	p.line("first%d:", m)
	for i := range m {
		for half := range 2 {
			p.op("VMULPS Y%d, Y%d, Y14", 10+half, 2*i+half)
			p.op("VMASKMOVPS Y14, Y%d, %d(CX)", 12+half, 32*half)
		}
		p.op("ADDQ R14, CX")
	}
	int4end(p, m, 1)
}
