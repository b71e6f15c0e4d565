package load

import (
	"testing"
	"time"
)

// BenchmarkPlan takes requests of a plan on a simulated clock: what a simulation pays for its load.
func BenchmarkPlan(b *testing.B) {
	for _, test := range []struct {
		name string
		make func(n int) (Workload, error)
	}{
		{"random, 500 in", func(n int) (Workload, error) {
			return Random{n, Lengths{500, 0}, Lengths{100, 0}, 128_000, 1}.Workload()
		}},
		{"shared prefix, 4000 and 100 in", func(n int) (Workload, error) {
			return SharedPrefix{Groups: 100, Each: n/100 + 1, System: 4000, Question: 100, Output: 1, Vocabulary: 128_000}.Workload()
		}},
		{"visits of 20 candidates, 4000 and 100 in", func(n int) (Workload, error) {
			return Visits{Members: Members{Members: 100, Candidates: 20, Prefix: 4000, Suffix: 100, Vocabulary: 128_000}, Visits: n/20 + 1}.Workload()
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			w, err := test.make(b.N)
			if err != nil {
				b.Fatal(err)
			}
			p, err := NewPlan(w, Process{Rate: 1000, Burstiness: 1})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				number, at, _, ok := p.Next()
				if !ok {
					b.Fatal("the plan ended early")
				}
				p.Ended(number, at+time.Second, Reply{})
			}
		})
	}
}
