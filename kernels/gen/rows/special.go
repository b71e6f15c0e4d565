package rows

import (
	"fmt"
	"strings"
)

// sumSquares accumulates in float64: four vectors of float64 at a time, then one element after
// another.
func sumSquares(t target) string {
	half := t.lanes / 2 // float64 lanes
	source, scalar := "Y", "X"
	if !t.wide() {
		source = "X"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "// sumSquares: returns Σx² in float64\nTEXT ·sumSquares%s(SB), NOSPLIT, $0-32\n", t.suffix)
	s.WriteString("\tMOVQ x_base+0(FP), SI\n\tMOVQ x_len+8(FP), CX\n")
	for i := range 4 {
		s.WriteString(t.zero(8 + i))
	}
	fmt.Fprintf(&s, "\nby4:\n\tCMPQ CX, $%d\n\tJLT fold\n", 4*half)
	for i := range 4 {
		fmt.Fprintf(&s, "\tVMOVUPS %d(SI), %s%d\n\tVCVTPS2PD %s%d, %s%d\n", 4*half*i, source, i, source, i, t.reg, i)
		s.WriteString(t.lines(fmt.Sprintf("VFMADD231PD V%d, V%d, V%d", i, i, 8+i)))
	}
	fmt.Fprintf(&s, "\tADDQ $%d, SI\n\tSUBQ $%d, CX\n\tJMP by4\n\nfold:\n", 16*half, 4*half)
	s.WriteString(t.lines("VADDPD V9, V8, V8\nVADDPD V11, V10, V10\nVADDPD V10, V8, V8"))
	if t.wide() {
		s.WriteString("\tVEXTRACTF64X4 $1, Z8, Y9\n\tVADDPD Y9, Y8, Y8\n")
	}
	s.WriteString("\tVEXTRACTF128 $1, Y8, X9\n\tVADDPD X9, X8, X8\n\tVPERMILPD $1, X8, X9\n\tVADDSD X9, X8, X8\n")
	s.WriteString("\nby1:\n\tTESTQ CX, CX\n\tJEQ done\n\tVMOVSS (SI), X0\n\tVCVTSS2SD X0, X0, X0\n")
	fmt.Fprintf(&s, "\tVFMADD231SD %s0, %s0, %s8\n\tADDQ $4, SI\n\tDECQ CX\n\tJMP by1\n", scalar, scalar, scalar)
	s.WriteString("\ndone:\n\tVMOVSD X8, ret+24(FP)\n\tVZEROUPPER\n\tRET\n\n")
	return s.String()
}

// addMoments adds the whole vectors of a row to sums; the caller adds what is behind them.
func addMoments(t target) string {
	source := "Y"
	if !t.wide() {
		source = "X"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "// addMoments: adds x and |x| to sums in float64, and the bits of |x| to the largest, whole vectors\nTEXT ·addMoments%s(SB), NOSPLIT, $0-96\n", t.suffix)
	s.WriteString("\tMOVQ sum_base+0(FP), DI\n\tMOVQ sumAbs_base+24(FP), R8\n\tMOVQ largest_base+48(FP), R9\n\tMOVQ x_base+72(FP), SI\n\tMOVQ x_len+80(FP), CX\n")
	if t.wide() {
		s.WriteString("\tVPTERNLOGD $255, Z8, Z8, Z8\n")
	} else {
		s.WriteString("\tVPCMPEQD Y8, Y8, Y8\n")
	}
	s.WriteString(t.lines("VPSRLD $1, V8, V9\nVPSRLQ $1, V8, V8"))
	fmt.Fprintf(&s, "\nnext:\n\tCMPQ CX, $%d\n\tJLT done\n", t.lanes)
	and := "VPAND"
	if t.wide() {
		and = "VPANDQ"
	}
	s.WriteString(t.load("(SI)", 0, false))
	s.WriteString(t.lines(and + " V9, V0, V0\nVPMAXUD (R9), V0, V0"))
	s.WriteString(t.store(0, "(R9)", false))
	for i := range 2 {
		fmt.Fprintf(&s, "\tVMOVUPS %d(SI), %s%d\n\tVCVTPS2PD %s%d, %s%d\n", 2*t.lanes*i, source, 1+i, source, 1+i, t.reg, 1+i)
		at := 4 * t.lanes * i
		s.WriteString(t.lines(fmt.Sprintf("VADDPD %d(DI), V%d, V%d\nVMOVUPD V%d, %d(DI)", at, 1+i, 3+i, 3+i, at)))
		s.WriteString(t.lines(fmt.Sprintf("%s V8, V%d, V%d\nVADDPD %d(R8), V%d, V%d\nVMOVUPD V%d, %d(R8)", and, 1+i, 1+i, at, 1+i, 5+i, 5+i, at)))
	}
	fmt.Fprintf(&s, "\tADDQ $%d, DI\n\tADDQ $%d, R8\n\tADDQ $%d, R9\n\tADDQ $%d, SI\n\tSUBQ $%d, CX\n\tJMP next\n", 8*t.lanes, 8*t.lanes, 4*t.lanes, 4*t.lanes, t.lanes)
	s.WriteString("\ndone:\n\tVZEROUPPER\n\tRET\n\n")
	return s.String()
}

