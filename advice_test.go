package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// advisers are the files outside of main whose texts name flags, and the verbs whose users read
// them. All other packages are read in scenarios too, or in several verbs: what they advise they
// say in the words of a caller (task.Knobs), or as a whole command, slimlab VERB --flag.
var advisers = map[string][]string{
	"lab/convert/calibration.go": {"prune", "quantize"},
	"lab/loadtest/place.go":      {"bench-serve", "capacity"},
	"lab/convert/distil.go":      {"distil"},
	"lab/convert/memory.go":      {"prune", "quantize"},
	"lab/convert/options.go":     {"import", "export", "prune", "quantize", "distil"},
	"lab/convert/export.go":      {"export"},
	"lab/convert/gathering.go":   {"prune", "quantize"},
	"lab/convert/prune.go":       {"prune"},
	"lab/convert/times.go":       {"prune"},
	"lab/convert/quantize.go":    {"quantize"},
	"lab/convert/transform.go":   {"quantize"},
	"lab/convert/transfer.go":    {"import"},
	"lab/endpoint/endpoint.go":   {"serve", "chat"},
	"lab/eval/eval.go":           {"eval"},
	"lab/eval/options.go":        {"eval"},
	"lab/eval/part.go":           {"eval"},
	"lab/optimize/goals.go":      {"optimize"},
	"lab/report/matrix.go":       {"show"},
	"lab/report/shown.go":        {"show"},
	"lab/report/aggregate.go":    {"show"},
	"lab/report/along.go":        {"show"},
	"lab/report/bars.go":         {"show"},
	"lab/report/curves_write.go": {"show"},
	"lab/run/dataset_open.go":    {"run", "check"},
	"lab/run/ratings.go":         {"run", "check"},
	"lab/run/text.go":            {"run", "check"},
	"lab/scenario/bounds.go":     {"run", "check"},
	"lab/scenario/overlay.go":    {"run", "check"},
	"lab/scenario/sections.go":   {"run", "check"},
	"tui/bench_sheet_view.go":    {"run", "check"},
	"tui/run_model.go":           {"eval"},
	"tui/run_samples.go":         {"show"},
	"tui/run_views.go":           {"show"},
}

var (
	flagName = regexp.MustCompile(`(^|[^-\w])--([a-z][a-z-]*)`)
	command  = regexp.MustCompile(`slimlab ([a-z-]+)[^;:,\n]*`)
)

// flagsOf returns the flags of each verb.
func flagsOf() map[string]map[string]bool {
	verbs := map[string]map[string]bool{}
	for _, c := range new(program).rootCommand().Commands() {
		verbs[c.Name()] = verbFlags(c)
	}
	return verbs
}

func verbFlags(c *cobra.Command) map[string]bool {
	flags := map[string]bool{"help": true}
	for _, field := range strings.Fields(c.Flags().FlagUsages()) {
		if name, ok := strings.CutPrefix(field, "--"); ok {
			flags[name] = true
		}
	}
	return flags
}

// foreignFlags lists the flags in a text that the verb lacks whose user reads it. Those of a whole
// command must be flags of its verb.
func foreignFlags(text, verb string, flags map[string]map[string]bool) (foreign []string) {
	text = command.ReplaceAllStringFunc(text, func(line string) string {
		named := command.FindStringSubmatch(line)[1]
		for _, f := range flagName.FindAllStringSubmatch(line, -1) {
			if !flags[named][f[2]] {
				foreign = append(foreign, named+" --"+f[2])
			}
		}
		return ""
	})
	for _, f := range flagName.FindAllStringSubmatch(text, -1) {
		if !flags[verb][f[2]] {
			foreign = append(foreign, verb+" --"+f[2])
		}
	}
	return foreign
}

