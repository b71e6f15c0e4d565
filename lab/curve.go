package lab

import "strings"

// Curve describes a curve of a training by what stands behind the step in its series' name:
// "two.ended" is "ended".
type Curve struct {
	Key   string
	Share bool   // its values lie between 0 and 1
	Noun  string // what its values count: "tokens"
	About string
}

// curveKinds are the curves of trainings in the order in which they are shown.
var curveKinds = []Curve{
	{"loss", false, "", "what a step minimises"},
	{"divergence", false, "", "of student and teacher, nats an answer token"},
	{"hidden", false, "", "distance of hidden states of student and teacher, by the size of the teacher's"},
	{"validation", false, "", "validation loss, nats an answer token"},
	{"ended", true, "", "share of the sampled answers that end with the end token"},
	{"length", false, "tokens", "mean length of the sampled answers"},
	{"repeated", true, "", "share of the sampled answers that were written before"},
}

// CurveOf describes a series by its name. One of no known kind has its whole name as key.
func CurveOf(series string) Curve {
	for _, c := range curveKinds {
		if strings.HasSuffix("."+series, "."+c.Key) {
			return c
		}
	}
	return Curve{Key: series}
}

// CurveKeys lists the keys of the curves that trainings have, in the order in which they are shown.
func CurveKeys() []string {
	keys := make([]string, len(curveKinds))
	for i, c := range curveKinds {
		keys[i] = c.Key
	}
	return keys
}
