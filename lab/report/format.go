package report

import (
	"math"
	"strconv"
	"strings"

	"slimlab/lab"
)

// Scale is how the values of one column are written: all with one prefix and number of decimals.
type Scale struct {
	Suffix   string // "MB", "ms", "k", "×", "%"; empty for plain numbers
	divisor  float64
	decimals int
	signed   bool
	integer  bool // a whole value is written without decimals
}

// Missing is the text of a value that was not measured.
const Missing = "–"

// ScaleOf chooses the scale of a column: the unit prefix by its largest value, the decimals so that
// its smallest keeps two or three digits.
func ScaleOf(unit lab.Unit, values ...float64) Scale {
	large, small := 0.0, math.Inf(1)
	whole := true
	for _, x := range values {
		if x = math.Abs(x); x > 0 && !math.IsNaN(x) && !math.IsInf(x, 0) {
			large, small = max(large, x), min(small, x)
			whole = whole && x == math.Trunc(x)
		}
	}
	s := Scale{divisor: 1}
	switch unit {
	case lab.Fraction:
		s.decimals = 4
		return s
	case lab.Nats: // a divergence may be small
		s.decimals = 4
		if small < 0.001 {
			s.decimals = min(8, 2-magnitude(small))
		}
		return s
	case lab.Percent:
		return Scale{Suffix: "%", divisor: 0.01, decimals: 2, signed: true}
	case lab.Ratio:
		s.Suffix, s.decimals = "×", 1
		if large < 10 {
			s.decimals = 2
		}
		return s
	}
	s.prefix(unit, large)
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

// prefix sets the suffix of the largest prefix that is not above a value.
func (s *Scale) prefix(unit lab.Unit, large float64) {
	for _, p := range unit.Prefixes() {
		s.Suffix, s.divisor = p.Suffix, p.Factor
		if large >= p.Factor {
			return
		}
	}
	if unit != lab.Seconds && large < 1 { // the smallest prefix is 1
		s.divisor = 1
	}
}

// Format writes a value in the scale, suffix included.
func (s Scale) Format(x float64) string {
	scaled := x / s.divisor
	if math.IsNaN(scaled) || math.IsInf(scaled, 0) {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	text := s.digits(scaled)
	if s.signed && !strings.HasPrefix(text, "-") && strings.Trim(text, "0.") != "" {
		text = "+" + text
	}
	return text + s.Suffix
}

// In is a value as a number before the scale's Suffix: of 2500000 in MB it is 2.5.
func (s Scale) In(x float64) float64 { return x / s.divisor }

// Titled is a label with the scale's unit: "bytes (MB)".
func (s Scale) Titled(label string) string {
	if s.Suffix == "" {
		return label
	}
	return label + " (" + s.Suffix + ")"
}

// Width writes half an interval, as written after a value: "±0.012".
func (s Scale) Width(half float64) string {
	half /= s.divisor
	if math.IsNaN(half) || math.IsInf(half, 0) {
		return "±?"
	}
	return "±" + s.digits(half)
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

// Format writes one value with the prefix that suits it.
func Format(unit lab.Unit, x float64) string { return ScaleOf(unit, x).Format(x) }

// FormatSummary writes a summary with its interval: "0.7512 ±0.0031".
func FormatSummary(unit lab.Unit, s lab.Summary) string { return ScaleOf(unit, s.Value).Summary(s) }

// Summary writes a summary with its interval, or Missing where nothing was measured.
func (s Scale) Summary(x lab.Summary) string {
	if len(x.Seeds) == 0 {
		return Missing
	}
	return strings.TrimSpace(s.Format(x.Value) + " " + s.beside(&x))
}

// beside writes the interval of a summary, as it stands after the value: "±0.0031", or its bounds
// where it was cut to the metric's range, which ± would leave; empty without one.
func (s Scale) beside(x *lab.Summary) string {
	switch half := x.HalfWidth(); {
	case half == 0:
		return ""
	case x.Cut():
		return "[" + s.Format(x.Low) + ", " + s.Format(x.High) + "]"
	default:
		return s.Width(half)
	}
}

// Bytes writes a number of bytes: "12.3MB".
func Bytes(n int64) string { return Format(lab.Bytes, float64(n)) }

// Duration writes seconds for people: "850ms", "12.3s", "4m 07s", "2h 05m".
func Duration(seconds float64) string {
	switch { // the bounds are where the digits round up to the next form
	case math.IsNaN(seconds) || math.IsInf(seconds, 0):
		return Missing
	case seconds > 0 && seconds < 0.0005:
		return "<1ms"
	case seconds < 0.9995:
		return strconv.FormatFloat(seconds*1000, 'f', 0, 64) + "ms"
	case seconds < 99.95:
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
