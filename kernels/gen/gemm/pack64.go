package gemm

import "slimlab/kernels/gen/asm"

// The float64 panels, [k, 16], are written from and to matrices in 512-bit registers, whose
// elements lie side by side along a panel's rows or along its columns.

// packFloat64 prints
//
//	func pack(dst, src []float64, stride, n, k int, factor float64)
//
// for 1 ≤ n ≤ 16 and k ≥ 1: dst[p*16+i] = factor·src[p*stride+i] for i < n, else zero, for p < k.
func packFloat64(p *asm.Printer) {
	p.Comment(
		"DI dst, SI src, R9 its stride, BX rows left; K1, K2 the n lowest of 16; Z2 factor. Rows of a",
		"large matrix lie on pages of their own, where the CPU fetches nothing ahead by itself: R10 is 16",
		"rows ahead.",
	)
	p.Line("// func packFloat64AVX512(dst, src []float64, stride, n, k int, factor float64)")
	p.Line("TEXT ·packFloat64AVX512(SB), NOSPLIT, $0-80")
	for _, a := range []struct{ from, to string }{
		{"dst_base+0(FP)", "DI"}, {"src_base+24(FP)", "SI"}, {"stride+48(FP)", "R9"}, {"n+56(FP)", "CX"}, {"k+64(FP)", "BX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("VBROADCASTSD factor+72(FP), Z2")
	p.Op("SHLQ $3, R9")
	panelMasks(p)
	p.Op("MOVQ R9, R10")
	p.Op("SHLQ $4, R10")
	p.Op("ADDQ SI, R10")
	p.Line("")
	p.Line("loop:")
	p.Op("PREFETCHT0 (R10)")
	p.Op("PREFETCHT0 64(R10)")
	p.Op("ADDQ R9, R10")
	p.Op("VMOVUPD.Z (SI), K1, Z0")
	p.Op("VMOVUPD.Z 64(SI), K2, Z1")
	p.Op("VMULPD Z2, Z0, Z0")
	p.Op("VMULPD Z2, Z1, Z1")
	p.Op("VMOVUPD Z0, (DI)")
	p.Op("VMOVUPD Z1, 64(DI)")
	p.Op("ADDQ $128, DI")
	p.Op("ADDQ R9, SI")
	p.Op("DECQ BX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// packFloat64x256 prints packFloat64 for whole rows of 16.
func packFloat64x256(p *asm.Printer) {
	p.Comment("packFloat64AVX512 with n = 16. Y4 factor.")
	p.Line("// func pack16Float64AVX2(dst, src []float64, stride, k int, factor float64)")
	p.Line("TEXT ·pack16Float64AVX2(SB), NOSPLIT, $0-72")
	for _, a := range []struct{ from, to string }{
		{"dst_base+0(FP)", "DI"}, {"src_base+24(FP)", "SI"}, {"stride+48(FP)", "R9"}, {"k+56(FP)", "BX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("VBROADCASTSD factor+64(FP), Y4")
	p.Op("SHLQ $3, R9")
	p.Op("MOVQ R9, R10")
	p.Op("SHLQ $4, R10")
	p.Op("ADDQ SI, R10")
	p.Line("")
	p.Line("loop:")
	p.Op("PREFETCHT0 (R10)")
	p.Op("PREFETCHT0 64(R10)")
	p.Op("ADDQ R9, R10")
	for i := range 4 {
		p.Op("VMULPD %d(SI), Y4, Y%d", 32*i, i)
		p.Op("VMOVUPD Y%d, %d(DI)", i, 32*i)
	}
	p.Op("ADDQ $128, DI")
	p.Op("ADDQ R9, SI")
	p.Op("DECQ BX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// panelMasks sets K1 and K2 to the CX lowest of 16 elements.
func panelMasks(p *asm.Printer) {
	p.Op("MOVL $1, DX")
	p.Op("SHLL CX, DX")
	p.Op("DECL DX")
	p.Op("KMOVW DX, K1")
	p.Op("SHRL $8, DX")
	p.Op("KMOVW DX, K2")
}

// unpackFloat64 prints
//
//	func unpack(dst, src []float64, stride, n, k int)
//
// for 1 ≤ n ≤ 16 and k ≥ 1: dst[p*stride+i] = src[p*16+i] for i < n and p < k.
func unpackFloat64(p *asm.Printer) {
	p.Comment("DI dst, R9 its stride, SI src, BX rows left; K1, K2 the n lowest of 16.")
	p.Line("// func unpackFloat64AVX512(dst, src []float64, stride, n, k int)")
	p.Line("TEXT ·unpackFloat64AVX512(SB), NOSPLIT, $0-72")
	loadPanel(p)
	p.Op("MOVQ DX, CX")
	panelMasks(p)
	p.Line("")
	p.Line("loop:")
	p.Op("VMOVUPD (SI), Z0")
	p.Op("VMOVUPD 64(SI), Z1")
	p.Op("VMOVUPD Z0, K1, (DI)")
	p.Op("VMOVUPD Z1, K2, 64(DI)")
	p.Op("ADDQ $128, SI")
	p.Op("ADDQ R9, DI")
	p.Op("DECQ BX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// loadPanel loads the arguments: DI dst, SI src, R9 the stride in bytes, DX n, BX k.
func loadPanel(p *asm.Printer) {
	for _, a := range []struct{ from, to string }{
		{"dst_base+0(FP)", "DI"}, {"src_base+24(FP)", "SI"}, {"stride+48(FP)", "R9"}, {"n+56(FP)", "DX"}, {"k+64(FP)", "BX"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("SHLQ $3, R9")
}

// transpose8 transposes 8 x 8 numbers in Z0-Z7 with Z16-Z23: 64-bit interleaving inside 128-bit
// lanes, then two exchanges of lanes.
func transpose8(p *asm.Printer) {
	for pair := range 4 { // register 16+4h+pair holds column 2l+h of rows 2·pair, 2·pair+1 in lane l
		p.Op("VUNPCKLPD Z%d, Z%d, Z%d", 2*pair+1, 2*pair, 16+pair)
		p.Op("VUNPCKHPD Z%d, Z%d, Z%d", 2*pair+1, 2*pair, 20+pair)
	}
	for h := range 2 {
		r := 16 + 4*h
		p.Op("VSHUFF64X2 $0x88, Z%d, Z%d, Z%d", r+1, r, 0+h)   // lanes 0, 2 of the upper rows
		p.Op("VSHUFF64X2 $0xdd, Z%d, Z%d, Z%d", r+1, r, 2+h)   // lanes 1, 3
		p.Op("VSHUFF64X2 $0x88, Z%d, Z%d, Z%d", r+3, r+2, 4+h) // of the lower rows
		p.Op("VSHUFF64X2 $0xdd, Z%d, Z%d, Z%d", r+3, r+2, 6+h)
	}
	for h := range 2 {
		p.Op("VSHUFF64X2 $0x88, Z%d, Z%d, Z%d", 4+h, 0+h, 16+h) // lane 0: column h
		p.Op("VSHUFF64X2 $0xdd, Z%d, Z%d, Z%d", 4+h, 0+h, 20+h) // lane 2: column 4+h
		p.Op("VSHUFF64X2 $0x88, Z%d, Z%d, Z%d", 6+h, 2+h, 18+h) // lane 1: column 2+h
		p.Op("VSHUFF64X2 $0xdd, Z%d, Z%d, Z%d", 6+h, 2+h, 22+h) // lane 3: column 6+h
	}
}

// blockMask sets K1 to the min(BX, 8) lowest elements; R12 is 255. BZHI looks at eight bits of the
// number alone.
func blockMask(p *asm.Printer) {
	p.Op("MOVQ $8, R13")
	p.Op("CMPQ BX, R13")
	p.Op("CMOVQLT BX, R13")
	p.Op("BZHIL R13, R12, R13")
	p.Op("KMOVW R13, K1")
}

// packTransposedFloat64 prints
//
//	func packTransposed(dst, src []float64, stride, n, k int, factor float64)
//
// for 1 ≤ n ≤ 16 and k ≥ 1: dst[p*16+i] = factor·src[i*stride+p] for i < n and p < k; from i = n
// on dst holds copies of row n-1.
func packTransposedFloat64(p *asm.Printer) {
	p.Comment(
		"8 x 8 at a time, transposed in Z0-Z7 and Z16-Z23. DI dst, SI src, R9 its stride, DX rows, BX",
		"columns left, K1 those of the block; R8 a row in turn, R10 the way to the next, none from the",
		"last one on, CX rows left; R11 zero; AX halves left; Z31 factor.",
	)
	p.Line("// func packTransposedFloat64AVX512(dst, src []float64, stride, n, k int, factor float64)")
	p.Line("TEXT ·packTransposedFloat64AVX512(SB), NOSPLIT, $0-80")
	loadPanel(p)
	p.Op("VBROADCASTSD factor+72(FP), Z31")
	p.Op("XORQ R11, R11")
	p.Op("MOVL $0xff, R12")
	p.Line("")
	p.Line("block:")
	blockMask(p)
	p.Op("MOVQ SI, R8")
	p.Op("MOVQ R9, R10")
	p.Op("MOVQ DX, CX")
	p.Op("MOVQ DI, R14")
	p.Op("MOVQ $2, AX")
	p.Line("half:")
	for i := range 8 {
		p.Op("VMULPD.Z (R8), Z31, K1, Z%d", i)
		p.Op("DECQ CX")
		p.Op("CMOVQLE R11, R10")
		p.Op("ADDQ R10, R8")
	}
	transpose8(p)
	for c := range 8 {
		p.Op("VMOVUPD Z%d, %d(R14)", 16+c, 128*c)
		if c < 7 {
			p.Op("CMPQ BX, $%d", c+1)
			p.Op("JEQ stored")
		}
	}
	p.Line("stored:")
	p.Op("ADDQ $64, R14")
	p.Op("DECQ AX")
	p.Op("JNZ half")
	p.Op("ADDQ $1024, DI")
	p.Op("ADDQ $64, SI")
	p.Op("SUBQ $8, BX")
	p.Op("JGT block")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// unpackTransposedFloat64 prints
//
//	func unpackTransposed(dst, src []float64, stride, n, k int)
//
// for 1 ≤ n ≤ 16 and k ≥ 1: dst[i*stride+p] = src[p*16+i] for i < n and p < k.
func unpackTransposedFloat64(p *asm.Printer) {
	p.Comment(
		"8 x 8 at a time, transposed in Z0-Z7 and Z16-Z23. DI dst, R9 its stride, SI src, DX rows of dst,",
		"BX columns left, K1 those of the block; R8 a row of dst in turn, CX those left, R14 the half of",
		"src.",
	)
	p.Line("// func unpackTransposedFloat64AVX512(dst, src []float64, stride, n, k int)")
	p.Line("TEXT ·unpackTransposedFloat64AVX512(SB), NOSPLIT, $0-72")
	loadPanel(p)
	p.Op("MOVL $0xff, R12")
	p.Line("")
	p.Line("block:")
	blockMask(p)
	p.Op("MOVQ DI, R8")
	p.Op("MOVQ DX, CX")
	p.Op("MOVQ SI, R14")
	p.Line("half:")
	for c := range 8 {
		p.Op("VMOVUPD %d(R14), Z%d", 128*c, c)
		if c < 7 {
			p.Op("CMPQ BX, $%d", c+1)
			p.Op("JEQ loaded")
		}
	}
	p.Line("loaded:")
	transpose8(p)
	for i := range 8 {
		p.Op("VMOVUPD Z%d, K1, (R8)", 16+i)
		p.Op("ADDQ R9, R8")
		p.Op("DECQ CX")
		p.Op("JEQ stored")
	}
	p.Op("ADDQ $64, R14")
	p.Op("JMP half")
	p.Line("stored:")
	p.Op("ADDQ $64, DI")
	p.Op("ADDQ $1024, SI")
	p.Op("SUBQ $8, BX")
	p.Op("JGT block")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
