package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"slimlab/lab/run"
)

// withoutFlag are the keys of the steps prune and quantize that their verbs have no flag for, and
// why; withoutKey the flags that are no key.
var (
	withoutFlag = map[string]string{
		"name": "a verb writes one model", "from": "the argument MODEL",
		"kv":                  "no saved model carries it: eval, serve and doctor choose it",
		"calibration.source":  "a verb reads a text, --calibration",
		"calibration.by_seed": "a verb has one seed",
	}
	withoutKey = map[string]string{
		"calibration": "a text, where a step has the task's", "random-calibration": "for models without a tokenizer, which no task has", "length": "of windows of a text; examples have theirs",
		"seed": "a run's", "statistics": "a run keeps them in its home", "dtype": "models of a run are bfloat16", "format": "a run's report has its own", "help": "no option of the work",
	}
)

// TestVerbsReachEveryKey: what a step can be told its verb can be told too, and the other way, but
// for what is listed with the reason.
func TestVerbsReachEveryKey(t *testing.T) {
	unusedKeys, unusedFlags := maps.Clone(withoutFlag), maps.Clone(withoutKey)
	for _, step := range run.Vocabulary().Steps() {
		if step.Name != "prune" && step.Name != "quantize" {
			continue
		}
		flags := namesOfFlags(t, step.Name)
		keys := map[string]bool{}
		for _, key := range step.Keys {
			flag := strings.ReplaceAll(strings.TrimPrefix(key.Key, "calibration."), "_", "-")
			keys[flag] = true
			if _, listed := withoutFlag[key.Key]; listed {
				delete(unusedKeys, key.Key)
			} else if !slices.Contains(flags, flag) {
				t.Errorf("the verb %s has no flag --%s for the key %s", step.Name, flag, key.Key)
			}
		}
		for _, flag := range flags {
			if _, listed := withoutKey[flag]; listed {
				delete(unusedFlags, flag)
			} else if !keys[flag] {
				t.Errorf("the step %s has no key for --%s", step.Name, flag)
			}
		}
	}
	if len(unusedKeys)+len(unusedFlags) > 0 {
		t.Errorf("listed, and there are none: %v, %v", unusedKeys, unusedFlags)
	}
}

// namesOfFlags lists the flags of a verb.
func namesOfFlags(t *testing.T, verb string) (names []string) {
	t.Helper()
	for _, cmd := range new(program).rootCommand().Commands() {
		if cmd.Name() == verb {
			cmd.InitDefaultHelpFlag()
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		}
	}
	if len(names) == 0 {
		t.Fatalf("no verb %s", verb)
	}
	return names
}
