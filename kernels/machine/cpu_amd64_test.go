//go:build amd64 && !noasm

package machine

import "testing"

// TestFamilyModel has the signatures of a Sapphire Rapids, a Genoa and a Turin.
func TestFamilyModel(t *testing.T) {
	for signature, want := range map[uint32][3]int{0x806f8: {6, 0x8f, 8}, 0xa10f11: {25, 0x11, 1}, 0xb00f21: {26, 2, 1}} {
		family, model, stepping := familyModel(signature)
		if got := [3]int{family, model, stepping}; got != want {
			t.Errorf("signature %#x is %v, want %v", signature, got, want)
		}
	}
}

func TestASCII(t *testing.T) {
	if got := ascii(0x68747541, 0x69746e65, 0x444d4163); got != "AuthenticAMD" {
		t.Errorf("%q", got)
	}
	if got := ascii(0x00003541, 0x41414141); got != "A5" {
		t.Errorf("%q", got)
	}
}
