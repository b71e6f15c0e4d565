package run

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// unmeasured says why a run never measures a metric of a step, and what would have it measured; ""
// where it does.
func unmeasured(p *scenario.Point, s scenario.Step, m lab.Metric) string {
	switch {
	case m.Section == lab.Simulation && s.Kind != "simulate", m.Section == lab.ABTest && s.Kind != "ab":
		return fmt.Sprintf("step %s is of kind %s, expected %s", s.Name, s.Kind, m.Section)
	case s.Alone:
		return s.Work.(interface{ unmeasured(m lab.Metric) string }).unmeasured(m)
	case m.Section == lab.Serving && p.Serve == nil:
		return "the scenario has no section serve"
	case m.Section == lab.Serving && p.Serve.Workload == scenario.PromptsWorkload:
		return unserved(p.Serve, m)
	case strings.HasPrefix(m.Key, "tpot"):
		return "serve's workload ranking asks for no text: expected workload prompts, of another task than recsys"
	case strings.HasPrefix(m.Key, "ttft_load") && p.Serve.Rate == 0:
		return "serve has no rate of visits, expected the key rate"
	case strings.HasPrefix(m.Key, "ttft_hot") && p.Serve.Candidates < 2:
		return "serve's candidates is 1, and the first prompt of a member is never hot: expected at least 2"
	case m.Key == "loss_test" && p.Task.Text != nil && p.Task.Text.Test == 0:
		return "there are no test windows, expected the key test"
	case m.Key == "loss_test" && p.Task.Text == nil && (p.Task.JSONL == nil || p.Task.JSONL.Test == ""):
		return "there are no test records, expected task jsonl with the key test"
	case strings.HasPrefix(m.Key, "auc_within") && p.Task.JSONL != nil && p.Task.JSONL.GroupField == "":
		return "task jsonl has no groups, expected the key group_field"
	case strings.HasPrefix(m.Key, "auc") && p.Task.Reasoning != nil:
		return "task reasoning ranks nothing, it has loss, perplexity, loss_floor, exact, ended, loss_delta, agreement, kl and flips"
	case strings.HasPrefix(m.Key, "auc") && !slices.Contains(ranked[p.Task.Kind], m.Key):
		return fmt.Sprintf("task %s has no such figure, it has %s", p.Task.Kind, strings.Join(append(slices.Clone(ranked[p.Task.Kind]), "loss", "loss_delta", "agreement", "kl", "flips"), ", "))
	case m.Key == "prompt_tokens" && p.Task.Recsys == nil && p.Task.Ratings == nil:
		return fmt.Sprintf("task %s has no prompts that are ranked by what is known of items, expected task recsys or ratings", p.Task.Kind)
	case m.Key == "accuracy" && !slices.Contains(ranked[p.Task.Kind], m.Key):
		return fmt.Sprintf("task %s has no prompts with one of two answers", p.Task.Kind)
	case slices.Contains(answerMetrics, m.Key) && p.Task.JSONL != nil:
		if p.Evaluate.Answers > 0 {
			return ""
		}
		return "no prompts are answered, expected the key evaluate.answers"
	case m.Key == "f1":
		return fmt.Sprintf("task %s has no responses that answers are compared with, expected task jsonl with the key evaluate.answers", p.Task.Kind)
	case slices.Contains(choiceMetrics, m.Key) && p.Evaluate.Choice == "":
		return "there are no questions, expected a file of them in the key evaluate.choice"
	case m.Key == "perplexity" && (p.Task.Recsys != nil || p.Task.Ratings != nil):
		return fmt.Sprintf("task %s ranks by one token: its answers are no text", p.Task.Kind)
	case slices.Contains(reasoned, m.Key) && p.Task.Reasoning == nil:
		return fmt.Sprintf("task %s has no known lowest loss and no answers that are checked, expected task reasoning", p.Task.Kind)
	case m.Section == lab.Paper:
		return "the section paper has no figure of the row"
	case m.Key == "kv_bytes_per_token" && !slices.ContainsFunc(p.Steps, namesKV):
		return "no step names the KV cache that it is measured with, expected quantize with the key kv"
	case m.Key == "cache_bytes_per_token" && !cached(s):
		return fmt.Sprintf("step %s keeps no file of a teacher's distributions, expected distil with the key cache", s.Name)
	case m.Key == "train_tokens_per_s" && !trains(s):
		return fmt.Sprintf("step %s is of kind %s, expected train or distil", s.Name, s.Kind)
	}
	return ""
}

// unserved says why the workload prompts never measures a metric.
func unserved(s *scenario.Serve, m lab.Metric) string {
	switch {
	case strings.HasPrefix(m.Key, "ttft_hot"), strings.HasPrefix(m.Key, "ttft_load"):
		return "serve's workload prompts has no members whose prefix is cached, and who visit"
	case m.Key == "items_per_s":
		return "serve's workload prompts scores no items, expected workload ranking, of task recsys"
	case strings.HasPrefix(m.Key, "tpot") && s.AnswerTokens < 2:
		return "serve's answer_tokens is 1, and the first token of an answer has no time per token: expected at least 2"
	}
	return ""
}

// ranked are the metrics of ranking that a kind of task has.
var ranked = map[string][]string{
	"recsys": {"auc", "auc_soft", "auc_delta", "auc_soft_delta", "auc_heldout", "auc_ceiling", "auc_ceiling_delta"},
	// where its responses are one of two texts
	"jsonl":   {"auc", "auc_delta", "auc_within", "auc_within_mean", "accuracy"},
	"ratings": {"auc", "accuracy", "auc_delta", "auc_within", "auc_within_mean", "auc_title", "auc_user", "auc_title_user", "auc_gain", "auc_within_title", "auc_within_gain"},
}

// reasoned are the metrics of the task reasoning alone.
var reasoned = []string{"loss_floor", "exact", "ended"}

// trains reports whether a step's work is training.
func trains(s scenario.Step) bool {
	switch s.Work.(type) {
	case *Train, *Distil:
		return true
	}
	return false
}

// namesKV reports whether a step says which KV cache its row is measured with.
func namesKV(s scenario.Step) bool {
	q, ok := s.Work.(*Quantize)
	return ok && q.KV != ""
}

// cached reports whether a step reads its teacher's distributions from a file.
func cached(s scenario.Step) bool {
	d, ok := s.Work.(*Distil)
	return ok && !d.Cache.IsZero()
}
