package quant

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slimlab/model"
)

// wordsOf are the words of a text such as "scheme=w4a16 method=rtn", and which are given.
func wordsOf(t testing.TB, text string) (Words, func(string) bool) {
	t.Helper()
	w, given := Words{Group: DefaultGroup, Order: DefaultOrder, Damping: DefaultDamping, Sweeps: DefaultSweeps, Start: DefaultStart, Range: DefaultRange}, map[string]bool{}
	for _, part := range strings.Fields(text) {
		word, value, _ := strings.Cut(part, "=")
		given[word] = true
		switch word {
		case "scheme":
			w.Scheme = value
		case "method":
			w.Method = value
		case "group":
			w.Group = value
		case "order":
			w.Order = value
		case "start":
			w.Start = value
		case "range":
			w.Range = value
		case "outliers":
			w.Outliers = value
		case "outliers_shape":
			w.OutliersShape = value
		case "sweeps":
			w.Sweeps, _ = strconv.Atoi(value)
		case "damping":
			w.Damping = map[string]float64{"0.01": 0.01, "0.05": 0.05, "0": 0, "-1": -1, "11": 11}[value]
		default:
			t.Fatalf("unknown word %s", word)
		}
	}
	return w, func(word string) bool { return given[word] }
}

// TestWordsMakeSchemes: words say what endings of a name say, in every combination that both have.
func TestWordsMakeSchemes(t *testing.T) {
	for words, want := range map[string]string{
		"scheme=w4a16": "w4a16-gptq", "scheme=w4a16 method=rtn": "w4a16-rtn", "scheme=w4a16 method=gptq group=64 order=act": "w4a16-gptq-act-g64",
		"scheme=w4a16-gptq method=gptq": "w4a16-gptq", "scheme=w4a16-rtn-g32 group=32": "w4a16-rtn-g32", "scheme=w4a16-g032 group=32": "w4a16-gptq-g32",
		"scheme=w4a16-asym method=rtn group=channel": "w4a16-asym-rtn-gchannel", "scheme=w8a16 method=gptq": "w8a16-gptq", "scheme=w8a16 group=channel": "w8a16-rtn-gchannel",
		"scheme=w8a8 method=gptq order=act": "w8a8-gptq-act", "scheme=fp8 method=rtn": "fp8-dynamic", "scheme=fp8 group=channel": "fp8-dynamic", "scheme=w8a8 group=auto": "w8a8-rtn",
		"scheme=w4a16-gptq-act order=act": "w4a16-gptq-act", "scheme=w4a16-gchannel group=channel": "w4a16-gptq-gchannel", "scheme=none group=auto": "none",
		"scheme=w3a16 method=quantease group=32 order=act": "w3a16-quantease-act-g32", "scheme=w3a16": "w3a16-gptq", "scheme=w8a8-quantease sweeps=30 start=both range=absmax": "w8a8-quantease",
		"scheme=w4a16-rtn sweeps=30 start=both range=absmax": "w4a16-rtn",
		"scheme=w8a8 order=natural damping=0.01":             "w8a8-rtn",
	} {
		w, given := wordsOf(t, words)
		if s, err := w.Parse(given); err != nil || s.String() != want || s.Options() != "" {
			t.Errorf("%s: %s %q, %v, expected %s", words, s, s.Options(), err, want)
		}
	}
	w, given := wordsOf(t, "scheme=w4a8 damping=0.05")
	if s, err := w.Parse(given); err != nil || s.Rounder != (GPTQ{Damping: 0.05}) || s.Options() != "damping 0.05" {
		t.Errorf("damping: %+v, options %q, %v", s, s.Options(), err)
	}
	w, given = wordsOf(t, "scheme=w3a16 method=quantease damping=0.05 sweeps=7 start=gptq range=mse")
	if s, err := w.Parse(given); err != nil || s.Rounder != (QuantEase{Damping: 0.05, Sweeps: 7, Start: FromGPTQ}) || s.Range != MSE || s.Options() != "sweeps 7, start gptq, damping 0.05, range mse" {
		t.Errorf("options: %+v, options %q, %v", s, s.Options(), err)
	}
	for words, want := range map[string]Outliers{
		"outliers=0.5%": {Share: 0.005}, "outliers=0.005 outliers_shape=entries": {Share: 0.005}, "outliers=10% outliers_shape=columns": {Share: 0.1, Columns: true},
		"outliers=0": {}, "outliers=0% outliers_shape=entries": {}, "outliers_shape=entries": {},
	} {
		w, given = wordsOf(t, "scheme=w3a16-quantease "+words)
		if s, err := w.Parse(given); err != nil || s.Outliers != want {
			t.Errorf("%s: %+v, %v, expected %+v", words, s.Outliers, err, want)
		}
	}
	w, given = wordsOf(t, "scheme=w3a16 outliers=0 outliers_shape=entries")
	if s, err := w.Parse(given); err != nil || s.String() != "w3a16-gptq" {
		t.Errorf("no outliers of GPTQ: %s, %v", s, err)
	}
	w, given = wordsOf(t, "scheme=w4a8 damping=0.01")
	if s, err := w.Parse(given); err != nil || s.Options() != "" {
		t.Errorf("the default damping: options %q, %v", s.Options(), err)
	}
}

