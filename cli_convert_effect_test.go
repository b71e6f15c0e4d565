package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFlagsWithoutEffect: a flag of prune, quantize or export that would do nothing beside the
// others is refused by its name, before any work.
func TestFlagsWithoutEffect(t *testing.T) {
	newHome(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("the member clicked the item. ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	const read = " --calibration TEXT --samples 2 --length 16"
	for args, want := range map[string]string{
		"prune --layers 1 --method random" + read:                           "--layers 1: whole layers are removed alone, as they are: leave --method out",
		"prune --layers 25% --mlp 20%" + read:                               "--layers 25%: whole layers are removed alone, as they are: leave --mlp out",
		"prune --layers 1 --budget 80%" + read:                              "leave --budget out",
		"prune --layers 1 --widths uniform" + read:                          "leave --widths out",
		"prune --layers 1 --heads 1" + read:                                 "leave --heads out",
		"prune --layers 1 --query-heads 1" + read:                           "leave --query-heads out",
		"prune --layers 1 --align 8" + read:                                 "leave --align out",
		"prune --layers 1 --intercept" + read:                               "leave --intercept out",
		"prune --layers 1 --starts greedy" + read:                           "leave --starts out",
		"prune --layers 1 --step 2" + read:                                  "leave --step out",
		"prune --layers 1 --local-search 3" + read:                          "leave --local-search out",
		"prune --layers 1 --damping 0.1" + read:                             "leave --damping out",
		"prune --layers 1 --refine 3" + read:                                "leave --refine out",
		"prune --layers 1 --mode parallel" + read:                           "leave --mode out",
		"prune --layers 1 --target dense" + read:                            "leave --target out",
		"prune --layers 25% --statistics x" + read:                          "--layers 25%: whole layers are removed alone, as they are: leave --statistics out",
		"prune --heads 1 --align 8" + read:                                  "--align 8: no neurons are removed",
		"prune --mlp 20% --intercept" + read:                                "--intercept: down_proj",
		"prune --budget 80% --intercept" + read:                             "--intercept: down_proj",
		"prune --heads 1 --intercept" + read:                                "--intercept: o_proj of this model has no bias",
		"prune --heads 1 --intercept --target dense" + read:                 "--intercept with --target dense",
		"prune --heads 1 --intercept --method flap" + read:                  "--intercept is of methods that solve the weights that stay, and flap leaves them",
		"prune --mlp 20% --target dense --method random" + read:             "--target is of methods that solve the weights that stay, and random leaves them",
		"prune --mlp 20% --damping 0.1 --method wanda-sp" + read:            "--damping is of methods that solve",
		"prune --mlp 20% --starts greedy --method random-ls" + read:         "--starts is of --method osscar",
		"prune --mlp 20% --step 3 --method random-ls" + read:                "--step is of --method osscar",
		"prune --mlp 20% --local-search 3 --method random-ls" + read:        "--local-search is of --method osscar",
		"prune --mlp 20% --refine-rate 0.1" + read:                          "--refine-rate 0.1: it is of the steps of --refine",
		"prune --mlp 20% --statistics=" + read:                              "--statistics is empty: expected a folder, or none",
		"prune --mlp 20% --damping 0" + read:                                "--damping is 0, expected a share of the mean diagonal of the statistics, above 0 and at most 10",
		"prune --mlp 20% --step 0" + read:                                   "--step 0: expected 1 to 65536",
		"prune --mlp 20% --local-search 0" + read:                           "--local-search 0: expected 1 to 100000, or -1 for none",
		"prune --budget 1.5ms --budget-rows 0" + read:                       "--budget-rows 0: expected 1 to 65536",
		"prune --mlp 20% --refine 2 --refine-rate 0" + read:                 "--refine-rate 0: expected a share",
		"quantize --scheme w4a16 --refine 2 --refine-rate 0" + read:         "--refine-rate 0: expected a share",
		"quantize --scheme w4a16 --damping 0" + read:                        "--damping is 0, expected a share of the mean diagonal of the statistics, above 0 and at most 10",
		"prune --layers 1 --mlp-layers 20%" + read:                          "leave --mlp-layers out",
		"prune --mlp-layers 20%,0,0 --mlp 20%" + read:                       "--mlp-layers 20%,0,0: says what goes from each layer, and --mlp what goes from all",
		"prune --mlp-layers 20%,0,0 --heads 1" + read:                       "and --heads what goes from all",
		"prune --mlp-layers 20%,0,0 --query-heads 1" + read:                 "and --query-heads what goes from all",
		"prune --mlp-layers 20%,0,0 --budget 80%" + read:                    "and --budget what goes from all",
		"prune --mlp-layers 20%,0,0 --widths uniform" + read:                "and --widths what goes from all",
		"prune --mlp-layers 20%,0,0 --budget-rows 2" + read:                 "and --budget-rows what goes from all",
		"prune --mlp-layers 20%,0,0 --intercept" + read:                     "--intercept: down_proj",
		"prune --mlp-layers 0,0,0" + read:                                   "which removes nothing",
		"prune --mlp-layers 20%,x" + read:                                   "--mlp-layers: found \"x\"",
		"prune --mlp-layers 20%,0" + read:                                   "--mlp-layers: found 2 amounts, expected one for each of 3 layers",
		"prune --mlp-layers 20%,0,0 --align 4096" + read:                    "--align: the cut leaves",
		"prune --mlp-layers 20%,0,0":                                        "--method osscar needs a calibration text",
		"quantize":                                                          "nothing is to be rounded: give --scheme",
		"quantize --layers w8a8,none":                                       "--layers has 2 schemes, expected one for each of 3 layers",
		"quantize --layers none,none,none":                                  "rounds nothing",
		"quantize --layers w8a8,w5a16,none":                                 "--layers has w5a16",
		"quantize --layers w8a8,none,none --scheme w8a8":                    "and --scheme is of all",
		"quantize --layers w8a8,none,none --group 32":                       "and --group is of all",
		"quantize --layers w3a16-rtn,w8a8,none":                             "--layers has 3 bits beside other formats",
		"quantize --layers w8a8,none,w4a16":                                 "--layers needs a calibration text",
		"quantize --layers w8a8,none,w8a8 --target dense" + read:            "--target dense: --layers rounds each weight on its own",
		"quantize --layers w8a8,none,fp8 --clip" + read:                     "--clip with --layers",
		"quantize --layers w8a8,none,w4a16-rtn-g72":                         "--layers: groups of 72 do not divide",
		"prune --mlp 20%":                                                   "--method osscar needs a calibration text",
		"prune --mlp 20% --method random-ls":                                "--method random-ls needs a calibration text",
		"prune --mlp 20% --method magnitude --refine 3":                     "--refine needs a calibration text",
		"prune --budget 80% --method magnitude":                             "a budget, which compares the errors of layers, needs a calibration text",
		"prune --mlp 20% --method random --mode parallel":                   "--mode parallel needs a calibration text",
		"prune --mlp 20% --method random --statistics x":                    "--statistics needs a calibration text",
		"prune --mlp 20% --method random --samples 3":                       "--samples is of a calibration text, and there is none",
		"prune --mlp 20% --method magnitude --seed 3":                       "--seed is of a calibration text, and there is none",
		"prune --layers 1":                                                  "--layers needs a calibration text",
		"quantize --scheme w8a8 --target dense" + read:                      "--target dense: w8a8-rtn rounds each weight on its own",
		"quantize --scheme w4a16 --target dense --mode parallel" + read:     "--target dense with --mode parallel",
		"quantize --scheme w8a8 --mode parallel":                            "--mode parallel needs a calibration text",
		"quantize --scheme w8a8 --statistics x":                             "--statistics needs a calibration text",
		"quantize --scheme w8a8 --samples 3":                                "--samples is of a calibration text, and there is none",
		"quantize --scheme w8a8 --length 30":                                "--length is of a calibration text, and there is none",
		"quantize --scheme w8a8 --seed 3":                                   "--seed is of a calibration text, and there is none",
		"quantize --scheme w8a8 --smooth auto":                              "--smooth auto needs a calibration text",
		"quantize --scheme w8a8 --clip":                                     "--clip needs a calibration text",
		"quantize --scheme w8a8 --refine 3":                                 "--refine needs a calibration text",
		"quantize --scheme w8a8 --group 32":                                 "--group is 32, and its scheme is w8a8, which has no groups",
		"quantize --scheme w8a8 --order act":                                "--order is act, and its method is rtn",
		"quantize --scheme w8a8 --damping 0.1":                              "--damping is 0.1, and its method is rtn",
		"quantize --scheme w8a8 --sweeps 3":                                 "--sweeps is 3, and its method is rtn",
		"quantize --scheme w8a8 --start w":                                  "--start is w, and its method is rtn",
		"quantize --scheme fp8 --range mse":                                 "--range is mse, and its scheme is fp8",
		"quantize --scheme fp8 --clip" + read:                               "--clip with --scheme fp8-dynamic",
		"quantize --scheme w4a16 --method quantease --start w --damping .1": "--damping is 0.1, and its start is w",
		"export --as hf --samples 3":                                        "--samples is of a calibration text, and there is none",
		"export --as hf" + read:                                             "hf rounds no blocks",
	} {
		fields := strings.Fields(strings.ReplaceAll(args, "TEXT", text))
		to := filepath.Join(dir, "out")
		all := append([]string{fields[0], "pretrained:recsys-student", to}, fields[1:]...)
		_, stderr, code := slimlab(t, all...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("slimlab %s: exit %d, expected %d and %q:\n%s", args, code, exitUsage, want, stderr)
		}
		if _, err := os.Stat(to); err == nil {
			t.Fatalf("slimlab %s left a folder", args)
		}
	}
}

// TestPruneWithoutText: methods that read no inputs prune without a calibration text, and say once
// what one is for that is given.
func TestPruneWithoutText(t *testing.T) {
	for _, args := range []string{"--method random --seed 7", "--method magnitude", "--method magnitude-l1 --heads 1"} {
		to := filepath.Join(t.TempDir(), "out")
		all := append([]string{"prune", "pretrained:recsys-student", to, "--mlp", "20%"}, strings.Fields(args)...)
		stdout, stderr, code := slimlab(t, all...)
		if code != 0 || strings.Contains(stdout+stderr, "relative output error") || strings.Contains(stdout+stderr, "needs no calibration text") {
			t.Errorf("%s: exit %d\n%s%s", args, code, stdout, stderr)
		}
		if !strings.Contains(stderr, "statistics 0B") || strings.Contains(stderr, "keeps statistics") {
			t.Errorf("%s: memory of statistics that nothing gathers:\n%s", args, stderr)
		}
		to += "-read"
		all[2] = to
		stdout, stderr, code = slimlab(t, append(all, "--random-calibration", "--samples", "2", "--length", "16")...)
		if n := strings.Count(stdout, "needs no calibration text"); code != 0 || n != 1 || !strings.Contains(stdout, "relative output error") {
			t.Errorf("%s with a text: exit %d, the note stands %d times\n%s%s", args, code, n, stdout, stderr)
		}
	}
}
