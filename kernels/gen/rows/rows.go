// Package rows writes the AVX2 and AVX-512 assembly of the row kernels from
// one description of each: a loop body over vectors of whatever width, of which it makes an
// unrolled loop, a single-vector loop and a masked tail.
package rows

import (
	"fmt"
	"strings"

	"slimlab/kernels/gen/asm"
)

// Files returns the assembly by file name.
func Files() map[string]string {
	return map[string]string{avx2.file(): avx2.source(), avx512.file(): avx512.source()}
}

func (t target) file() string { return "rows_" + t.name + "_amd64.s" }

// source is the text of the target's file.
func (t target) source() string {
	var s strings.Builder
	s.WriteString(asm.Header + "\n")
	s.WriteString(dataSection(t))
	for _, l := range loops() {
		s.WriteString(l.assembly(t))
	}
	s.WriteString(sumSquares(t))
	s.WriteString(addMoments(t))
	s.WriteString(rotate(t))
	s.WriteString(transpose(t))
	for _, vectors := range []int{1, 2} {
		s.WriteString(panel(t, vectors))
	}
	return strings.TrimRight(s.String(), "\n") + "\n"
}

// target is one instruction set. Bodies name vector registers V0…V15; the last ones are taken: the
// mask of an AVX2 tail is V15, and the exponential keeps its clamps in V13 and V14.
type target struct {
	name   string
	suffix string // of the Go symbols
	reg    string // V becomes this
	lanes  int    // float32 lanes a vector
}

var (
	avx2   = target{"avx2", "AVX2", "Y", 8}
	avx512 = target{"avx512", "AVX512", "Z", 16}
)

func (t target) wide() bool { return t.lanes == 16 }

// constants of the bodies, named in braces. The polynomial of the exponential is the Taylor series
// to the seventh power, whose remainder on |r| ≤ ½ln2 is 5e-9 of the value: 1/20 ulp.
var constants = []struct {
	name string
	bits uint32
}{
	{"log2e", 0x3fb8aa3b},
	{"ln2hi", 0x3f317218}, // float32(ln 2)
	{"ln2lo", 0xb102e308}, // float32(ln 2 − ln2hi)
	{"c7", 0x39500d01},    // 1/5040
	{"c6", 0x3ab60b61},    // 1/720
	{"c5", 0x3c088889},    // 1/120
	{"c4", 0x3d2aaaab},    // 1/24
	{"c3", 0x3e2aaaab},    // 1/6
	{"c2", 0x3f000000},    // 1/2
	{"half", 0x3f000000},
	{"one", 0x3f800000},
	{"high", 0x42b20000}, // 89: exp overflows
	{"low", 0xc2d20000},  // -105: exp is below half of the least subnormal
	{"sign", 0x80000000},
	{"bias", 127},
	{"minusInf", 0xff800000},
	{"rootHalf", 0x3f3504f3}, // √½
	{"two", 0x40000000},
	{"l3", 0x3f2aaaab}, // 2/3
	{"l5", 0x3ecccccd}, // 2/5
	{"l7", 0x3e924925}, // 2/7
	{"l9", 0x3e638e39}, // 2/9
}