// TestWordsThatContradict: a word that the scheme's name contradicts, or that has no effect with
// the method and is not its default, is an error of both.
func TestWordsThatContradict(t *testing.T) {
	for words, want := range map[string]struct{ word, with, text string }{
		"scheme=w4a16-gptq method=rtn":                                {"method", "scheme", "is rtn, and its scheme w4a16-gptq is rounded by gptq: leave it out, or name the scheme w4a16"},
		"scheme=w4a16-asym-gptq-act-g8 method=rtn":                    {"method", "scheme", "or name the scheme w4a16-asym-g8"},
		"scheme=fp8 method=gptq":                                      {"method", "scheme", "is gptq, and its scheme is fp8, which is rounded by rtn alone"},
		"scheme=none method=gptq":                                     {"method", "scheme", "is gptq, and its scheme is none, which rounds nothing: leave it out"},
		"scheme=w4a16 method=gpt":                                     {"method", "", `is "gpt": expected one of rtn, gptq, quantease`},
		"scheme=w4a16-g32 group=64":                                   {"group", "scheme", "is 64, and its scheme w4a16-g32 has groups of 32: leave it out, or name the scheme w4a16"},
		"scheme=w4a16-g32 group=auto":                                 {"group", "scheme", "is auto, and its scheme w4a16-g32 has groups of 32"},
		"scheme=w4a16-gchannel group=64":                              {"group", "scheme", "is 64, and its scheme w4a16-gchannel has groups of channel"},
		"scheme=w8a8 group=64":                                        {"group", "scheme", "is 64, and its scheme is w8a8, which has no groups: leave it out"},
		"scheme=w4a16 group=12":                                       {"group", "", "is 12, expected a multiple of 8 such as 32, 64 or 128, or channel or auto"},
		"scheme=w4a16 group=all":                                      {"group", "", "is all, expected a multiple of 8"},
		"scheme=w4a16-gptq-act order=natural":                         {"order", "scheme", "is natural, and its scheme w4a16-gptq-act has the order act: leave it out, or name the scheme w4a16-gptq"},
		"scheme=w4a16-rtn order=act":                                  {"order", "method", "is act, and its method is rtn, which has none: leave it out"},
		"scheme=w4a16 order=back":                                     {"order", "", `is "back": expected one of natural, act`},
		"scheme=w8a8 damping=0.05":                                    {"damping", "method", "is 0.05, and its method is rtn, which has none: leave it out"},
		"scheme=none damping=0.05":                                    {"damping", "method", "is 0.05, and its method is none"},
		"scheme=w4a16 damping=0":                                      {"damping", "", "is 0, expected a share of the mean diagonal of the statistics, above 0 and at most 10"},
		"scheme=w4a16 damping=-1":                                     {"damping", "", "is -1, expected"},
		"scheme=w4a16 damping=11":                                     {"damping", "", "is 11, expected"},
		"scheme=w4a16 sweeps=3":                                       {"sweeps", "method", "is 3, and its method is gptq, which has none: leave it out"},
		"scheme=w4a16 start=w":                                        {"start", "method", "is w, and its method is gptq, which has none"},
		"scheme=w4a16-quantease sweeps=0":                             {"sweeps", "", "is 0, expected 1 to 1000"},
		"scheme=w4a16-quantease start=rtn":                            {"start", "", `is "rtn": expected one of w, gptq, both`},
		"scheme=w4a16-quantease start=w damping=0.05":                 {"damping", "start", "is 0.05, and its start is w"},
		"scheme=fp8 range=mse":                                        {"range", "scheme", "is mse, and its scheme is fp8: expected integers"},
		"scheme=none range=mse":                                       {"range", "scheme", "is mse, and its scheme is none"},
		"scheme=w4a16 range=max":                                      {"range", "", `is "max": expected one of absmax, mse`},
		"scheme=w3a16 outliers=0.5%":                                  {"outliers", "method", "is 0.5%, and its method is gptq, which has none: leave it out, or take method quantease"},
		"scheme=none outliers=0.5%":                                   {"outliers", "method", "is 0.5%, and its method is none"},
		"scheme=mxfp4 method=quantease outliers=0.5%":                 {"outliers", "scheme", "is 0.5%, and its scheme is mxfp4, whose numbers are floats"},
		"scheme=w3a16-quantease outliers=0.5":                         {"outliers", "", `is "0.5", expected 0, or a share of the weights such as 0.5% or 0.005, at most 10%`},
		"scheme=w3a16-quantease outliers=-1%":                         {"outliers", "", `is "-1%", expected`},
		"scheme=w3a16-quantease outliers=NaN":                         {"outliers", "", `is "NaN", expected`},
		"scheme=w3a16-quantease outliers=some":                        {"outliers", "", `is "some", expected`},
		"scheme=w3a16-quantease outliers_shape=columns":               {"outliers_shape", "outliers", "is columns, and its outliers are 0: leave it out"},
		"scheme=w3a16-quantease outliers=0.5% outliers_shape=columms": {"outliers_shape", "", `is "columms": expected one of entries, columns, did you mean "columns"?`},
		"scheme=w9":       {"scheme", "", `is "w9": expected one of none, w8a8`},
		"scheme=w4a16-g7": {"scheme", "", `is "w4a16-g7": group size "7"`},
	} {
		w, given := wordsOf(t, words)
		_, err := w.Parse(given)
		var wrong *WordError
		if !errors.As(err, &wrong) || wrong.Word != want.word || wrong.With != want.with || !strings.Contains(wrong.Error(), want.text) {
			t.Errorf("%s: %+v, expected %+v", words, err, want)
		}
	}
}

