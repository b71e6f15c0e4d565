package serve

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"slimlab/serve/sample"
)

// TestLogProbabilities: each chosen token, the stop token included, has the log-probability of a
// softmax in float64 over the logits as they were given, or at the request's temperature where that
// is asked for, and so have the likeliest beside it; asking changes no token, and who does not ask
// has none.
func TestLogProbabilities(t *testing.T) {
	f := newFake(100, 4)
	seen := map[string][]float32{}
	f.spoil = func(sequence []int32, logits []float32) { seen[fmt.Sprint(sequence)] = slices.Clone(logits) }
	e := engine(t, f, Defaults())
	requests := []Request{
		{Prompt: ids(1, 6), MaxTokens: 9},
		{Prompt: ids(3, 9), MaxTokens: 7, Sampling: sample.Settings{Temperature: 0.7, Seed: 4}},
		{Prompt: ids(1, 4), MaxTokens: 8, Sampling: sample.Settings{Temperature: 1.5, TopP: 0.5, TopK: 7, Seed: 5}},
		{Prompt: ids(5, 9), MaxTokens: 1, Sampling: sample.Settings{Temperature: 1, Seed: 6}},
	}
	plain, err := e.DoAll(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	requests = append(requests, requests[1])
	requests[4].Stop = plain[1].Tokens[3:4]
	var told [5][]Token
	for i := range requests {
		requests[i].LogP, requests[i].ScaledLogP, requests[i].TopLogP = i != 3, i == 2, i%2*3
		requests[i].OnToken = func(token Token) { told[i] = append(told[i], token) }
	}
	requests[3].TopLogP = 0
	asked, err := e.DoAll(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range asked {
		chosen := slices.Clone(r.Tokens)
		if i < 4 && !slices.Equal(chosen, plain[i].Tokens) {
			t.Errorf("request %d: asking for log-probabilities changes the tokens from %v to %v", i, plain[i].Tokens, chosen)
		}
		if r.Finish == FinishStop {
			chosen = append(chosen, r.Stopped)
		}
		if (i == 4) != (r.Finish == FinishStop) || i == 4 && r.Stopped != requests[4].Stop[0] {
			t.Errorf("request %d ends by %s with %d", i, r.Finish, r.Stopped)
		}
		if !requests[i].LogP {
			if r.LogP != nil {
				t.Errorf("request %d has log-probabilities that nobody asked for", i)
			}
			continue
		}
		if len(r.LogP) != len(chosen) {
			t.Fatalf("request %d: %d log-probabilities of %d tokens", i, len(r.LogP), len(chosen))
		}
		temperature := 1.0
		if i == 2 {
			temperature = requests[i].Sampling.Temperature
		}
		for j, token := range chosen {
			logits := seen[fmt.Sprint(join(requests[i].Prompt, chosen[:j]))]
			var sum float64
			for _, v := range logits {
				sum += math.Exp(float64(v) / temperature)
			}
			if want := float64(logits[token])/temperature - math.Log(sum); math.Abs(float64(r.LogP[j])-want) > 1e-5 {
				t.Errorf("request %d, token %d: log-probability %v, want %v", i, j, r.LogP[j], want)
			}
			var top []Alternative
			if n := requests[i].TopLogP; n > 0 {
				sums := []float64{0}
				sample.LogSums(sums, logits)
				top = sample.Likeliest(logits, n, sums[0])
			}
			if j < len(r.Top) && !slices.Equal(r.Top[j], top) || len(r.Top) != 0 && len(r.Top) != len(chosen) || len(r.Top) == 0 && top != nil {
				t.Errorf("request %d, token %d: the likeliest are %v, want %v", i, j, r.Top, top)
			}
			if j < len(r.Tokens) && !reflect.DeepEqual(told[i][j], Token{token, r.LogP[j], top}) {
				t.Errorf("request %d, token %d: told %+v", i, j, told[i][j])
			}
		}
	}
}
