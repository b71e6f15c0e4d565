package rows

import (
	"fmt"
	"strconv"
	"strings"
)

// loop is a kernel that walks one or more slices of equal length.
type loop struct {
	name    string
	doc     string   // the algebra
	slices  []string // parameters, in order; the first gives the length
	scalars []string // float32 parameters; scalar i is broadcast to V(scalarAt+i)
	at      int      // first register of the scalars
	setup   string
	// "load x V0", "store V0 y", "exp" (V0 = e^V0, using V1…V3), "accumulate OP Vn" (into ACC), or
	// an instruction
	body   string
	unroll int
	reduce string // the instruction that folds the accumulators V8…; "" for none
}

var pointers = []string{"DI", "SI", "R8", "R9", "R10"}

// exponential computes V0 = e^V0: n = round(x·log2 e), r = x − n·ln2 in two steps, Taylor to r⁷,
// times 2ⁿ. Arguments are clamped to [-105, 89], where the result is 0 or +Inf; the operand order
// of MIN and MAX lets NaN through.
func exponential(t target) string {
	s := t.lines(`
		VMINPS V0, V14, V0
		VMAXPS V0, V13, V0
		VMULPS {log2e}, V0, V1`)
	if t.wide() {
		s += t.line("VRNDSCALEPS $8, V1, V1")
	} else {
		s += t.line("VROUNDPS $8, V1, V1")
	}
	s += t.lines(`
		VFNMADD231PS {ln2hi}, V1, V0
		VFNMADD231PS {ln2lo}, V1, V0
		VBROADCASTSS {c7}, V2
		VFMADD213PS {c6}, V0, V2
		VFMADD213PS {c5}, V0, V2
		VFMADD213PS {c4}, V0, V2
		VFMADD213PS {c3}, V0, V2
		VFMADD213PS {c2}, V0, V2
		VFMADD213PS {one}, V0, V2
		VFMADD213PS {one}, V0, V2`)
	if t.wide() {
		return s + t.line("VSCALEFPS V1, V2, V0")
	}
	// 2ⁿ in two factors, since n runs from -152 to 128 and a float32 exponent does not.
	return s + t.lines(`
		VCVTPS2DQ V1, V1
		VPSRAD $1, V1, V3
		VPSUBD V3, V1, V1
		VPADDD {bias}, V1, V1
		VPADDD {bias}, V3, V3
		VPSLLD $23, V1, V1
		VPSLLD $23, V3, V3
		VMULPS V1, V2, V2
		VMULPS V3, V2, V0`)
}

const clamps = `
	VBROADCASTSS {low}, V13
	VBROADCASTSS {high}, V14`

