package main

// The int8 functions compute y [m, n] = rowScale·scale·(x·qᵀ) exactly as integers up to the scaling:
//
//	func mulInt8(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)
//
// k counts groups of four inputs. A panel of q holds 16 outputs: for each group, four bytes of each output.

const int8Args = "(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)"

// columnMasks sets K1 and K2 to the columns that exist of two panels, and DX to 0 where there is no second panel, so that
// the first is read twice instead of memory behind the last. AX is the number of columns left; CX and R15 are free.
func columnMasks(p *printer) {
	p.op("MOVL $32, CX // K1, K2: the lower and upper halves of min(n, 32) ones")
	p.op("CMPQ AX, CX")
	p.op("CMOVQLT AX, CX")
	p.op("MOVL $-1, R15")
	p.op("BZHIL CX, R15, R15")
	p.op("KMOVW R15, K1")
	p.op("SHRL $16, R15")
	p.op("KMOVW R15, K2")
	p.op("XORL CX, CX")
	p.op("CMPQ AX, $16")
	p.op("CMOVQLE CX, DX")
}

func int8x512(p *printer) {
	const height = 14
	p.comment(
		"Activations are bytes q_x+128, which VPDPBUSD multiplies with signed weights; correction, -128 times the sum of an",
		"output's weights, starts its accumulator. Up to 14 x 32: Z0-Z27 accumulators, two a row; Z28, Z29 weights; Z30, Z31",
		"four activations of a row, in turn; SI, R8 rows 0 and 7 of x; R9, R10, R11 1, 3, 5 times its row stride; DI q, DX its",
		"panel stride; R13, R14 y and its row stride; R12 bytes of correction and scale behind; AX columns left.",
		"One and two rows take 128 columns at a time as long as there are so many.",
	)
	p.line("// func mulInt8AVX512%s", int8Args)
	p.line("TEXT ·mulInt8AVX512(SB), NOSPLIT, $0-192")
	loadInt8(p)
	p.op("LEAQ (R9)(R9*4), R11")
	for m := 1; m < height; m++ {
		p.op("CMPQ CX, $%d", m)
		p.op("JEQ m%d", m)
	}
	for m := height; m >= 1; m-- {
		p.line("")
		p.line("m%d:", m)
		if m <= 2 {
			int8wide512(p, m)
		}
		int8pair512(p, m)
	}
	p.line("")
	p.line("done:")
	p.op("VZEROUPPER")
	p.op("RET")
}

func loadInt8(p *printer) {
	for _, a := range []struct{ from, to string }{
		{"y_base+0(FP)", "R13"}, {"yRow+24(FP)", "R14"}, {"xRow+56(FP)", "R9"}, {"q_base+64(FP)", "DI"}, {"panel+88(FP)", "DX"}, {"n+176(FP)", "AX"},
	} {
		p.op("MOVQ %s, %s", a.from, a.to)
	}
	p.op("SHLQ $2, R14")
	p.op("XORL R12, R12")
	p.op("LEAQ (R9)(R9*2), R10")
	p.op("MOVQ m+168(FP), CX")
}

func int8pair512(p *printer, m int) {
	p.line("pair%d:", m)
	columnMasks(p)
	p.op("MOVQ correction_base+96(FP), CX")
	p.op("ADDQ R12, CX")
	p.op("VMOVDQU32.Z (CX), K1, Z0")
	p.op("VMOVDQU32.Z 64(CX), K2, Z1")
	for i := 1; i < m; i++ {
		p.op("VMOVDQA32 Z0, Z%d", 2*i)
		p.op("VMOVDQA32 Z1, Z%d", 2*i+1)
	}
	p.op("MOVQ DI, R15")
	p.op("MOVQ x_base+32(FP), SI")
	if m > 7 {
		p.op("LEAQ (SI)(R9*8), R8")
		p.op("SUBQ R9, R8")
	}
	p.op("MOVQ k+184(FP), CX")
	p.line("pairloop%d:", m)
	p.op("VMOVDQU32 (R15), Z28")
	p.op("VMOVDQU32 (R15)(DX*1), Z29")
	for i := range m {
		x := 30 + i%2
		p.op("VPBROADCASTD %s, Z%d", row(i, "SI", "R8", "R9", "R10", "R11"), x)
		p.op("VPDPBUSD Z28, Z%d, Z%d", x, 2*i)
		p.op("VPDPBUSD Z29, Z%d, Z%d", x, 2*i+1)
	}
	p.op("ADDQ $4, SI")
	if m > 7 {
		p.op("ADDQ $4, R8")
	}
	p.op("ADDQ $64, R15")
	p.op("DECQ CX")
	p.op("JNZ pairloop%d", m)
	p.op("MOVQ scale_base+120(FP), CX")
	p.op("ADDQ R12, CX")
	p.op("VMOVUPS.Z (CX), K1, Z28")
	p.op("VMOVUPS.Z 64(CX), K2, Z29")
	p.op("MOVQ rowScale_base+144(FP), R15")
	p.op("MOVQ R13, CX")
	for i := range m {
		p.op("VBROADCASTSS %d(R15), Z31", 4*i)
		for half := range 2 {
			acc := 2*i + half
			p.op("VCVTDQ2PS Z%d, Z%d", acc, acc)
			p.op("VMULPS Z%d, Z31, Z30", 28+half)
			p.op("VMULPS Z30, Z%d, Z%d", acc, acc)
			p.op("VMOVUPS Z%d, K%d, %d(CX)", acc, 1+half, 64*half)
		}
		p.op("ADDQ R14, CX")
	}
	p.op("ADDQ $128, R12")
	p.op("ADDQ $128, R13")
	p.op("LEAQ (DI)(DX*2), DI")
	p.op("SUBQ $32, AX")
	p.op("JGT pair%d", m)
	p.op("JMP done")
}

