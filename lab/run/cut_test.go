package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

// TestCutsAreSaid: a number that is larger than what there is, before the run, with what is used;
// one that fits is not.
func TestCutsAreSaid(t *testing.T) {
	path := sums(t)
	for settings, want := range map[string]string{
		"cache: top-k:5000": "two: cache's top-k is 5000, and there are 270 tokens: all are kept, which codec exact does without rounding",
		"cache: top-k:270":  "",
		"remote: { url: \"http://host/v1\", ask: 271, top_k: 300 }": "two: remote.ask is 271, and there are 270 tokens: all are asked for, as without ask\n" +
			"two: remote.top_k is 300, and there are 270 tokens: all are asked for",
		"remote: { url: \"http://host/v1\", ask: 270 }":                         "",
		"samples: { fraction: 0.5, top_k: 271 }":                                "two: samples.top_k is 271, and there are 270 tokens: all are chosen from",
		"samples: { fraction: 0.5, top_k: 270 }":                                "",
		"samples: { fraction: 1, speculative: 999 }":                            "two: samples.speculative is 999, and there are 270 tokens: all of the student's stand",
		"samples: { fraction: 1, tokens: 2000 }":                                "two: samples.tokens is 2000, and student and teacher read 512 tokens, of which the prompts of the first 256 examples take 11 to 14: an answer has at most 498 to 501",
		"samples: { fraction: 1, tokens: 499 }":                                 "an answer has at most 498 to 499",
		"samples: { fraction: 1, tokens: 498 }":                                 "",
		"samples: { fraction: 1 }":                                              "",
		"teachers: \"teacher=1,one=1\", samples: { fraction: 1, tokens: 2000 }": "two: samples.tokens is 2000, and the student reads 512 tokens",
	} {
		text := fmt.Sprintf(onPolicy, path, settings)
		if !strings.HasPrefix(settings, "cache") && !strings.HasPrefix(settings, "samples") {
			text = strings.Replace(text, "from: one, teacher: teacher,", "from: one,", 1)
		}
		_, notes, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{}))
		if err != nil {
			t.Fatal(settings, err)
		}
		var found []string
		for _, n := range notes {
			if strings.HasPrefix(n.Text, "two: ") && strings.Contains(n.Text, ", and ") {
				found = append(found, n.Text)
			}
		}
		if got := strings.Join(found, "\n"); got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: notes %q, expected %q", settings, got, want)
		}
	}
}
