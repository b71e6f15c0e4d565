package report

import (
	"math"
	"strconv"
	"strings"

	"slimlab/lab"
)

// Scale is how the values of one column are written: all in one unit, with one number of decimals.
type Scale struct {
	Suffix   string // "MB", "ms", "k", "×", "%"; empty for plain numbers
	divisor  float64
	decimals int
	signed   bool
	integer  bool // a whole value is written without decimals
}

// Missing stands where nothing was measured.
const Missing = "–"

type step struct {
	from   float64 // smallest value that takes the suffix
	suffix string
}

var (
	countSteps  = []step{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {0, ""}}
	bytesSteps  = []step{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}, {0, "B"}}
	secondSteps = []step{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {0, "ns"}}
	secondUnit  = map[string]float64{"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
)

// ScaleOf chooses the scale of a column: the unit by its largest value, the decimals so that its
// smallest keeps two or three digits.
func ScaleOf(m lab.Metric, values ...float64) Scale {
	large, small := 0.0, math.Inf(1)
	whole := true
	for _, x := range values {
		if x = math.Abs(x); x > 0 && !math.IsNaN(x) && !math.IsInf(x, 0) {
			large, small = max(large, x), min(small, x)
			whole = whole && x == math.Trunc(x)
		}
	}
	s := Scale{divisor: 1}
	switch m.Unit {
	case lab.Fraction, lab.Nats:
		s.decimals = 4
		return s
	case lab.Percent:
		return Scale{Suffix: "%", divisor: 0.01, decimals: 2, signed: true}
	case lab.Ratio:
		s.Suffix, s.decimals = "×", 1
		if large < 10 {
			s.decimals = 2
		}
		return s
	case lab.Bytes:
		s = pick(bytesSteps, large)
	case lab.Seconds:
		s = pick(secondSteps, large)
		s.divisor = secondUnit[s.Suffix]
	case lab.Count, lab.Rate:
		s = pick(countSteps, large)
	}
	s.integer = s.divisor == 1 && whole
	if math.IsInf(small, 1) {
		return s
	}
	// Three digits of the smallest value, but no more than four of the largest, and in any case two
	// of the smallest.
	three := 2 - magnitude(small/s.divisor)
	s.decimals = min(max(three-1, min(three, 3-magnitude(large/s.divisor)), 0), 4)
	return s
}

// magnitude is the power of ten of a positive number's first digit.
func magnitude(x float64) int { return int(math.Floor(math.Log10(x))) }

func pick(steps []step, large float64) Scale {
	for _, one := range steps {
		if large >= one.from {
			return Scale{Suffix: one.suffix, divisor: max(one.from, 1)}
		}
	}
	return Scale{divisor: 1}
}

// Format writes a value in the scale, suffix included.
func (s Scale) Format(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	text := s.digits(x / s.divisor)
	if s.signed && !strings.HasPrefix(text, "-") && strings.Trim(text, "0.") != "" {
		text = "+" + text
	}
	return text + s.Suffix
}

// Width writes half an interval, as it stands after a value: "±0.012".
func (s Scale) Width(half float64) string {
	if math.IsNaN(half) || math.IsInf(half, 0) {
		return "±?"
	}
	return "±" + s.digits(half/s.divisor)
}

func (s Scale) digits(x float64) string {
	decimals := s.decimals
	if s.integer && x == math.Trunc(x) {
		decimals = 0
	}
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.HasPrefix(text, "-") && strings.Trim(text, "-0.") == "" {
		text = text[1:] // −0.00 is 0.00
	}
	return text
}

// Format writes one value of a metric in the unit that suits it.
func Format(m lab.Metric, x float64) string { return ScaleOf(m, x).Format(x) }

// FormatSummary writes a summary with its interval: "0.7512 ±0.0031".
func FormatSummary(m lab.Metric, s lab.Summary) string {
	scale := ScaleOf(m, s.Value)
	if half := halfWidth(s); half > 0 {
		return scale.Format(s.Value) + " " + scale.Width(half)
	}
	return scale.Format(s.Value)
}

// halfWidth is the longer side of a summary's interval, 0 without one.
func halfWidth(s lab.Summary) float64 {
	if !s.Interval {
		return 0
	}
	return max(s.High-s.Value, s.Value-s.Low)
}

// Duration writes seconds as people say them: "850ms", "12.3s", "4m 07s", "2h 05m".
func Duration(seconds float64) string {
	switch {
	case seconds < 1:
		return strconv.FormatFloat(seconds*1000, 'f', 0, 64) + "ms"
	case seconds < 100:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + "s"
	case seconds < 3600:
		return whole(seconds/60) + "m " + two(math.Mod(seconds, 60)) + "s"
	}
	return whole(seconds/3600) + "h " + two(math.Mod(seconds, 3600)/60) + "m"
}

func whole(x float64) string { return strconv.FormatFloat(math.Floor(x), 'f', 0, 64) }

func two(x float64) string {
	if x < 10 {
		return "0" + whole(x)
	}
	return whole(x)
}