// rotate turns one row's heads by one position: (a, b) becomes (a·c − b·s, b·c + a·s).
func rotate(t target) string {
	var s strings.Builder
	fmt.Fprintf(&s, "// rotate: for each head of x, [a·cos − b·sin, b·cos + a·sin] with its halves a and b; sin is multiplied by sign\n")
	fmt.Fprintf(&s, "TEXT ·rotate%s(SB), NOSPLIT, $0-84\n", t.suffix)
	s.WriteString("\tMOVQ x_base+0(FP), DI\n\tMOVQ cos_base+24(FP), SI\n\tMOVQ cos_len+32(FP), R9\n\tSHLQ $2, R9\n")
	fmt.Fprintf(&s, "\tMOVQ sin_base+48(FP), R8\n\tMOVQ heads+72(FP), R10\n\tVBROADCASTSS sign+80(FP), %s7\n", t.reg)
	turn := func(masked bool) string {
		return t.load("(DI)(AX*1)", 0, masked) + t.load("(R11)(AX*1)", 1, masked) + t.load("(SI)(AX*1)", 2, masked) + t.load("(R8)(AX*1)", 3, masked) +
			t.lines(`VMULPS V7, V3, V3
				VMULPS V2, V0, V4
				VFNMADD231PS V3, V1, V4
				VMULPS V2, V1, V5
				VFMADD231PS V3, V0, V5`) +
			t.store(4, "(DI)(AX*1)", masked) + t.store(5, "(R11)(AX*1)", masked)
	}
	s.WriteString("\nhead:\n\tTESTQ R10, R10\n\tJEQ done\n\tXORQ AX, AX\n\tMOVQ cos_len+32(FP), CX\n\tLEAQ (DI)(R9*1), R11\n")
	fmt.Fprintf(&s, "\nby1:\n\tCMPQ CX, $%d\n\tJLT tail\n%s\tADDQ $%d, AX\n\tSUBQ $%d, CX\n\tJMP by1\n", t.lanes, turn(false), 4*t.lanes, t.lanes)
	fmt.Fprintf(&s, "\ntail:\n\tTESTQ CX, CX\n\tJEQ next\n%s%s", t.tailMask(), turn(true))
	s.WriteString("\nnext:\n\tLEAQ (DI)(R9*2), DI\n\tDECQ R10\n\tJMP head\n\ndone:\n\tVZEROUPPER\n\tRET\n\n")
	return s.String()
}

