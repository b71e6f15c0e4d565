package main

// The strip functions compute c [m, n] (+)= a·b for at most one tile's height of rows and any number of columns:
//
//	func strip(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)
//
// a(i, p) is a[i*aRow+p*aCol]; b's columns stand in panels of 16: b(p, j) is b[j/16*bPanel+p*bRow+j%16].
// Every element of c is one chain of k fused multiply-adds in ascending p, started at zero and then stored or added to c,
// whatever the tile around it.

const stripArgs = "(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)"

// loadStrip loads the arguments that all heights share, strides in bytes.
func loadStrip(p *printer) {
	for _, a := range []struct{ from, to string }{
		{"c_base+0(FP)", "R13"}, {"cRow+24(FP)", "R14"}, {"a_base+32(FP)", "SI"}, {"aRow+56(FP)", "R9"}, {"aCol+64(FP)", "R12"},
		{"b_base+72(FP)", "DI"}, {"bRow+96(FP)", "BX"}, {"bPanel+104(FP)", "DX"}, {"n+120(FP)", "AX"},
	} {
		p.op("MOVQ %s, %s", a.from, a.to)
	}
	for _, r := range []string{"R14", "R9", "R12", "BX", "DX"} {
		p.op("SHLQ $2, %s", r)
	}
	p.op("LEAQ (R9)(R9*2), R10")
	p.op("LEAQ (R9)(R9*4), R11")
	p.op("MOVQ m+112(FP), CX")
}

// strip512: tiles of up to 14 x 32.
//
//	Z0…Z27   accumulators, two a row        K1, K2  columns of the two panels that exist
//	Z28, Z29 b's row p                      Z30, Z31 broadcast a(i, p), in turn
//	SI, R8   rows 0 and 7 of a at p         R9, R10, R11  1, 3, 5 times a's row stride; R12 its column stride
//	DI       b at p, BX its row stride, DX its panel stride
//	R13, R14 c and its row stride           AX  columns left, CX  rounds left
func strip512(p *printer) {
	p.comment(
		"Up to 14 x 32: Z0-Z27 accumulators, two a row; Z28, Z29 b's row p; Z30, Z31 broadcast a(i, p) in turn; K1, K2 the",
		"columns that exist. SI, R8 rows 0 and 7 of a at p; R9, R10, R11 1, 3, 5 times a's row stride, R12 its column",
		"stride; DI b at p, BX its row and DX its panel stride; R13, R14 c and its row stride; AX columns left; CX rounds.",
		"One to three rows take 128 columns at a time as long as there are so many, to have enough chains in flight.",
	)
	p.line("// func stripAVX512%s", stripArgs)
	p.line("TEXT ·stripAVX512(SB), NOSPLIT, $0-137")
	loadStrip(p)
	for m := 1; m < 14; m++ {
		p.op("CMPQ CX, $%d", m)
		p.op("JEQ m%d", m)
	}
	for m := 14; m >= 1; m-- {
		p.line("")
		p.line("m%d:", m)
		if m <= 3 {
			wide512(p, m)
		}
		pair512(p, m)
		single512(p, m)
	}
	p.line("")
	p.line("done:")
	p.op("VZEROUPPER")
	p.op("RET")
}

func rewindA(p *printer, m int) {
	p.op("MOVQ a_base+32(FP), SI")
	if m > 7 {
		p.op("LEAQ (SI)(R9*8), R8")
		p.op("SUBQ R9, R8")
	}
	p.op("MOVQ k+128(FP), CX")
}

func advanceA(p *printer, m int) {
	p.op("ADDQ R12, SI")
	if m > 7 {
		p.op("ADDQ R12, R8")
	}
}