func dataSection(t target) string {
	var s strings.Builder
	symbol := "rowConstants" + t.suffix
	for i, c := range constants {
		fmt.Fprintf(&s, "// %s\n", c.name)
		for j := range 4 { // 32 bytes: a full AVX2 operand; AVX-512 broadcasts the first four
			fmt.Fprintf(&s, "DATA %s<>+%d(SB)/8, $0x%08x%08x\n", symbol, 32*i+8*j, c.bits, c.bits)
		}
	}
	fmt.Fprintf(&s, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n\n", symbol, 32*len(constants))
	if !t.wide() {
		s.WriteString("// rowMask<>+4*(8-n) is the mask of the first n lanes.\n")
		for j := range 8 {
			v := "ffffffffffffffff"
			if j >= 4 {
				v = "0"
			}
			fmt.Fprintf(&s, "DATA rowMask<>+%d(SB)/8, $0x%s\n", 8*j, v)
		}
		s.WriteString("GLOBL rowMask<>(SB), RODATA|NOPTR, $64\n\n")
	}
	return s.String()
}

// line translates one line of a body: {name} is a constant, V a vector register.
func (t target) line(l string) string {
	fields := strings.SplitN(strings.TrimSpace(l), " ", 2)
	op, rest := fields[0], ""
	if len(fields) > 1 {
		rest = fields[1]
	}
	for i, c := range constants {
		if name := "{" + c.name + "}"; strings.Contains(rest, name) {
			rest = strings.ReplaceAll(rest, name, fmt.Sprintf("rowConstants%s<>+%d(SB)", t.suffix, 32*i))
			if t.wide() && op != "VBROADCASTSS" {
				op += ".BCST"
			}
		}
	}
	for i := 15; i >= 0; i-- {
		rest = strings.ReplaceAll(rest, fmt.Sprintf("V%d", i), fmt.Sprintf("%s%d", t.reg, i))
	}
	return "\t" + strings.TrimSpace(op+" "+rest) + "\n"
}

func (t target) lines(body string) string {
	var s strings.Builder
	for l := range strings.Lines(body) {
		if strings.TrimSpace(l) != "" {
			s.WriteString(t.line(l))
		}
	}
	return s.String()
}

// zero clears a vector register.
func (t target) zero(v int) string { return t.lines(fmt.Sprintf("VXORPS V%d, V%d, V%d", v, v, v)) }

// tailMask makes the mask of the first CX lanes, 0 < CX < lanes, in K1 or V15. It uses DX and BX.
func (t target) tailMask() string {
	if t.wide() {
		return "\tMOVL $1, DX\n\tSHLL CX, DX\n\tDECL DX\n\tKMOVW DX, K1\n"
	}
	return "\tLEAQ rowMask<>(SB), DX\n\tMOVQ $8, BX\n\tSUBQ CX, BX\n\tVMOVUPS (DX)(BX*4), Y15\n"
}

func (t target) load(mem string, v int, masked bool) string {
	switch {
	case !masked:
		return fmt.Sprintf("\tVMOVUPS %s, %s%d\n", mem, t.reg, v)
	case t.wide():
		return fmt.Sprintf("\tVMOVUPS.Z %s, K1, Z%d\n", mem, v)
	}
	return fmt.Sprintf("\tVMASKMOVPS %s, Y15, Y%d\n", mem, v)
}

func (t target) store(v int, mem string, masked bool) string {
	switch {
	case !masked:
		return fmt.Sprintf("\tVMOVUPS %s%d, %s\n", t.reg, v, mem)
	case t.wide():
		return fmt.Sprintf("\tVMOVUPS Z%d, K1, %s\n", v, mem)
	}
	return fmt.Sprintf("\tVMASKMOVPS Y%d, Y15, %s\n", v, mem)
}

// reduce folds V8…V(8+n-1) and then the lanes of V8 into lane 0 of X8, always in the same order.
func (t target) reduce(op string, n int) string {
	s := ""
	for step := 1; step < n; step *= 2 {
		for i := 0; i+step < n; i += 2 * step {
			s += t.lines(fmt.Sprintf("%s V%d, V%d, V%d", op, 8+i+step, 8+i, 8+i))
		}
	}
	if t.wide() {
		s += "\tVEXTRACTF64X4 $1, Z8, Y9\n\t" + op + " Y9, Y8, Y8\n"
	}
	s += "\tVEXTRACTF128 $1, Y8, X9\n\t" + op + " X9, X8, X8\n"
	s += "\tVPERMILPS $0x0e, X8, X9\n\t" + op + " X9, X8, X8\n"
	return s + "\tVPERMILPS $1, X8, X9\n\t" + op + " X9, X8, X8\n"
}