func loops() []loop {
	return []loop{
		{
			name: "exp", doc: "y = e^x", slices: []string{"y", "x"}, setup: clamps, unroll: 1,
			body: "load x V0\nexp\nstore V0 y",
		},
		{
			name: "expSum", doc: "y = e^(x·scale − shift); returns Σy", slices: []string{"y", "x"},
			scalars: []string{"scale", "shift"}, at: 4, setup: clamps, unroll: 1, reduce: "VADDPS",
			body: "load x V0\nVMULPS V4, V0, V0\nVSUBPS V5, V0, V0\nexp\nstore V0 y\naccumulate VADDPS V0",
		},
		{
			name: "maximum", doc: "returns max x", slices: []string{"x"}, unroll: 4, reduce: "VMAXPS",
			body: "load x V0\naccumulate VMAXPS V0",
		},
		{
			name: "dot", doc: "returns Σ x·y", slices: []string{"x", "y"}, unroll: 4, reduce: "VADDPS",
			body: "load x V0\nload y V1\nVFMADD231PS V1, V0, ACC",
		},
		{
			name: "addDot", doc: "y = x + d; returns Σ y²", slices: []string{"y", "x", "d"}, unroll: 4, reduce: "VADDPS",
			body: "load x V0\nload d V1\nVADDPS V1, V0, V0\nstore V0 y\nVFMADD231PS V0, V0, ACC",
		},
		{
			name: "dot3", doc: "returns Σ x·y·z", slices: []string{"x", "y", "z"}, unroll: 4, reduce: "VADDPS",
			body: "load x V0\nload y V1\nVMULPS V1, V0, V0\nload z V1\nVFMADD231PS V1, V0, ACC",
		},
		{
			name: "axpy", doc: "y += a·x", slices: []string{"y", "x"}, scalars: []string{"a"}, at: 4, unroll: 4,
			body: "load x V0\nload y V1\nVFMADD231PS V0, V4, V1\nstore V1 y",
		},
		{
			name: "addScaled", doc: "y += x·(s·a)", slices: []string{"y", "x", "s"}, scalars: []string{"a"}, at: 4, unroll: 4,
			body: "load s V0\nVMULPS V4, V0, V0\nload x V1\nload y V2\nVFMADD231PS V0, V1, V2\nstore V2 y",
		},
		{
			name: "scale", doc: "y = a·x", slices: []string{"y", "x"}, scalars: []string{"a"}, at: 4, unroll: 4,
			body: "load x V0\nVMULPS V4, V0, V0\nstore V0 y",
		},
		{
			name: "shiftScale", doc: "y = (x − m)·a", slices: []string{"y", "x"}, scalars: []string{"m", "a"}, at: 4, unroll: 4,
			body: "load x V0\nVSUBPS V4, V0, V0\nVMULPS V5, V0, V0\nstore V0 y",
		},
		{
			name: "scaleAdd", doc: "y = a·y + x", slices: []string{"y", "x"}, scalars: []string{"a"}, at: 4, unroll: 4,
			body: "load x V0\nload y V1\nVFMADD213PS V0, V4, V1\nstore V1 y",
		},
		{
			name: "normScale", doc: "y = x·r·w", slices: []string{"y", "x", "w"}, scalars: []string{"r"}, at: 4, unroll: 4,
			body: "load x V0\nVMULPS V4, V0, V0\nload w V1\nVMULPS V1, V0, V0\nstore V0 y",
		},
		{
			name: "normBackward", doc: "dx += r·(dy·w − c·x), dw += r·dy·x", slices: []string{"dx", "dw", "dy", "x", "w"},
			scalars: []string{"r", "c"}, at: 6, unroll: 1,
			body: `load dy V0
				load x V1
				load w V2
				VMULPS V6, V0, V3
				load dw V4
				VFMADD231PS V3, V1, V4
				store V4 dw
				VMULPS V2, V0, V2
				VFNMADD231PS V7, V1, V2
				load dx V5
				VFMADD231PS V6, V2, V5
				store V5 dx`,
		},
		{
			name: "swiglu", doc: "h = g/(1+e^-g)·u", slices: []string{"h", "gate", "up"}, setup: clamps, unroll: 1,
			body: `load gate V4
				VXORPS {sign}, V4, V0
				exp
				VADDPS {one}, V0, V0
				VDIVPS V0, V4, V0
				load up V5
				VMULPS V5, V0, V0
				store V0 h`,
		},
		{
			name: "swigluBackward", doc: "s = 1/(1+e^-g), dup = dh·g·s, dgate = dh·u·(s + g·s·(1−s)), dh = g·s·u",
			slices: []string{"dgate", "dup", "dh", "gate", "up"}, setup: clamps, unroll: 1,
			body: `load gate V4
				VXORPS {sign}, V4, V0
				exp
				VADDPS {one}, V0, V0
				VBROADCASTSS {one}, V1
				VDIVPS V0, V1, V5
				VMULPS V5, V4, V6
				load dh V7
				load up V8
				VMULPS V6, V7, V0
				store V0 dup
				VSUBPS V5, V1, V1
				VFMADD213PS V5, V6, V1
				VMULPS V8, V7, V7
				VMULPS V7, V1, V1
				store V1 dgate
				VMULPS V8, V6, V6
				store V6 dh`,
		},
		{
			// l in V7, e in V0, the mask of l < 0 in V1. V11 becomes b, the factor of e, and V12
			// the other one, a; v = a + b·e in V9. The mixture is 1 + u, u = b·(e−1): where v ≥ ½,
			// v−1 is exact and u − (v−1) is what v lacks; divided by v, in V10, it is the rest of
			// the logarithm. log v = k·ln2 + log m with √½ ≤ m < √2 and log m = 2·artanh s, s =
			// (m−1)/(m+1), |s| ≤ 0.172: the odd series to s⁹ leaves 2e-9 of the value. Where l is
			// NaN the minimum and the maximum pass it on.
			name: "mixtureLogs", doc: "l = d + shift, e = e^-|l|, L = log(l < 0 ? other + beta·e : beta + other·e), d = −max(l,0) − L, logPM = min(l,0) − L",
			slices: []string{"logPM", "d"}, scalars: []string{"shift", "beta", "other"}, at: 4, setup: clamps, unroll: 1,
			body: `load d V7
				VADDPS V4, V7, V7
				VORPS {sign}, V7, V0
				exp
				VPSRAD $31, V7, V1
				VXORPS V5, V6, V12
				VANDPS V12, V1, V1
				VXORPS V6, V1, V11
				VXORPS V11, V12, V12
				VMULPS V11, V0, V9
				VADDPS V12, V9, V9
				VSUBPS {one}, V0, V0
				VMULPS V11, V0, V10
				VSUBPS {one}, V9, V1
				VSUBPS V1, V10, V10
				VDIVPS V9, V10, V10
				VPSUBD {half}, V9, V1
				VPSRAD $31, V1, V1
				VANDNPS V10, V1, V10
				VPSUBD {rootHalf}, V9, V1
				VPSRAD $23, V1, V1
				VPSLLD $23, V1, V2
				VPSUBD V2, V9, V2
				VCVTDQ2PS V1, V1
				VSUBPS {one}, V2, V3
				VADDPS {one}, V2, V2
				VDIVPS V2, V3, V2
				VMULPS V2, V2, V3
				VBROADCASTSS {l9}, V0
				VFMADD213PS {l7}, V3, V0
				VFMADD213PS {l5}, V3, V0
				VFMADD213PS {l3}, V3, V0
				VFMADD213PS {two}, V3, V0
				VFMADD213PS V10, V2, V0
				VFMADD231PS {ln2lo}, V1, V0
				VFMADD231PS {ln2hi}, V1, V0
				VXORPS V1, V1, V1
				VMINPS V7, V1, V2
				VSUBPS V0, V2, V2
				store V2 logPM
				VMAXPS V7, V1, V1
				VADDPS V0, V1, V0
				VXORPS {sign}, V0, V0
				store V0 d`,
		},
		{
			name: "softmaxGradient", doc: "ds = p·(dp − delta)·scale", slices: []string{"ds", "p", "dp"},
			scalars: []string{"delta", "scale"}, at: 4, unroll: 1,
			body: "load dp V0\nVSUBPS V4, V0, V0\nload p V1\nVMULPS V1, V0, V0\nVMULPS V5, V0, V0\nstore V0 ds",
		},
		{
			name: "adamW",
			doc:  "g' = gs·g, m = b1·m + nb1·g', v = b2·v + nb2·g'², p −= lr·(m·c1/(√(v·c2)+eps) + wd·p), g = 0",
			// c1, c2 correct the bias of the moments, nb = 1−b.
			slices:  []string{"p", "g", "m", "v"},
			scalars: []string{"gs", "b1", "nb1", "b2", "nb2", "c1", "c2", "lr", "eps", "wd"}, at: 5, unroll: 1,
			body: `load g V0
				VMULPS V5, V0, V0
				load m V1
				VMULPS V6, V1, V1
				VFMADD231PS V7, V0, V1
				store V1 m
				load v V2
				VMULPS V8, V2, V2
				VMULPS V9, V0, V3
				VFMADD231PS V3, V0, V2
				store V2 v
				VMULPS V11, V2, V2
				VSQRTPS V2, V2
				VADDPS V13, V2, V2
				VMULPS V10, V1, V1
				VDIVPS V2, V1, V1
				load p V3
				VFMADD231PS V14, V3, V1
				VFNMADD231PS V12, V1, V3
				store V3 p
				VXORPS V0, V0, V0
				store V0 g`,
		},
	}
}