// pair512 prints the loop over pairs of panels for a tile of m rows.
func pair512(p *printer, m int) {
	p.line("pair%d:", m)
	p.op("CMPQ AX, $16")
	p.op("JLE single%d", m)
	p.op("LEAQ -16(AX), CX // K2: min(n-16, 16) columns")
	p.op("MOVL $16, R15")
	p.op("CMPQ CX, R15")
	p.op("CMOVQGT R15, CX")
	p.op("MOVL $0xffff, R15")
	p.op("BZHIL CX, R15, R15")
	p.op("KMOVW R15, K2")
	p.op("MOVQ DI, R15")
	rewindA(p, m)
	for i := range 2 * m {
		p.op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.line("pairloop%d:", m)
	p.op("VMOVUPS (R15), Z28")
	p.op("VMOVUPS.Z (R15)(DX*1), K2, Z29")
	for i := range m {
		x := 30 + i%2
		p.op("VBROADCASTSS %s, Z%d", row(i, "SI", "R8", "R9", "R10", "R11"), x)
		p.op("VFMADD231PS Z28, Z%d, Z%d", x, 2*i)
		p.op("VFMADD231PS Z29, Z%d, Z%d", x, 2*i+1)
	}
	advanceA(p, m)
	p.op("ADDQ BX, R15")
	p.op("DECQ CX")
	p.op("JNZ pairloop%d", m)
	p.op("MOVQ R13, CX")
	p.op("CMPB accumulate+136(FP), $0")
	p.op("JEQ pairstore%d", m)
	for i := range m {
		p.op("VADDPS (CX), Z%d, Z%d", 2*i, 2*i)
		p.op("VMOVUPS.Z 64(CX), K2, Z30")
		p.op("VADDPS Z30, Z%d, Z%d", 2*i+1, 2*i+1)
		p.op("ADDQ R14, CX")
	}
	p.op("MOVQ R13, CX")
	p.line("pairstore%d:", m)
	for i := range m {
		p.op("VMOVUPS Z%d, (CX)", 2*i)
		p.op("VMOVUPS Z%d, K2, 64(CX)", 2*i+1)
		p.op("ADDQ R14, CX")
	}
	p.op("ADDQ $128, R13")
	p.op("LEAQ (DI)(DX*2), DI")
	p.op("SUBQ $32, AX")
	p.op("JGT pair%d", m)
	p.op("JMP done")
}

// single512 prints the last panel, of at most 16 columns, for a tile of m rows; it comes with AX in 1…16.
func single512(p *printer, m int) {
	p.line("single%d:", m)
	p.op("MOVL $0xffff, R15")
	p.op("BZHIL AX, R15, R15")
	p.op("KMOVW R15, K1")
	rewindA(p, m)
	for i := range m {
		p.op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.line("singleloop%d:", m)
	p.op("VMOVUPS.Z (DI), K1, Z28")
	for i := range m {
		p.op("VFMADD231PS.BCST %s, Z28, Z%d", row(i, "SI", "R8", "R9", "R10", "R11"), i)
	}
	advanceA(p, m)
	p.op("ADDQ BX, DI")
	p.op("DECQ CX")
	p.op("JNZ singleloop%d", m)
	p.op("CMPB accumulate+136(FP), $0")
	p.op("JEQ singlestore%d", m)
	p.op("MOVQ R13, CX")
	for i := range m {
		p.op("VMOVUPS.Z (CX), K1, Z30")
		p.op("VADDPS Z30, Z%d, Z%d", i, i)
		p.op("ADDQ R14, CX")
	}
	p.line("singlestore%d:", m)
	for i := range m {
		p.op("VMOVUPS Z%d, K1, (R13)", i)
		p.op("ADDQ R14, R13")
	}
	p.op("JMP done")
}

// wide512 prints the loop over 128 columns for one to three rows: R8 and R10 hold the fifth panel and three panel strides.
func wide512(p *printer, m int) {
	p.op("LEAQ (DX)(DX*2), R10")
	p.line("wide%d:", m)
	p.op("CMPQ AX, $128")
	p.op("JLT pair%d", m)
	p.op("MOVQ a_base+32(FP), SI")
	p.op("MOVQ k+128(FP), CX")
	p.op("MOVQ DI, R15")
	p.op("LEAQ (DI)(DX*4), R8")
	for i := range 8 * m {
		p.op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p.line("wideloop%d:", m)
	for i := range m {
		p.op("VBROADCASTSS %s, Z%d", row(i, "SI", "", "R9", "", ""), 29+i)
	}
	for j := range 8 {
		b := panel(j, "R15", "R8", "DX", "R10")
		if m == 1 {
			p.op("VFMADD231PS %s, Z29, Z%d", b, j)
			continue
		}
		p.op("VMOVUPS %s, Z%d", b, 27+j%2)
		for i := range m {
			p.op("VFMADD231PS Z%d, Z%d, Z%d", 27+j%2, 29+i, 8*i+j)
		}
	}
	p.op("ADDQ R12, SI")
	p.op("ADDQ BX, R15")
	p.op("ADDQ BX, R8")
	p.op("DECQ CX")
	p.op("JNZ wideloop%d", m)
	p.op("CMPB accumulate+136(FP), $0")
	p.op("JEQ widestore%d", m)
	p.op("MOVQ R13, CX")
	for i := range m {
		for j := range 8 {
			p.op("VADDPS %d(CX), Z%d, Z%d", 64*j, 8*i+j, 8*i+j)
		}
		p.op("ADDQ R14, CX")
	}
	p.line("widestore%d:", m)
	p.op("MOVQ R13, CX")
	for i := range m {
		for j := range 8 {
			p.op("VMOVUPS Z%d, %d(CX)", 8*i+j, 64*j)
		}
		p.op("ADDQ R14, CX")
	}
	p.op("ADDQ $512, R13")
	p.op("LEAQ (DI)(DX*8), DI")
	p.op("SUBQ $128, AX")
	p.op("JGT wide%d", m)
	p.op("JMP done")
	p.line("")
}

// panel is the address of panel j of eight: base is panel 0's, base4 panel 4's, d1 and d3 one and three strides.
func panel(j int, base, base4, d1, d3 string) string {
	if j >= 4 {
		base, j = base4, j-4
	}
	switch j {
	case 0:
		return "(" + base + ")"
	case 1:
		return "(" + base + ")(" + d1 + "*1)"
	case 2:
		return "(" + base + ")(" + d1 + "*2)"
	}
	return "(" + base + ")(" + d3 + "*1)"
}

// strip256: tiles of up to 6 x 16, one panel at a time.
func strip256(p *printer) {
	p.comment(
		"Up to 6 x 16: Y0-Y11 accumulators, two a row; Y12, Y13 b's row p; Y14, Y15 broadcast a(i, p) in turn. General",
		"registers as in stripAVX512. b's panels must be whole (padded); c is masked when fewer than 16 columns are left.",
		"One row takes 64 columns and two rows 32 at a time as long as there are so many.",
	)
	p.line("// func stripAVX2%s", stripArgs)
	p.line("TEXT ·stripAVX2(SB), NOSPLIT, $0-137")
	loadStrip(p)
	for m := 1; m < 6; m++ {
		p.op("CMPQ CX, $%d", m)
		p.op("JEQ m%d", m)
	}
	for m := 6; m >= 1; m-- {
		p.line("")
		p.line("m%d:", m)
		if m <= 2 {
			wide256(p, m, 4/m)
		}
		tile256(p, m)
	}
	p.line("")
	p.line("done:")
	p.op("VZEROUPPER")
	p.op("RET")
}

func tile256(p *printer, m int) {
	p.line("tile%d:", m)
	p.op("MOVQ DI, R15")
	rewindA(p, m)
	for i := range 2 * m {
		p.op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.line("tileloop%d:", m)
	p.op("VMOVUPS (R15), Y12")
	p.op("VMOVUPS 32(R15), Y13")
	for i := range m {
		x := 14 + i%2
		p.op("VBROADCASTSS %s, Y%d", row(i, "SI", "", "R9", "R10", "R11"), x)
		p.op("VFMADD231PS Y12, Y%d, Y%d", x, 2*i)
		p.op("VFMADD231PS Y13, Y%d, Y%d", x, 2*i+1)
	}
	advanceA(p, m)
	p.op("ADDQ BX, R15")
	p.op("DECQ CX")
	p.op("JNZ tileloop%d", m)
	p.op("CMPQ AX, $16")
	p.op("JLT tail%d", m)
	p.op("MOVQ R13, CX")
	p.op("CMPB accumulate+136(FP), $0")
	p.op("JEQ tilestore%d", m)
	for i := range m {
		p.op("VADDPS (CX), Y%d, Y%d", 2*i, 2*i)
		p.op("VADDPS 32(CX), Y%d, Y%d", 2*i+1, 2*i+1)
		p.op("ADDQ R14, CX")
	}
	p.op("MOVQ R13, CX")
	p.line("tilestore%d:", m)
	for i := range m {
		p.op("VMOVUPS Y%d, (CX)", 2*i)
		p.op("VMOVUPS Y%d, 32(CX)", 2*i+1)
		p.op("ADDQ R14, CX")
	}
	p.op("ADDQ $64, R13")
	p.op("ADDQ DX, DI")
	p.op("SUBQ $16, AX")
	p.op("JGT tile%d", m)
	p.op("JMP done")
	p.line("tail%d:", m)
	masks256(p, "AX")
	p.op("CMPB accumulate+136(FP), $0")
	p.op("JEQ tailstore%d", m)
	p.op("MOVQ R13, CX")
	for i := range m {
		p.op("VMASKMOVPS (CX), Y12, Y14")
		p.op("VADDPS Y14, Y%d, Y%d", 2*i, 2*i)
		p.op("VMASKMOVPS 32(CX), Y13, Y14")
		p.op("VADDPS Y14, Y%d, Y%d", 2*i+1, 2*i+1)
		p.op("ADDQ R14, CX")
	}
	p.line("tailstore%d:", m)
	for i := range m {
		p.op("VMASKMOVPS Y%d, Y12, (R13)", 2*i)
		p.op("VMASKMOVPS Y%d, Y13, 32(R13)", 2*i+1)
		p.op("ADDQ R14, R13")
	}
	p.op("JMP done")
}

// masks256 sets Y12 and Y13 to the masks of the first n (1…15) of 16 columns.
func masks256(p *printer, n string) {
	p.op("VMOVD %s, X12", n)
	p.op("VPBROADCASTD X12, Y13")
	p.op("VPCMPGTD iota16<>+0(SB), Y13, Y12")
	p.op("VPCMPGTD iota16<>+32(SB), Y13, Y13")
}

// wide256 prints the loop over several panels for one or two rows.
func wide256(p *printer, m, panels int) {
	p.op("LEAQ (DX)(DX*2), R10")
	p.line("wide%d:", m)
	p.op("CMPQ AX, $%d", 16*panels)
	p.op("JLT tile%d", m)
	p.op("MOVQ a_base+32(FP), SI")
	p.op("MOVQ k+128(FP), CX")
	p.op("MOVQ DI, R15")
	for i := range 2 * m * panels {
		p.op("VXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	p.line("wideloop%d:", m)
	for i := range m {
		p.op("VBROADCASTSS %s, Y%d", row(i, "SI", "", "R9", "", ""), 14+i)
	}
	for j := range panels {
		b := panel(j, "R15", "", "DX", "R10")
		for half := range 2 {
			at := b
			if half == 1 {
				at = "32" + b
			}
			p.op("VMOVUPS %s, Y%d", at, 12+half)
			for i := range m {
				p.op("VFMADD231PS Y%d, Y%d, Y%d", 12+half, 14+i, 2*(panels*i+j)+half)
			}
		}
	}
	p.op("ADDQ R12, SI")
	p.op("ADDQ BX, R15")
	p.op("DECQ CX")
	p.op("JNZ wideloop%d", m)
	p.op("CMPB accumulate+136(FP), $0")
	p.op("JEQ widestore%d", m)
	p.op("MOVQ R13, CX")
	for i := range m {
		for j := range 2 * panels {
			p.op("VADDPS %d(CX), Y%d, Y%d", 32*j, 2*panels*i+j, 2*panels*i+j)
		}
		p.op("ADDQ R14, CX")
	}
	p.line("widestore%d:", m)
	p.op("MOVQ R13, CX")
	for i := range m {
		for j := range 2 * panels {
			p.op("VMOVUPS Y%d, %d(CX)", 2*panels*i+j, 32*j)
		}
		p.op("ADDQ R14, CX")
	}
	p.op("ADDQ $%d, R13", 64*panels)
	p.op("LEAQ (DI)(DX*%d), DI", panels)
	p.op("SUBQ $%d, AX", 16*panels)
	p.op("JGT wide%d", m)
	p.op("JMP done")
	p.line("")
}
