package gemm

import "slimlab/kernels/gen/asm"

const transposeArgs = "(dst, src []float32, stride, rows, k int)"

// transpose512 writes dst[p*16+i] = src[i*stride+p] for p < k and i < 16, zero from i = rows on. A
// block of 16 x 16 is read as 16 rows and transposed in four steps of 16 shuffles: 32-bit and
// 64-bit interleaving inside 128-bit lanes, then two exchanges of lanes.
func transpose512(p *asm.Printer) {
	p.Comment(
		"dst[p*16+i] = src[i*stride+p] for p < k and i < 16, zero from i = rows on. 16 x 16 at a time, in four steps of 16",
		"shuffles between Z0-Z15 and Z16-Z31. K1 masks the last columns.",
	)
	p.Line("// func packColumnsAVX512%s", transposeArgs)
	p.Line("TEXT ·packColumnsAVX512(SB), NOSPLIT, $0-72")
	loadTranspose(p)
	p.Op("MOVL $0xffff, AX")
	p.Op("KMOVW AX, K1")
	p.Line("block:")
	p.Op("CMPQ CX, $16")
	p.Op("JGE load")
	p.Op("BZHIL CX, AX, AX")
	p.Op("KMOVW AX, K1")
	p.Line("load:")
	loadRows(p, func(i int) { p.Op("VMOVUPS.Z (R8), K1, Z%d", i) })
	shuffle512(p)
	storeTransposed(p, 1)
}

func loadTranspose(p *asm.Printer) {
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ stride+48(FP), R9")
	p.Op("MOVQ rows+56(FP), DX")
	p.Op("MOVQ k+64(FP), CX")
	p.Op("SHLQ $2, R9")
}

// loadRows prints the loading of DX rows, at most 16, from SI on with stride R9 into Z0-Z15, zeros
// behind the last.
func loadRows(p *asm.Printer, load func(i int)) {
	p.Op("MOVQ SI, R8")
	p.Op("CMPQ DX, $16")
	p.Op("JGE full")
	for i := range 16 {
		p.Op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	for i := range 15 {
		load(i)
		p.Op("ADDQ R9, R8")
		p.Op("CMPQ DX, $%d", i+1)
		p.Op("JEQ shuffle")
	}
	p.Line("full:")
	for i := range 16 {
		load(i)
		p.Op("ADDQ R9, R8")
	}
	p.Line("shuffle:")
}

// shuffle512 prints the transposition of Z0-Z15.
func shuffle512(p *asm.Printer) {
	// After the first two steps, register 16+4g+c holds column 4l+c of rows 4g…4g+3 in its lane l.
	for g := range 4 {
		r := 4 * g
		p.Op("VUNPCKLPS Z%d, Z%d, Z%d", r+1, r, 16+r)
		p.Op("VUNPCKHPS Z%d, Z%d, Z%d", r+1, r, 17+r)
		p.Op("VUNPCKLPS Z%d, Z%d, Z%d", r+3, r+2, 18+r)
		p.Op("VUNPCKHPS Z%d, Z%d, Z%d", r+3, r+2, 19+r)
		p.Op("VUNPCKLPD Z%d, Z%d, Z%d", 18+r, 16+r, r)
		p.Op("VUNPCKHPD Z%d, Z%d, Z%d", 18+r, 16+r, r+1)
		p.Op("VUNPCKLPD Z%d, Z%d, Z%d", 19+r, 17+r, r+2)
		p.Op("VUNPCKHPD Z%d, Z%d, Z%d", 19+r, 17+r, r+3)
	}
	// Register 4g+c now holds column 4l+c of rows 4g… in lane l. For each c, transpose the 4 x 4 of
	// lanes (g, l).
	for c := range 4 {
		p.Op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 4+c, c, 16+c)    // g0l0 g0l2 g1l0 g1l2
		p.Op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 4+c, c, 20+c)    // g0l1 g0l3 g1l1 g1l3
		p.Op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 12+c, 8+c, 24+c) // g2l0 g2l2 g3l0 g3l2
		p.Op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 12+c, 8+c, 28+c) // g2l1 g2l3 g3l1 g3l3
	}
	for c := range 4 {
		p.Op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 24+c, 16+c, c)    // lane 0 of all: column c
		p.Op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 24+c, 16+c, 8+c)  // lane 2: column 8+c
		p.Op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 28+c, 20+c, 4+c)  // lane 1
		p.Op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 28+c, 20+c, 12+c) // lane 3
	}
}

// storeTransposed prints the storing of a block of 16 words of each source row, a word made of so
// many elements, and the way to the next; of the last block only the words that the CX elements
// left make.
func storeTransposed(p *asm.Printer, elements int) {
	p.Op("CMPQ CX, $%d", 16*elements)
	p.Op("JLT partial")
	for i := range 16 {
		p.Op("VMOVUPS Z%d, %d(DI)", i, 64*i)
	}
	p.Op("ADDQ $%d, SI", 64*elements)
	p.Op("ADDQ $1024, DI")
	p.Op("SUBQ $%d, CX", 16*elements)
	p.Op("JNZ block")
	p.Op("VZEROUPPER")
	p.Op("RET")
	p.Line("partial:")
	if elements == 2 {
		p.Op("INCQ CX")
		p.Op("SHRQ $1, CX")
	}
	for i := range 16 {
		p.Op("VMOVUPS Z%d, %d(DI)", i, 64*i)
		if i < 15 {
			p.Op("DECQ CX")
			p.Op("JZ done")
		}
	}
	end(p)
}

