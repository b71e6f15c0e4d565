package scenario_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

// TestWhatCannotBeIsSaidAtLoad: values that are in their ranges and yet cannot be, with the place
// and the values that would do. None waits until its step begins.
func TestWhatCannotBeIsSaidAtLoad(t *testing.T) {
	const quantize = "- quantize: { name: q, scheme: w8a8 }"
	for _, c := range []struct{ name, old, new, want string }{
		{"warm-up beyond the steps", "steps: 10", "steps: 10, warmup: 11", "x.yaml:8:66: step kd's warmup is 11, expected at most the 10 steps of the step"},
		{"warm-up of a training", quantize, "- train: { into: s, steps: 1, warmup: 2 }", "step train's warmup is 2, expected at most the 1 steps"},
		{"warm-up in a sweep", quantize, "- train: { into: s, steps: 20, warmup: \"${n}\" }\nsweep: { n: [3, 30] }", "x.yaml:9:42: step train's warmup is 30, expected at most the 20"},
		{"group of 7", quantize, "- quantize: { scheme: w4a16, group: 7 }", "x.yaml:9:39: step quantize's group is 7, expected a multiple of 8 such as 32, 64 or 128"},
		{"group of 4", quantize, "- quantize: { scheme: w4a8-rtn, group: 4 }", "step quantize's group is 4, expected a multiple of 8"},
		{"group of 12 in a sweep", quantize, "- quantize: { scheme: w4a16-gptq, group: \"${g}\" }\nsweep: { g: [8, 12] }", "step quantize's group is 12, expected a multiple of 8"},
		{"a world of one member", "kind: recsys", "kind: recsys, members: 1", "x.yaml:2:32: task's members is 1, expected at least 2"},
		{"ranking a file", "task: { kind: recsys }", "task: { kind: jsonl, path: x }\nserve: { workload: ranking }", "x.yaml:3:20: serve has the workload ranking, whose prompts task recsys alone has, and the task is jsonl: expected workload prompts, or no workload"},
		{"ranking a file of which keys are right", "task: { kind: recsys }", "task: { kind: jsonl, path: x }\nserve: { workload: ranking, prompts: 3 }", "expected workload prompts, or no workload"},
		{"members of a file", "task: { kind: recsys }", "task: { kind: text, path: x }\nserve: { members: 2 }", "x.yaml:3:19: serve's members is of the workload ranking, and the workload is prompts: leave it out"},
		{"answers of a ranking", "name: x", "name: x\nserve: { answer_tokens: 2 }", "x.yaml:2:25: serve's answer_tokens is of the workload prompts, and the workload is ranking: leave it out"},
		{"text of a ranking", "name: x", "name: x\nserve: { workload: prompts }", "x.yaml:2:20: serve has the workload prompts, which are answered with text, and task recsys answers with one token: expected workload ranking, or no workload"},
		{"serving ratings", "task: { kind: recsys }", "task: { kind: ratings, path: x }\nserve: {}", "x.yaml:3:8: serve: task ratings has neither members with candidates nor prompts that are answered with text: leave the section serve out, or write its prompts to a file of records of task jsonl"},
		{"answers of a text", "task: { kind: recsys }", "task: { kind: text, path: x }\nevaluate: { answers: 3 }", "x.yaml:3:22: evaluate's answers is 3, and task text has no records of prompts and responses: leave it out; task jsonl has them"},
		{"a test set beyond memory", "kind: recsys", "kind: recsys, members: 900000, candidates: 1000", "x.yaml:2:32: task's members times candidates is 900000 × 1000, expected at most 1000000"},
		{"a workload beyond memory", "name: x", "name: x\nserve: { members: 500000, candidates: 3 }", "x.yaml:2:19: serve's members times candidates is 500000 × 3, expected at most 1000000"},
		{"no training left", "kind: recsys", "kind: text, path: x, validation: 0.5, test: 0.5", "task's test is 0.5 beside a validation of 0.5, expected a sum below 1"},
		{"no calibration left", "kind: recsys", "kind: jsonl, path: x, validation: 0.95", "task's validation is 0.95, expected above 0 and below 0.9"},
		{"a vocabulary of the bytes alone", "name: x", "name: x\ntokenizer: { vocab: 257 }", "tokenizer's vocab is 257, expected at least 258"},
		{"one field twice", "kind: recsys", "kind: jsonl, path: x, prompt_field: a, response_field: a", `task's response_field is "a", which is the prompt_field too`},
		{"a long name", "name: x", "name: " + strings.Repeat("n", 97), "x.yaml:1:7: the scenario's name has 97 bytes, expected at most 96"},
		{"a long name of a step", "name: q", "name: " + strings.Repeat("q", 65), "cannot name a step: expected letters, digits and . _ + % -, at most 64"},
		{"a name with NUL", "name: x", `name: "a\0b"`, "x.yaml:1:7: the scenario's name \"a\\x00b\" has the character U+0000, which cannot be printed"},
		{"a name with an escape", "name: x", `name: "a\e[31m"`, "has the character U+001B, which cannot be printed"},
		{"a name of two lines", "name: x", `name: "a\nb"`, "has the character U+000A, which cannot be printed"},
		{"a name that turns the text", "name: x", `name: "a\u202eb"`, "has the character U+202E, which cannot be printed"},
		{"steps: yes", "steps: 10", "steps: yes", "step kd's steps is yes, expected a whole number"},
		{"steps: null", "steps: 10", "steps: null", "step kd's steps is null, expected a whole number"},
		{"steps: ~", "steps: 10", "steps: ~", "step kd's steps is ~, expected a whole number"},
		{"no steps", "steps: 10", "steps: ", "step kd's steps is nothing, expected a whole number"},
		{"steps in quotes", "steps: 10", `steps: "10"`, `step kd's steps is the text "10", expected a whole number`},
		{"steps with a point", "steps: 10", "steps: 2.5", "step kd's steps is 2.5, expected a whole number"},
		{"steps of two words", "steps: 10", "steps: ten or so", `step kd's steps is "ten or so", expected a whole number`},
		{"seeds beyond memory", "name: x", "name: x\nseeds: 9223372036854775807", "x.yaml:2:8: the scenario's seeds is 9223372036854775807, expected at least 1 and at most 1000"},
		{"too many seeds", "name: x", "name: x\nseeds: 1001", "the scenario's seeds is 1001, expected at least 1 and at most 1000"},
		{"cells", quantize, "- prune: { mlp: \"0.${n}\" }\nseeds: 1000\nsweep: { n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] }", "the sweep has more than 10000 cells: the values of its axes, and 1000 seeds, multiplied"},
		{"UTF-16", small, "\xff\xfen\x00a\x00", "x.yaml:1:1: the file is UTF-16, expected UTF-8"},
		{"Latin-1", "name: x", "name: x\nabout: gr\xfcn", "x.yaml:2: the line is no UTF-8"},
	} {
		text := strings.Replace(small, c.old, c.new, 1)
		if text == small {
			t.Errorf("%s: the case changes nothing", c.name)
		}
		if _, err := scenario.Parse("x.yaml", []byte(text), options()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	for setting, want := range map[string]string{
		"kd.warmup=11":               "--set kd.warmup=11: step kd's warmup is 11, expected at most the 10",
		"seeds=99999999999999999999": "the scenario's seeds is 99999999999999999999, expected a whole number from -9223372036854775808 to 9223372036854775807",
	} {
		if _, err := scenario.Parse("x.yaml", []byte(small), options(setting)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s: got %v, want %s", setting, err, want)
		}
	}
}

// TestFaultsOfOverridesNameThem: a value that --set gives a param or an axis is at fault where the
// param is used, and the place of the use is said too; of two keys that contradict each other the
// one that was set is at fault.
func TestFaultsOfOverridesNameThem(t *testing.T) {
	text := strings.Replace(small, "steps: 10 }", "steps: \"${steps}\", warmup: 5, learning_rate: \"${rate}\" }", 1)
	text = strings.Replace(text, "scheme: w8a8", "scheme: \"w${bits}\"", 1) +
		"params: { steps: 10, rate: 1e-3, bits: 8a8, least: 0.5 }\nserve: { members: 500, candidates: 2 }\nexpect: [\"auc(row=kd) > ${least}\"]\n"
	for setting, want := range map[string]string{
		"steps=4":                "--set steps=4, used at x.yaml:8:54: step kd's warmup is 5, expected at most the 4 steps of the step; or add --set kd.warmup=…",
		"kd.steps=4":             "--set kd.steps=4: step kd's warmup is 5, expected at most the 4 steps of the step; or add --set kd.warmup=…",
		"steps=0":                "--set steps=0, used at x.yaml:8:54: step kd's steps is 0, expected at least 1",
		"steps=abc":              "--set steps=abc, used at x.yaml:8:54: step kd's steps is abc, expected a whole number",
		"rate=NaN":               "--set rate=NaN, used at x.yaml:8:92: step kd's learning_rate is NaN, expected a number",
		"rate=-2":                "--set rate=-2, used at x.yaml:8:92: step kd's learning_rate is -2, expected above 0",
		"bits=9":                 "--set bits=9, used at x.yaml:9:34: step q's scheme is \"w9\"",
		"least=x":                "--set least=x, used at x.yaml:12:10: expectation \"auc(row=kd) > x\": unknown metric",
		"serve.candidates=10000": "--set serve.candidates=10000: serve's members times candidates is 500 × 10000, expected at most 1000000; or add --set serve.members=…",
		"models.s.heads=3":       "--set models.s.heads=3: model s: hidden 8 is no multiple of heads 3",
		"FM.model=zz":            "--set FM.model=zz: unknown step or model \"zz\": expected one of FM",
		"kd.teacher=zz":          "--set kd.teacher=zz: unknown step or model \"zz\": expected one of FM",
		"expect=[{}]":            "--set expect=[{}]: expect holds a mapping, expected expectations such as \"auc(row=NAME) > 0.7\"",
	} {
		_, err := scenario.Parse("x.yaml", []byte(text), options(setting))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "FM, FM") {
			t.Errorf("--set %s: got %v, want %s", setting, err, want)
		}
	}
	s, err := scenario.Parse("x.yaml", []byte(text), options("least=0.6", "steps=20"))
	if err != nil {
		t.Fatal(err)
	}
	if at := s.Expect[0].At; at != "x.yaml:12:10" {
		t.Errorf("the annotation of an expectation is at %s, expected its place in the file", at)
	}
}

// TestExpectationsTakeUnits: numbers may have the suffixes of tables, with a space before them or
// none, by the unit of the metric; the error of another unit names the metric's.
func TestExpectationsTakeUnits(t *testing.T) {
	text := small + "serve: { members: 5, candidates: 2 }\nexpect: [ %q ]\n"
	for expect, want := range map[string]string{
		"ttft_cold_p50(row=q) < 1ms":                  "",
		"ttft_cold_p50(row=q) < 1 ms":                 "",
		"ttft_cold_p50(row=q) < 900µs + 1e2us":        "",
		"300kB >= bytes(row=q)":                       "",
		"bytes(row=q) < 0.5MB":                        "",
		"bytes(row=q) < 300k":                         "",
		"params(row=q) < 1.5M":                        "",
		"smaller(row=q) > 1.5x":                       "",
		"smaller(row=q) > 1.5×":                       "",
		"auc(row=q) > 70%":                            "",
		"auc(row=q) > 99 % * auc(row=FM)":             "",
		"ttft_cold_p50(row=q) < 3kB":                  `x.yaml:11:35: expectation "ttft_cold_p50(row=q) < 3kB": ttft_cold_p50: found "3kB", expected a number whose unit is seconds, with one of the suffixes s, ms, µs, ns, us, %, or none`,
		"bytes(row=q) < 1ms":                          `bytes: found "1ms", expected a number whose unit is bytes, with one of the suffixes TB, GB, MB, kB, B, T, G, M, k, KB, KiB, MiB, GiB, TiB, %, or none`,
		"auc(row=q) > 1ms":                            `auc: found "1ms", expected a number whose unit is fraction, with one of the suffixes %, or none`,
		"ttft_cold_p50(row=q) < 2ms * auc(row=q)":     "",
		"ttft_cold_p50(row=q) < smaller(row=q) * 2ms": "",
		"ttft_cold_p50(row=q) < 2ms * 3":              "",
		"bytes(row=q) < 2k * params(row=q)":           "",
		"bytes(row=q) * ttft_cold_p50(row=q) < 0.5 * bytes(row=FM) * ttft_cold_p50(row=FM)": "",
		"ttft_cold_p50(row=q) < 2ms * tokens_per_s(row=q)":                                  `found 2ms times tokens_per_s, whose unit is per second; a number with a unit is multiplied by a ratio alone: expected a plain number, 1.5x or 3% before tokens_per_s`,
		"ttft_cold_p50(row=q) < params(row=q) * 2 ms":                                       `x.yaml:11:51: expectation "ttft_cold_p50(row=q) < params(row=q) * 2 ms": found 2ms times params, whose unit is count`,
		"ttft_cold_p50(row=q) < 2ms * ttft_cold_p50(row=FM)":                                `found 2ms times ttft_cold_p50, whose unit is seconds`,
		"bytes(row=q) > 3kB * -bytes(row=FM)":                                               `found 3kB times bytes`,
		"ttft_cold_p50(row=q) < 2ms * 3ms":                                                  `found 2ms times 3ms, two numbers with units`,
		"ttft_cold_p50(row=q) * bytes(row=q) < 3kB":                                         `3kB is a number of bytes, and ttft_cold_p50 * bytes beside it is not`,
		"bytes(row=q) + 20ms < ttft_cold_p50(row=q)":                                        `20ms is a number of seconds, and bytes beside it is not; expected terms of one unit`,
		"bytes(row=q) < 3kB + 0 * ttft_cold_p50(row=q) + 1ms":                               `3kB is a number of bytes, and ttft_cold_p50 beside it is not`,
		"ttft_cold_p50(row=q) < 1sec":                                                       `found "1sec", expected a number such as 0.5, 20ms or 1.5MB`,
		"ttft_cold_p50(row=q) < 1 sec":                                                      `found "sec" after the end`,
		"auc(row=q) > 0x1p-1":                                                               `found "0x1p", expected a number`,
	} {
		s, err := scenario.Parse("x.yaml", []byte(fmt.Sprintf(text, expect)), options())
		if want == "" && (err != nil || len(s.Expect) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, expected %q", expect, err, want)
		}
	}
}

// TestSchemesTakeTheirGroup: a scheme with groups takes their size as an ending, which is the
// step's group then; a size that cannot be, another group beside it and schemes without groups are
// errors.
func TestSchemesTakeTheirGroup(t *testing.T) {
	for scheme, want := range map[string]string{
		"w4a16-g64": "64", "w4a16-asym-gptq-act-g128": "128", "w4a8-rtn-g8": "8", "w4a16-g32, group: 32": "32", "w4a16, group: 64": "64", "w4a16-gptq": "auto", "w8a16-gchannel": "channel", "w8a16-rtn, group: channel": "channel",
		"w4a16-g32, group: 64":        "x.yaml:9:52: step q's group is 64, and its scheme w4a16-g32 has groups of 32: leave it out, or name the scheme w4a16",
		"w4a16-g7":                    "x.yaml:9:34: step q's scheme is \"w4a16-g7\": group size \"7\", expected a multiple of 8 such as 32, 64 or 128, or channel",
		"w4a8-gptq-g0":                `step q's scheme is "w4a8-gptq-g0": group size "0", expected a multiple of 8`,
		"w4a16-g99999999999999999999": `group size "99999999999999999999", expected a multiple of 8`,
		"w8a8-g32":                    `scheme is "w8a8-g32"`,
		"none-g32":                    `scheme is "none-g32"`,
		"w4a16-g":                     `scheme is "w4a16-g"`,
		"w4a16-gx":                    `scheme is "w4a16-gx"`,
		"w4a16-g32-g64":               `scheme is "w4a16-g32-g64"`,
	} {
		s, err := scenario.Parse("x.yaml", []byte(strings.Replace(small, "scheme: w8a8", "scheme: "+scheme, 1)), options())
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, expected %s", scheme, err, want)
			}
			continue
		}
		step, _ := s.Points[0].Step("q")
		found := ""
		for _, setting := range step.Settings() {
			if setting.Key == "group" {
				found = setting.Value
			}
		}
		if found != want {
			t.Errorf("%s: the step's group is %s, expected %s", scheme, found, want)
		}
	}
}

