package endpoint

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"slimlab/internal/plural"
	"slimlab/kernels/machine"
	"slimlab/lab"
	"slimlab/lab/eval"
	"slimlab/lab/report"
	"slimlab/model"
	"slimlab/model/chat"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/pages"
	"slimlab/serve/server"
)

// Options shape an endpoint. Zero values mean the defaults.
type Options struct {
	DType       string // of weights that are not quantized, one of eval.DTypes; bfloat16
	KV          string // format of the KV cache, one of eval.Caches; that of DType
	Head        string // number format that a float head is rounded to, one of eval.Heads; none
	CacheBytes  int64  // of the KV cache, at most; room for usualTokens
	RecallBytes int64  // of the logits after whole prompts that are kept, at most, below 0 none; the engine's default
	Running     int    // requests that run at once, at most; the engine's default
	Ranks       int    // that the model is divided between; 1
	Draft       string // a MODEL of the same tokens that foretells those of this one; none
	DraftTokens int    // that it foretells at a time, at most; the engine's default
	Policy      string // of those who wait, one of Policies: who is next; the engine's default
	Eviction    string // of prefixes that no request uses, one of Evictions; the engine's default

	// Tokens that a step computes, at most, and of one prompt; the engine's defaults. With fewer of
	// a prompt the others wait less between their tokens, and the prompt takes longer.
	BatchTokens, Chunk int

	// Of those that wait, at most; 0 is no bound. A request beyond is a 429, one that waits for
	// longer a 503.
	WaitingRequests, WaitingTokens int
	WaitingTime                    time.Duration
	Name                           string // by which clients ask for the model; its file's or folder's

	// OnStep is told of each step of the engine, as in serve.Options. It may be nil.
	OnStep func(batch []serve.Segment, took time.Duration)

	// Memory is what memory is free, in bytes, 0 where that is not known; nil asks the system.
	Memory func() int64
}

// MaxDraft is the most tokens that a draft may foretell at a time.
const MaxDraft = serve.MaxDraft

// usualTokens is the room of a KV cache whose size nothing is said of.
const usualTokens = 32768

// Endpoint is a model that is loaded and served. Close it to free its memory.
type Endpoint struct {
	Notes []string // what was loaded, and what a user must know of it; one line each

	model  server.Model
	facts  map[string]any
	engine *serve.Engine
}

// Open loads a model and starts an engine on it.
func Open(ctx context.Context, models eval.Models, name string, o Options) (*Endpoint, error) {
	if o.DType == "" {
		o.DType = "bfloat16"
	}
	source, err := eval.NewSource(models, name, o.DType, o.KV, o.Head)
	if err != nil {
		return nil, err
	}
	m, err := source.Load(ctx)
	if err != nil {
		return nil, err
	}
	cachePages, err := pagesFor(m, o.CacheBytes)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	if err := o.checkMemory(m, cachePages, o.Ranks, o.CacheBytes); err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	executor, err := host.New(m.Model, host.Options{KV: m.Cache, PageSize: pageSize, Pages: cachePages, Ranks: o.Ranks})
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	options := serve.Defaults()
	options.Running, options.Policy, options.Eviction = o.Running, serve.Policy(o.Policy), pages.Eviction(o.Eviction)
	options.BatchTokens, options.Chunk = o.BatchTokens, o.Chunk
	options.WaitingRequests, options.WaitingTokens, options.WaitingTime = o.WaitingRequests, o.WaitingTokens, o.WaitingTime
	options.Reserve, options.OnStep = reserve, o.OnStep
	if o.RecallBytes != 0 {
		options.RecallBytes = max(0, o.RecallBytes)
	}
	recalled, longest := serve.RecalledPrompts(options.RecallBytes, m.Vocab)
	if o.RecallBytes > 0 && recalled == 0 {
		return nil, fmt.Errorf("model %s: the kept logits: found %d bytes, expected at least %d: a prompt of one token and the %d logits after it", name, o.RecallBytes, 4*(m.Vocab+1), m.Vocab)
	}
	var draft *host.Executor
	if o.Draft != "" {
		if draft, err = openDraft(ctx, models, m, cachePages, o); err != nil {
			return nil, fmt.Errorf("draft %s of model %s: %w", o.Draft, name, err)
		}
		options.Draft = serve.Draft{Executor: draft, Tokens: o.DraftTokens}
	}
	engine, err := serve.New(executor, options)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = servedName(name)
	}
	e := &Endpoint{engine: engine, model: server.Model{
		Name: o.Name, Engine: engine, Shape: executor.Shape(), Tokenizer: m.Tokenizer, Ends: m.Ends(),
	}}
	template, err := chat.FromTokenizer(m.Tokenizer)
	if err != nil {
		e.model.NoTemplate = err.Error()
	} else {
		e.model.Template = template
	}
	e.describe(source, m, executor, o.Head)
	e.facts["recalled_prompts"] = recalled
	if recalled > 0 {
		e.Notes = append(e.Notes, recallNote(options.RecallBytes, recalled, longest, m.Vocab, executor.Shape()))
	}
	if draft != nil {
		e.facts["draft"], e.facts["bytes_draft_kv_cache"] = o.Draft, draft.Bytes()
		e.Notes = append(e.Notes, fmt.Sprintf("draft %s foretells tokens; its KV cache takes %s more", o.Draft, report.Bytes(draft.Bytes())))
	}
	return e, nil
}

