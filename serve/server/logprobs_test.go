package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The object of alternatives has the likeliest first in the bytes of the answer, whatever their
// spelling; of two tokens with one text the likelier stays.
func TestTopLogprobsAreInOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		add  []topLogprob
		want string
	}{
		{"against the spelling", []topLogprob{{"z", -0.5}, {"a", -1}, {"m", -2}}, `{"z":-0.5,"a":-1,"m":-2}`},
		{"one text twice", []topLogprob{{"\uFFFD", -0.5}, {"a", -1}, {"\uFFFD", -2}}, `{"` + "\uFFFD" + `":-0.5,"a":-1}`},
		{"quotes", []topLogprob{{"\"\n", -1}}, `{"\"\n":-1}`},
		{"nothing", nil, `{}`},
	} {
		list := topLogprobs{}
		for _, a := range c.add {
			list.add(a.text, a.logP)
		}
		if got, err := json.Marshal(list); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
	if got, err := json.Marshal([]topLogprobs{nil}); err != nil || string(got) != "[null]" {
		t.Errorf("before the first token: %s, %v, want null", got, err)
	}
	x := start(t, script, Options{})
	for _, more := range []string{"", `,"echo":true`, `,"stream":true`} {
		got := x.post(t, "/v1/completions", fmt.Sprintf(`{"prompt":"the rain falls","max_tokens":6,"temperature":0,"logprobs":8%s}`, more))
		objects, sorted := 0, 0
		for _, part := range strings.Split(got.body, `"top_logprobs":[`)[1:] {
			d := json.NewDecoder(strings.NewReader("[" + part))
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
			for d.More() {
				open, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				if open == nil {
					continue // of the first token of an echo
				}
				objects++
				name, last, inOrder := "", 1.0, true
				for d.More() {
					key, err := d.Token()
					if err != nil {
						t.Fatal(err)
					}
					value, err := d.Token()
					if err != nil {
						t.Fatal(err)
					}
					if p := value.(float64); p > last {
						t.Errorf("%q: %q has %v after %v in %s", more, key, p, last, part)
					} else {
						last = p
					}
					inOrder, name = inOrder && key.(string) >= name, key.(string)
				}
				if inOrder {
					sorted++
				}
				if _, err := d.Token(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if objects < 6 || sorted == objects {
			t.Errorf("%q: %d objects, %d of them in the order of their spelling: the test sees no order in %s", more, objects, sorted, got.body)
		}
	}
}
