package store

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/internal/msgpackread"
	"slimlab/lab"
)

// agrees fails where the flat decoder takes a record that msgpackread refuses or decodes otherwise,
// to the bits of NaN. It says whether the flat decoder took it.
func agrees(t interface{ Fatalf(string, ...any) }, d *flatDecoder, payload []byte) bool {
	var flat, want lab.Event
	if !d.decode(payload, &flat) {
		return false
	}
	if err := msgpackread.Decode(payload, &want); err != nil {
		t.Fatalf("%q: decoded as %+v, expected the error %v", payload, flat, err)
	}
	for _, x := range []struct{ got, want *float64 }{{&flat.Time, &want.Time}, {&flat.Value, &want.Value}} {
		if math.Float64bits(*x.got) != math.Float64bits(*x.want) {
			t.Fatalf("%q: decoded %x, expected %x", payload, math.Float64bits(*x.got), math.Float64bits(*x.want))
		}
		*x.got, *x.want = 0, 0
	}
	if !reflect.DeepEqual(flat, want) {
		t.Fatalf("%q: decoded as %+v, expected %+v", payload, flat, want)
	}
	return true
}

// mass are events such as logs hold in masses, one or more of each kind that has flat ones.
func mass() []lab.Event {
	const cell = "loss=fkl ratio=0.2 seed=1"
	return []lab.Event{
		{Kind: lab.KindPoint, Time: 1.25, Cell: cell, Name: "distilled.loss", Step: 70_000, Value: 0.1},
		{Kind: lab.KindPoint, Time: 1.25, Cell: cell, Name: "distilled.loss", Step: -70_000, Value: math.NaN()},
		{Kind: lab.KindCell, Time: 2, Cell: cell, Stage: "distilled", State: lab.Running, Step: 5, Total: 600, Text: strings.Repeat("t", 200)},
		{Kind: lab.KindNote, Time: 3, Level: lab.Warning, Text: "3 of 96 groups clipped"},
		{Kind: lab.KindVerdict, Time: 4, Name: "auc > 0.5", Held: true, Unjudged: true, Text: "0.7 > 0.5"},
		{Kind: lab.KindRow, Time: 5, Cell: cell, Row: "w8a8", Key: "aa", Machine: "Xeon", Test: "bb", Tokens: "cc", Chosen: "ce=0"},
		{Kind: lab.KindEnd, Time: 6, State: lab.Done},
		{},
	}
}

// What the writer makes of points, progress and other events without lists and tables is decoded
// flat, and as msgpackread decodes it.
func TestMassesAreFlat(t *testing.T) {
	d := newFlatDecoder()
	for _, e := range mass() {
		frame, err := newEncoder().encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if !agrees(t, d, frame[recordHeader:]) {
			t.Errorf("%s: %+v is not decoded flat", e.Kind, e)
		}
	}
}

// Every width of integer, float and text, at its bounds and in every field, is decoded flat where
// the field takes it, and as msgpackread decodes it; nothing else is decoded flat.
func TestFlatWidths(t *testing.T) {
	var integers, floats []string
	for code := byte(0xca); code <= 0xd3; code++ {
		size := map[byte]int{0xca: 4, 0xcb: 8}[code]
		if size == 0 {
			size = 1 << (code & 3)
		}
		for _, first := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			for _, rest := range []byte{0, 1, 0xff} {
				value := append([]byte{code, first}, bytes.Repeat([]byte{rest}, size-1)...)
				if code < 0xcc {
					floats = append(floats, string(value))
				} else {
					integers = append(integers, string(value))
				}
			}
		}
	}
	integers = append(integers, "\x00", "\x7f", "\xe0", "\xff")
	texts := []string{"\xa0", "\xa3abc", "\xbf" + strings.Repeat("a", 31), "\xd9\x00", "\xd9\xff" + strings.Repeat("b", 255)}
	booleans := []string{"\xc2", "\xc3"}
	others := []string{"\xc0", "\xda\x00\x01c", "\xdb\x00\x00\x00\x01c", "\xc4\x01d", "\x90", "\x80", "\x91\x01", "\x81\xa1v\x01", "\xd4\x00\x00", "\xc1"}
	d := newFlatDecoder()
	for _, fields := range []struct {
		keys string
		take [][]string
	}{
		{"ksiml", [][]string{integers}},
		{"tv", [][]string{integers, floats}},
		{"cgnrxapedf", [][]string{texts}},
		{"hj", [][]string{booleans}},
		{"wqbyzo", nil},
		{"?", nil},
	} {
		for _, key := range fields.keys {
			for _, values := range [][]string{integers, floats, texts, booleans, others} {
				takes := slices.ContainsFunc(fields.take, func(of []string) bool { return &of[0] == &values[0] })
				for _, value := range values {
					record := []byte("\x81\xa1" + string(key) + value)
					if flat := agrees(t, d, record); flat != takes {
						t.Errorf("%q: decoded flat is %t, expected %t", record, flat, takes)
					}
					for cut := range record {
						if agrees(t, d, record[:cut]) {
							t.Errorf("%q: the first %d bytes are decoded flat", record, cut)
						}
					}
				}
			}
		}
	}
}

// A record of any fields in any order, known or of a newer version, twice or cut off or with more
// behind it, is decoded as msgpackread decodes it.
func TestFlatAgrees(t *testing.T) {
	d := newFlatDecoder()
	fields := rapid.Custom(func(t *rapid.T) []byte {
		key := rapid.OneOf(rapid.SampledFrom(strings.Split("ktcgsnrimvwlhjxqbapeyzdfo", "")), rapid.SampledFrom([]string{"", "u", "kk", "K"})).Draw(t, "key")
		value := rapid.OneOf(
			rapid.Custom(func(t *rapid.T) []byte { // numbers
				code := rapid.ByteRange(0xca, 0xd3).Draw(t, "code")
				size := map[byte]int{0xca: 4, 0xcb: 8}[code]
				if size == 0 {
					size = 1 << (code & 3)
				}
				return append([]byte{code}, rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "number")...)
			}),
			rapid.Custom(func(t *rapid.T) []byte { return []byte{rapid.Byte().Draw(t, "byte")} }),
			rapid.Custom(func(t *rapid.T) []byte {
				text := rapid.StringN(0, 300, 300).Draw(t, "text")
				if len(text) < 32 {
					return append([]byte{0xa0 | byte(len(text))}, text...)
				}
				if len(text) < 256 {
					return append([]byte{0xd9, byte(len(text))}, text...)
				}
				return append([]byte{0xda, byte(len(text) >> 8), byte(len(text))}, text...)
			}),
		).Draw(t, "value")
		return append(append([]byte{0xa0 | byte(len(key))}, key...), value...)
	})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(fields, 0, 17).Draw(t, "fields")
		record := []byte{0x80 | byte(len(list))}
		if len(list) > 15 || rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			record = []byte{0xde, 0, byte(len(list))}
		}
		record = append(record, bytes.Join(list, nil)...)
		switch rapid.IntRange(0, 5).Draw(t, "damage") {
		case 0:
			record = record[:rapid.IntRange(0, len(record)).Draw(t, "cut")]
		case 1:
			record = append(record, rapid.Byte().Draw(t, "more"))
		}
		agrees(t, d, record)
	})
}

func FuzzFlat(f *testing.F) {
	for _, e := range mass() {
		frame, err := newEncoder().encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame[recordHeader:])
	}
	d := newFlatDecoder()
	f.Fuzz(func(t *testing.T, record []byte) { agrees(t, d, record) })
}
