package server

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
)

type scored struct {
	Scores [][]float64
	Usage  usage
}

// Scores are the probabilities that completions report, whatever the order of the items and however
// many there are in one request.
func TestScores(t *testing.T) {
	x := start(t, script, Options{})
	items := []string{" hello", " the fox", " 🙂", " a"}
	labels := []int32{5, 40, 41, 200}
	ask := func(query string, items []string, more string) scored {
		list, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		return decode[scored](t, x.post(t, "/v1/score", fmt.Sprintf(`{"query":%q,"items":%s,"label_token_ids":[5,40,41,200]%s}`, query, list, more)))
	}
	const query = "the quick brown fox jumps over it"
	all, among := ask(query, items, ""), ask(query, items, `,"apply_softmax":true`)
	if all.Usage.CompletionTokens != 0 || among.Usage.PromptTokensDetails.CachedTokens == 0 || among.Usage.PromptTokens != all.Usage.PromptTokens {
		t.Errorf("usage %+v, then %+v", all.Usage, among.Usage)
	}
	for i, item := range items {
		single := ask(query, []string{item}, "")
		if !slices.Equal(single.Scores[0], all.Scores[i]) {
			t.Errorf("%q alone has %v, among others %v", item, single.Scores[0], all.Scores[i])
		}
		prompt := append(x.tokenizer.EncodeSpecial(query), x.tokenizer.Encode(item)...)
		logits, sum, whole := x.logits(prompt), 0.0, 0.0
		for _, l := range logits {
			whole += math.Exp(float64(l))
		}
		for j, label := range labels {
			sum += among.Scores[i][j]
			if want := math.Exp(float64(logits[label])) / whole; math.Abs(all.Scores[i][j]/want-1) > 1e-4 {
				t.Errorf("%q, label %d: probability %v, want %v", item, label, all.Scores[i][j], want)
			}
			if want := all.Scores[i][j] / all.Scores[i][0]; math.Abs(among.Scores[i][j]/among.Scores[i][0]/want-1) > 1e-4 {
				t.Errorf("%q, label %d: softmax does not keep the ratio", item, label)
			}
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("the scores of %q sum to %v", item, sum)
		}
	}
	turned := slices.Clone(items)
	slices.Reverse(turned)
	if again := ask(query, turned, "").Scores; !slices.Equal(again[0], all.Scores[3]) || !slices.Equal(again[3], all.Scores[0]) {
		t.Error("the order of the items matters")
	}
	if none := ask(query, []string{}, ""); none.Scores == nil || len(none.Scores) != 0 {
		t.Errorf("no items have the scores %v", none.Scores)
	}
	first := ask(" tail", items[:2], `,"item_first":true`)
	if want := ask(items[0], []string{" tail"}, ""); !slices.Equal(first.Scores[0], want.Scores[0]) {
		t.Errorf("an item before the query has %v, want %v", first.Scores[0], want.Scores[0])
	}
	tokens := strings.ReplaceAll(fmt.Sprint(x.tokenizer.EncodeSpecial(query)), " ", ",")
	byID := decode[scored](t, x.post(t, "/v1/score", fmt.Sprintf(`{"query":%s,"items":[%s],"label_token_ids":[5,40,41,200]}`, tokens, strings.ReplaceAll(fmt.Sprint(x.tokenizer.Encode(items[1])), " ", ","))))
	if !slices.Equal(byID.Scores[0], all.Scores[1]) {
		t.Errorf("tokens have the scores %v, the text %v", byID.Scores[0], all.Scores[1])
	}
	vllm := x.post(t, "/generative_scoring", fmt.Sprintf(`{"query":%q,"items":[" hello"],"label_token_ids":[5,40]}`, query))
	if got := decode[struct{ Results []tokenScores }](t, vllm).Results; len(got) != 1 || math.Abs(got[0].Probs["5"]+got[0].Probs["40"]-1) > 1e-12 {
		t.Errorf("vLLM's form: %s", vllm.body)
	}
	x.idle(t)
}

// Usage counts each item as a prompt of its own, and as cached what was not computed for it: by the
// cache, or by another item of the request on the same query.
func TestScoreUsage(t *testing.T) {
	x := start(t, script, Options{})
	query, items := x.tokenizer.EncodeSpecial("the quick brown fox jumps over it"), [][]int32{{5, 6, 7}, {}, {8}, {9, 10}}
	body, err := json.Marshal(map[string]any{"query": query, "items": items, "label_token_ids": []int32{5}})
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"", "", `,"reuse":false`, `,"item_first":true`, `,"item_first":true`} {
		before, err := x.engine.Stats()
		if err != nil {
			t.Fatal(err)
		}
		u := decode[scored](t, x.post(t, "/v1/score", strings.TrimSuffix(string(body), "}")+more+"}")).Usage
		after, err := x.engine.Stats()
		if err != nil {
			t.Fatal(err)
		}
		computed := after.ComputedTokens - before.ComputedTokens
		if want := 4*len(query) + 6; u.PromptTokens != want || u.TotalTokens != want || u.PromptTokens-u.PromptTokensDetails.CachedTokens != computed {
			t.Errorf("%q: %+v, %d tokens computed, want %d prompt tokens and as many computed as not cached", more, u, computed, want)
		}
	}
}

func TestScoreRefuses(t *testing.T) {
	x := start(t, script, Options{Limits: Limits{Items: 3, Labels: 2}})
	for body, says := range map[string]string{
		`{"query":"a","items":["b"]}`:                                                         "label_token_ids: found none",
		`{"query":"a","items":["b"],"label_token_ids":[1,2,3]}`:                               "found 3 tokens, expected at most 2",
		`{"query":"a","items":["b"],"label_token_ids":[-1]}`:                                  "found token -1",
		`{"query":"a","items":["b"],"label_token_ids":[4000]}`:                                "found token 4000",
		`{"query":"a","items":["b","b","b","b"],"label_token_ids":[1]}`:                       "items: found 4 items, expected at most 3",
		`{"items":["b"],"label_token_ids":[1]}`:                                               "query: found none",
		`{"query":["a","b"],"items":["b"],"label_token_ids":[1]}`:                             "query: found 2, expected one",
		`{"query":"a","label_token_ids":[1]}`:                                                 "items: found none",
		`{"query":"a","items":[{}],"label_token_ids":[1]}`:                                    "items[0]: found an object",
		`{"query":"a","items":[[5000]],"label_token_ids":[1]}`:                                "items: found token 5000",
		`{"query":"","items":[""],"label_token_ids":[1]}`:                                     "items[0]: neither it nor the query",
		`{"query":"a","items":["b"],"label_token_ids":[1],"temperature":2}`:                   "temperature: found 2",
		`{"query":"` + strings.Repeat("a b ", 400) + `","items":["b"],"label_token_ids":[1]}`: "there is room for 512 tokens",
	} {
		got := x.post(t, "/v1/score", body)
		if p := refusal(t, got); got.status != http.StatusBadRequest || !strings.Contains(p.Message, says) {
			t.Errorf("%s: %d %s, want 400 with %q", jsonClip(body), got.status, p.Message, says)
		}
	}
}

func jsonClip(text string) string { return text[:min(80, len(text))] }
