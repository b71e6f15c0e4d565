package quant

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
)

// Words are a scheme as people write it: the keys of a step, or the flags of a verb. The field of
// the word "method" is Method, and so on.
type Words struct {
	Scheme  string // the name of a format or of a scheme
	Method  string // rtn, gptq or quantease
	Group   string // a multiple of 8, channel or auto
	Order   string // natural or act
	Damping float64
	Sweeps  int
	Start   string // w, gptq or both
	Range   string // absmax or mse

	Outliers      string // a share such as 0.5%, or 0
	OutliersShape string // entries or columns
}

// The words with their defaults, where they do not follow from the scheme.
const (
	DefaultGroup   = AutoGroup
	DefaultOrder   = orderNatural
	DefaultDamping = defaultDamping
	DefaultSweeps  = defaultSweeps
	DefaultStart   = startBoth
	DefaultRange   = rangeAbsMax

	DefaultOutliers      = "0"
	DefaultOutliersShape = shapeEntries
)

// Shapes of outliers.
const (
	shapeEntries = "entries"
	shapeColumns = "columns"
)

// mostOutliers is the largest share that a word says: an entry takes 32 bits beside its code.
const mostOutliers = 0.1

// OutliersShapes lists the shapes of outliers.
func OutliersShapes() []string { return []string{shapeEntries, shapeColumns} }

// startBoth and rangeAbsMax are FromBoth and AbsMax as words.
const (
	startBoth   = "both"
	rangeAbsMax = "absmax"
)

// MostSweeps is the most that a word says.
const MostSweeps = 1000

// Orders in which inputs are quantized.
const (
	orderNatural = "natural"
	orderAct     = "act"
)

// Methods lists the names of rounders.
func Methods() []string { return []string{methodNearest, methodGPTQ, methodQuantEase} }

// Starts lists what QuantEase can start from.
func Starts() []string { return []string{string(FromWeight), string(FromGPTQ), startBoth} }

// Ranges lists the ways to fit scales.
func Ranges() []string { return []string{rangeAbsMax, string(MSE)} }

// Orders lists the orders in which inputs are quantized.
func Orders() []string { return []string{orderNatural, orderAct} }

// WordError is the error of a word that cannot be, or not beside another one.
type WordError struct {
	Word, With string // With is "" where the word is wrong alone
	text       string // goes on from the word
}

// Error goes on from the word: "is rtn, and …".
func (e *WordError) Error() string { return e.text }

func wrong(word, with, format string, args ...any) *WordError {
	return &WordError{word, with, fmt.Sprintf(format, args...)}
}

// MostDamping is where the statistics are nearly gone.
const MostDamping = dampingLimit

// Parse makes the scheme. given says which words were written; the others have their defaults,
// whatever their fields hold. A word that contradicts the scheme's name, or has no effect with its
// method and is not its default, is a *WordError.
func (w Words) Parse(given func(word string) bool) (Scheme, error) {
	if err := w.check(given); err != nil {
		return Scheme{}, err
	}
	s, err := ParseScheme(w.Scheme)
	if err != nil {
		return Scheme{}, &WordError{"scheme", "", "is " + strconv.Quote(w.Scheme) + strings.TrimPrefix(err.Error(), "scheme "+strconv.Quote(w.Scheme))}
	}
	for _, apply := range []func(Scheme, func(string) bool) (Scheme, error){w.method, w.group, w.order, w.descent, w.damping, w.ranged, w.outliers} {
		if s, err = apply(s, given); err != nil {
			return Scheme{}, err
		}
	}
	return s, nil
}

// Words are the words of which Parse makes the scheme, defaults written out. Words that say nothing
// of the scheme are empty.
func (s Scheme) Words() Words {
	w := Words{Scheme: "none"}
	if s.Rounder == nil {
		return w
	}
	w.Scheme, w.Method = s.base(), s.Method()
	switch {
	case s.Channel:
		w.Group = ChannelGroup
	case s.automatic():
		w.Group = AutoGroup
	case s.HasGroups():
		w.Group = strconv.Itoa(s.Format.Group)
	}
	if !s.Format.Float {
		w.Range = cmp.Or(string(s.Range), rangeAbsMax)
	}
	order := map[bool]string{false: orderNatural, true: orderAct}
	switch r := s.Rounder.(type) {
	case GPTQ:
		w.Order, w.Damping = order[r.ActOrder], cmp.Or(r.Damping, DefaultDamping)
	case QuantEase:
		w.Order, w.Sweeps, w.Start = order[r.ActOrder], cmp.Or(r.Sweeps, DefaultSweeps), cmp.Or(string(r.Start), startBoth)
		if r.Start != FromWeight {
			w.Damping = cmp.Or(r.Damping, DefaultDamping)
		}
		if !s.Format.Float {
			w.Outliers = s.Outliers.share()
		}
		if !s.Outliers.none() {
			w.OutliersShape = map[bool]string{false: shapeEntries, true: shapeColumns}[s.Outliers.Columns]
		}
	}
	return w
}

