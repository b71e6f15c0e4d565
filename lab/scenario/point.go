package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/lab"
)

// validName matches the names of steps and models, which occur in tables, paths and expectations.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+%-]{0,63}$`)

// point decodes the sections that can depend on the sweep and resolves the names in them.
func (b *builder) point(params []lab.Param, at *values) Point {
	p := Point{Params: params}
	if b.root.get("task") != nil {
		b.task(&p, b.get("task", at))
	}
	b.into(b.get("tokenizer", at), "tokenizer", &p.Tokenizer)
	b.models(&p, b.get("models", at))
	b.steps(&p, b.get("pipeline", at))
	if b.root.get("task") == nil && !p.alone() {
		b.bad.add(b.root.at, "the key \"task\" is missing")
	}
	b.into(b.get("evaluate", at), "evaluate", &p.Evaluate)
	if b.root.get("serve") != nil {
		p.Serve = &Serve{}
		b.serve(b.get("serve", at), &p)
	}
	b.answers(b.get("evaluate", at), &p)
	names := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		names[i] = s.Name
	}
	if b.rows == nil {
		b.rows = names
	} else if !slices.Equal(b.rows, names) {
		b.bad.add(b.root.get("pipeline").at, "the names of the steps change with the sweep (%s, then %s): rows must be the same for all cells",
			strings.Join(b.rows, " "), strings.Join(names, " "))
	}
	return p
}

// get returns a section with its ${…} replaced, empty where the file has none.
func (b *builder) get(key string, at *values) *node {
	n := b.root.get(key)
	if n == nil {
		return &node{at: b.root.at}
	}
	return at.substitute(n, b.bad)
}

func (b *builder) task(p *Point, n *node) {
	kind := n.get("kind")
	if kind == nil {
		b.bad.add(n.at, "task lacks the key \"kind\": %s", strings.Join(taskKinds, ", "))
		return
	}
	p.Task.Kind = kind.text
	switch kind.text {
	case "recsys":
		p.Task.Recsys = &Recsys{}
		b.into(n, "task", p.Task.Recsys)
		b.prompts(n, "task", p.Task.Recsys.Members, p.Task.Recsys.Candidates)
	case "reasoning":
		p.Task.Reasoning = &Reasoning{}
		b.into(n, "task", p.Task.Reasoning)
	case "jsonl":
		p.Task.JSONL = &JSONL{}
		b.into(n, "task", p.Task.JSONL)
		b.jsonl(n, p.Task.JSONL)
	case "ratings":
		p.Task.Ratings = &Ratings{}
		b.into(n, "task", p.Task.Ratings)
	case "text":
		p.Task.Text = &Passage{}
		b.into(n, "task", p.Task.Text)
		b.text(n, p.Task.Text)
	default:
		b.bad.add(kind.at, "%v", nearest.Unknown("unknown kind of task", kind.text, taskKinds))
	}
}

var taskKinds = []string{"recsys", "reasoning", "jsonl", "ratings", "text"}

func (b *builder) models(p *Point, n *node) {
	if n.shape == null {
		return
	}
	if n.shape != mapping {
		b.bad.add(n.at, "models is %s, expected a mapping of names", n.describe())
		return
	}
	for i, name := range n.keys {
		b.checkName("model", name, n.keyAt[i])
		value := n.items[i]
		if value.shape == scalar { // the short form: a MODEL to load
			value = &node{at: value.at, shape: mapping, keys: []string{"load"}, keyAt: []place{value.at}, items: []*node{value}}
		}
		m := Model{}
		b.into(value, "model "+name, &m)
		m.Name = name
		if value.get("load") != nil {
			b.loaded(value, &m)
		} else {
			b.fresh(value, &m)
		}
		p.Models = append(p.Models, m)
	}
}