// transpose writes the 8-row transpose, which both tables use, into the AVX2 file.
func transpose(t target) string {
	if t.wide() {
		return ""
	}
	var s strings.Builder
	s.WriteString("// transpose8: y[j·ldy+i] = x[i·ldx+j] for 8 rows i and cols columns j, a multiple of 8. Each 8×8 tile is interleaved\n" +
		"// by pairs (UNPCK), by fours (SHUF) and by halves (PERM2F128).\n")
	s.WriteString("TEXT ·transpose8AVX2(SB), NOSPLIT, $0-40\n\tMOVQ y+0(FP), DI\n\tMOVQ x+8(FP), SI\n\tMOVQ cols+16(FP), CX\n")
	s.WriteString("\tMOVQ ldy+24(FP), R8\n\tSHLQ $2, R8\n\tMOVQ ldx+32(FP), R9\n\tSHLQ $2, R9\n\ntile:\n\tMOVQ SI, DX\n")
	for i := range 8 {
		fmt.Fprintf(&s, "\tVMOVUPS (DX), Y%d\n\tADDQ R9, DX\n", i)
	}
	for i := 0; i < 8; i += 2 {
		fmt.Fprintf(&s, "\tVUNPCKLPS Y%d, Y%d, Y%d\n\tVUNPCKHPS Y%d, Y%d, Y%d\n", i+1, i, 8+i, i+1, i, 9+i)
	}
	for i := 0; i < 8; i += 4 { // pairs 8+i…11+i hold lo01 hi01 lo23 hi23
		fmt.Fprintf(&s, "\tVSHUFPS $0x44, Y%d, Y%d, Y%d\n\tVSHUFPS $0xee, Y%d, Y%d, Y%d\n", 10+i, 8+i, i, 10+i, 8+i, i+1)
		fmt.Fprintf(&s, "\tVSHUFPS $0x44, Y%d, Y%d, Y%d\n\tVSHUFPS $0xee, Y%d, Y%d, Y%d\n", 11+i, 9+i, i+2, 11+i, 9+i, i+3)
	}
	s.WriteString("\tMOVQ DI, DX\n")
	for i := range 8 {
		half := "$0x20"
		if i >= 4 {
			half = "$0x31"
		}
		fmt.Fprintf(&s, "\tVPERM2F128 %s, Y%d, Y%d, Y8\n\tVMOVUPS Y8, (DX)\n\tADDQ R8, DX\n", half, i%4+4, i%4)
	}
	s.WriteString("\tMOVQ DX, DI\n\tADDQ $32, SI\n\tSUBQ $8, CX\n\tJNE tile\n\tVZEROUPPER\n\tRET\n\n")
	return s.String()
}

