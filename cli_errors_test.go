package main

import (
	"strings"
	"testing"
)

// TestErrorsOfCommandLines: what is wrong with a command line is said without the words of the
// library that reads it.
func TestErrorsOfCommandLines(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"distil a b --data c --steps 3.5", "--steps 3.5: expected a whole number"},
		{"distil a b --data c --learning-rate abc", "--learning-rate abc: expected a number"},
		{"distil a b --data c --learning-rate inf", "--learning-rate +Inf: expected a finite number above 0"},
		{"distil a b --data c --learning-rate nan", "--learning-rate NaN: expected a finite number above 0"},
		{"distil a b --data c --learning-rate 0", "--learning-rate 0: expected a finite number above 0"},
		{"replay demo --speed nan", "--speed NaN: expected a finite number above 0"},
		{"replay demo --speed inf", "--speed +Inf: expected a finite number above 0"},
		{"replay demo --speed 0", "--speed 0: expected a finite number above 0"},
		{"distil a b --data c --seed -1", "--seed -1: expected a whole number of 0 or more"},
		{"run smoke --seeds 3.5", "--seeds 3.5: expected a whole number"},
		{"run smoke --seeds 99999999999999999999", "expected a whole number of at most 64 bits"},
		{"eval a --limit 1.5", "--limit 1.5: expected a whole number"},
		{"doctor --threads abc", "--threads abc: expected a whole number"},
		{"doctor --prefill abc", "--prefill"},
		{"clean --keep x", "--keep x"},
		{"distil a b --data c --length 2.5", "--length 2.5: expected a whole number"},
		{"distil a b --data c --length 0", "--length 0: expected a whole number of at least 1"},
		{"distil a b --data c --length 99999999999999999999", "expected a whole number of at most 64 bits"},
		{"eval a -x", "-x is no flag of eval"},
		{"eval a --=x", `found "--=x", expected --FLAG`},
		{"run smoke --quick=perhaps", "expected true or false"},
		{"distil a b", "--data is missing: training data"},
		{"run smoke --export", "--export needs a value"},
		{"quantise a b", `verb "quantise": expected one of`},
		{"quantise a b", `did you mean "quantize"?`},
		{"quantise a b --dtype f16", `verb "quantise": expected one of`},
		{"serve a --kv-dtype f16", "--kv-dtype is no flag of serve, did you mean --kv?"},
		{"--mlp 20%", "--mlp is no flag of slimlab, expected one of"},
		{"x.yaml --mlp 20%", "--mlp is no flag of slimlab"},
		{"eval a --txt x", "--txt is no flag of eval, did you mean --text?"},
		{"run smoke --exprot md=-", "--exprot is no flag of run, did you mean --export?"},
		{"eval", "found nothing, expected eval MODEL"},
		{"runs now", `found "now", expected runs alone`},
		{"help quantise", `verb "quantise": expected one of`},
		{"help quantise", `did you mean "quantize"?`},
		{"help runs x", `found "x", expected no name behind runs`},
		{"help completion fsh", `verb of completion "fsh": expected one of bash, fish, powershell, zsh, did you mean "fish"?`},
		{"completion fsh", `verb of completion "fsh": expected one of bash, fish, powershell, zsh, did you mean "fish"?`},
		{"completion bash zsh", `found "zsh", expected completion bash alone`},
		{"runs --format jsn", `did you mean "json"?`},
		{"check smoke --format xml", `--format "xml": expected one of table, json`},
		{"scenarios --format xml", `--format "xml": expected one of table, json`},
		{"scenarios smoke --format json", "--format json: it lists the scenarios, expected no NAME beside it"},
		{"prune a", `found "a", expected prune`},
		{"tokenize a --decode --chat", "--chat and --decode cannot be given together"},
		{"prune a b --calibration c --random-calibration", "--calibration and --random-calibration cannot be given together"},
	} {
		_, stderr, code := slimlab(t, strings.Fields(c.line)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %q, expected %q", c.line, code, stderr, c.want)
		}
		for _, foreign := range []string{"strconv", "arg(s)", "flag(s)", "invalid syntax", "flags in the group", "unknown flag", "unknown shorthand", "bad flag syntax", "invalid argument"} {
			if strings.Contains(stderr, foreign) {
				t.Errorf("%s: %q holds %q", c.line, stderr, foreign)
			}
		}
	}
}
