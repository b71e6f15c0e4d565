package gemm

import "slimlab/kernels/gen/asm"

// The float64 strips compute c [m, n] += a·b for at most one tile's height of rows and any number
// of columns:
//
//	func strip(c []float64, cRow int, a, b []float64, m, n, k int)
//
// a(i, p) is a[p*16+i]; b's columns are in panels of 16, the last filled up: b(p, j) is
// b[(j/16*k+p)*16+j%16]. Every element of c gets one chain of k fused multiply-adds in ascending p,
// started at zero.

const float64Args = "(c []float64, cRow int, a, b []float64, m, n, k int)"

// loadFloat64 loads the arguments: R13, R14 c and its row stride in bytes; SI a; DI b; BX k; AX n;
// CX m.
func loadFloat64(p *asm.Printer) {
	for _, a := range []struct{ from, to string }{
		{"c_base+0(FP)", "R13"}, {"cRow+24(FP)", "R14"}, {"a_base+32(FP)", "SI"}, {"b_base+56(FP)", "DI"}, {"m+80(FP)", "CX"},
		{"n+88(FP)", "AX"}, {"k+96(FP)", "BX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("SHLQ $3, R14")
}

// float64Chain prints the loop over k for a tile of m rows in registers reg of width bytes: from
// row on, b's row p comes to registers first and first+1, and a(i, p) to the two after them in
// turn. b is fetched so many bytes ahead, if any.
func float64Chain(p *asm.Printer, m int, reg, row string, width, first, ahead int) {
	p.Line("loop%d:", m)
	if ahead > 0 {
		p.Op("PREFETCHT0 %d(%s)", ahead, row)
	}
	p.Op("VMOVUPD (%s), %s%d", row, reg, first)
	p.Op("VMOVUPD %d(%s), %s%d", width, row, reg, first+1)
	for i := range m {
		x := first + 2 + i%2
		p.Op("VBROADCASTSD %d(R8), %s%d", 8*i, reg, x)
		p.Op("VFMADD231PD %s%d, %s%d, %s%d", reg, first, reg, x, reg, 2*i)
		p.Op("VFMADD231PD %s%d, %s%d, %s%d", reg, first+1, reg, x, reg, 2*i+1)
	}
	p.Op("ADDQ $128, R8")
	p.Op("ADDQ $128, %s", row)
	p.Op("DECQ CX")
	p.Op("JNZ loop%d", m)
	p.Op("MOVQ R13, R9")
}

// float64x512 prints tiles of up to 14 x 16.
func float64x512(p *asm.Printer) {
	const height = 14
	p.Comment(
		"Up to 14 x 16: Z0-Z27 accumulators, two a row; Z28, Z29 b's row p; Z30, Z31 broadcast a(i, p) in turn; K1, K2 the columns",
		"that exist. SI a, R8 its column p; DI b's row p; BX k, CX rounds left; R13, R14 c and its row stride; AX columns left.",
	)
	p.Line("// func stripFloat64AVX512%s", float64Args)
	p.Line("TEXT ·stripFloat64AVX512(SB), NOSPLIT, $0-104")
	loadFloat64(p)
	heights(p, height, float64tile512)
}

func float64tile512(p *asm.Printer, m int) {
	p.Line("")
	p.Line("m%d:", m)
	p.Op("MOVL $0xffff, R15")
	p.Op("CMPQ AX, $16")
	p.Op("JGE whole%d", m)
	p.Op("BZHIL AX, R15, R15")
	p.Line("whole%d:", m)
	p.Op("KMOVW R15, K1")
	p.Op("SHRL $8, R15")
	p.Op("KMOVW R15, K2")
	p.Op("MOVQ R13, R9")
	for range m {
		p.Op("PREFETCHT0 (R9)")
		p.Op("PREFETCHT0 64(R9)")
		p.Op("ADDQ R14, R9")
	}
	for i := range 2 * m {
		p.Op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.Op("MOVQ SI, R8")
	p.Op("MOVQ BX, CX")
	float64Chain(p, m, "Z", "DI", 64, 28, 0)
	for i := range m {
		for half := range 2 {
			p.Op("VMOVUPD.Z %d(R9), K%d, Z%d", 64*half, 1+half, 28+half)
			p.Op("VADDPD Z%d, Z%d, Z%d", 28+half, 2*i+half, 2*i+half)
			p.Op("VMOVUPD Z%d, K%d, %d(R9)", 2*i+half, 1+half, 64*half)
		}
		p.Op("ADDQ R14, R9")
	}
	p.Op("ADDQ $128, R13")
	p.Op("SUBQ $16, AX")
	p.Op("JGT m%d", m)
	p.Op("JMP done")
}

// float64x256 prints tiles of up to 6 x 8, half a panel at a time.
func float64x256(p *asm.Printer) {
	const height = 6
	p.Line("")
	for i := range 8 {
		p.Line("DATA iota8<>+%d(SB)/8, $%d", 8*i, i)
	}
	p.Line("GLOBL iota8<>(SB), RODATA|NOPTR, $64")
	p.Comment(
		"Up to 6 x 8: Y0-Y11 accumulators, two a row; Y12, Y13 b's row p, and the columns that exist; Y14, Y15 broadcast a(i, p) in",
		"turn. SI a, R8 its column p; DI half a panel of b, DX its row p; R10 the way from here to the next half, R11 that from there to",
		"the one after; BX k, CX rounds left; R13, R14 c and its row stride; AX columns left.",
	)
	p.Line("// func stripFloat64AVX2%s", float64Args)
	p.Line("TEXT ·stripFloat64AVX2(SB), NOSPLIT, $0-104")
	loadFloat64(p)
	p.Op("MOVQ $64, R10")
	p.Op("MOVQ BX, R11")
	p.Op("SHLQ $7, R11")
	p.Op("SUBQ R10, R11")
	heights(p, height, float64tile256)
}

func float64tile256(p *asm.Printer, m int) {
	p.Line("")
	p.Line("m%d:", m)
	for i := range 2 * m {
		p.Op("VXORPD Y%d, Y%d, Y%d", i, i, i)
	}
	p.Op("MOVQ SI, R8")
	p.Op("MOVQ DI, DX")
	p.Op("MOVQ BX, CX")
	float64Chain(p, m, "Y", "DX", 32, 12, 1024)
	p.Op("CMPQ AX, $8")
	p.Op("JLT tail%d", m)
	for i := range m {
		for half := range 2 {
			p.Op("VADDPD %d(R9), Y%d, Y%d", 32*half, 2*i+half, 2*i+half)
			p.Op("VMOVUPD Y%d, %d(R9)", 2*i+half, 32*half)
		}
		p.Op("ADDQ R14, R9")
	}
	p.Op("ADDQ $64, R13")
	p.Op("ADDQ R10, DI")
	p.Op("XCHGQ R10, R11")
	p.Op("SUBQ $8, AX")
	p.Op("JGT m%d", m)
	p.Op("JMP done")
	p.Line("tail%d:", m)
	p.Op("VMOVQ AX, X12")
	p.Op("VPBROADCASTQ X12, Y13")
	p.Op("VPCMPGTQ iota8<>+0(SB), Y13, Y12")
	p.Op("VPCMPGTQ iota8<>+32(SB), Y13, Y13")
	for i := range m {
		for half := range 2 {
			p.Op("VMASKMOVPD %d(R9), Y%d, Y14", 32*half, 12+half)
			p.Op("VADDPD Y14, Y%d, Y%d", 2*i+half, 2*i+half)
			p.Op("VMASKMOVPD Y%d, Y%d, %d(R9)", 2*i+half, 12+half, 32*half)
		}
		p.Op("ADDQ R14, R9")
	}
	p.Op("JMP done")
}