// recallNote says what is kept of prompts in so many bytes.
func recallNote(bytes int64, prompts int, longest int64, vocabulary int, s serve.Shape) string {
	note := fmt.Sprintf("the logits after the latest prompts are kept, in %s: %d at most, %s each and 4B for each of their tokens", report.Bytes(bytes), prompts, report.Bytes(4*int64(vocabulary)))
	if longest < int64(min(s.Positions, s.Pages*s.PageSize)) {
		note += fmt.Sprintf("; none after a prompt of more than %s", plural.Of(int(longest), "token"))
	}
	return note
}

// openDraft loads the draft of a model, with a cache for as many tokens.
func openDraft(ctx context.Context, models eval.Models, of *eval.Model, pages int, o Options) (*host.Executor, error) {
	source, err := eval.NewSource(models, o.Draft, o.DType, o.KV, "")
	if err != nil {
		return nil, err
	}
	m, err := source.Load(ctx)
	if err != nil {
		return nil, err
	}
	if m.Vocab != of.Vocab {
		return nil, fmt.Errorf("a vocabulary of %d tokens, expected the model's %d", m.Vocab, of.Vocab)
	}
	if err := of.Tokenizer.SameTokens(m.Tokenizer); err != nil {
		return nil, fmt.Errorf("the tokens of the model (the first) and of the draft (the second) differ: %w", err)
	}
	if err := o.checkMemory(m, pages, 1, 0); err != nil {
		return nil, err
	}
	return host.New(m.Model, host.Options{KV: m.Cache, PageSize: pageSize, Pages: pages})
}

// checkMemory refuses a KV cache, with the copies of the weights that ranks have, for which too
// little memory is free: it is filled only as requests come, when it would be too late. asked are
// the bytes that a user gave, 0 for none, which may be more than a cache can have pages for.
func (o *Options) checkMemory(m *eval.Model, pages, ranks int, asked int64) error {
	find := o.Memory
	if find == nil {
		find = machine.FreeMemory
	}
	debug.FreeOSMemory() // of what loading has left the collector would keep as much again
	free, cache, copies := find(), int64(pages)*pageSize*model.PositionBytes(m.Config, m.Cache), int64(0)
	if ranks > 1 {
		copies = m.Bytes()
	}
	if free == 0 || cache+copies <= free {
		return nil
	}
	found := fmt.Sprintf("%s for %d tokens", report.Bytes(cache), pages*pageSize)
	if pages == mostPages {
		found = report.Bytes(max(asked, cache))
	}
	beside := ""
	if copies > 0 {
		beside = fmt.Sprintf(" beside %s of the weights of %d ranks", report.Bytes(copies), ranks)
	}
	return fmt.Errorf("the KV cache: found %s%s, expected at most %s, which is free: a smaller --cache-bytes needs less", found, beside, report.Bytes(free))
}

// reserve is the share of an answer's tokens for which a request has pages before it runs: most
// answers end long before they are as long as they may be.
const reserve = 0.25

