package run

import (
	"slimlab/kernels"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/model/pretrained"
	"slimlab/pruning"
	"slimlab/quant"
)

// Vocabulary is what a scenario can name: the kinds of steps, and the names that their fields take.
func Vocabulary() scenario.Vocabulary {
	return scenario.Vocabulary{
		Kinds:      Kinds(),
		Unmeasured: unmeasured,
		Names: map[string][]scenario.Name{
			"caches":            caches(),
			"codecs":            codecs,
			"losses":            losses,
			"modes":             modes,
			"methods":           described(pruning.Methods(), aboutMethods()),
			"schemes":           schemes(),
			"sources":           sources,
			"workloads":         workloads,
			scenario.Pretrained: described(pretrained.Names(), aboutPretrained),
		},
	}
}

// described adds descriptions to names.
func described(names []string, about map[string]string) []scenario.Name {
	all := make([]scenario.Name, len(names))
	for i, name := range names {
		all[i] = scenario.Name{Name: name, About: about[name]}
	}
	return all
}

// caches are the formats of a KV cache.
func caches() []scenario.Name {
	var all []scenario.Name
	for _, f := range kernels.KVFormats() {
		all = append(all, scenario.Name{Name: f.String(), About: f.About()})
	}
	return all
}

// schemes are those of package quant; the ones with groups take the group's size as an ending.
func schemes() []scenario.Name {
	var all []scenario.Name
	first := map[quant.Scheme]string{}
	for _, f := range quant.Forms() {
		n := scenario.Name{Name: f.Name, About: f.Scheme.About()}
		if same, ok := first[f.Scheme]; ok {
			n.About = "the same as " + same
		} else {
			first[f.Scheme] = f.Name
		}
		if f.Groups {
			n.Ending, n.EndingWord = "-g", quant.ChannelGroup
		}
		all = append(all, n)
	}
	return all
}

var sources = []scenario.Name{
	{Name: task.InDomain, About: "the task's own prompts"},
	{Name: task.Generic, About: "other texts in the same vocabulary"},
}

var workloads = []scenario.Name{
	{Name: scenario.RankingWorkload, About: "members one after the other, each with several prompts that share the member's prefix; of task recsys"},
	{Name: scenario.PromptsWorkload, About: "the task's own prompts, each answered: one at a time with nothing cached, then all at once; of tasks jsonl, text and reasoning"},
}

var aboutPretrained = map[string]string{
	"recsys-fm":      "the embedded ranking model",
	"recsys-student": "a student distilled from it, a ninth of its size",
}