// copy512 writes dst[p*16+j] = src[p*stride+j] for p < k and j < 16, zero from j = n on.
func copy512(p *asm.Printer) {
	p.Comment("dst[p*16+j] = src[p*stride+j] for p < k and j < 16, zero from j = n on.")
	p.Line("// func packRowsAVX512(dst, src []float32, stride, n, k int)")
	p.Line("TEXT ·packRowsAVX512(SB), NOSPLIT, $0-72")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ stride+48(FP), R9")
	p.Op("MOVQ n+56(FP), DX")
	p.Op("MOVQ k+64(FP), CX")
	p.Op("SHLQ $2, R9")
	p.Op("MOVL $0xffff, AX")
	p.Op("BZHIL DX, AX, AX // n is at most 16")
	p.Op("KMOVW AX, K1")
	p.Line("loop:")
	p.Op("VMOVUPS.Z (SI), K1, Z0")
	p.Op("VMOVUPS Z0, (DI)")
	p.Op("ADDQ R9, SI")
	p.Op("ADDQ $64, DI")
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// transpose256 does what transpose512 does, 8 x 8 at a time; dst has room for whole rows of 16, of
// which it writes the half that begins at dst.
func transpose256(p *asm.Printer) {
	p.Comment(
		"dst[p*16+i] = src[i*stride+p] for p < k and i < 8, zero from i = rows on. 8 x 8 at a time; Y15 masks the last",
		"columns.",
	)
	p.Line("// func packColumns8AVX2%s", transposeArgs)
	p.Line("TEXT ·packColumns8AVX2(SB), NOSPLIT, $0-72")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ stride+48(FP), R9")
	p.Op("MOVQ rows+56(FP), DX")
	p.Op("MOVQ k+64(FP), CX")
	p.Op("SHLQ $2, R9")
	p.Line("block:")
	p.Op("VMOVD CX, X15")
	p.Op("VPBROADCASTD X15, Y15")
	p.Op("VPCMPGTD iota16<>+0(SB), Y15, Y15")
	p.Op("MOVQ SI, R8")
	for i := range 8 {
		p.Op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	for i := range 8 {
		if i > 0 {
			p.Op("CMPQ DX, $%d", i)
			p.Op("JLE shuffle")
		}
		p.Op("VMASKMOVPS (R8), Y15, Y%d", i)
		p.Op("ADDQ R9, R8")
	}
	p.Line("shuffle:")
	for g := range 2 {
		r := 4 * g
		p.Op("VUNPCKLPS Y%d, Y%d, Y8", r+1, r)
		p.Op("VUNPCKHPS Y%d, Y%d, Y9", r+1, r)
		p.Op("VUNPCKLPS Y%d, Y%d, Y10", r+3, r+2)
		p.Op("VUNPCKHPS Y%d, Y%d, Y11", r+3, r+2)
		p.Op("VUNPCKLPD Y10, Y8, Y%d", r)
		p.Op("VUNPCKHPD Y10, Y8, Y%d", r+1)
		p.Op("VUNPCKLPD Y11, Y9, Y%d", r+2)
		p.Op("VUNPCKHPD Y11, Y9, Y%d", r+3)
	}
	for c := range 4 {
		p.Op("VPERM2F128 $0x20, Y%d, Y%d, Y%d", 4+c, c, 8+c)
	}
	for c := range 4 {
		p.Op("VPERM2F128 $0x31, Y%d, Y%d, Y%d", 4+c, c, 4+c)
	}
	for i := range 8 {
		r := 8 + i
		if i >= 4 {
			r = i
		}
		p.Op("VMOVUPS Y%d, %d(DI)", r, 64*i)
		p.Op("DECQ CX")
		p.Op("JZ done")
	}
	p.Op("ADDQ $32, SI")
	p.Op("ADDQ $512, DI")
	p.Op("JMP block")
	end(p)
}

func copy256(p *asm.Printer) {
	p.Comment("dst[p*16+j] = src[p*stride+j] for p < k and j < 16, zero from j = n on.")
	p.Line("// func packRowsAVX2(dst, src []float32, stride, n, k int)")
	p.Line("TEXT ·packRowsAVX2(SB), NOSPLIT, $0-72")
	p.Op("MOVQ dst_base+0(FP), DI")
	p.Op("MOVQ src_base+24(FP), SI")
	p.Op("MOVQ stride+48(FP), R9")
	p.Op("MOVQ n+56(FP), DX")
	p.Op("MOVQ k+64(FP), CX")
	p.Op("SHLQ $2, R9")
	masks256(p, "DX")
	p.Line("loop:")
	p.Op("VMASKMOVPS (SI), Y12, Y0")
	p.Op("VMASKMOVPS 32(SI), Y13, Y1")
	p.Op("VMOVUPS Y0, (DI)")
	p.Op("VMOVUPS Y1, 32(DI)")
	p.Op("ADDQ R9, SI")
	p.Op("ADDQ $64, DI")
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// iota16 prints the numbers 0…15, of which masks256 makes masks.
func iota16(p *asm.Printer) {
	p.Line("")
	for i := range 16 {
		p.Line("DATA iota16<>+%d(SB)/4, $%d", 4*i, i)
	}
	p.Line("GLOBL iota16<>(SB), RODATA|NOPTR, $64")
}