// TestWhatCanBe: the neighbours of what cannot be are accepted.
func TestWhatCanBe(t *testing.T) {
	for _, c := range []struct{ old, new string }{
		{"steps: 10", "steps: 10, warmup: 10"},
		{"scheme: w8a8", "scheme: w8a8, group: channel"}, // as it is anyway
		{"scheme: w8a8", "scheme: w4a16, group: 8"},
		{"name: x", "name: " + strings.Repeat("n", 96)},
		{"name: x", "name: x\nseeds: 1000"},
		{"name: x", "\ufeffname: x"},
		{"name: x", "name: x\r"},
	} {
		if _, err := scenario.Parse("x.yaml", []byte(strings.Replace(small, c.old, c.new, 1)), options()); err != nil {
			t.Errorf("%s: %v", c.new, err)
		}
	}
}

// TestSeedsOfOptions: the number of seeds and the first one are bounded too when the command line
// gives them.
func TestSeedsOfOptions(t *testing.T) {
	for _, c := range []struct {
		seeds, first int
		want         string // "" is none
	}{
		{-1, 1, "--seeds: is -1, expected 1 to 1000"},
		{1001, 1, "--seeds: is 1001, expected 1 to 1000"},
		{math.MaxInt, 1, "expected 1 to 1000"},
		{1000, 1, ""},
		{2, math.MaxInt, "--seed: is 9223372036854775807, expected at most 9223372036854775806: the last of 2 seeds"},
		{1, math.MaxInt, ""},
		{3, math.MinInt, ""},
	} {
		o := options()
		o.Seeds, o.Seed = c.seeds, &c.first
		s, err := scenario.Parse("x.yaml", []byte(small), o)
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d seeds from %d: got %v, want %s", c.seeds, c.first, err, c.want)
			}
		case err != nil:
			t.Error(err)
		case len(s.Seeds) != c.seeds || s.Seeds[0] != c.first || s.Seeds[c.seeds-1] != c.first+c.seeds-1:
			t.Errorf("%d seeds from %d: got %d from %d", c.seeds, c.first, len(s.Seeds), s.Seeds[0])
		}
	}
}