// loaded checks what a model is loaded from.
func (b *builder) loaded(n *node, m *Model) {
	for i, key := range n.keys {
		if key != "load" {
			b.bad.add(n.keyAt[i], "model %s is loaded: it has the shape of its checkpoint, and %s cannot be given", m.Name, key)
		}
	}
	at := n.get("load").at
	if name, ok := strings.CutPrefix(m.Load, "pretrained:"); ok {
		if names := b.vocabulary.spellings(Pretrained); !slices.Contains(names, name) {
			b.bad.add(at, "%v", nearest.Unknown("unknown pretrained model", name, names))
		}
	} else if ref, ok := strings.CutPrefix(m.Load, "run:"); ok {
		if id, row, ok := strings.Cut(ref, "/"); !ok || id == "" || row == "" {
			b.bad.add(at, "model %s is loaded from %q, expected run:ID/ROW", m.Name, m.Load)
		}
	} else if m.Load == "" {
		b.bad.add(at, "model %s is loaded from nothing, expected a Hugging Face folder, pretrained:NAME or run:ID/ROW", m.Name)
	}
	*m = Model{Name: m.Name, Load: m.Load}
}

// fresh completes and checks a shape.
func (b *builder) fresh(n *node, m *Model) {
	if n.shape != mapping || len(n.keys) == 0 {
		b.bad.add(n.at, "model %s is empty, expected load: or a shape (layers, hidden, heads, …)", m.Name)
		return
	}
	for _, need := range []struct {
		key   string
		value int
	}{{"layers", m.Layers}, {"hidden", m.Hidden}, {"heads", m.Heads}} {
		if need.value == 0 {
			if n.get(need.key) == nil {
				b.bad.add(n.at, "model %s lacks the key %q", m.Name, need.key)
			}
			return
		}
	}
	if n.get("kv_heads") == nil {
		m.KVHeads = m.Heads
	}
	if m.KVHeads > 0 && m.Heads%m.KVHeads != 0 {
		at, wayOut := n.cause("models."+m.Name, "kv_heads", "heads")
		b.bad.add(at, "model %s has %d heads over %d kv_heads, expected a divisor of %d%s", m.Name, m.Heads, m.KVHeads, m.Heads, wayOut)
	}
	if n.get("head_dim") == nil {
		if m.Hidden%m.Heads != 0 {
			at, _ := n.cause("models."+m.Name, "heads", "hidden")
			b.bad.add(at, "model %s: hidden %d is no multiple of heads %d; give head_dim", m.Name, m.Hidden, m.Heads)
		}
		m.HeadDim = m.Hidden / m.Heads
	}
	if m.HeadDim%2 != 0 {
		b.bad.add(n.placeOf("head_dim"), "model %s: head_dim is %d, expected an even number for rotary positions", m.Name, m.HeadDim)
	}
	if n.get("mlp") == nil {
		m.MLP = (m.Hidden*8/3 + 7) / 8 * 8
	}
}

func (b *builder) checkName(what, name string, at place) {
	if !validName.MatchString(name) {
		b.bad.add(at, "%q cannot name a %s: expected letters, digits and . _ + %% -, at most 64", name, what)
	}
}

func (b *builder) steps(p *Point, n *node) {
	if n.shape != list || len(n.items) == 0 {
		found := n.describe()
		if n.shape == list {
			found = "empty"
		}
		b.bad.add(n.at, "pipeline is %s, expected a list of steps such as - prune: { mlp: 0.25 }", found)
		return
	}
	packed := map[string]bool{}
	for _, entry := range n.items {
		if entry.shape != mapping || len(entry.keys) != 1 {
			b.bad.add(entry.at, "a step is %s, expected one key, the kind of step: %s", entry.describe(), strings.Join(b.vocabulary.kindNames(), ", "))
			continue
		}
		b.step(p, n, entry, packed)
	}
}

// stepHead is what every step has besides its work.
type stepHead struct {
	Name string `key:"name" doc:"name of the step, of its model and of its row; default: the kind"`
	From string `key:"from" doc:"the step or loaded model to start from; default: the step before"`
}