// panel writes the product of a small block with a panel of one or two vectors of columns, from
// unpacked operands: c[i, j] = Σ_p a[i·aRow + p·aCol]·b[p·ldb + j], a chain of fused multiply-adds
// over ascending p for each element, whatever the tile it falls into. Rows go through in tiles of 8
// (AVX-512 only), 4 and 1.
//
// DI c, SI a, BX b, CX p, DX a's rows 0-3 of the tile, AX rows 4-7, R8 aRow, R9 3·aRow, R10 aCol,
// R11 ldb, R12 rows left, R13 ldc, all strides in bytes. V0 and V1 hold b, V2 the broadcast of a.
// The last vector of the panel is masked.
func panel(t target, vectors int) string {
	var s strings.Builder
	fmt.Fprintf(&s, "// panel%d: c (+)= a·b for up to %d columns\nTEXT ·panel%d%s(SB), NOSPLIT, $0-81\n", vectors, vectors*t.lanes, vectors, t.suffix)
	fmt.Fprintf(&s, "\tMOVQ cols+72(FP), CX\n\tSUBQ $%d, CX\n", (vectors-1)*t.lanes)
	if t.wide() {
		s.WriteString("\tMOVL $1, DX\n\tSHLL CX, DX\n\tDECL DX\n\tKMOVW DX, K1\n")
	} else {
		s.WriteString(t.tailMask())
	}
	s.WriteString("\tMOVQ c+0(FP), DI\n\tMOVQ a+8(FP), SI\n\tMOVQ m+24(FP), R12\n")
	for _, r := range []struct{ name, reg string }{{"ldc+40", "R13"}, {"aRow+48", "R8"}, {"aCol+56", "R10"}, {"ldb+64", "R11"}} {
		fmt.Fprintf(&s, "\tMOVQ %s(FP), %s\n\tSHLQ $2, %s\n", r.name, r.reg, r.reg)
	}
	s.WriteString("\tLEAQ (R8)(R8*2), R9\n")

	first, tiles := 4, []int{4, 1} // first accumulator
	if t.wide() {
		first, tiles = 16, []int{8, 4, 1}
	}
	address := []string{"(DX)", "(DX)(R8*1)", "(DX)(R8*2)", "(DX)(R9*1)", "(AX)", "(AX)(R8*1)", "(AX)(R8*2)", "(AX)(R9*1)"}
	for n, rows := range tiles {
		next := "done"
		if n+1 < len(tiles) {
			next = fmt.Sprintf("rows%d", tiles[n+1])
		}
		acc := func(r, v int) string { return fmt.Sprintf("%s%d", t.reg, first+r*vectors+v) }
		each := func(f func(r, v int)) {
			for r := range rows {
				for v := range vectors {
					f(r, v)
				}
			}
		}
		fmt.Fprintf(&s, "\nrows%d:\n\tCMPQ R12, $%d\n\tJLT %s\n\tMOVQ b+16(FP), BX\n\tMOVQ k+32(FP), CX\n\tMOVQ SI, DX\n\tLEAQ (SI)(R8*4), AX\n", rows, rows, next)
		each(func(r, v int) { fmt.Fprintf(&s, "\tVXORPS %s, %s, %s\n", acc(r, v), acc(r, v), acc(r, v)) })
		fmt.Fprintf(&s, "\nstep%d:\n", rows)
		for v := range vectors {
			s.WriteString(t.load(fmt.Sprintf("%d(BX)", 4*v*t.lanes), v, v == vectors-1))
		}
		for r := range rows {
			s.WriteString(t.line(fmt.Sprintf("VBROADCASTSS %s, V2", address[r])))
			for v := range vectors {
				fmt.Fprintf(&s, "\tVFMADD231PS %s%d, %s2, %s\n", t.reg, v, t.reg, acc(r, v))
			}
		}
		fmt.Fprintf(&s, "\tADDQ R10, DX\n\tADDQ R10, AX\n\tADDQ R11, BX\n\tDECQ CX\n\tJNE step%d\n", rows)
		fmt.Fprintf(&s, "\tCMPB accumulate+80(FP), $0\n\tJEQ store%d\n\tMOVQ DI, DX\n", rows)
		for r := range rows {
			for v := range vectors {
				s.WriteString(t.load(fmt.Sprintf("%d(DX)", 4*v*t.lanes), v, v == vectors-1))
				fmt.Fprintf(&s, "\tVADDPS %s%d, %s, %s\n", t.reg, v, acc(r, v), acc(r, v))
			}
			s.WriteString("\tADDQ R13, DX\n")
		}
		fmt.Fprintf(&s, "\nstore%d:\n", rows)
		for r := range rows {
			for v := range vectors {
				s.WriteString(t.store(first+r*vectors+v, fmt.Sprintf("%d(DI)", 4*v*t.lanes), v == vectors-1))
			}
			s.WriteString("\tADDQ R13, DI\n")
		}
		if rows == 1 {
			s.WriteString("\tADDQ R8, SI\n")
		} else {
			fmt.Fprintf(&s, "\tLEAQ (SI)(R8*%d), SI\n", rows)
		}
		fmt.Fprintf(&s, "\tSUBQ $%d, R12\n\tJMP rows%d\n", rows, rows)
	}
	s.WriteString("\ndone:\n\tVZEROUPPER\n\tRET\n\n")
	return s.String()
}