// int8wide512 uses R8 for the fifth of eight panels and R10 for three panel strides.
func int8wide512(p *printer, m int) {
	p.op("LEAQ (DX)(DX*2), R10")
	p.line("wide%d:", m)
	p.op("CMPQ AX, $128")
	p.op("JLT pair%d", m)
	p.op("MOVQ correction_base+96(FP), CX")
	p.op("ADDQ R12, CX")
	for j := range 8 {
		p.op("VMOVDQU32 %d(CX), Z%d", 64*j, j)
	}
	for j := range 8 * (m - 1) {
		p.op("VMOVDQA32 Z%d, Z%d", j, 8+j)
	}
	p.op("MOVQ x_base+32(FP), SI")
	p.op("MOVQ DI, R15")
	p.op("LEAQ (DI)(DX*4), R8")
	p.op("MOVQ k+184(FP), CX")
	p.line("wideloop%d:", m)
	for i := range m {
		p.op("VPBROADCASTD %s, Z%d", row(i, "SI", "", "R9", "", ""), 30+i)
	}
	for j := range 8 {
		b := panel(j, "R15", "R8", "DX", "R10")
		if m == 1 {
			p.op("VPDPBUSD %s, Z30, Z%d", b, j)
			continue
		}
		p.op("VMOVDQU32 %s, Z%d", b, 28+j%2)
		for i := range m {
			p.op("VPDPBUSD Z%d, Z%d, Z%d", 28+j%2, 30+i, 8*i+j)
		}
	}
	p.op("ADDQ $4, SI")
	p.op("ADDQ $64, R15")
	p.op("ADDQ $64, R8")
	p.op("DECQ CX")
	p.op("JNZ wideloop%d", m)
	p.op("MOVQ scale_base+120(FP), CX")
	p.op("ADDQ R12, CX")
	p.op("MOVQ rowScale_base+144(FP), R15")
	for i := range m {
		p.op("VBROADCASTSS %d(R15), Z31", 4*i)
		at := "R13"
		if i == 1 {
			at = "R13)(R14*1"
		}
		for j := range 8 {
			acc := 8*i + j
			p.op("VCVTDQ2PS Z%d, Z%d", acc, acc)
			p.op("VMULPS %d(CX), Z31, Z30", 64*j)
			p.op("VMULPS Z30, Z%d, Z%d", acc, acc)
			p.op("VMOVUPS Z%d, %d(%s)", acc, 64*j, at)
		}
	}
	p.op("ADDQ $512, R12")
	p.op("ADDQ $512, R13")
	p.op("LEAQ (DI)(DX*8), DI")
	p.op("SUBQ $128, AX")
	p.op("JGT wide%d", m)
	p.op("JMP done")
	p.line("")
}

