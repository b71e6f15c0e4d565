package serve

import (
	"slices"

	"slimlab/kernels"
	"slimlab/serve/sample"
)

// logProbabilities are those of the rows of one step whose requests ask for them. The sampler
// overwrites logits, so they are computed before it chooses.
type logProbabilities struct {
	rows   []float32 // [asked, vocabulary]
	scales []float32 // [asked]
	of     []*sequence
}

// keep computes the log-probabilities of the rows of a batch that are sampled from.
func (l *logProbabilities) keep(batch []part, segments []Segment, rows []sample.Row) {
	l.rows, l.scales, l.of = l.rows[:0], l.scales[:0], l.of[:0]
	row, cooled := 0, false
	for i, p := range batch {
		q := p.sequence
		if !segments[i].Logits || q.result.Finish != "" {
			continue
		}
		if q.LogP {
			scale := float32(1)
			if t := q.Sampling.Temperature; t > 0 {
				scale = float32(1 / t)
			}
			cooled = cooled || scale != 1
			l.rows, l.scales, l.of = append(l.rows, rows[row].Logits...), append(l.scales, scale), append(l.of, q)
		}
		row++
	}
	if n := len(l.of); n > 0 {
		vocabulary := len(l.rows) / n
		if cooled {
			kernels.ScaleRows(l.rows, l.scales, n, vocabulary)
		}
		kernels.LogSoftmax(l.rows, n, vocabulary)
	}
}

// add notes the log-probability of the token that was chosen for a sequence.
func (l *logProbabilities) add(q *sequence, token int32) {
	if !q.LogP || token < 0 {
		return
	}
	at := slices.Index(l.of, q)
	vocabulary := len(l.rows) / len(l.of)
	q.result.LogP = append(q.result.LogP, l.rows[at*vocabulary+int(token)])
}