// TestExpectationsOnWhatIsNeverMeasured could not hold whatever a run does: they are errors with
// the reason and the place.
func TestExpectationsOnWhatIsNeverMeasured(t *testing.T) {
	file := strings.Replace(small, "task: { kind: recsys }", "task: { kind: jsonl, path: x }", 1)
	text := strings.Replace(small, "task: { kind: recsys }", "task: { kind: text, path: x }", 1)
	serving := small + "serve: { candidates: 1 }\n"
	for _, c := range []struct{ text, expectation, want string }{
		{small, "ttft_cold_p50(row=kd) < 1", "ttft_cold_p50(row=kd) is never measured: the scenario has no section serve"},
		{small, "tokens_per_s(row=FM) > 1", "tokens_per_s(row=FM) is never measured: the scenario has no section serve"},
		{small, "cached(row=q) > 0", "the scenario has no section serve"},
		{serving, "ttft_hot_p99(row=FM) < 1", "serve's candidates is 1, and the first prompt of a member is never hot: expected at least 2"},
		{serving, "ttft_cold_p99(row=FM) < 1", ""},
		{file, "auc(row=kd) > 0.7", ""}, // where its responses are one of two texts
		{file, "auc_soft(row=kd) > 0.7", "auc_soft(row=kd) is never measured: task jsonl has no such figure, it has auc, auc_delta, auc_within, auc_within_mean, accuracy, loss, loss_delta, agreement, kl"},
		{file, "auc_within(row=kd) > 0.7", "task jsonl has no groups, expected the key group_field"},
		{file, "loss_test(row=kd) > 0.7", "there are no test records, expected task jsonl with the key test"},
		{text, "loss_test(row=kd) > 0.7", "there are no test windows, expected the key test"},
		{text, "auc(row=kd) > 0.7", "auc(row=kd) is never measured: task text has no such figure, it has loss, loss_delta, agreement, kl"},
		{text, "perplexity(row=kd) < 70", ""},
		{text, "flips(row=kd) < 0.1", ""},
		{serving, "tpot_p50(row=FM) < 1", "serve's workload ranking asks for no text: expected workload prompts"},
		{serving, "memory_peak(row=FM) < 1", ""},
		{file + "serve: {}\n", "tpot_p50(row=FM) < 1", ""},
		{file + "serve: {}\n", "tokens_per_s(row=FM) > 1", ""},
		{file + "serve: { answer_tokens: 1 }\n", "tpot_p99(row=FM) < 1", "serve's answer_tokens is 1, and the first token of an answer has no time per token: expected at least 2"},
		{file + "serve: {}\n", "ttft_hot_p50(row=FM) < 1", "serve's workload prompts has no members whose prefix is cached"},
		{file, "accuracy(row=kd) > 0.7", ""}, // likewise
		{text, "accuracy(row=kd) > 0.7", "task text has no prompts with one of two answers"},
		{file, "exact(row=kd) > 0.7", "exact(row=kd) is never measured: no prompts are answered, expected the key evaluate.answers"},
		{file + "evaluate: { answers: 5 }\n", "f1(row=kd) > 0.7", ""},
		{file + "evaluate: { answers: 5 }\n", "exact(row=kd) > 0.7", ""},
		{small, "f1(row=kd) > 0.7", "task recsys has no responses that answers are compared with, expected task jsonl with the key evaluate.answers"},
		{small, "choice_accuracy(row=kd) > 0.3", "there are no questions, expected a file of them in the key evaluate.choice"},
		{small + "evaluate: { choice: x.jsonl }\n", "choice_accuracy(row=kd) > 0.3", ""},
		{small, "perplexity(row=kd) < 70", "task recsys ranks by one token: its answers are no text"},
		{small, "auc_gain(row=kd) > 0", "auc_gain(row=kd) is never measured: task recsys has no such figure"},
		{file, "loss(row=kd) < auc_soft(row=q)", "auc_soft(row=q) is never measured"},
		{file, "loss(row=kd) < 2 * loss(row=q)", ""},
		{file, "agreement(row=kd) > 0.5", ""},
		{small, "loss(row=kd) < 2", ""},
		{small, "train_tokens_per_s(row=q) > 5", "train_tokens_per_s(row=q) is never measured: step q is of kind quantize, expected train or distil"},
		{small, "train_tokens_per_s(row=FM) > 5", "step FM is of kind baseline"},
		{small, "train_tokens_per_s(row=kd) > 5", ""},
		{small, "paper(row=kd) < 0", "paper(row=kd) is never measured: the section paper has no figure of the row"},
		{small + "paper: { kd: -1 }\n", "paper(row=kd) < 0", ""},
		{small + "paper: { kd: -1 }\n", "paper(row=q) < 0", "paper(row=q) is never measured"},
	} {
		_, err := scenario.Parse("x.yaml", []byte(c.text+"expect: [ \""+c.expectation+"\" ]\n"), options())
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.expectation, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), fmt.Sprintf("x.yaml:%d:", strings.Count(c.text, "\n")+1))):
			t.Errorf("%s: got %v, want %s", c.expectation, err, c.want)
		}
	}
	// at the points that it is about alone
	swept := strings.Replace(small, "task: { kind: recsys }", "serve: { candidates: \"${n}\" }\ntask: { kind: recsys }", 1) + "sweep: { n: [1, 2] }\n"
	for expectation, held := range map[string]bool{"ttft_hot_p50(row=FM, n=2) < 1": true, "ttft_hot_p50(row=FM, n=1) < 1": false, "ttft_hot_p50(row=FM) < 1": false} {
		if _, err := scenario.Parse("x.yaml", []byte(swept+"expect: [ \""+expectation+"\" ]\n"), options()); (err == nil) != held {
			t.Errorf("%s: %v", expectation, err)
		}
	}
}

