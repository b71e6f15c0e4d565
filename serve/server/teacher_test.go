package server

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/kd/remote"
	"slimlab/kernels"
	"slimlab/serve"
	"slimlab/serve/host"
)

// TestTeacherByServer: a student that a server teaches, over all its tokens, gets the same
// weights, bit for bit, as one that the model in memory teaches, whose keys and values are kept in
// the same format; with prefixes that are cached and without, in small chunks and pages.
func TestTeacherByServer(t *testing.T) {
	tokenizer := newTokenizer(t)
	of, examples := kdtest.Model(t, kdtest.Vocab, 24, 2), kdtest.Examples(30, kdtest.Vocab, 3)
	trained := func(teacher kd.Teacher, o kd.Objective) []uint32 {
		t.Helper()
		student := kdtest.Model(t, kdtest.Vocab, 16, 1)
		_, err := kd.Train(t.Context(), kd.TrainConfig{
			Student: student, Teacher: teacher, Objective: o, Next: kd.Shuffle(examples, 12, 1), Steps: 3, LearningRate: 1e-3,
		}, func(kd.StepReport) {})
		if err != nil {
			t.Fatal(err)
		}
		var bits []uint32
		for _, w := range student.Flat() {
			bits = append(bits, math.Float32bits(w))
		}
		return bits
	}
	for _, format := range []kernels.KVFormat{kernels.KVFloat32, kernels.KVBFloat16} {
		local, err := of.WithKV(format)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []kd.Objective{{Divergence: kd.ForwardKL, CE: 0.1}, {Divergence: kd.ReverseKL}, {Divergence: kd.JSD, Parameter: 0.5, Temperature: 2, TimesT2: true}} {
			want := trained(kd.NewModelTeacher(local, kernels.Float32), o)
			for name, engine := range map[string]serve.Options{"cache": serve.Defaults(), "no cache": {}, "chunks": {PrefixCache: true, Chunk: 3}, "lists": serve.Defaults()} {
				executor, err := host.New(local, host.Options{PageSize: 2, Pages: 300})
				if err != nil {
					t.Fatal(err)
				}
				e, err := serve.New(executor, engine)
				if err != nil {
					t.Fatal(err)
				}
				s, err := New(Model{Name: "teacher", Engine: e, Shape: executor.Shape(), Tokenizer: tokenizer, NoTemplate: "none"}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				form := remote.WholeRows
				handler := s.Handler()
				if name == "lists" { // as one that does not know whole rows
					form, handler = remote.GivenTokens, without("prompt_logits", handler)
				}
				server := httptest.NewServer(handler)
				teacher, err := remote.Dial(t.Context(), remote.Config{URL: server.URL + "/v1", Vocab: kdtest.Vocab, Positions: 64})
				if err != nil {
					t.Fatal(err)
				}
				if teacher.Form() != form {
					t.Errorf("%v", teacher)
				}
				if got := trained(teacher, o); !slices.Equal(got, want) {
					t.Errorf("%v, %s, %s: other bits than with the model", format, o.Formula(), name)
				}
				server.CloseClientConnections()
				server.Close()
				e.Close()
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// without is a handler of JSON bodies without one of their keys.
func without(key string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var members map[string]json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&members); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		delete(members, key)
		body, err := json.Marshal(members)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		h.ServeHTTP(w, r)
	})
}