func int8x256(p *printer) {
	p.comment(
		"Activations are int16; weights are widened to int16 and VPMADDWD sums pairs of products in int32, which cannot",
		"overflow there. Up to 2 x 16: Y0-Y7 accumulators, four a row, each the pairs of four outputs; Y8 weights; Y9, Y10",
		"products; Y12, Y13 four activations of a row. General registers as in mulInt8AVX512.",
	)
	p.line("// func mulInt8AVX2%s", int8Args)
	p.line("TEXT ·mulInt8AVX2(SB), NOSPLIT, $0-192")
	loadInt8(p)
	p.op("CMPQ CX, $1")
	p.op("JEQ m1")
	for m := 2; m >= 1; m-- {
		p.line("")
		p.line("m%d:", m)
		p.op("MOVQ DI, R15")
		p.op("MOVQ x_base+32(FP), SI")
		p.op("MOVQ k+184(FP), CX")
		for i := range 4 * m {
			p.op("VPXOR Y%d, Y%d, Y%d", i, i, i)
		}
		p.line("loop%d:", m)
		for i := range m {
			p.op("VPBROADCASTQ %s, Y%d", row(i, "SI", "", "R9", "", ""), 12+i)
		}
		for j := range 4 {
			p.op("VPMOVSXBW %d(R15), Y8", 16*j)
			for i := range m {
				p.op("VPMADDWD Y8, Y%d, Y%d", 12+i, 9+i)
				p.op("VPADDD Y%d, Y%d, Y%d", 9+i, 4*i+j, 4*i+j)
			}
		}
		p.op("ADDQ $8, SI")
		p.op("ADDQ $64, R15")
		p.op("DECQ CX")
		p.op("JNZ loop%d", m)
		p.op("MOVQ scale_base+120(FP), CX")
		p.op("ADDQ R12, CX")
		p.op("MOVQ rowScale_base+144(FP), R15")
		for i := range m {
			p.op("VBROADCASTSS %d(R15), Y8", 4*i)
			for half := range 2 {
				acc := 4*i + 2*half
				p.op("VPHADDD Y%d, Y%d, Y%d", acc+1, acc, acc)
				p.op("VPERMQ $0xd8, Y%d, Y%d", acc, acc)
				p.op("VCVTDQ2PS Y%d, Y%d", acc, acc)
				p.op("VMULPS %d(CX), Y8, Y9", 32*half)
				p.op("VMULPS Y9, Y%d, Y%d", acc, acc)
			}
		}
		p.op("CMPQ AX, $16")
		p.op("JLT tail%d", m)
		for i := range m {
			at := "R13"
			if i == 1 {
				at = "R13)(R14*1"
			}
			p.op("VMOVUPS Y%d, (%s)", 4*i, at)
			p.op("VMOVUPS Y%d, 32(%s)", 4*i+2, at)
		}
		p.op("ADDQ $64, R12")
		p.op("ADDQ $64, R13")
		p.op("ADDQ DX, DI")
		p.op("SUBQ $16, AX")
		p.op("JGT m%d", m)
		p.op("VZEROUPPER")
		p.op("RET")
		p.line("tail%d:", m)
		masks256(p, "AX")
		for i := range m {
			at := "R13"
			if i == 1 {
				at = "R13)(R14*1"
			}
			p.op("VMASKMOVPS Y%d, Y12, (%s)", 4*i, at)
			p.op("VMASKMOVPS Y%d, Y13, 32(%s)", 4*i+2, at)
		}
		p.op("VZEROUPPER")
		p.op("RET")
	}
}

// quantize512 prints the two passes of quantizing a row.
func quantize512(p *printer) {
	p.comment("The greatest |x|, as the bits of a float32: on those the order of unsigned integers is that of the values, NaN above all.")
	p.line("// func absMaxAVX512(x []float32) uint32")
	p.line("TEXT ·absMaxAVX512(SB), NOSPLIT, $0-28")
	p.op("MOVQ x_base+0(FP), SI")
	p.op("MOVQ x_len+8(FP), CX")
	p.op("VPXORQ Z0, Z0, Z0")
	p.op("MOVL $0x7fffffff, AX")
	p.op("VPBROADCASTD AX, Z1")
	p.line("loop:")
	p.op("SUBQ $16, CX")
	p.op("JLT tail")
	p.op("VPANDD (SI), Z1, Z2")
	p.op("VPMAXUD Z2, Z0, Z0")
	p.op("ADDQ $64, SI")
	p.op("JMP loop")
	p.line("tail:")
	p.op("ADDQ $16, CX")
	p.op("JEQ reduce")
	p.op("MOVL $0xffff, AX")
	p.op("BZHIL CX, AX, AX")
	p.op("KMOVW AX, K1")
	p.op("VPANDD.Z (SI), Z1, K1, Z2")
	p.op("VPMAXUD Z2, Z0, Z0")
	p.line("reduce:")
	p.op("VEXTRACTI64X4 $1, Z0, Y1")
	maxReduce(p)
	p.op("VZEROUPPER")
	p.op("RET")

	p.comment("dst[i] = 128 + x[i]/scale rounded to even and held to ±127.")
	p.line("// func quantizeAVX512(dst []byte, x []float32, scale float32)")
	p.line("TEXT ·quantizeAVX512(SB), NOSPLIT, $0-52")
	p.op("MOVQ dst_base+0(FP), DI")
	p.op("MOVQ x_base+24(FP), SI")
	p.op("MOVQ x_len+32(FP), CX")
	p.op("VBROADCASTSS scale+48(FP), Z1")
	for i, v := range []int{-127, 127, 128} {
		p.op("MOVL $%d, AX", v)
		p.op("VPBROADCASTD AX, Z%d", 2+i)
	}
	p.op("MOVL $0xffff, AX")
	p.op("KMOVW AX, K1")
	p.line("loop:")
	p.op("CMPQ CX, $16")
	p.op("JGE body")
	p.op("BZHIL CX, AX, AX")
	p.op("KMOVW AX, K1")
	p.line("body:")
	p.op("VMOVUPS.Z (SI), K1, Z0")
	p.op("VDIVPS Z1, Z0, Z0")
	p.op("VCVTPS2DQ Z0, Z0")
	p.op("VPMAXSD Z2, Z0, Z0")
	p.op("VPMINSD Z3, Z0, Z0")
	p.op("VPADDD Z4, Z0, Z0")
	p.op("VPMOVDB Z0, K1, (DI)")
	p.op("ADDQ $64, SI")
	p.op("ADDQ $16, DI")
	p.op("SUBQ $16, CX")
	p.op("JGT loop")
	p.op("VZEROUPPER")
	p.op("RET")
}

