package jsondoc

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestSchemaIsTheFirstKey(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{struct{}{}, "{\n  \"schema\": \"x/1\"\n}\n"},
		{map[string]int{"a": 1}, "{\n  \"schema\": \"x/1\",\n  \"a\": 1\n}\n"},
		{struct {
			Text string `json:"text"`
		}{"a < b & 1 → 2"}, "{\n  \"schema\": \"x/1\",\n  \"text\": \"a < b & 1 → 2\"\n}\n"},
	} {
		var b strings.Builder
		if err := Write(&b, "x/1", c.v); err != nil || b.String() != c.want {
			t.Errorf("%v: %v, found\n%s\nexpected\n%s", c.v, err, b.String(), c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	var b strings.Builder
	for _, v := range []any{[]int{1}, "text", nil, map[string]float64{"a": math.NaN()}} {
		if err := Write(&b, "x/1", v); err == nil || b.Len() > 0 {
			t.Errorf("%v: no error, wrote %q", v, b.String())
		}
	}
	if err := Write(broken{}, "x/1", struct{}{}); !errors.Is(err, errBroken) {
		t.Errorf("found %v, expected the writer's error", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