// TestFormsAreDistinct: each form parses to its scheme, none twice, and the schemes of a format and
// of its default method are one.
func TestFormsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Forms() {
		s, err := ParseScheme(f.Name)
		if err != nil || s != f.Scheme || seen[f.Name] || f.Scheme.HasGroups() != f.Groups {
			t.Errorf("%s: %+v, %v, twice %t", f.Name, s, err, seen[f.Name])
		}
		seen[f.Name] = true
		if _, err := ParseScheme(f.Name + "-g64"); (err == nil) != f.Groups {
			t.Errorf("%s-g64: %v, and groups are %t", f.Name, err, f.Groups)
		}
		if s.About() == "" {
			t.Errorf("%s has no description", f.Name)
		}
	}
	for _, name := range []string{"none", "w8a8", "w8a8-rtn", "w8a8-gptq", "w8a8-gptq-act", "w4a16", "w4a16-rtn", "w4a16-gptq", "w4a16-gptq-act", "w4a16-asym", "w4a16-asym-rtn", "w4a16-asym-gptq",
		"w4a16-asym-gptq-act", "w4a8", "w4a8-rtn", "w4a8-gptq", "w4a8-gptq-act", "fp8", "fp8-dynamic"} {
		if !seen[name] {
			t.Errorf("the name %s of earlier versions is gone: %v", name, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// TestChannelIsNoAutomaticGroup: beside an automatic group of the same format a channel stays one,
// and takes no part in choosing the size.
func TestChannelIsNoAutomaticGroup(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 60)
	plan := func(l model.LinearLayer) Scheme {
		if l.In == 60 {
			return scheme(t, "w8a16-gchannel")
		}
		return scheme(t, "w8a16")
	}
	list, err := Plan(plan).Schemes(m)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range m.Linears() {
		want := "w8a16-rtn-g32"
		if l.In == 60 {
			want = "w8a16-rtn-gchannel"
		}
		if list[i].String() != want {
			t.Errorf("%s with %d inputs is %s, expected %s", l.Name, l.In, list[i], want)
		}
	}
}

// TestWordsOfASchemeMakeIt: the words of every scheme, read again, are the scheme, and what is
// written out at its default has the same words.
func TestWordsOfASchemeMakeIt(t *testing.T) {
	var texts []string
	for _, f := range Forms() {
		texts = append(texts, "scheme="+f.Name)
	}
	texts = append(texts, "scheme=w4a16 group=64 order=act", "scheme=w4a16 group=channel range=mse damping=0.05", "scheme=w8a8 method=gptq", "scheme=w3a16 method=quantease sweeps=7 start=w",
		"scheme=w4a16 method=quantease start=gptq damping=0.05 outliers=0.5%", "scheme=w4a16 method=quantease outliers=0.0123 outliers_shape=columns", "scheme=w4a16-asym method=rtn range=mse")
	for _, text := range texts {
		w, given := wordsOf(t, text)
		s, err := w.Parse(given)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		words := s.Words()
		again, err := words.Parse(func(word string) bool {
			switch word {
			case "damping":
				return words.Damping != 0
			case "sweeps":
				return words.Sweeps != 0
			}
			return map[string]string{"method": words.Method, "group": words.Group, "order": words.Order, "start": words.Start, "range": words.Range, "outliers": words.Outliers, "outliers_shape": words.OutliersShape}[word] != ""
		})
		if err != nil || again.Words() != words || again.String() != s.String() || again.Options() != s.Options() {
			t.Errorf("%s: the words %+v make %s %s, expected %s %s: %v", text, words, again, again.Options(), s, s.Options(), err)
		}
	}
}