// check reports a word that is none, or outside of its range.
func (w Words) check(given func(word string) bool) error {
	for _, c := range []struct {
		word, value string
		valid       []string
	}{{"method", w.Method, Methods()}, {"order", w.Order, Orders()}, {"start", w.Start, Starts()}, {"range", w.Range, Ranges()}, {"outliers_shape", w.OutliersShape, OutliersShapes()}} {
		if given(c.word) {
			if err := nearest.Check("", c.value, c.valid); err != nil {
				return wrong(c.word, "", "is%v", err)
			}
		}
	}
	if given("group") {
		if err := checkGroup(w.Group); err != nil {
			return wrong("group", "", "%v or auto", err)
		}
	}
	if given("damping") && !(w.Damping > 0 && w.Damping <= MostDamping) {
		return wrong("damping", "", "is %g, expected a share of the mean diagonal of the statistics, above 0 and at most %d", w.Damping, MostDamping)
	}
	if given("sweeps") && (w.Sweeps < 1 || w.Sweeps > MostSweeps) {
		return wrong("sweeps", "", "is %d, expected 1 to %d", w.Sweeps, MostSweeps)
	}
	return nil
}

// without is the scheme's name less some of its endings.
func (w Words) without(endings ...string) string {
	name, group, ok := CutGroup(w.Scheme)
	for _, e := range endings {
		name = strings.TrimSuffix(name, "-"+e)
	}
	if ok {
		name += "-g" + group
	}
	return name
}

func (w Words) method(s Scheme, given func(string) bool) (Scheme, error) {
	if !given("method") || w.Method == s.Method() {
		return s, nil
	}
	f := familyOf(s.Format)
	base, _, _ := CutGroup(w.Scheme)
	switch {
	case s.Rounder == nil:
		return s, wrong("method", "scheme", "is %s, and its scheme is none, which rounds nothing: leave it out", w.Method)
	case base != s.base() && aliases[base] != s.base():
		return s, wrong("method", "scheme", "is %s, and its scheme %s is rounded by %s: leave it out, or name the scheme %s", w.Method, w.Scheme, s.Method(), w.without("act", s.Method()))
	}
	if err := nearest.Check("", w.Method, f.methods); err != nil {
		return s, wrong("method", "scheme", "is %s, and its scheme is %s, which is rounded by %s alone", w.Method, w.Scheme, strings.Join(f.methods, ", "))
	}
	s.Rounder = methods[w.Method](false)
	return s, nil
}

func (w Words) group(s Scheme, given func(string) bool) (Scheme, error) {
	if !given("group") {
		return s, nil
	}
	_, named, ok := CutGroup(w.Scheme)
	switch n, _ := strconv.Atoi(named); {
	case !s.HasGroups() && (w.Group == AutoGroup || w.Group == ChannelGroup && s.Rounder != nil):
		return s, nil // as it is anyway
	case !s.HasGroups():
		return s, wrong("group", "scheme", "is %s, and its scheme is %s, which has no groups: leave it out", w.Group, w.Scheme)
	case ok && w.Group != named && w.Group != strconv.Itoa(n):
		return s, wrong("group", "scheme", "is %s, and its scheme %s has groups of %s: leave it out, or name the scheme %s", w.Group, w.Scheme, named, strings.TrimSuffix(w.Scheme, "-g"+named))
	}
	return s.grouped(w.Group), nil
}

func (w Words) order(s Scheme, given func(string) bool) (Scheme, error) {
	if !given("order") {
		return s, nil
	}
	act := w.Order == orderAct
	if s.actOrder() && !act {
		return s, wrong("order", "scheme", "is %s, and its scheme %s has the order act: leave it out, or name the scheme %s", w.Order, w.Scheme, w.without("act"))
	}
	switch r := s.Rounder.(type) {
	case GPTQ:
		r.ActOrder = act
		s.Rounder = r
	case QuantEase:
		r.ActOrder = act
		s.Rounder = r
	default:
		if act {
			return s, w.idle("order", w.Order, s)
		}
	}
	return s, nil
}

