package scenario

import "slices"

// serve decodes the workload, and checks that the task has its prompts.
func (b *builder) serve(n *node, p *Point) {
	s, kind := p.Serve, p.Task.Kind
	b.into(n, "serve", s)
	b.prompts(n, "serve", s.Members, s.Candidates)
	if !slices.Contains(taskKinds, kind) {
		return // which has been reported
	}
	if s.Workload == "" {
		if s.Workload = PromptsWorkload; kind == "recsys" {
			s.Workload = RankingWorkload
		}
	}
	at, before := n.placeOf("workload"), b.bad.added
	switch {
	case kind == "ratings":
		b.bad.add(n.at, "serve: task ratings has neither members with candidates nor prompts that are answered with text: leave the section serve out, or write its prompts to a file of records of task jsonl")
	case s.Workload == RankingWorkload && kind != "recsys":
		b.bad.add(at, "serve has the workload ranking, whose prompts task recsys alone has, and the task is %s: expected workload prompts, or no workload", kind)
	case s.Workload == PromptsWorkload && kind == "recsys":
		b.bad.add(at, "serve has the workload prompts, which are answered with text, and task recsys answers with one token: expected workload ranking, or no workload")
	}
	if b.bad.added > before {
		return // the keys are of a workload that cannot be
	}
	if value := n.get("visits"); value != nil && s.Rate == 0 {
		b.bad.add(value.at, "serve's visits come at a rate, and the rate is 0: expected the key rate, or no visits")
	}
	of, others := PromptsWorkload, []string{"prompts", "answer_tokens"}
	switch s.Workload {
	case RankingWorkload:
	case PromptsWorkload:
		of, others = RankingWorkload, []string{"members", "candidates", "rate", "visits"}
	default:
		return // likewise
	}
	for _, key := range others {
		if value := n.get(key); value != nil {
			b.bad.add(value.at, "serve's %s is of the workload %s, and the workload is %s: leave it out", key, of, s.Workload)
		}
	}
}

// answers checks that the task has records whose prompts are answered with text.
func (b *builder) answers(n *node, p *Point) {
	if kind := p.Task.Kind; p.Evaluate.Answers > 0 && kind != "jsonl" && slices.Contains(taskKinds, kind) {
		b.bad.add(n.placeOf("answers"), "evaluate's answers is %d, and task %s has no records of prompts and responses: leave it out; task jsonl has them", p.Evaluate.Answers, kind)
	}
}
