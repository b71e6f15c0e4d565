package teachercache

import (
	"context"
	"path/filepath"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/kernels"
)

func tinyJob(t testing.TB, spec Spec) Job {
	return Job{
		Name: filepath.Join(t.TempDir(), "teacher.cache"), Spec: spec,
		Source:  Source{Teacher: "weights of 2", Tokenizer: "tokens", Template: "chat", Task: "tiny", Vocab: kdtest.Vocab},
		Teacher: kd.NewModelTeacher(kdtest.Model(t, kdtest.Vocab, 24, 2), kernels.Float32), Examples: kdtest.Examples(30, kdtest.Vocab, 3),
	}
}

// built builds a job and opens its cache.
func built(t testing.TB, j Job) *Cache {
	t.Helper()
	if _, err := Build(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	c, err := Open(j.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// specs is each codec in each form.
func specs() map[string]Spec {
	return map[string]Spec{
		"exact": {}, "top-k": {Codec: TopK, K: 8}, "top-k without the tail": {Codec: TopK, K: 8, DropTail: true}, "sampled": {Codec: Sampled, Draws: 12, Seed: 1},
		"sampled of p^0.7": {Codec: Sampled, Draws: 12, Power: 0.7, Temperature: 2}, "exact, whole": {Whole: true},
	}
}