// maxReduce reduces Y0 and Y1 to their greatest element and returns it.
func maxReduce(p *printer) {
	p.op("VPMAXUD Y1, Y0, Y0")
	p.op("VEXTRACTI128 $1, Y0, X1")
	p.op("VPMAXUD X1, X0, X0")
	p.op("VPSHUFD $0x4e, X0, X1")
	p.op("VPMAXUD X1, X0, X0")
	p.op("VPSHUFD $0xb1, X0, X1")
	p.op("VPMAXUD X1, X0, X0")
	p.op("VMOVD X0, AX")
	p.op("MOVL AX, ret+24(FP)")
}

// quantize256 is quantize512 for a multiple of eight elements and int16 results without the offset.
func quantize256(p *printer) {
	p.comment("The greatest |x| as in absMaxAVX512, of a positive multiple of eight elements.")
	p.line("// func absMax8AVX2(x []float32) uint32")
	p.line("TEXT ·absMax8AVX2(SB), NOSPLIT, $0-28")
	p.op("MOVQ x_base+0(FP), SI")
	p.op("MOVQ x_len+8(FP), CX")
	p.op("VPXOR Y0, Y0, Y0")
	p.op("VPCMPEQD Y2, Y2, Y2")
	p.op("VPSRLD $1, Y2, Y2")
	p.line("loop:")
	p.op("VPAND (SI), Y2, Y1")
	p.op("VPMAXUD Y1, Y0, Y0")
	p.op("ADDQ $32, SI")
	p.op("SUBQ $8, CX")
	p.op("JGT loop")
	p.op("VMOVDQA Y0, Y1")
	maxReduce(p)
	p.op("VZEROUPPER")
	p.op("RET")

	p.comment("dst[i] = x[i]/scale rounded to even and held to ±127, as int16, for a positive multiple of eight elements.")
	p.line("// func quantize8AVX2(dst []byte, x []float32, scale float32)")
	p.line("TEXT ·quantize8AVX2(SB), NOSPLIT, $0-52")
	p.op("MOVQ dst_base+0(FP), DI")
	p.op("MOVQ x_base+24(FP), SI")
	p.op("MOVQ x_len+32(FP), CX")
	p.op("VBROADCASTSS scale+48(FP), Y1")
	for i, v := range []int{-127, 127} {
		p.op("MOVL $%d, AX", v)
		p.op("VMOVD AX, X%d", 2+i)
		p.op("VPBROADCASTD X%d, Y%d", 2+i, 2+i)
	}
	p.line("loop:")
	p.op("VMOVUPS (SI), Y0")
	p.op("VDIVPS Y1, Y0, Y0")
	p.op("VCVTPS2DQ Y0, Y0")
	p.op("VPMAXSD Y2, Y0, Y0")
	p.op("VPMINSD Y3, Y0, Y0")
	p.op("VEXTRACTI128 $1, Y0, X4")
	p.op("VPACKSSDW X4, X0, X0")
	p.op("VMOVDQU X0, (DI)")
	p.op("ADDQ $32, SI")
	p.op("ADDQ $16, DI")
	p.op("SUBQ $8, CX")
	p.op("JGT loop")
	p.op("VZEROUPPER")
	p.op("RET")
}