func (b *builder) step(p *Point, pipeline, entry *node, packed map[string]bool) {
	body := entry.items[0]
	kind, ok := b.vocabulary.kind(entry.keys[0])
	if !ok {
		b.bad.add(entry.keyAt[0], "%v", nearest.Unknown("unknown kind of step", entry.keys[0], b.vocabulary.kindNames()))
		return
	}
	s := Step{Name: stepName(entry), Kind: kind.Name, Work: kind.New()}
	before := b.bad.added
	b.into(body, "step "+s.Name, s.Work, "name", "from")
	var head stepHead
	if body.shape == mapping {
		b.into(body.only("name", "from"), "step "+s.Name, &head)
	}
	s.From = head.From
	at := entry.keyAt[0]
	if n := body.get("name"); n != nil {
		at = n.at
	}
	b.stepName(p, kind, s, at)
	switch {
	case kind.Loads || kind.Alone:
		if n := body.get("from"); n != nil {
			does := "loads its model"
			if kind.Alone {
				does = "needs no model"
			}
			b.bad.add(n.at, "step %s %s and has no key from", s.Name, does)
		}
		s.From, s.Alone = "", kind.Alone
	default:
		b.start(p, pipeline, body, &s)
	}
	for _, r := range references(s.Work) {
		n := body.get(r.key)
		switch {
		case n == nil:
		case r.kind == refWeights:
			b.weights(p, pipeline, n, s.Name)
		case r.kind == refWeighted:
			at := n.at
			if list := n.get(r.task); list != nil {
				at = list.at
			}
			b.weights(p, pipeline, &node{at: at, shape: scalar, text: r.name}, s.Name)
		}
	}
	if s.From != "" && packed[s.From] {
		b.bad.add(at, "step %s starts from %s, whose weights are quantized already, expected float32: take a step from before it was quantized", s.Name, s.From)
	}
	if w, ok := s.Work.(Packer); ok {
		packed[s.Name] = w.Packs()
	}
	bad := func(key, with, format string, args ...any) {
		at, wayOut := body.cause(s.Name, key, with)
		b.bad.add(at, "step %s %s %s%s", Possessive(s.Name), key, fmt.Sprintf(format, args...), wayOut)
	}
	if w, ok := s.Work.(TaskChecker); ok && b.bad.added == before {
		w.CheckTask(p.Task.Kind, func(key, format string, args ...any) { bad(key, "", format, args...) })
	}
	if w, ok := s.Work.(Checker); ok && b.bad.added == before {
		w.Check(func(key string) bool { return body.find(key) != nil }, bad)
	}
	if w, ok := s.Work.(Idler); ok && b.bad.added == before {
		b.idle(w, body, bad)
	}
	p.Steps = append(p.Steps, s)
}

// idle reports the keys of a step that have no effect beside values which the file writes.
func (b *builder) idle(w Idler, body *node, bad func(key, with, format string, args ...any)) {
	w.Idle(func(key string) bool { return body.find(key) != nil }, func(key string, because []string, format string, args ...any) {
		for _, other := range because {
			if n := body.find(other); n != nil && (n.varies || n.at.line == 0) {
				return
			}
		}
		bad(key, "", format, args...)
	})
}

// stepName checks the name of a step: valid, and neither another step's nor a model's. Only a step
// that loads a model may have that model's name.
func (b *builder) stepName(p *Point, kind Kind, s Step, at place) {
	b.checkName("step", s.Name, at)
	if _, twice := p.Step(s.Name); twice {
		b.bad.add(at, "a second step %q; names of steps must differ, give this one a name", s.Name)
	}
	loadsIt := kind.Loads && slices.ContainsFunc(references(s.Work), func(r reference) bool {
		_, known := p.Model(r.name)
		return r.name == s.Name || !known // an unknown model is reported as such
	})
	if _, taken := p.Model(s.Name); taken && !loadsIt {
		b.bad.add(at, "step %q has the name of a model", s.Name)
	}
}

// only returns a mapping with no other keys than these.
func (n *node) only(keys ...string) *node {
	out := &node{at: n.at, shape: mapping}
	for i, key := range n.keys {
		if slices.Contains(keys, key) {
			out.set(key, n.keyAt[i], n.items[i])
		}
	}
	return out
}

