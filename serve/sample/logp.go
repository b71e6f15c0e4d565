package sample

import (
	"cmp"
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// LogP asks for the log-probabilities of a choice, and receives them: those of softmax(logits) as
// the logits were given.
type LogP struct {
	Top    int  // of so many of the likeliest tokens beside the chosen one
	Scaled bool // of softmax(logits/temperature), where the choice is not greedy

	Token     float32       // of the chosen token
	Likeliest []Alternative // as many as asked for, the likeliest first, of equals the lower id
}

// Alternative is a token with its log-probability.
type Alternative struct {
	ID   int32
	LogP float32
}

// of fills l for a token chosen from logits.
func (l *LogP) of(logits []float32, token int32, s *Settings, work *expBlock) {
	temperature := 1.0
	if l.Scaled && !s.greedy() {
		temperature = s.Temperature
	}
	sum := work.logSum(logits, temperature)
	if token != None {
		l.Token = logP(logits[token], temperature, sum)
	}
	l.Likeliest = likeliest(logits, l.Top, temperature, sum)
}

// logP is the log-probability of a logit. What is certain has 0.
func logP(logit float32, temperature, sum float64) float32 {
	if math.IsInf(sum, 1) && float64(logit) == sum {
		return 0
	}
	return float32(float64(logit)/temperature - sum)
}

// expBlock is memory to sum exponentials.
type expBlock struct {
	exp [kernels.ExpBlock]float32
	sum [1]float32
}

// logSum is log Σ e^(logit/temperature).
func (b *expBlock) logSum(logits []float32, temperature float64) float64 {
	best := kernels.Argmax(logits)
	if best < 0 || math.IsInf(float64(logits[best]), 1) {
		return math.Inf(best)
	}
	scale, total := float32(min(1/temperature, math.MaxFloat32)), 0.0
	for block := range slices.Chunk(logits, kernels.ExpBlock) {
		exp := b.exp[:len(block)]
		kernels.ExpSums(b.sum[:], exp, block, logits[best], scale)
		if sum := b.sum[0]; sum == sum {
			total += float64(sum)
			continue
		}
		for _, e := range exp { // NaN has no weight
			if e == e {
				total += float64(e)
			}
		}
	}
	return float64(logits[best])/temperature + math.Log(total)
}

// LogSums writes log Σ e^logit of each row of logits [len(sums), vocabulary]: a logit less that sum
// is the token's log-probability. Rows are worked on in parallel.
func LogSums(sums []float64, logits []float32) {
	width := len(logits) / max(1, len(sums))
	parallel.For(len(sums), func(i int) { sums[i] = new(expBlock).logSum(logits[i*width:(i+1)*width], 1) })
}

// Likeliest lists the k likeliest tokens, the likeliest first, of equals the lower id. sum is that
// of LogSums.
func Likeliest(logits []float32, k int, sum float64) []Alternative {
	return likeliest(logits, k, 1, sum)
}

func likeliest(logits []float32, k int, temperature, sum float64) []Alternative {
	if k = min(k, len(logits)); k <= 0 {
		return nil
	}
	best := largest(make([]Alternative, 0, k), logits)
	slices.SortFunc(best, rank)
	for i := range best {
		best[i].LogP = logP(best[i].LogP, temperature, sum)
	}
	return best
}

// largest fills a heap, whose root ranks last, with the largest of x, of equals those with lower
// indices, as many as it has room for.
func largest(heap []Alternative, x []float32) []Alternative {
	at := 0
	for ; at < len(x) && len(heap) < cap(heap); at++ {
		if v := x[at]; v == v {
			heap = append(heap, Alternative{int32(at), v})
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sink(heap, i)
	}
	if at == len(x) {
		return heap
	}
	add := func(at int) {
		if x[at] > heap[0].LogP {
			heap[0] = Alternative{int32(at), x[at]}
			sink(heap, 0)
		}
	}
	// Eight at a time: hardly any group has one that is large enough.
	for ; at+8 <= len(x); at += 8 {
		g, least := (*[8]float32)(x[at:]), heap[0].LogP
		if g[0] > least || g[1] > least || g[2] > least || g[3] > least || g[4] > least || g[5] > least || g[6] > least || g[7] > least {
			for i := range g {
				add(at + i)
			}
		}
	}
	for ; at < len(x); at++ {
		add(at)
	}
	return heap
}

// rank orders tokens, the likeliest first.
func rank(a, b Alternative) int { return cmp.Or(cmp.Compare(b.LogP, a.LogP), cmp.Compare(a.ID, b.ID)) }

// sink restores a heap, whose root ranks last, from a place down.
func sink(heap []Alternative, at int) {
	for {
		child := 2*at + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && rank(heap[child+1], heap[child]) > 0 {
			child++
		}
		if rank(heap[child], heap[at]) <= 0 {
			return
		}
		heap[at], heap[child] = heap[child], heap[at]
		at = child
	}
}
