// Package gemm writes the assembly of the matrix products. Go's assembler has no macros over
// register numbers, and a micro-kernel is the same few lines for every height of its tile; so each
// function here is one plan of registers, printed for the heights that are needed. The plans are
// the comments above the functions, here and in what is printed.
package gemm

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// Files returns the assembly by its path below package kernels.
func Files() map[string]string {
	files := map[string]string{}
	for name, write := range map[string]func(*asm.Printer){
		"gemm_avx512_amd64.s": func(p *asm.Printer) { strip512(p, fma512); transpose512(p); copy512(p) },
		"bf16_avx512_amd64.s": func(p *asm.Printer) {
			interleave(p)
			strip512(p, bf16x512)
			transposeBF16(p)
			copyBF16(p)
			round512(p)
			widen512(p)
			widenInt8(p, "AVX512", "Z", 16)
			widenInt8BF16(p)
			few(p)
		},
		"matrix/strip_avx512_amd64.s": func(p *asm.Printer) {
			float64x512(p)
			subtractions(p, "Float64AVX512", "Z", 64, true)
			substitute512(p)
			packFloat64(p)
			unpackFloat64(p)
			packTransposedFloat64(p)
			unpackTransposedFloat64(p)
			nearestFloat64(p, "Float64AVX512", "Z", 64)
		},
		"matrix/strip_avx2_amd64.s": func(p *asm.Printer) {
			float64x256(p)
			subtractions(p, "Float64AVX2", "Y", 32, false)
			divide256(p)
			packFloat64x256(p)
			nearestFloat64(p, "Float64AVX2", "Y", 32)
		},
		"bf16_avx2_amd64.s": func(p *asm.Printer) { round256(p); order4(p); widen256(p); widenInt8(p, "AVX2", "Y", 8) },
		"gemm_avx2_amd64.s": func(p *asm.Printer) { iota16(p); strip256(p); widened256(p); transpose256(p); copy256(p) },
		"packed_avx512_amd64.s": func(p *asm.Printer) {
			int8x512(p)
			quantize512(p)
			int4x512(p)
			int4nibbles(p)
			int4int8x512(p)
			int4bf16x512(p)
			int4round(p)
		},
		"packed_avx2_amd64.s": func(p *asm.Printer) {
			iota16(p)
			int8x256(p)
			quantize256(p)
			int4x256(p)
			int4decoded256(p)
			int4nibbles(p)
			int4int8x256(p)
		},
	} {
		p := &asm.Printer{}
		p.WriteString(asm.Header)
		write(p)
		files[name] = p.String()
	}
	return files
}

// row is the address of row i of a matrix whose row stride is in l1, three and five times the
// stride in l3 and l5, row 0's address in base and row 7's in base7.
func row(i int, base, base7, l1, l3, l5 string) string {
	if i >= 7 {
		base, i = base7, i-7
	}
	switch i {
	case 0:
		return fmt.Sprintf("(%s)", base)
	case 1, 2, 4:
		return fmt.Sprintf("(%s)(%s*%d)", base, l1, i)
	case 3, 6:
		return fmt.Sprintf("(%s)(%s*%d)", base, l3, i/3)
	}
	return fmt.Sprintf("(%s)(%s*1)", base, l5)
}

// jumps prints the jump to the tile of CX rows, of at most height; that of height follows.
func jumps(p *asm.Printer, height int) {
	for m := 1; m < height; m++ {
		p.Op("CMPQ CX, $%d", m)
		p.Op("JEQ m%d", m)
	}
}

// heights prints the jumps to the tiles of CX rows, the tiles from the highest down, and the end of
// the function.
func heights(p *asm.Printer, height int, tile func(p *asm.Printer, m int)) {
	jumps(p, height)
	for m := height; m >= 1; m-- {
		tile(p, m)
	}
	p.Line("")
	end(p)
}

// end prints the end of a function.
func end(p *asm.Printer) {
	p.Line("done:")
	p.Op("VZEROUPPER")
	p.Op("RET")
}
