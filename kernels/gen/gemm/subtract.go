package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// The float64 substitution computes
//
//	func subtract(y, f, x []float64, stride int)	y[j] -= f[0]·x[j], then f[1]·x[stride+j], …
//
// with each product rounded before it is subtracted: the bits are those of plain Go, whatever the
// width of the registers. f is not empty.

// subtractions prints it with registers reg of width bytes; masked says that the ends of rows
// are loaded under a mask, else they are done one by one.
func subtractions(p *asm.Printer, suffix, reg string, width int, masked bool) {
	p.Comment(
		"DI y, CX elements left; SI x, R10 its present row, R9 its stride; BX f, R11 the present factor,",
		"R8 their number, R12 those left. Registers 0-3 y, 4-7 products, 8 the factor.",
	)
	p.Line("// func subtract%s(y, f, x []float64, stride int)", suffix)
	p.Line("TEXT ·subtract%s(SB), NOSPLIT, $0-80", suffix)
	for _, a := range []struct{ from, to string }{
		{"y_base+0(FP)", "DI"}, {"y_len+8(FP)", "CX"}, {"f_base+24(FP)", "BX"}, {"f_len+32(FP)", "R8"}, {"x_base+48(FP)", "SI"}, {"stride+72(FP)", "R9"},
	} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("SHLQ $3, R9")
	for _, vectors := range []int{4, 1} {
		p.Line("")
		p.Line("by%d:", vectors)
		p.Op("CMPQ CX, $%d", vectors*width/8)
		p.Op("JLT less%d", vectors)
		subtractTile(p, vectors, width, func(at int, register string) { p.Op("VMOVUPD %d(DI), %s", at, register) },
			func(register string, at int) { p.Op("VMOVUPD %s, %d(DI)", register, at) },
			func(at, product int) { p.Op("VMULPD %d(R10), %s8, %s%d", at, reg, reg, product) }, reg, "PD", vectors)
		p.Op("ADDQ $%d, DI", vectors*width)
		p.Op("ADDQ $%d, SI", vectors*width)
		p.Op("SUBQ $%d, CX", vectors*width/8)
		p.Op("JMP by%d", vectors)
		p.Line("less%d:", vectors)
	}
	p.Op("TESTQ CX, CX")
	p.Op("JEQ done")
	if masked {
		tailMask(p)
		subtractTile(p, 1, width, func(at int, register string) { p.Op("VMOVUPD.Z %d(DI), K1, %s", at, register) },
			func(register string, at int) { p.Op("VMOVUPD %s, K1, %d(DI)", register, at) },
			func(at, product int) {
				p.Op("VMOVUPD.Z %d(R10), K1, %s%d", at, reg, product)
				p.Op("VMULPD %s%d, %s8, %s%d", reg, product, reg, reg, product)
			}, reg, "PD", 0)
	} else {
		subtractTile(p, 1, 8, func(at int, register string) { p.Op("VMOVSD %d(DI), %s", at, register) },
			func(register string, at int) { p.Op("VMOVSD %s, %d(DI)", register, at) },
			func(at, product int) { p.Op("VMULSD %d(R10), X8, X%d", at, product) }, "X", "SD", 0)
		p.Op("ADDQ $8, DI")
		p.Op("ADDQ $8, SI")
		p.Op("DECQ CX")
		p.Op("JMP less1")
	}
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// divide256 prints the division of a row by a number, y[j] /= d.
func divide256(p *asm.Printer) {
	p.Comment("DI y, CX elements left; register 1 d.")
	p.Line("// func divideFloat64AVX2(y []float64, d float64)")
	p.Line("TEXT ·divideFloat64AVX2(SB), NOSPLIT, $0-32")
	p.Op("MOVQ y_base+0(FP), DI")
	p.Op("MOVQ y_len+8(FP), CX")
	p.Op("VBROADCASTSD d+24(FP), Y1")
	p.Line("")
	p.Line("by1:")
	p.Op("CMPQ CX, $4")
	p.Op("JLT less1")
	p.Op("VMOVUPD (DI), Y0")
	p.Op("VDIVPD Y1, Y0, Y0")
	p.Op("VMOVUPD Y0, (DI)")
	p.Op("ADDQ $32, DI")
	p.Op("SUBQ $4, CX")
	p.Op("JMP by1")
	p.Line("less1:")
	p.Op("TESTQ CX, CX")
	p.Op("JEQ done")
	p.Op("VMOVSD (DI), X0")
	p.Op("VDIVSD X1, X0, X0")
	p.Op("VMOVSD X0, (DI)")
	p.Op("ADDQ $8, DI")
	p.Op("DECQ CX")
	p.Op("JMP less1")
	p.Line("")
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// tailMask sets K1 to the CX lowest elements, CX < 8.
func tailMask(p *asm.Printer) {
	p.Op("MOVL $1, DX")
	p.Op("SHLL CX, DX")
	p.Op("DECL DX")
	p.Op("KMOVW DX, K1")
}

// subtractTile prints the chain over all factors for some vectors of y in registers reg.
func subtractTile(p *asm.Printer, vectors, width int, load func(at int, register string), store func(register string, at int), multiply func(at, product int), reg, kind string, label int) {
	for v := range vectors {
		load(v*width, fmt.Sprintf("%s%d", reg, v))
	}
	p.Op("MOVQ SI, R10")
	p.Op("MOVQ BX, R11")
	p.Op("MOVQ R8, R12")
	p.Line("chain%d:", label)
	if kind == "SD" {
		p.Op("VMOVSD (R11), X8")
	} else {
		p.Op("VBROADCASTSD (R11), %s8", reg)
	}
	for v := range vectors {
		multiply(v*width, 4+v)
	}
	for v := range vectors {
		p.Op("VSUB%s %s%d, %s%d, %s%d", kind, reg, 4+v, reg, v, reg, v)
	}
	p.Op("ADDQ R9, R10")
	p.Op("ADDQ $8, R11")
	p.Op("DECQ R12")
	p.Op("JNZ chain%d", label)
	for v := range vectors {
		store(fmt.Sprintf("%s%d", reg, v), v*width)
	}
}

// substitute512 prints
//
//	func substitute(x []float64, from, next int, f []float64)
//
// for 16 rows of 16 numbers, row i at x[from+i*next], eight columns at a time: all rows of these
// are in registers, and each row that is ready is subtracted from all below it, so that only
// division waits for the row before. Products are rounded before they are subtracted.
func substitute512(p *asm.Printer) {
	const rows = 16
	p.Comment(
		"16 rows in Z0-Z15, eight columns at a time; Z16-Z31 products in turn. SI, R9 row 0 and the way",
		"to the next, R8 a row in turn; DI f; CX halves left.",
	)
	p.Line("// func substituteFloat64AVX512(x []float64, from, next int, f []float64)")
	p.Line("TEXT ·substituteFloat64AVX512(SB), NOSPLIT, $0-64")
	for _, a := range []struct{ from, to string }{{"x_base+0(FP)", "SI"}, {"from+24(FP)", "R8"}, {"next+32(FP)", "R9"}, {"f_base+40(FP)", "DI"}} {
		p.Op("MOVQ %s, %s", a.from, a.to)
	}
	p.Op("LEAQ (SI)(R8*8), SI")
	p.Op("SHLQ $3, R9")
	p.Op("MOVQ $2, CX")
	p.Line("")
	p.Line("half:")
	p.Op("MOVQ SI, R8")
	for i := range rows {
		p.Op("VMOVUPD (R8), Z%d", i)
		p.Op("ADDQ R9, R8")
	}
	p.Op("MOVQ SI, R8")
	product := 0
	for k := range rows {
		p.Op("VBROADCASTSD %d(DI), Z%d", 8*(rows*k+k), 16+product%16)
		p.Op("VDIVPD Z%d, Z%d, Z%d", 16+product%16, k, k)
		p.Op("VMOVUPD Z%d, (R8)", k)
		p.Op("ADDQ R9, R8")
		product++
		for i := k + 1; i < rows; i++ {
			p.Op("VMULPD.BCST %d(DI), Z%d, Z%d", 8*(rows*i+k), k, 16+product%16)
			p.Op("VSUBPD Z%d, Z%d, Z%d", 16+product%16, i, i)
			product++
		}
	}
	p.Op("ADDQ $64, SI")
	p.Op("DECQ CX")
	p.Op("JNZ half")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