// assembly writes the kernel: AX is the offset in bytes, CX the elements left.
func (l loop) assembly(t target) string {
	var s strings.Builder
	frame := 24*len(l.slices) + 4*len(l.scalars)
	result := (frame + 7) / 8 * 8
	if l.reduce != "" {
		frame = result + 4
	}
	fmt.Fprintf(&s, "// %s: %s\nTEXT ·%s%s(SB), NOSPLIT, $0-%d\n", l.name, l.doc, l.name, t.suffix, frame)
	for i, p := range l.slices {
		fmt.Fprintf(&s, "\tMOVQ %s_base+%d(FP), %s\n", p, 24*i, pointers[i])
	}
	fmt.Fprintf(&s, "\tMOVQ %s_len+8(FP), CX\n\tXORQ AX, AX\n", l.slices[0])
	for i, p := range l.scalars {
		fmt.Fprintf(&s, "\tVBROADCASTSS %s+%d(FP), %s%d\n", p, 24*len(l.slices)+4*i, t.reg, l.at+i)
	}
	s.WriteString(t.lines(l.setup))
	if l.reduce != "" {
		for u := range l.unroll {
			if l.reduce == "VMAXPS" {
				s.WriteString(t.line(fmt.Sprintf("VBROADCASTSS {minusInf}, V%d", 8+u)))
			} else {
				s.WriteString(t.zero(8 + u))
			}
		}
	}
	for _, unroll := range []int{l.unroll, 1} {
		if unroll == 1 && l.unroll > 1 {
			s.WriteString("\n")
		}
		label := fmt.Sprintf("by%d", unroll)
		next := "tail"
		if unroll > 1 {
			next = "by1"
		}
		fmt.Fprintf(&s, "\n%s:\n\tCMPQ CX, $%d\n\tJLT %s\n", label, unroll*t.lanes, next)
		for u := range unroll {
			s.WriteString(l.translate(t, u, false))
		}
		fmt.Fprintf(&s, "\tADDQ $%d, AX\n\tSUBQ $%d, CX\n\tJMP %s\n", 4*unroll*t.lanes, unroll*t.lanes, label)
		if unroll == 1 {
			break
		}
	}
	s.WriteString("\ntail:\n\tTESTQ CX, CX\n\tJEQ done\n")
	s.WriteString(t.tailMask())
	s.WriteString(l.translate(t, 0, true))
	s.WriteString("\ndone:\n")
	if l.reduce != "" {
		s.WriteString(t.reduce(l.reduce, l.unroll))
		fmt.Fprintf(&s, "\tVMOVSS X8, ret+%d(FP)\n", result)
	}
	s.WriteString("\tVZEROUPPER\n\tRET\n\n")
	return s.String()
}

