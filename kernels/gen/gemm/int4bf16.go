package gemm

import "slimlab/kernels/gen/asm"

// int4bf16x512 prints mulInt4 for CPUs that multiply bfloat16.
func int4bf16x512(p *asm.Printer) {
	const height = 12
	p.Comment(
		"Activations are pairs of bfloat16: inputs 0 and 2 of each eight, 4 and 6, 1 and 3, 5 and 7, as a word's two halves have",
		"them from the lowest four bits up. VPERMW looks both up by the lowest five bits of each half, of which the table ignores the",
		"fifth, VDPBF16PS multiplies the pair and adds, and a shift brings the next four bits down. Totals are kept in memory, between",
		"groups alone. Up to 12 x 32: Z0-Z23 accumulators, two a row; Z24, Z25 words; Z26, Z27 weights, and scales; Z28, Z29 a",
		"pair of activations in turn; Z31 the table; SI, R8 rows 0 and 7 of x; R9, R10, R11 1, 3, 5 times its row stride; DI q,",
		"R15 q at work, R12 q ahead, DX its panel stride; R13, R14 y and its row stride; AX columns left; CX words left in the",
		"group, and totals. Up to three rows take 128 columns at a time as long as there are so many, to have enough in flight: Z0-Z23",
		"accumulators, eight a row; Z24-Z26 a pair of each row; Z28, Z29 weights in turn; BX the fifth panel, R10 three panel",
		"strides, R8 q ahead.",
	)
	p.Line("// func mulInt4AVX512BF16%s", table4Args)
	p.Line("TEXT ·mulInt4AVX512BF16(SB), 0, $%d-136", int4Frame)
	loadInt4(p)
	p.Op("MOVQ table+128(FP), R15")
	p.Op("VMOVDQU16 (R15), Z31")
	alignTotals(p)
	p.Op("MOVQ m+96(FP), CX")
	jumps(p, height)
	for m := height; m >= 1; m-- {
		p.Line("")
		p.Line("m%d:", m)
		if m <= 3 {
			int4bf16wide(p, m)
		}
		int4bf16pair(p, m)
	}
	p.Line("")
	end(p)
}

// int4bf16begin clears so many totals and sets the groups left.
func int4bf16begin(p *asm.Printer, totals int) {
	p.Op("MOVQ totals-8(SP), CX")
	p.Op("VPXORQ Z28, Z28, Z28")
	for a := range totals {
		p.Op("VMOVDQA32 Z28, %d(CX)", 64*a)
	}
	p.Op("MOVQ groups+112(FP), CX")
	p.Op("MOVQ CX, left-16(SP)")
	p.Op("MOVQ DI, R15")
	p.Op("MOVQ x_base+32(FP), SI")
}

// int4bf16add adds an accumulator, scaled, to its total.
func int4bf16add(p *asm.Printer, scale, acc int) {
	p.Op("VFMADD213PS %d(CX), Z%d, Z%d", 64*acc, scale, acc)
	p.Op("VMOVAPS Z%d, %d(CX)", acc, 64*acc)
}

func int4bf16pair(p *asm.Printer, m int) {
	p.Line("pair%d:", m)
	columnMasks(p)
	int4bf16begin(p, 2*m)
	if m > 7 {
		p.Op("LEAQ (SI)(R9*8), R8")
		p.Op("SUBQ R9, R8")
	}
	if m <= 3 {
		p.Op("LEAQ (R9)(R9*2), R10")
	}
	p.Op("LEAQ (DI)(DX*2), R12")
	p.Line("group%d:", m)
	for a := range 2 * m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", a, a, a)
	}
	p.Op("MOVQ words+120(FP), CX")
	ahead := func() {
		p.Op("PREFETCHT1 (R12)")
		p.Op("PREFETCHT1 64(R12)")
		p.Op("ADDQ $128, R12")
	}
	p.Line("word%d:", m)
	ahead()
	p.Op("VMOVDQU32 (R15), Z24")
	p.Op("VMOVDQU32 (R15)(DX*1), Z25")
	for j := range 4 {
		if j > 0 {
			p.Op("VPSRLD $4, Z24, Z24")
			p.Op("VPSRLD $4, Z25, Z25")
		}
		p.Op("VPERMW Z31, Z24, Z26")
		p.Op("VPERMW Z31, Z25, Z27")
		for i := range m {
			x := 28 + i%2
			p.Op("VPBROADCASTD %d%s, Z%d", 4*j, row(i, "SI", "R8", "R9", "R10", "R11"), x)
			p.VDPBF16PS(26, x, 2*i)
			p.VDPBF16PS(27, x, 2*i+1)
		}
	}
	p.Op("ADDQ $16, SI")
	if m > 7 {
		p.Op("ADDQ $16, R8")
	}
	p.Op("ADDQ $64, R15")
	p.Op("DECQ CX")
	p.Op("JNZ word%d", m)
	ahead()
	p.Op("MOVQ totals-8(SP), CX")
	p.Op("VMOVUPS (R15), Z26")
	p.Op("VMOVUPS (R15)(DX*1), Z27")
	for a := range 2 * m {
		int4bf16add(p, 26+a%2, a)
	}
	p.Op("ADDQ $64, R15")
	p.Op("DECQ left-16(SP)")
	p.Op("JNZ group%d", m)
	p.Op("MOVQ R13, SI")
	for i := range m {
		for h := range 2 {
			p.Op("VMOVUPS Z%d, K%d, %d(SI)", 2*i+h, 1+h, 64*h)
		}
		p.Op("ADDQ R14, SI")
	}
	p.Op("ADDQ $128, R13")
	p.Op("LEAQ (DI)(DX*2), DI")
	p.Op("SUBQ $32, AX")
	p.Op("JGT pair%d", m)
	p.Op("JMP done")
}

