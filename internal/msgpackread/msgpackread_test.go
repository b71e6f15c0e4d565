package msgpackread

import (
	"bytes"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// sample has every kind of value that the lab writes, and some more.
type sample struct {
	Name   string             `msgpack:"name"`
	Sizes  []entry            `msgpack:"sizes"`
	Values map[string]float64 `msgpack:"values"`
	Raw    []byte             `msgpack:"raw"`
	Any    any                `msgpack:"any"`
	Count  int64              `msgpack:"count"`
	Small  float32            `msgpack:"small"`
	On     bool               `msgpack:"on"`
}

type entry struct {
	Name string `msgpack:"name"`
	Size uint64 `msgpack:"size"`
}

func full() sample {
	s := sample{
		Name: strings.Repeat("n", 300), Values: map[string]float64{}, Raw: bytes.Repeat([]byte{1}, 70000),
		Any: []any{nil, "x"}, Count: math.MinInt64, Small: 1.5, On: true,
	}
	for i := range 20 {
		s.Sizes = append(s.Sizes, entry{strings.Repeat("e", i), 1 << (3 * i)})
		s.Values[strings.Repeat("v", i)] = float64(i)
	}
	return s
}

func TestDecodesWhatIsWritten(t *testing.T) {
	data, err := msgpack.Marshal(full())
	if err != nil {
		t.Fatal(err)
	}
	var got sample
	if err := Decode(data, &got); err != nil {
		t.Fatal(err)
	}
	if want := full(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nexpected %+v", got, want)
	}
	for n := range len(data) - 1 {
		var part sample
		if err := Decode(data[:n], &part); err == nil {
			t.Fatalf("the first %d of %d bytes decode", n, len(data))
		}
	}
}

// Each form of the specification is as long as the specification says: a value behind it is found.
func TestFormsHaveTheirLengths(t *testing.T) {
	for _, form := range []string{
		"\x00", "\x7f", "\xff", "\xe0", "\xc0", "\xc2", "\xc3", "\x80", "\x81\x01\x02", "\x8f" + strings.Repeat("\x01", 30),
		"\x90", "\x92\x01\x02", "\x9f" + strings.Repeat("\x01", 15), "\xa0", "\xa3abc", "\xbf" + strings.Repeat("a", 31),
		"\xc4\x02ab", "\xc5\x00\x02ab", "\xc6\x00\x00\x00\x02ab",
		"\xca1234", "\xcb12345678", "\xcc1", "\xcd12", "\xce1234", "\xcf12345678", "\xd01", "\xd112", "\xd21234", "\xd312345678",
		"\xd9\x02ab", "\xda\x00\x02ab", "\xdb\x00\x00\x00\x02ab",
		"\xdc\x00\x02\x01\x02", "\xdd\x00\x00\x00\x02\x01\x02", "\xde\x00\x01\x01\x02", "\xdf\x00\x00\x00\x01\x01\x02",
	} {
		if err := check([]byte("\x92" + form + "\xc1")); err == nil || !strings.Contains(err.Error(), "0xc1") {
			t.Errorf("%q and 0xc1 in an array: %v, expected the error on 0xc1", form, err)
		}
		if err := check([]byte(form)); err != nil {
			t.Errorf("%q: %v", form, err)
		}
	}
}

func TestFalseLengthsAllocateNothing(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"array", "\x81\xa5sizes\xdd\x7f\xff\xff\xff\x80", "byte 7: 2147483647 elements, expected at most the 1 bytes"},
		{"map", "\x81\xa6values\xdf\xff\xff\xff\xff", "byte 8: 8589934590 elements, expected at most the 0 bytes"},
		{"text", "\x81\xa4name\xdb\xff\xff\xff\xff", "byte 6: a value of 4294967295 bytes"},
		{"bytes", "\x81\xa3raw\xc6\x7f\xff\xff\xff\x00", "byte 5: a value of 2147483647 bytes"},
		{"extension", "\x81\xa3any\xc9\xff\xff\xff\xff", "byte 5: found an extension (0xc9), expected none"},
		{"map in an extension", "\x81\xa6values\xd6\x00\xdf\x7f\xff\xff\xff\xff", "byte 8: found an extension (0xd6)"},
		{"unknown key", "\x81\xa3xyz\xdd\x7f\xff\xff\xff", "byte 5: 2147483647 elements"},
		{"depth", strings.Repeat("\x91", 1e6) + "\xc0", "more than 64 values within each other"},
		{"nothing", "", "byte 0: the end, expected a value"},
		{"length", "\xdd\x7f\xff", "byte 0: the end within a length of 4 bytes"},
		{"no value", "\xc1", "0xc1"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var into sample
		err := Decode([]byte(c.data), &into)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 4<<20 {
			t.Errorf("%s: %d bytes were allocated for a value of %d", c.name, bytes, len(c.data))
		}
	}
}

// TestOtherTypes: a value of another type, and a key twice, are errors without words of the
// library.
func TestOtherTypes(t *testing.T) {
	var into sample
	if err := Decode([]byte("\x82\xa3any\x00\xa3any\x00"), &into); err == nil || !strings.Contains(err.Error(), "a value of another type than expected") {
		t.Errorf("any twice: %v", err)
	}
	if err := Decode([]byte("\x81\xa5count\xa1x"), &into); err == nil || strings.Contains(err.Error(), "msgpack") || !strings.Contains(err.Error(), "a value of another type than expected") {
		t.Errorf("a text for a number: %v", err)
	}
	if err := Decode([]byte("\x82\xa5count\x00\xa5count\x07"), &into); err != nil || into.Count != 7 {
		t.Errorf("count twice: %v, %d", err, into.Count)
	}
}

func FuzzDecode(f *testing.F) {
	data, err := msgpack.Marshal(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("\x81\xa5sizes\xdd\x7f\xff\xff\xff\x80"))
	f.Add([]byte("\x81\xa3any\x91\x91\xc0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var into sample
		if Decode(data, &into) != nil {
			return
		}
		again, err := msgpack.Marshal(into)
		if err != nil {
			t.Fatal(err)
		}
		var second sample
		if err := Decode(again, &second); err != nil {
			t.Fatalf("what was decoded and written again is refused: %v", err)
		}
	})
}

func TestDepthIsBounded(t *testing.T) {
	for depth, ok := range map[int]bool{1: true, maxDepth: true, maxDepth + 1: false} {
		if err := check([]byte(strings.Repeat("\x91", depth) + "\xc0")); (err == nil) != ok {
			t.Errorf("%d arrays within each other: %v", depth, err)
		}
	}
}
