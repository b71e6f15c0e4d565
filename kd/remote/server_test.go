package remote

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/model"
)

// waits is a clock that passes as it is waited for.
type waits struct {
	mutex sync.Mutex
	list  []time.Duration
}

func (w *waits) sleep(ctx context.Context, d time.Duration) error {
	w.mutex.Lock()
	w.list = append(w.list, d)
	w.mutex.Unlock()
	return ctx.Err()
}

// configOf is a Config for an endpoint, whose waits take no time.
func configOf(t testing.TB, s http.Handler) (Config, *waits) {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	w := &waits{}
	return Config{
		URL: server.URL + "/v1/", Model: "tiny", Vocab: kdtest.Vocab, Positions: 64, Sleep: w.sleep,
		Now: func() time.Time { return time.Unix(1e9, 0) }, Random: func() float64 { return 0 },
	}, w
}

func dial(t testing.TB, c Config) *Teacher {
	t.Helper()
	teacher, err := Dial(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return teacher
}

// trained returns a student's weights after some steps.
func trained(teacher kd.Teacher, student *model.Model, o kd.Objective, examples []kd.Example) ([]float32, []float64, error) {
	var divergences []float64
	_, err := kd.Train(context.Background(), kd.TrainConfig{
		Student: student, Teacher: teacher, Objective: o, Next: kd.Shuffle(examples, 12, 1), Steps: 3, LearningRate: 1e-3,
	}, func(s kd.StepReport) { divergences = append(divergences, s.Divergence) })
	return student.Flat(), divergences, err
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}
