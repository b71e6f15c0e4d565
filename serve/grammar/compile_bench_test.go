package grammar

import "testing"

// BenchmarkCompile compiles the schemas of tools.
func BenchmarkCompile(b *testing.B) {
	for name, text := range tools {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := JSON(b.Context(), []byte(text), Single); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