// idle is the error of a word that has no effect with the scheme's method.
func (w Words) idle(word, value string, s Scheme) error {
	return wrong(word, "method", "is %s, and its method is %s, which has none: leave it out", value, methodOr(s))
}

// descent applies the words of QuantEase alone.
func (w Words) descent(s Scheme, given func(string) bool) (Scheme, error) {
	q, ok := s.Rounder.(QuantEase)
	if given("sweeps") {
		if q.Sweeps = w.Sweeps; !ok && w.Sweeps != DefaultSweeps {
			return s, w.idle("sweeps", strconv.Itoa(w.Sweeps), s)
		}
	}
	if given("start") {
		if !ok && w.Start != DefaultStart {
			return s, w.idle("start", w.Start, s)
		}
		if q.Start = Start(w.Start); w.Start == startBoth {
			q.Start = FromBoth
		}
	}
	if ok {
		s.Rounder = q
	}
	return s, nil
}

func (w Words) damping(s Scheme, given func(string) bool) (Scheme, error) {
	if !given("damping") || w.Damping == DefaultDamping {
		return s, nil
	}
	switch r := s.Rounder.(type) {
	case GPTQ:
		return s.Damped(w.Damping), nil
	case QuantEase:
		if r.Start == FromWeight {
			return s, wrong("damping", "start", "is %g, and its start is w: it is of GPTQ, which nothing starts from: leave it out", w.Damping)
		}
		return s.Damped(w.Damping), nil
	}
	return s, w.idle("damping", strconv.FormatFloat(w.Damping, 'g', -1, 64), s)
}

func (w Words) ranged(s Scheme, given func(string) bool) (Scheme, error) {
	if !given("range") || w.Range == DefaultRange {
		return s, nil
	}
	if s.Rounder == nil || s.Format.Float {
		return s, wrong("range", "scheme", "is %s, and its scheme is %s: expected integers, whose scales it fits, or leave it out", w.Range, w.Scheme)
	}
	s.Range = Range(w.Range)
	return s, nil
}

// outliers applies the words of the numbers beside the codes.
func (w Words) outliers(s Scheme, given func(string) bool) (Scheme, error) {
	share := 0.0
	if given("outliers") {
		var err error
		if share, err = parseOutliers(w.Outliers); err != nil {
			return s, wrong("outliers", "", "is %q, %v", w.Outliers, err)
		}
	}
	columns := given("outliers_shape") && w.OutliersShape == shapeColumns
	_, descends := s.Rounder.(QuantEase)
	switch {
	case share == 0 && columns:
		return s, wrong("outliers_shape", "outliers", "is %s, and its outliers are 0: leave it out, or give a share of outliers such as 0.5%%", w.OutliersShape)
	case share == 0:
		return s, nil
	case !descends:
		return s, wrong("outliers", "method", "is %s, and its method is %s, which has none: leave it out, or take method quantease", w.Outliers, methodOr(s))
	case s.Format.Float:
		return s, wrong("outliers", "scheme", "is %s, and its scheme is %s, whose numbers are floats: it is for integers such as w3a16 or w4a16", w.Outliers, w.Scheme)
	}
	s.Outliers = Outliers{Share: share, Columns: columns}
	return s, nil
}

// parseOutliers reads a share of weights: "0.5%", "0.005" or "0".
func parseOutliers(text string) (float64, error) {
	digits, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(digits, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= mostOutliers) {
		return 0, fmt.Errorf("expected 0, or a share of the weights such as 0.5%% or 0.005, at most %g%%", 100*mostOutliers)
	}
	return share, nil
}

// share is the share as a word: in percent where these few digits are the same share.
func (o Outliers) share() string {
	if o.none() {
		return DefaultOutliers
	}
	text := strconv.FormatFloat(100*o.Share, 'g', 6, 64) + "%"
	if same, err := parseOutliers(text); err != nil || same != o.Share {
		return strconv.FormatFloat(o.Share, 'g', -1, 64)
	}
	return text
}

// methodOr names the method, none of the scheme none.
func methodOr(s Scheme) string {
	if s.Rounder == nil {
		return "none"
	}
	return s.Method()
}