// Policies lists the orders in which waiting requests are admitted.
func Policies() []string {
	var names []string
	for _, p := range serve.Policies() {
		names = append(names, string(p))
	}
	return names
}

// Evictions lists the orders in which prefixes that no request uses are evicted.
func Evictions() []string {
	var names []string
	for _, e := range pages.Evictions() {
		names = append(names, string(e))
	}
	return names
}

// Close stops the engine; requests in flight end with an error.
func (e *Endpoint) Close() { e.engine.Close() }

// Name is the model's for clients.
func (e *Endpoint) Name() string { return e.model.Name }

// pageSize is the tokens of a page of the cache, mostPages the pages that it has at most: more than
// any mix of requests asks for.
const (
	pageSize  = 16
	mostPages = 1 << 24
)

// pagesFor is how many pages a cache of so many bytes has.
func pagesFor(m *eval.Model, bytes int64) (int, error) {
	if bytes == 0 {
		return max(1, usualTokens/pageSize), nil
	}
	page := pageSize * model.PositionBytes(m.Config, m.Cache)
	if pages := bytes / page; pages >= 1 {
		return int(min(pages, mostPages)), nil
	}
	return 0, fmt.Errorf("the KV cache: found %s, expected at least %s: a page of %d tokens in %s", report.Bytes(bytes), report.Bytes(page), pageSize, m.Cache)
}

// servedName is the name of a model's file or folder, or the NAME of what the lab has itself.
func servedName(name string) string {
	for _, prefix := range []string{"pretrained:", "run:"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return rest
		}
	}
	if path, err := filepath.Abs(name); err == nil {
		name = path
	}
	return strings.TrimSuffix(filepath.Base(name), ".gguf")
}

// describe says what was loaded.
func (e *Endpoint) describe(source eval.Source, m *eval.Model, executor *host.Executor, head string) {
	shape := executor.Shape()
	tokens := shape.Pages * shape.PageSize
	formats := weightFormats(m.Model)
	e.facts = map[string]any{
		"parameters": m.Config.Parameters(), "bytes_stored": m.Stored, "bytes_weights": m.Bytes(), "weights": formats,
		"kv_format": m.Cache.String(), "bytes_kv_cache": executor.Bytes(), "kv_tokens": tokens,
	}
	e.Notes = append(e.Notes,
		fmt.Sprintf("%s: %s parameters in %s: %s in memory, %s in the files", source.Name, report.Format(lab.Count, float64(m.Config.Parameters())), strings.Join(formats, ", "), report.Bytes(m.Bytes()), report.Bytes(m.Stored)),
		fmt.Sprintf("KV cache in %s: %s for %d tokens; a request may have %d", m.Cache, report.Bytes(executor.Bytes()), tokens, min(tokens, shape.Positions)),
	)
	if head != "" {
		e.Notes = append(e.Notes, fmt.Sprintf("the head was rounded to %s as it was loaded (--head)", m.Head.Format()))
	} else if ratio := float64(m.Bytes()) / float64(m.Stored); ratio > 1.1 {
		e.Notes = append(e.Notes, fmt.Sprintf("the weights were widened: they take %.1f× what they take in the files", ratio))
	} else if ratio < 0.9 {
		e.Notes = append(e.Notes, fmt.Sprintf("the weights were rounded to bfloat16: they take %.1f× what they take in the files; --dtype float32 keeps their bits", ratio))
	}
	e.Notes = append(e.Notes, source.Notes...) // the tokenizer's are among them
	if len(source.Settings) > 0 {
		e.Notes = append(e.Notes, "not applied of generation_config.json: "+strings.Join(source.Settings, ", ")+"; requests say how tokens are chosen")
	}
	if e.model.Template == nil {
		e.Notes = append(e.Notes, e.model.NoTemplate+": /v1/completions works, /v1/chat/completions does not")
	}
}

// weightFormats lists the formats of a model's weights as they are multiplied.
func weightFormats(m *model.Model) (formats []string) {
	add := func(f string) {
		if !slices.Contains(formats, f) {
			formats = append(formats, f)
		}
	}
	for _, l := range m.Linears() {
		add(l.Weight.Format())
	}
	add(m.Head.Format())
	return formats
}