// TestTextsNameFlagsOfTheirVerbs: a text outside of main names a flag only where its file is of
// verbs that have it, or within a whole command that has it.
func TestTextsNameFlagsOfTheirVerbs(t *testing.T) {
	flags := flagsOf()
	seen := map[string]bool{}
	goFiles(t, func(path string) {
		path = filepath.ToSlash(path)
		if !strings.Contains(path, "/") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "kernels/gen/") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil || !flagName.MatchString(text) {
				return true
			}
			verbs, known := advisers[path]
			if seen[path] = true; !known {
				verbs = []string{"(another verb than that of the command)"}
			}
			for _, verb := range verbs {
				if foreign := foreignFlags(text, verb, flags); foreign != nil {
					t.Errorf("%s: %q names %q, which that verb lacks or which not all users of the text have", path, text, foreign)
				}
			}
			return true
		})
	})
	for path := range advisers {
		if !seen[path] {
			t.Errorf("%s names no flag, expected no entry for it", path)
		}
	}
}

// mistakes are command lines, without the verb's MODEL and what it writes, that fail or end with
// notes.
func mistakes(in func(name string) string) map[string][]string {
	convert := []string{"--dtype f8", "--dtype", "--format xml", "--length", "--nothing"}
	calibrated := []string{
		"", "--calibration none.txt", "--calibration " + in("words.txt"), "--calibration " + in("words.txt") + " --length 900", "--random-calibration --length 0",
		"--random-calibration --samples 0", "--random-calibration --calibration " + in("words.txt"), "--calibration " + in("records.jsonl"), "--calibration " + in("chat.jsonl"),
		"--calibration " + in("empty.txt"), "--random-calibration --damping -1", "--random-calibration --length 99999", "--calibration " + in("records.jsonl") + " --length 8 --samples 2",
	}
	with := func(prefix string, rest []string) (list []string) {
		for _, r := range rest {
			list = append(list, prefix+" "+r)
		}
		return list
	}
	data := "--data " + in("records.jsonl") + " "
	return map[string][]string{
		"prune": slices.Concat(convert, with("--mlp 50%", calibrated), []string{
			"", "--mlp 100%", "--mlp -3", "--mlp x --random-calibration", "--mlp 99999 --random-calibration", "--heads 2 --random-calibration --length 8", "--mlp 1 --align 4096 --random-calibration --length 8",
			"--mlp 50% --step -1 --random-calibration", "--mlp 50% --local-search -2 --random-calibration", "--mlp 50% --align -1 --random-calibration",
			"--mlp 50% --method best --random-calibration", "--mlp 50% --random-calibration --samples 1 --length 2 --damping 1e-300",
		}),
		"quantize": slices.Concat(convert, with("--scheme w4a16", calibrated), with("--scheme w8a8", calibrated[1:]), []string{
			"", "--scheme none", "--scheme w3a16", "--scheme w4a16-g7", "--scheme w4a16-g24 --random-calibration --length 8", "--scheme w4a16-rtn-g64", "--scheme w4a16-g64",
		}),
		"distil": slices.Concat(convert, []string{
			"", "--data none", data + "--steps 0", data + "--batch 0", data + "--length 1", data + "--length 99999", data + "--validation -1", data + "--warm-up 101", data + "--learning-rate 0",
			data + "--loss fkl", data + "--loss x", data + "--loss sft --teacher " + in("model"), data + "--loss jsd --teacher " + in("model"), data + "--loss jsd:3 --teacher " + in("model"),
			data + "--precision f8", data + "--prompt-field a --response-field a", data + "--prompt-field prompts", data + "--weight-field prompts", data + "--mask-field a --weight-field a", "--data " + in("text.txt") + " --mask-field a", data + "--teacher none", "--data " + in("chat.jsonl"), "--data " + in("empty.txt"),
			"--data " + in("words.txt"), "--data " + in("few.jsonl"), "--data " + in("odd.jsonl"), data + "--length 4", data + "--length 8 --steps 1 --batch 1", data + "--steps 1 --batch 1 --validation 1",
			"--data " + in("few.jsonl") + " --validation 0 --steps 1 --batch 1", "--data " + in("text.txt") + " --steps 1 --batch 1 --length 16 --validation 1", "--data " + in("choices.jsonl"),
		}),
		"import": slices.Concat(convert, []string{"--adapter none", "--tokenizer none", "--adapter " + in("model"), "--as hf"}),
		"export": slices.Concat(convert, []string{"--as gguf", "--as gguf-q8_0", "--as hf-gptq", "--as q8", "--adapter none"}),
		"eval": {
			"", "--text none", "--text " + in("empty.txt"), "--choice " + in("records.jsonl"), "--choice " + in("words.txt"), "--text " + in("words.txt") + " --window 1", "--text " + in("words.txt") + " --window 99999",
			"--text " + in("words.txt") + " --window 8 --stride 9", "--text " + in("words.txt") + " --perplexity llama.cpp --window 128", "--text " + in("text.txt") + " --perplexity llama.cpp --window 8 --stride 4",
			"--text " + in("text.txt") + " --perplexity wikitext", "--text " + in("text.txt") + " --bos yes", "--text " + in("chat.jsonl"), "--tokens 4", "--generate a --tokens 0", "--generate a --tokens 99999",
			"--generate a --tokens 511", "--text " + in("text.txt") + " --limit 0", "--text " + in("text.txt") + " --dtype int8", "--text " + in("text.txt") + " --against none", "--text " + in("text.txt") + " --format pdf",
			"--text " + in("text.txt") + " --window 8 --limit 1", "--generate", "--samples 3",
		},
		"inspect":  {"--dtype f32", "--format xml"},
		"tokenize": {"--text", "--decode --chat", "--add-bos", "--pieces --decode"},
		"doctor":   {"--prefill 3", "--model x", "--threads 0", "--threads 9999", "--dtype w4a16", "--model qwen2.5-0.5b --repeat 0", "--format md", "--quick --kv f8", "--parallel 2"},
	}
}