func (l loop) translate(t target, u int, masked bool) string {
	var s strings.Builder
	accumulator := fmt.Sprintf("V%d", 8+u)
	for line := range strings.Lines(l.body) {
		f := strings.Fields(line)
		switch f[0] {
		case "load":
			s.WriteString(t.load(l.operand(t, f[1], u), register(f[2]), masked))
		case "store":
			s.WriteString(t.store(register(f[1]), l.operand(t, f[2], u), masked))
		case "exp":
			s.WriteString(exponential(t))
		case "accumulate":
			s.WriteString(t.accumulate(f[1], register(f[2]), 8+u, masked))
		default:
			s.WriteString(t.line(strings.ReplaceAll(line, "ACC", accumulator)))
		}
	}
	return s.String()
}

// accumulate folds a vector into an accumulator; lanes beyond a tail leave it as it is.
func (t target) accumulate(op string, v, into int, masked bool) string {
	instruction := fmt.Sprintf("%s V%d, V%d, V%d", op, v, into, into)
	switch {
	case !masked:
		return t.line(instruction)
	case t.wide():
		return t.line(fmt.Sprintf("%s V%d, V%d, K1, V%d", op, v, into, into))
	case op == "VADDPS":
		return t.line(fmt.Sprintf("VANDPS V15, V%d, V%d", v, v)) + t.line(instruction)
	}
	return t.line("VBROADCASTSS {minusInf}, V7") + t.line(fmt.Sprintf("VBLENDVPS V15, V%d, V7, V%d", v, v)) + t.line(instruction)
}

func (l loop) operand(t target, slice string, u int) string {
	for i, p := range l.slices {
		if p == slice {
			return fmt.Sprintf("%d(%s)(AX*1)", 4*u*t.lanes, pointers[i])
		}
	}
	panic("no slice " + slice)
}

func register(v string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(v, "V"))
	if err != nil {
		panic(err)
	}
	return n
}
