package gemm

import "slimlab/kernels/gen/asm"

// The few functions multiply up to three rows with the bytes of eight panels of a PackedGrouped:
//
//	func few(sums []float32, row int, x []float32, xRow int, q []int8, panel, ahead, m, k int, accumulate bool)
//
// sums[i*row+16h+j] is the chain over k words of row i of x, xRow apart, and output j of panel h,
// panel bytes apart, or that is added to it: what a strip gives for the widened words. They are
// widened in registers, so that memory is read while products are computed.

const fewArgs = "(sums []float32, row int, x []float32, xRow int, q []int8, panel, ahead, m, k int, accumulate bool)"

// few512 prints the function for words of some bytes of an output. widen brings the word at an
// address to a register, with the one after it free; multiply adds its product with a to acc.
func few512(p *asm.Printer, name string, bytes int, plan string, widen func(p *asm.Printer, address string, z int), multiply func(p *asm.Printer, w, a, acc int)) {
	p.Comment(
		plan+" Up to 3 x 128: Z0-Z23 accumulators, eight a row; Z24-Z26 a word of each row; Z28-Z31 weights. SI x, R9 its row",
		"stride; R15, BX q at work in panels 0 and 4, DX their stride, R10 three of them, R12 what is read ahead; R13, R14 sums",
		"and their row stride; CX words left.",
	)
	p.Line("// func %s%s", name, fewArgs)
	p.Line("TEXT ·%s(SB), NOSPLIT, $0-121", name)
	for _, a := range []struct{ from, to string }{
		{"sums_base+0(FP)", "R13"}, {"row+24(FP)", "R14"}, {"x_base+32(FP)", "SI"}, {"xRow+56(FP)", "R9"}, {"q_base+64(FP)", "R15"},
		{"panel+88(FP)", "DX"}, {"ahead+96(FP)", "R12"}, {"m+104(FP)", "AX"}, {"k+112(FP)", "CX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("SHLQ $2, R9")
	p.Op("SHLQ $2, R14")
	p.Op("LEAQ (DX)(DX*2), R10")
	p.Op("LEAQ (R15)(DX*4), BX")
	p.Op("ADDQ R15, R12")
	p.Op("LEAQ (R12)(DX*4), R8")
	for m := 1; m < 3; m++ {
		p.Op("CMPQ AX, $%d", m)
		p.Op("JEQ m%d", m)
	}
	for m := 3; m >= 1; m-- {
		p.Line("")
		p.Line("m%d:", m)
		for a := range 8 * m {
			p.Op("VPXORQ Z%d, Z%d, Z%d", a, a, a)
		}
		p.Line("word%d:", m)
		for h := range 8 {
			p.Op("PREFETCHT0 %s", panel(h, "R12", "R8", "DX", "R10"))
		}
		for i := range m {
			p.Op("VPBROADCASTD %s, Z%d", row(i, "SI", "", "R9", "", ""), 24+i)
		}
		for h := range 8 {
			w := 28 + h%2*2
			widen(p, panel(h, "R15", "BX", "DX", "R10"), w)
			for i := range m {
				multiply(p, w, 24+i, 8*i+h)
			}
		}
		p.Op("ADDQ $4, SI")
		for _, r := range []string{"R15", "BX", "R12", "R8"} {
			p.Op("ADDQ $%d, %s", bytes, r)
		}
		p.Op("DECQ CX")
		p.Op("JNZ word%d", m)
		p.Op("MOVBLZX accumulate+120(FP), AX")
		p.Op("TESTL AX, AX")
		p.Op("JEQ store%d", m)
		p.Op("MOVQ R13, DI")
		for i := range m {
			for h := range 8 {
				p.Op("VADDPS %d(DI), Z%d, Z%d", 64*h, 8*i+h, 8*i+h)
			}
			p.Op("ADDQ R14, DI")
		}
		p.Line("store%d:", m)
		for i := range m {
			for h := range 8 {
				p.Op("VMOVUPS Z%d, %d(R13)", 8*i+h, 64*h)
			}
			p.Op("ADDQ R14, R13")
		}
		p.Op("JMP done")
	}
	p.Line("")
	end(p)
}

// few prints both forms.
func few(p *asm.Printer) {
	few512(p, "fewInt8AVX512", 16, "A word is a byte of each output.", func(p *asm.Printer, address string, z int) {
		p.Op("VPMOVSXBD %s, Z%d", address, z)
		p.Op("VCVTDQ2PS Z%d, Z%d", z, z)
	}, func(p *asm.Printer, w, a, acc int) { p.Op("VFMADD231PS Z%d, Z%d, Z%d", w, a, acc) })
	few512(p, "fewInt8BF16", 32, "A word is a line of the outputs' first and a line of their second bytes.", func(p *asm.Printer, address string, z int) {
		p.Op("VPMOVSXBD %s, Z%d", address, z)
		p.Op("VPMOVSXBD 16%s, Z%d", address, z+1)
		p.Op("VCVTDQ2PS Z%d, Z%d", z, z)
		p.Op("VCVTDQ2PS Z%d, Z%d", z+1, z+1)
		p.Op("VPSRLD $16, Z%d, Z%d", z, z)
		p.Op("VPORD Z%d, Z%d, Z%d", z, z+1, z)
	}, func(p *asm.Printer, w, a, acc int) { p.VDPBF16PS(w, a, acc) })
}
