package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/kernels"
)

// TestTokensAreChecked: every token that an answer lists is told with its text, also one beyond the
// vocabulary; an error ends the training at once and names the endpoint.
func TestTokensAreChecked(t *testing.T) {
	of := kdtest.Model(t, kdtest.Vocab, 24, 2)
	for _, given := range []bool{true, false} {
		server := &kdtest.Endpoint{Model: of, Given: given, Decoded: func(id int32) string { return fmt.Sprint("<", id, ">") }}
		config, w := configOf(t, server)
		var mutex sync.Mutex
		seen := map[int64]string{}
		config.Check = func(id int64, text string) error {
			mutex.Lock()
			defer mutex.Unlock()
			seen[id] = text
			return nil
		}
		config.Vocab = kdtest.Vocab - 5
		if given {
			config.Vocab = kdtest.Vocab
		}
		examples := kdtest.Examples(12, config.Vocab, 3)
		teacher := dial(t, config)
		if err := teacher.Prepare(context.Background(), examples); err != nil {
			t.Fatal(err)
		}
		if len(seen) != kdtest.Vocab || seen[60] != "<60>" || seen[3] != "<3>" {
			t.Errorf("given %v: %d tokens, %v", given, len(seen), seen)
		}
		config.Check = func(id int64, text string) error {
			if id == 1 {
				return errors.New("token 1 is " + text)
			}
			return nil
		}
		calls, _ := server.Calls()
		var err error
		if teacher, err = Dial(context.Background(), config); err == nil { // its own likeliest may lack token 1
			err = teacher.Prepare(context.Background(), examples)
		}
		after, _ := server.Calls()
		if err == nil || !strings.Contains(err.Error(), "token 1 is <1>") || !strings.Contains(err.Error(), "/v1/completions") || after-calls > 14 || len(w.list) > 0 {
			t.Errorf("given %v: %v, %d calls, waits %v", given, err, after-calls, w.list)
		}
	}
	config, _ := configOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"choices": [{"prompt_logprobs": [null, {"0": {"logprob": -1, "decoded_token": 5}, "1": -2}]}]}`)
	}))
	if _, err := Dial(context.Background(), config); err == nil || !strings.Contains(err.Error(), "decoded_token is 5, expected a text") {
		t.Errorf("a text that is none: %v", err)
	}
}

// TestTextsChangeNothing: answers with texts beside the log-probabilities train with the same bits.
func TestTextsChangeNothing(t *testing.T) {
	of, examples := kdtest.Model(t, kdtest.Vocab, 24, 2), kdtest.Examples(12, kdtest.Vocab, 3)
	config, _ := configOf(t, &kdtest.Endpoint{Model: of, Given: true, Decoded: func(int32) string { return `a"}]` }})
	o := kd.Objective{Divergence: kd.ForwardKL}
	got, _, err := trained(dial(t, config), kdtest.Model(t, kdtest.Vocab, 16, 1), o, examples)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := trained(kd.NewModelTeacher(of, kernels.Float32), kdtest.Model(t, kdtest.Vocab, 16, 1), o, examples)
	if err != nil || !sameBits(got, want) {
		t.Errorf("other bits; %v", err)
	}
}

// TestValidate: what no endpoint can be asked by is refused without asking one.
func TestValidate(t *testing.T) {
	if err := (Config{URL: "http://127.0.0.1:1/v1", Vocab: 5, KeyVariable: "SLIMLAB_NO_SUCH_KEY"}).Validate(); err != nil {
		t.Error(err)
	}
	for want, c := range map[string]Config{
		"expected one such as":        {URL: "host:8000/v1", Vocab: 5},
		"teacher's URL":               {URL: "http://[", Vocab: 5},
		"name or a password":          {URL: "http://me:secret@host/v1", Vocab: 5},
		"query with \"api_key\"":      {URL: "http://host/v1?version=2&api_key=SECRET", Vocab: 5},
		"query with \"access_token\"": {URL: "http://host/v1?access_token=SECRET", Vocab: 5},
		"cannot be read: ":            {URL: "http://me:SECRET@[", Vocab: 5},
		"at least 2":                  {URL: "http://host/v1"},
		"top-k 9 of a vocabulary of":  {URL: "http://host/v1", Vocab: 5, TopK: 9},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(strings.ToLower(err.Error()), "secret") {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}
