// Package peak writes the loops that show what a core can do at most: arithmetic on registers,
// reads of memory, and cycles counted by a chain of instructions of known latency. Kernels are held
// against them. It also writes cpuid, which Go does not offer.
package peak

import (
	"fmt"

	"slimlab/kernels/gen/asm"
)

// Files returns the assembly by its path below package kernels.
func Files() map[string]string {
	files := map[string]string{}
	for name, write := range map[string]func(*asm.Printer){
		"machine/peak_avx512_amd64.s": func(p *asm.Printer) {
			multiplyAdds(p, "AVX512", "Z", "VPXORQ", 24)
			int8x512(p)
			bfloat16x512(p)
			read(p, "AVX512", "VMOVDQU64", "Z", 64)
		},
		"machine/peak_avx2_amd64.s": func(p *asm.Printer) {
			multiplyAdds(p, "AVX2", "Y", "VPXOR", 12)
			int8x256(p)
			read(p, "AVX2", "VMOVDQU", "Y", 32)
		},
		"machine/cpu_amd64.s": func(p *asm.Printer) { cycles(p); cpuid(p) },
	} {
		p := &asm.Printer{}
		p.WriteString(asm.Header)
		write(p)
		files[name] = p.String()
	}
	return files
}

// loop prints a function that runs body rounds times. Its registers 0…count-1 are zero at the
// start: what is multiplied does not change the time, and zeros stay zeros.
func loop(p *asm.Printer, name, reg, xor string, count int, body func()) {
	p.Line("// func %s(rounds int)", name)
	p.Line("TEXT ·%s(SB), NOSPLIT, $0-8", name)
	p.Op("MOVQ rounds+0(FP), CX")
	for i := range count {
		p.Op("%s %s%d, %s%d, %s%d", xor, reg, i, reg, i, reg, i)
	}
	p.Line("loop:")
	body()
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// multiplyAdds has so many chains that their latency is hidden: 4 or 5 cycles times 2 instructions
// a cycle is less than 12.
func multiplyAdds(p *asm.Printer, name, reg, xor string, chains int) {
	p.Comment(
		fmt.Sprintf("rounds times %d fused multiply-adds of float32, each on a sum of its own: registers 0-%d. %d and %d are the factors.", chains, chains-1, chains, chains+1),
	)
	loop(p, "peakFloat32"+name, reg, xor, chains+2, func() {
		for i := range chains {
			p.Op("VFMADD231PS %s%d, %s%d, %s%d", reg, chains, reg, chains+1, reg, i)
		}
	})
}

func int8x512(p *asm.Printer) {
	p.Comment("rounds times 24 dot products of four bytes in each of 16 lanes, added to sums of their own: Z0-Z23. Z24 and Z25 are the factors.")
	loop(p, "peakInt8VNNI", "Z", "VPXORQ", 26, func() {
		for i := range 24 {
			p.Op("VPDPBUSD Z24, Z25, Z%d", i)
		}
	})
}

func bfloat16x512(p *asm.Printer) {
	p.Comment("rounds times 24 dot products of two bfloat16 in each of 16 lanes, added to sums of their own: Z0-Z23. Z24 and Z25 are the factors.")
	loop(p, "peakBFloat16AVX512", "Z", "VPXORQ", 26, func() {
		for i := range 24 {
			p.VDPBF16PS(24, 25, i)
		}
	})
}

// int8x256 is what int8 products take without VNNI: pairs of int16 are multiplied and added, and
// the sum is added in a second instruction.
func int8x256(p *asm.Printer) {
	p.Comment("rounds times 12 dot products of two int16 in each of 8 lanes, added to sums of their own: Y0-Y11. Y12 and Y13 are the factors, Y14 a product.")
	loop(p, "peakInt8AVX2", "Y", "VPXOR", 15, func() {
		for i := range 12 {
			p.Op("VPMADDWD Y12, Y13, Y14")
			p.Op("VPADDD Y14, Y%d, Y%d", i, i)
		}
	})
}

// block is the number of bytes that a round of read takes.
const block = 512

func read(p *asm.Printer, name, move, reg string, width int) {
	p.Comment(fmt.Sprintf("reads b once from its beginning to its end, %d bytes a round. len(b) is a multiple of that and not 0.", block))
	p.Line("// func read%s(b []byte)", name)
	p.Line("TEXT ·read%s(SB), NOSPLIT, $0-24", name)
	p.Op("MOVQ b_base+0(FP), SI")
	p.Op("MOVQ b_len+8(FP), CX")
	p.Op("ADDQ SI, CX")
	p.Line("loop:")
	for i := range block / width {
		p.Op("%s %d(SI), %s%d", move, i*width, reg, i)
	}
	p.Op("ADDQ $%d, SI", block)
	p.Op("CMPQ SI, CX")
	p.Op("JB loop")
	p.Op("VZEROUPPER")
	p.Op("RET")
}

// cycles rests on the latency of a 64-bit multiplication: 3 cycles on every x86 of Intel since 2008
// and of AMD since 2017 (Fog, "Instruction tables").
func cycles(p *asm.Printer) {
	p.Comment("takes rounds times 24 cycles: 8 multiplications that wait for each other, of 3 cycles each.")
	p.Line("// func spinCycles(rounds int)")
	p.Line("TEXT ·spinCycles(SB), NOSPLIT, $0-8")
	p.Op("MOVQ rounds+0(FP), CX")
	p.Op("MOVQ $1, AX")
	p.Line("loop:")
	for range 8 {
		p.Op("IMULQ AX, AX")
	}
	p.Op("DECQ CX")
	p.Op("JNZ loop")
	p.Op("RET")
}

func cpuid(p *asm.Printer) {
	p.Line("")
	p.Line("// func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)")
	p.Line("TEXT ·cpuid(SB), NOSPLIT, $0-24")
	p.Op("MOVL leaf+0(FP), AX")
	p.Op("MOVL subleaf+4(FP), CX")
	p.Op("CPUID")
	for i, r := range []string{"AX", "BX", "CX", "DX"} {
		p.Op("MOVL %s, e%cx+%d(FP)", r, 'a'+i, 8+4*i)
	}
	p.Op("RET")
}