// TestAdviceNamesFlagsOfItsVerb: what a verb says of a mistake names no flag that it lacks.
func TestAdviceNamesFlagsOfItsVerb(t *testing.T) {
	file := newHome(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	output(t, exitHeld, "run", file, "--save", "teacher="+in("model"))
	var records []string
	for i := range 40 {
		records = append(records, fmt.Sprintf(`{"prompt":"say %d%s","response":"it is %d"}`, i, strings.Repeat(" again", i%7), i))
	}
	for name, text := range map[string]string{
		"records.jsonl": strings.Join(records, "\n"), "few.jsonl": strings.Join(records[:3], "\n"), "empty.txt": "  \n", "words.txt": "the member clicked",
		"text.txt": strings.Repeat("the member clicked the item and did not look back.\n", 20), "chat.jsonl": `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`,
		"odd.jsonl": `{"first":"a","second":"b"}`, "choices.jsonl": `{"query":"a","choices":["b","c"],"gold":0}`,
	} {
		writeFile(t, in(name), text)
	}
	flags := flagsOf()
	advised := 0
	try := func(verb string, args ...string) {
		stdin(t, "")
		stdout, stderr, _ := slimlab(t, append([]string{verb}, args...)...)
		texts := strings.Split(stderr, "\n")
		if verb != "doctor" && verb != "help" {
			texts = append(texts, strings.Split(stdout, "\n")...)
		}
		for _, line := range texts {
			if strings.Contains(line, "is no flag of") {
				continue // which repeats what the user wrote
			}
			if flagName.MatchString(line) {
				advised++
			}
			if foreign := foreignFlags(line, verb, flags); foreign != nil {
				t.Errorf("slimlab %s %s names %q, which it lacks: %s", verb, strings.Join(args, " "), foreign, line)
			}
		}
	}
	for verb, lines := range mistakes(in) {
		for i, line := range lines {
			args := strings.Fields(line)
			switch verb {
			case "doctor":
			case "inspect", "tokenize", "eval":
				args = append([]string{in("model")}, args...)
			default:
				args = append([]string{in("model"), in(fmt.Sprint(verb, i))}, args...)
			}
			try(verb, args...)
		}
	}
	for _, verb := range []string{"run", "check"} {
		for _, args := range []string{
			"none", "figure1 --seeds 0", "figure1 --seed x", "figure1 --set steps=x", "figure1 --set none=1", "figure1 --set", "own-data", "own-data --set task.path=none", "figure1 --quick --set distilled.steps=-1",
			"own-data --set task.path=" + in("odd.jsonl"), "own-data --set task.path=" + in("few.jsonl"), "own-data --set task.path=" + in("chat.jsonl"), "own-data --set task.path=" + in("records.jsonl") + " --set task.max_tokens=1",
			"own-data --set task.path=" + in("records.jsonl") + " --set task.max_tokens=3", "figure1 --jobs -1", "figure1 --export x", "figure1 --save none=x", "figure1 smoke --save a=b",
		} {
			fields := strings.Fields(args)
			if verb == "run" && slices.Contains(fields, "task.path="+in("few.jsonl")) {
				continue // which runs, for half a minute
			}
			try(verb, fields...)
		}
	}
	if advised < 40 {
		t.Errorf("%d texts name a flag, expected at least 40: the mistakes do not meet the advice", advised)
	}
}

// TestAdviceOfScenariosNamesTheirKeys: what the check of a scenario advises to give, set or raise
// is a key of scenarios, and no flag.
func TestAdviceOfScenariosNamesTheirKeys(t *testing.T) {
	newHome(t)
	dir := t.TempDir()
	stdout, _ := output(t, exitHeld, "schema")
	keys := map[string]bool{}
	var schema any
	if err := json.Unmarshal([]byte(stdout), &schema); err != nil {
		t.Fatal(err)
	}
	collectKeys(schema, keys)
	advice := regexp.MustCompile(`\b(?:give|set|raise|lower) (?:--set )?([a-z_]+(?:\.[a-z_]+)?)((?:,| or| and) [a-z_]+)?`)
	data := filepath.Join(dir, "data.jsonl")
	writeFile(t, data, strings.Repeat(`{"first":"a","second":"b"}`+"\n", 3))
	long := filepath.Join(dir, "long.jsonl")
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "{\"prompt\":\"say %d%s\",\"response\":\"it\"}\n", i, strings.Repeat(" again", 9))
	}
	writeFile(t, long, b.String())
	advised := 0
	for name, change := range map[string][2]string{
		"no cut":          {"mlp: 0.5, ", ""},
		"head size":       {"heads: 2, kv_heads: 1, head_dim: 8", "heads: 3"},
		"first step":      {`into: shape, steps: "${steps}", `, `steps: 3, `},
		"two of a name":   {"name: pruned", "name: teacher"},
		"no fields":       {"kind: recsys, members: 12, candidates: 2", "kind: jsonl, path: " + data},
		"no path":         {"kind: recsys, members: 12, candidates: 2", "kind: jsonl"},
		"long prompts":    {"kind: recsys, members: 12, candidates: 2", "kind: jsonl, max_tokens: 4, path: " + long},
		"one field":       {"kind: recsys, members: 12, candidates: 2", "kind: jsonl, prompt_field: a, response_field: a, path: " + long},
		"few members":     {"members: 12, candidates: 2", "members: 1, candidates: 1"},
		"group":           {"scheme: w8a8 }", "scheme: w4a16, group: 24 }"},
		"many samples":    {"samples: 8", "samples: 1000000"},
		"nothing is left": {"mlp: 0.5", "mlp: 0.999"},
	} {
		file := filepath.Join(dir, "s.yaml")
		text := strings.Replace(tiny, change[0], change[1], 1)
		if text == tiny {
			t.Fatalf("%s changes nothing", name)
		}
		writeFile(t, file, text)
		_, stderr, _ := slimlab(t, "check", file)
		for _, m := range advice.FindAllStringSubmatch(stderr, -1) {
			advised++
			words := append(strings.Split(m[1], "."), strings.Fields(strings.TrimLeft(m[2], ","))...)
			for _, w := range words {
				if !keys[w] && !slices.Contains([]string{"this", "one", "it", "or", "and"}, w) {
					t.Errorf("%s: %q advises %q, which is no key of scenarios: %s", name, m[0], w, stderr)
				}
			}
		}
		if rest := strings.ReplaceAll(stderr, "--set task.path=FILE", ""); flagName.MatchString(rest) {
			t.Errorf("%s: a flag in %s", name, stderr)
		}
	}
	if advised < 5 {
		t.Errorf("%d pieces of advice, expected at least 5", advised)
	}
}

// collectKeys adds the names of all properties of a JSON Schema.
func collectKeys(schema any, keys map[string]bool) {
	switch s := schema.(type) {
	case map[string]any:
		if properties, ok := s["properties"].(map[string]any); ok {
			for name := range properties {
				keys[name] = true
			}
		}
		for _, v := range s {
			collectKeys(v, keys)
		}
	case []any:
		for _, v := range s {
			collectKeys(v, keys)
		}
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