// start finds what a step starts from: the model that its work names, the key from, or the step
// before.
func (b *builder) start(p *Point, pipeline, body *node, s *Step) {
	var start reference
	alternative := ""
	for _, r := range references(s.Work) {
		if r.kind == refStart {
			alternative = ", or " + r.key
			if r.name != "" {
				start = r
			}
		}
	}
	switch n := body.get("from"); {
	case n != nil && start.name != "":
		b.bad.add(n.at, "step %s has both from and %s; %s starts from the named model, from continues with a step's", s.Name, start.key, start.key)
	case n != nil:
		b.weights(p, pipeline, n, s.Name)
	case start.name != "":
		b.uses[start.name] = true
		if _, ok := p.Model(start.name); !ok {
			var names []string
			for _, m := range p.Models {
				names = append(names, m.Name)
			}
			b.bad.add(body.get(start.key).at, "%v", nearest.Unknown("unknown model", start.name, names))
		}
	case p.last() != "":
		s.From = p.last()
	default:
		b.bad.add(body.at, "step %s is the first and starts from nothing: give from%s", s.Name, alternative)
	}
}

// weights checks a reference to an earlier step or to a loaded model.
func (b *builder) weights(p *Point, pipeline, n *node, step string) {
	if n.shape != scalar {
		return // the decoder has reported it
	}
	b.uses[n.text] = true
	if s, ok := p.Step(n.text); ok {
		if s.Alone {
			b.bad.add(n.at, "step %q makes no model, expected one that does, or a loaded model", n.text)
		}
		return
	}
	m, ok := p.Model(n.text)
	switch {
	case ok && m.Fresh():
		b.bad.add(n.at, "model %q is a shape without weights, expected an earlier step or a loaded model; a step trains a shape with into: %s", n.text, n.text)
	case ok:
	case n.text == step:
		b.bad.add(n.at, "step %q refers to itself", step)
	case stepNode(pipeline, n.text) != nil:
		b.bad.add(n.at, "step %q comes later; a step can use only earlier ones", n.text)
	default:
		var names []string
		for _, s := range p.Steps {
			names = append(names, s.Name)
		}
		for _, m := range p.Models {
			if !m.Fresh() {
				names = append(names, m.Name)
			}
		}
		b.bad.add(n.at, "%v", nearest.Unknown("unknown step or model", n.text, names))
	}
}

// results reads the columns, the published figures and the expectations, once the rows are known.
func (b *builder) results() {
	s := b.scenario
	s.Rows = b.rows
	first := &s.Points[0]
	if n := b.root.get("baseline"); n == nil {
		s.Baseline = first.firstModel()
	} else if step, known := first.Step(s.Baseline); !known {
		b.bad.add(n.at, "%v", nearest.Unknown("unknown row", s.Baseline, s.Rows))
	} else if step.Alone && !first.alone() {
		b.bad.add(n.at, "the baseline %s makes no model, and other steps do: expected one of them", s.Baseline)
	}
	b.columns()
	b.paper()
	b.expectations()
}

func (b *builder) columns() {
	n := b.list("columns", "metrics such as auc")
	if n == nil {
		return
	}
	for _, item := range n.items {
		if _, ok := lab.MetricByKey(item.text); !ok {
			b.bad.add(item.at, "%v", nearest.Unknown("unknown metric", item.text, lab.MetricKeys()))
		}
		if slices.Contains(b.scenario.Columns, item.text) {
			b.bad.add(item.at, "column %q is listed twice", item.text)
		}
		b.scenario.Columns = append(b.scenario.Columns, item.text)
	}
}

// list returns a top-level list of texts with its params replaced, or nil.
func (b *builder) list(key, of string) *node {
	n := b.root.get(key)
	if n == nil {
		return nil
	}
	if n.shape != list {
		b.bad.add(n.at, "%s is %s, expected a list of %s", key, n.describe(), of)
		return nil
	}
	n = b.params.substitute(n, b.bad)
	for _, item := range n.items {
		if item.shape != scalar {
			b.bad.add(item.at, "%s holds %s, expected %s", key, item.describe(), of)
			return nil
		}
	}
	return n
}

func (b *builder) paper() {
	n := b.section("paper")
	if n == nil {
		return
	}
	for i, row := range n.keys {
		if !slices.Contains(b.scenario.Rows, row) {
			b.bad.add(n.keyAt[i], "%v", nearest.Unknown("unknown row", row, b.scenario.Rows))
		}
		x, err := number(n.items[i])
		if err != nil {
			b.bad.add(n.items[i].at, "the paper's figure for %s is %s, expected a number, in per cent", row, n.items[i].describe())
		}
		b.scenario.Paper[row] = x / 100
	}
}
