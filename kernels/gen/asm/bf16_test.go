package asm

import (
	"fmt"
	"strings"
	"testing"
)

// The bytes are those that the GNU assembler makes of the same instructions.
func TestEncoding(t *testing.T) {
	for _, c := range []struct {
		print func(*Printer)
		want  string
	}{
		{func(p *Printer) { p.VDPBF16PS(28, 30, 5) }, "62 92 0e 40 52 ec"},
		{func(p *Printer) { p.VDPBF16PS(1, 15, 27) }, "62 62 06 48 52 d9"},
		{func(p *Printer) { p.VCVTNE2PS2BF16(3, 17, 9) }, "62 72 77 40 72 cb"},
		{func(p *Printer) { p.VCVTNEPS2BF16(21, 12) }, "62 32 7e 48 72 e5"},
		{func(p *Printer) { p.VDPBF16PSMemory(0, "R15", 31, 3) }, "62 d2 06 40 52 5f 00"},
		{func(p *Printer) { p.VDPBF16PSMemory(3, "R8", 31, 27) }, "62 42 06 40 52 58 03"},
		{func(p *Printer) { p.VDPBF16PSMemory(-2, "DI", 7, 17) }, "62 e2 46 48 52 4f fe"},
	} {
		var p Printer
		c.print(&p)
		var got []string
		code, _, _ := strings.Cut(p.String(), "//")
		for _, part := range strings.Split(code, ";") {
			var b byte
			if _, err := fmt.Sscanf(strings.TrimSpace(part), "BYTE $0x%02x", &b); err != nil {
				t.Fatalf("%q: %v", part, err)
			}
			got = append(got, fmt.Sprintf("%02x", b))
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%q encodes %s, want %s", p.String(), g, c.want)
		}
	}
}