// TestAt finds where values stand, for errors that come after loading.
func TestAt(t *testing.T) {
	s, err := scenario.Parse("x.yaml", []byte(strings.Replace(small, "scheme: w8a8", "scheme: w4a8, calibration: { samples: 3 }", 1)), options("kd.batch=3"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"task":                           "x.yaml:2:7",
		"task kind":                      "x.yaml:2:15",
		"task path":                      "x.yaml:2:7",
		"models FM load":                 "x.yaml:4:7",
		"models s hidden":                "x.yaml:5:27",
		"pipeline kd steps":              "x.yaml:8:54",
		"pipeline kd batch":              "--set kd.batch=3",
		"pipeline q calibration samples": "x.yaml:9:64",
		"pipeline q group":               "x.yaml:9:15",
		"nothing":                        "x.yaml",
	} {
		if got := s.At(strings.Fields(path)...); got != want {
			t.Errorf("%s is at %s, expected %s", path, got, want)
		}
	}
}

// TestDepthAndSizeOfAFile: a scenario nests and holds as much as its bounds say, and no more.
func TestDepthAndSizeOfAFile(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth) }
	values := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	for name, c := range map[string]struct{ text, refused string }{
		// the file and the list are the other values: the mapping, its key's value
		"as deep as may be": {nested(15), ""}, "deeper": {nested(16), "x.yaml:1:21: nested more than 16 deep"},
		"as many as may be": {values(20_000 - 2), ""}, "more": {values(20_000 - 1), "more than 20000 values"},
	} {
		_, err := scenario.Parse("x.yaml", []byte("no: "+c.text+"\n"), scenario.Options{Vocabulary: vocabulary})
		if err == nil {
			t.Fatalf("%s: an unknown key is accepted", name)
		}
		if refused := strings.Contains(err.Error(), "nested more") || strings.Contains(err.Error(), "more than 20000"); refused != (c.refused != "") || !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v, expected %q", name, err, c.refused)
		}
	}
}

