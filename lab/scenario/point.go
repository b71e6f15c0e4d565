package scenario

import (
	"regexp"
	"slices"
	"strings"

	"slimlab/lab"
)

// validName is what steps and models may be called: it stands in tables, paths and expectations.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+%-]{0,63}$`)

// point decodes every section that may depend on the sweep and resolves the names in it.
func (b *builder) point(params []lab.Param, at *values) Point {
	p := Point{Params: params}
	b.task(&p, b.get("task", at))
	b.into(b.get("tokenizer", at), "tokenizer", &p.Tokenizer)
	b.models(&p, b.get("models", at))
	b.steps(&p, b.get("pipeline", at))
	b.into(b.get("evaluate", at), "evaluate", &p.Evaluate)
	if b.root.get("serve") != nil {
		p.Serve = &Serve{}
		b.into(b.get("serve", at), "serve", p.Serve)
	}
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

// get returns a section with its ${…} replaced; an absent one is empty.
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
		b.bad.add(n.at, "task lacks the key \"kind\": recsys or jsonl")
		return
	}
	p.Task.Kind = kind.text
	switch kind.text {
	case "recsys":
		p.Task.Recsys = &Recsys{}
		b.into(n, "task", p.Task.Recsys)
	case "jsonl":
		p.Task.JSONL = &JSONL{}
		b.into(n, "task", p.Task.JSONL)
	default:
		b.bad.add(kind.at, "%s", unknown("kind of task", kind.text, []string{"recsys", "jsonl"}))
	}
}

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
		if !slices.Contains(b.vocabulary.Pretrained, name) {
			b.bad.add(at, "%s", unknown("pretrained model", name, b.vocabulary.Pretrained))
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
	at := func(key string) place {
		if v := n.get(key); v != nil {
			return v.at
		}
		return n.at
	}
	if n.get("kv_heads") == nil {
		m.KVHeads = m.Heads
	}
	if m.KVHeads > 0 && m.Heads%m.KVHeads != 0 {
		b.bad.add(at("kv_heads"), "model %s has %d heads over %d kv_heads, expected a divisor of %d", m.Name, m.Heads, m.KVHeads, m.Heads)
	}
	if n.get("head_dim") == nil {
		if m.Hidden%m.Heads != 0 {
			b.bad.add(at("heads"), "model %s: hidden %d is no multiple of heads %d; give head_dim", m.Name, m.Hidden, m.Heads)
		}
		m.HeadDim = m.Hidden / m.Heads
	}
	if m.HeadDim%2 != 0 {
		b.bad.add(at("head_dim"), "model %s: head_dim is %d, expected an even number for rotary positions", m.Name, m.HeadDim)
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
	quantized := map[string]bool{}
	for _, entry := range n.items {
		if entry.shape != mapping || len(entry.keys) != 1 {
			b.bad.add(entry.at, "a step is %s, expected one key, the kind of step: %s", entry.describe(), strings.Join(stepKinds, ", "))
			continue
		}
		b.step(p, n, entry, quantized)
	}
}

// stepHead is what every step has beside its work.
type stepHead struct {
	Name string `key:"name" doc:"name of the step, of its model and of its row; default: the kind"`
	From string `key:"from" doc:"the step or loaded model to start from; default: the step before"`
}

func (b *builder) step(p *Point, pipeline, entry *node, quantized map[string]bool) {
	kind, body := entry.keys[0], entry.items[0]
	work := newWork(kind)
	if work == nil {
		b.bad.add(entry.keyAt[0], "%s", unknown("kind of step", kind, stepKinds))
		return
	}
	name := stepName(entry)
	var head stepHead
	b.into(body, "step "+name, work, "name", "from")
	if body.shape == mapping {
		b.into(body.only("name", "from"), "step "+name, &head)
	}
	s := Step{Name: name, Kind: kind, From: head.From, Work: work}
	at := entry.keyAt[0]
	if n := body.get("name"); n != nil {
		at = n.at
	}
	b.checkName("step", name, at)
	if _, twice := p.Step(name); twice {
		b.bad.add(at, "a second step %q; names of steps must differ, give this one a name", name)
	}
	base, isBaseline := work.(*Baseline)
	if _, taken := p.Model(name); taken && (!isBaseline || base.Model != name) {
		b.bad.add(at, "step %q has the name of a model", name)
	}
	b.references(p, pipeline, body, &s)
	if s.From != "" && quantized[s.From] {
		b.bad.add(at, "step %s starts from %s, which is quantized; expected float weights", name, s.From)
	}
	if q, ok := work.(*Quantize); ok {
		quantized[name] = q.Scheme != "none"
	}
	p.Steps = append(p.Steps, s)
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

// references resolves the names that a step uses.
func (b *builder) references(p *Point, pipeline, body *node, s *Step) {
	into := ""
	switch w := s.Work.(type) {
	case *Baseline:
		if n := body.get("from"); n != nil {
			b.bad.add(n.at, "step %s is a baseline, which takes model: and no from:", s.Name)
		}
		s.From = ""
		if n := body.get("model"); n != nil {
			b.weights(p, pipeline, n, s.Name)
		}
		return
	case *Train:
		into = w.Into
	case *Distil:
		into = w.Into
		if n := body.get("teacher"); n != nil {
			b.weights(p, pipeline, n, s.Name)
		}
	case *Prune:
		if body.get("mlp") == nil && body.get("heads") == nil {
			b.bad.add(body.at, "step %s removes nothing: give mlp or heads, the share to remove", s.Name)
		}
	}
	switch n := body.get("from"); {
	case n != nil && into != "":
		b.bad.add(n.at, "step %s has both from and into; into starts from the named model, from goes on with a step's", s.Name)
	case n != nil:
		b.weights(p, pipeline, n, s.Name)
	case into != "":
		b.uses[into] = true
		if _, ok := p.Model(into); !ok {
			var names []string
			for _, m := range p.Models {
				names = append(names, m.Name)
			}
			b.bad.add(body.get("into").at, "%s", unknown("model", into, names))
		}
	case len(p.Steps) > 0:
		s.From = p.Steps[len(p.Steps)-1].Name
	default:
		b.bad.add(body.at, "step %s is the first and starts from nothing: give from, or into for training", s.Name)
	}
}

// weights checks a reference to a step before or to a loaded model.
func (b *builder) weights(p *Point, pipeline, n *node, step string) {
	if n.shape != scalar {
		return // the decoder has said so
	}
	b.uses[n.text] = true
	if _, ok := p.Step(n.text); ok {
		return
	}
	m, ok := p.Model(n.text)
	switch {
	case ok && m.Fresh():
		b.bad.add(n.at, "model %q is a shape without weights, expected a step before or a loaded model; a step trains a shape by into: %s", n.text, n.text)
	case ok:
	case n.text == step:
		b.bad.add(n.at, "step %q refers to itself", step)
	case stepNode(pipeline, n.text) != nil:
		b.bad.add(n.at, "step %q comes later; a step can use only what stands before it", n.text)
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
		b.bad.add(n.at, "%s", unknown("step or model", n.text, names))
	}
}

// results reads what the table shows and what is expected of it. The rows are known by now.
func (b *builder) results() {
	s := b.scenario
	s.Rows = b.rows
	if n := b.root.get("baseline"); n == nil {
		s.Baseline = s.Rows[0]
	} else if !slices.Contains(s.Rows, s.Baseline) {
		b.bad.add(n.at, "%s", unknown("row", s.Baseline, s.Rows))
	}
	b.columns()
	b.paper()
	b.expectations()
}

func metricKeys() []string {
	var keys []string
	for _, m := range lab.Metrics() {
		keys = append(keys, m.Key)
	}
	return keys
}

func (b *builder) columns() {
	n := b.list("columns", "metrics")
	if n == nil {
		return
	}
	for _, item := range n.items {
		if _, ok := lab.MetricByKey(item.text); !ok {
			b.bad.add(item.at, "%s", unknown("metric", item.text, metricKeys()))
		}
		if slices.Contains(b.scenario.Columns, item.text) {
			b.bad.add(item.at, "column %q stands here twice", item.text)
		}
		b.scenario.Columns = append(b.scenario.Columns, item.text)
	}
}

// list returns a top-level list of texts with its params replaced, nil when it is absent or wrong.
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
			b.bad.add(n.keyAt[i], "%s", unknown("row", row, b.scenario.Rows))
		}
		x, err := number(n.items[i])
		if err != nil {
			b.bad.add(n.items[i].at, "the paper's figure for %s is %s, expected a number, in per cent", row, n.items[i].describe())
		}
		b.scenario.Paper[row] = x / 100
	}
}