func int4bf16wide(p *asm.Printer, m int) {
	p.Op("LEAQ (DX)(DX*2), R10")
	p.Line("wide%d:", m)
	p.Op("CMPQ AX, $128")
	p.Op("JLT pair%d", m)
	int4bf16begin(p, 8*m)
	p.Op("LEAQ (DI)(DX*4), BX")
	p.Op("LEAQ (DI)(DX*8), R8")
	p.Line("widegroup%d:", m)
	for a := range 8 * m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", a, a, a)
	}
	p.Op("MOVQ words+120(FP), CX")
	ahead := func() {
		for j := range 8 {
			p.Op("PREFETCHT1 %d(R8)", 64*j)
		}
		p.Op("ADDQ $512, R8")
	}
	p.Line("wideword%d:", m)
	ahead()
	for j := range 4 {
		for i := range m {
			p.Op("VPBROADCASTD %d%s, Z%d", 4*j, row(i, "SI", "", "R9", "", ""), 24+i)
		}
		for h := range 8 {
			w := 28 + h%2
			if j == 0 {
				p.Op("VMOVDQU32 %s, Z%d", panel(h, "R15", "BX", "DX", "R10"), w)
			} else {
				p.Op("VPSRLD $%d, %s, Z%d", 4*j, panel(h, "R15", "BX", "DX", "R10"), w)
			}
			p.Op("VPERMW Z31, Z%d, Z%d", w, w)
			for i := range m {
				p.VDPBF16PS(w, 24+i, 8*i+h)
			}
		}
	}
	p.Op("ADDQ $16, SI")
	p.Op("ADDQ $64, R15")
	p.Op("ADDQ $64, BX")
	p.Op("DECQ CX")
	p.Op("JNZ wideword%d", m)
	ahead()
	p.Op("MOVQ totals-8(SP), CX")
	for h := range 8 {
		p.Op("VMOVUPS %s, Z%d", panel(h, "R15", "BX", "DX", "R10"), 28+h%2)
		for i := range m {
			int4bf16add(p, 28+h%2, 8*i+h)
		}
	}
	p.Op("ADDQ $64, R15")
	p.Op("ADDQ $64, BX")
	p.Op("DECQ left-16(SP)")
	p.Op("JNZ widegroup%d", m)
	p.Op("MOVQ R13, SI")
	for i := range m {
		for h := range 8 {
			p.Op("VMOVUPS Z%d, %d(SI)", 8*i+h, 64*h)
		}
		p.Op("ADDQ R14, SI")
	}
	p.Op("ADDQ $512, R13")
	p.Op("LEAQ (DI)(DX*8), DI")
	p.Op("SUBQ $128, AX")
	p.Op("JGT wide%d", m)
	p.Op("JMP done")
	p.Line("")
}

// int4round prints the rounding of activations to the pairs that mulInt4AVX512BF16 reads.
func int4round(p *asm.Printer) {
	p.Line("")
	for lane := range 2 {
		for i, word := range []int{0, 2, 4, 6, 1, 3, 5, 7} {
			p.Line("DATA int4pairs<>+%d(SB)/2, $0x%04x", 16*lane+2*i, (2*word+1)<<8|2*word)
		}
	}
	p.Line("GLOBL int4pairs<>(SB), RODATA|NOPTR, $32")
	p.Comment("dst = x, a multiple of eight, as bfloat16, each eight in the order 0, 2, 4, 6, 1, 3, 5, 7. Z0 x; Y1 the order.")
	p.Line("// func roundInt4AVX512BF16(dst []uint32, x []float32)")
	p.Line("TEXT ·roundInt4AVX512BF16(SB), NOSPLIT, $0-48")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ x_base+24(FP), SI")
	p.Op("MOVQ x_len+32(FP), CX")
	p.Op("VMOVDQU int4pairs<>(SB), Y1")
	p.Op("SUBQ $16, CX")
	p.Op("JLT tail")
	p.Line("loop:")
	p.Op("VMOVUPS (SI), Z0")
	p.VCVTNEPS2BF16(0, 0)
	p.Op("VPSHUFB Y1, Y0, Y0")
	p.Op("VMOVDQU Y0, (DI)")
	p.Op("ADDQ $64, SI")
	p.Op("ADDQ $32, DI")
	p.Op("SUBQ $16, CX")
	p.Op("JGE loop")
	p.Line("tail:")
	p.Op("CMPQ CX, $-16")
	p.Op("JEQ done")
	p.Op("VMOVUPS (SI), Y0")
	p.VCVTNEPS2BF16(0, 0)
	p.Op("VPSHUFB Y1, Y0, Y0")
	p.Op("VMOVDQU X0, (DI)")
	end(p)
}