// TestRequiredKeys: the reference calls these keys required, and no others.
func TestRequiredKeys(t *testing.T) {
	var required []string
	for _, section := range append(scenario.Sections(), vocabulary.Steps()...) {
		for _, key := range section.Keys {
			if key.Required {
				required = append(required, section.Name+" "+key.Key)
			}
		}
	}
	want := []string{"task kind", "task kind", "task kind", "task path", "task kind", "task path", "task kind", "task path", "baseline model", "train steps", "distil steps", "ab a", "ab b"}
	if !slices.Equal(required, want) {
		t.Errorf("required are %q, expected %q", required, want)
	}
}

// TestKeysOfEachStep: in the reference each step has a name and what it starts from, except for one
// that takes a loaded model as it is, or needs none, which has no from.
func TestKeysOfEachStep(t *testing.T) {
	for i, section := range vocabulary.Steps() {
		var head []string
		for _, key := range section.Keys {
			if key.Key == "name" || key.Key == "from" {
				head = append(head, key.Key)
			}
		}
		want := []string{"name", "from"}
		if vocabulary.Kinds[i].Loads || vocabulary.Kinds[i].Alone {
			want = want[:1]
		}
		if !slices.Equal(head, want) || section.Name == "baseline" && len(want) != 1 {
			t.Errorf("%s has %q, expected %q", section.Name, head, want)
		}
	}
}

// A value that is not read has no second error that follows from it, at no point of a sweep.
func TestOneErrorForOneFault(t *testing.T) {
	text := strings.Replace(small, "steps: 10", `steps: yes, warmup: 5, batch: "${n}"`, 1) + "sweep: { n: [1, 2] }\n"
	_, err := scenario.Parse("x.yaml", []byte(text), options())
	if err == nil || !strings.Contains(err.Error(), "steps is yes") || strings.Contains(err.Error(), "warmup") {
		t.Errorf("got %v", err)
	}
}
