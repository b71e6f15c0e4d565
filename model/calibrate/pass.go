package calibrate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"slimlab/model"
	"slimlab/model/weight"
)

// Sequence is the token ids of one calibration text.
type Sequence = []int32

// Tokens counts the tokens of the sequences.
func Tokens(sequences []Sequence) int {
	n := 0
	for _, s := range sequences {
		n += len(s)
	}
	return n
}

// Sum names the content of sequences.
func Sum(sequences []Sequence) string {
	sum := sha256.New()
	for _, s := range sequences {
		_ = binary.Write(sum, binary.LittleEndian, int64(len(s))) // a hash takes all
		_ = binary.Write(sum, binary.LittleEndian, s)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// Method compresses linear layers and reports an R of each.
type Method[R any] interface {
	// Wants reports whether Compress is to be called for a linear layer. Its weight may not be in
	// memory yet.
	Wants(l model.LinearLayer) bool
	// Compress replaces the weights of linears, all wanted ones that read the input which s
	// describes, and calls report once for each. It may also change the widths and the other
	// weights of that half of the layer; it writes to no weight's memory. s is its own to keep.
	Compress(ctx context.Context, s *Stats, linears []model.LinearLayer, report func(R)) error
}

// Keeper is a Method whose Compress of the last site of a half, SiteO or SiteDown, leaves what that
// site's linear layers read as it is, but that some inputs go. They are not computed again then.
type Keeper interface {
	// Stayed lists the inputs of a site that stayed, in ascending order, of those that it had when
	// it was compressed last; nil are all.
	Stayed(layer int, site model.Site) []int
}

// Run compresses all linear layers that the method wants, in their order of use, and returns its
// reports; of layers that were finished before there are those that a Journal has. Without
// sequences the method is given statistics of zero tokens.
func Run[R any](ctx context.Context, layers Layers, sequences []Sequence, o Options[R], method Method[R]) ([]R, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	m := layers.Model()
	p := pass[R]{layers: layers, method: method, options: o, model: m, wanted: make([]int, len(m.Blocks)), journal: journalOf(layers)}
	for _, l := range m.Linears() {
		if method.Wants(l) {
			p.wanted[l.Layer]++
			p.progress.Total++
		}
	}
	if len(sequences) > 0 && p.progress.Total > 0 {
		if err := p.begin(ctx, sequences); err != nil {
			return nil, err
		}
		if err := checkDistinct(sequences); err != nil {
			return nil, err
		}
	}
	for layer := range m.Blocks {
		if err := p.layer(ctx, layer); err != nil {
			return nil, err
		}
	}
	return p.reports, nil
}

// Dense returns the weight of a linear layer that is still float32; no other can be compressed.
func Dense(l model.LinearLayer) (*weight.Dense, error) {
	d, ok := l.Weight.(*weight.Dense)
	if !ok {
		return nil, &CompressedError{l.Name, l.Weight.Format()}
	}
	return d, nil
}

// CompressedError is the error of a linear layer whose weight is not float32.
type CompressedError struct{ Name, Format string }

func (e *CompressedError) Error() string {
	return fmt.Sprintf("%s is %s already, expected float32", e.Name, e.Format)
}

// half is one half of a layer: attention is 0, the MLP 1.
type half struct{ layer, part int }

const (
	attention = 0
	mlp       = 1
)

// sites are the inputs of a half in the order of the data.
var sites = [2][2]model.Site{{model.SiteQKV, model.SiteO}, {model.SiteGateUp, model.SiteDown}}

func halfOf(s model.Site) int {
	if s == model.SiteQKV || s == model.SiteO {
		return attention
	}
	return mlp
}

func (h half) before(other half) bool {
	return h.layer < other.layer || h.layer == other.layer && h.part < other.part
}

// pass is one Run.
type pass[R any] struct {
	layers  Layers
	method  Method[R]
	options Options[R]
	model   *model.Model // of layers
	wanted  []int        // linear layers of each layer

	plan    *plan    // which statistics there will be; nil without sequences
	tokens  int      // of the sequences
	streams *streams // through the model as it becomes; in parallel mode through dense
	// the model as it was, whose present layer alone has weights; nil where the pass needs none
	dense   *model.Model
	other   *streams // through dense, from the first change on; nil where no target asks for it
	refiner Refiner  // the method where it is one; else nil
	keeper  Keeper   // the same

	progress Done[R]
	reports  []R
	journal  Journal // nil where nothing is kept of the reports
}

// begin plans the statistics and embeds the sequences.
func (p *pass[R]) begin(ctx context.Context, sequences []Sequence) (err error) {
	if p.plan, err = newPlan(ctx, p.model, p.options.Settings, p.method.Wants); err != nil {
		return err
	}
	p.keeper, _ = any(p.method).(Keeper)
	if r, ok := any(p.method).(Refiner); ok && r.Refines() {
		p.refiner = r
		p.plan.reach(p.wanted)
	}
	if p.options.Parallel || p.options.Target > 0 || p.refiner != nil {
		if p.dense, err = model.Skeleton(p.model.Config); err != nil {
			return err
		}
	}
	if p.plan.last.layer < 0 { // everything is kept
		return nil
	}
	frame := p.model
	if p.options.Parallel {
		frame = p.dense
	}
	if p.streams, err = newStreams(ctx, frame, p.layers, sequences, p.options.ChunkTokens); err != nil {
		return err
	}
	p.streams.precision = p.options.Precision
	p.tokens = Tokens(sequences)
	p.streams.drawn = draw(p.tokens, p.options.Sample)
	p.streams.widest = p.widest()
	return nil
}

func (p *pass[R]) layer(ctx context.Context, layer int) error {
	finished, err := p.layers.Load(ctx, layer)
	if err != nil {
		return err
	}
	noted, from := p.journal != nil && p.wanted[layer] > 0, len(p.reports)
	switch {
	case finished && noted:
		err = p.restore(layer)
	case !finished && noted:
		if _, err = p.account(); err == nil { // what came before this layer is no part of its account
			err = p.check(layer)
		}
	case !finished:
		err = p.check(layer)
	}
	if err != nil {
		return err
	}
	if finished {
		p.progress.Done += p.wanted[layer]
	}
	if p.dense != nil {
		defer func() { p.dense.Blocks[layer] = model.Block{} }()
		if err := p.loadDense(ctx, layer, finished); err != nil {
			return err
		}
	}
	refines := p.refiner != nil && !finished && p.wanted[layer] > 0
	var before, denseBefore *streams // the streams into the layer
	if refines {
		before = p.streams.clone(p.streams.model)
		if denseBefore = before; p.other != nil {
			denseBefore = p.other.clone(p.dense)
		}
	}
	var all map[model.Site]*Stats // of a layer in parallel mode
	if p.options.Parallel && p.plan != nil {
		if all, err = p.parallel(ctx, layer, finished); err != nil {
			return err
		}
	}
	for part := range sites {
		for _, site := range sites[part] {
			if finished {
				break
			}
			if err := p.site(ctx, layer, site, all); err != nil {
				return err
			}
		}
		if p.plan != nil && !p.options.Parallel {
			if err := p.advance(ctx, half{layer, part}, finished); err != nil {
				return err
			}
		}
	}
	if refines {
		if err := p.refine(ctx, layer, before, denseBefore); err != nil {
			return err
		}
	}
	if noted && !finished {
		if err := p.note(layer, from); err != nil {
			return err
		}
	}
	return p.layers.Leave(ctx, layer)
}

// loadDense brings the layer as it was into dense.
func (p *pass[R]) loadDense(ctx context.Context, layer int, finished bool) error {
	if finished {
		return p.layers.Source(ctx, p.dense, layer)
	}
	p.dense.Blocks[layer] = p.model.Blocks[layer]
	for _, l := range p.dense.BlockLinears(layer) {
		l.Linear.Weight = unpacked(l.Weight)
	}
	return nil
}

// parallel gathers the wanted statistics of a layer and moves the streams through it, as far as
// that is needed.
func (p *pass[R]) parallel(ctx context.Context, layer int, finished bool) (map[model.Site]*Stats, error) {
	all := map[model.Site]*Stats{}
	if finished {
		return nil, p.passBy(ctx, layer)
	}
	missing := map[model.Site]bool{}
	for site := range p.plan.sites[layer] {
		at := &p.plan.sites[layer][site]
		if !at.wanted {
			continue
		}
		s, err := p.stored(ctx, layer, model.Site(site))
		if err != nil {
			return nil, err
		}
		if s == nil {
			missing[model.Site(site)] = true
			continue
		}
		all[model.Site(site)] = s
	}
	if len(missing) == 0 {
		return all, p.passBy(ctx, layer)
	}
	if err := p.streams.gatherLayer(ctx, layer, missing, p.plan.last.layer > layer, all); err != nil {
		return nil, err
	}
	for site := range model.Site(len(p.plan.sites[layer])) {
		if missing[site] {
			if err := p.keep(ctx, all[site]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// passBy moves the streams through a layer whose statistics are not gathered, where later ones are.
func (p *pass[R]) passBy(ctx context.Context, layer int) error {
	for part := range sites {
		if h := (half{layer, part}); h.before(p.plan.last) {
			if err := p.streams.advance(ctx, h, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// advance moves the streams through half a layer for good, where something behind it is gathered.
// Of a layer that was finished before, refining may have changed either half.
func (p *pass[R]) advance(ctx context.Context, h half, finished bool) error {
	if !h.before(p.plan.last) {
		return nil
	}
	if p.plan.changes(h) || finished && p.refiner != nil && p.wanted[h.layer] > 0 {
		p.diverge()
	}
	var stayed []int
	if p.streams.inputs != nil {
		stayed = p.keeper.Stayed(h.layer, sites[h.part][1])
	}
	if err := p.streams.advance(ctx, h, stayed); err != nil {
		return err
	}
	if p.other != nil {
		return p.other.advance(ctx, h, nil)
	}
	return nil
}

// keeps reports whether the inputs of a site are kept for the move through its half, which follows
// the compression of the last site of each half.
func (p *pass[R]) keeps(h half, site model.Site) bool {
	if p.keeper == nil || site != sites[h.part][1] || !h.before(p.plan.last) {
		return false
	}
	return KeptInputs(p.tokens, p.width(h), p.options.Target > 0) > 0
}

// width is that of the last site of a half.
func (p *pass[R]) width(h half) int {
	c := p.model.Layers[h.layer]
	if h.part == attention {
		return c.Heads * p.model.HeadDim
	}
	return c.MLP
}

// widest is the largest width of the inputs that are kept.
func (p *pass[R]) widest() (widest int) {
	for layer := range p.plan.sites {
		for part := range sites {
			h, site := half{layer, part}, sites[part][1]
			if at := p.plan.sites[layer][site]; at.wanted && !at.kept && p.keeps(h, site) {
				widest = max(widest, p.width(h))
			}
		}
	}
	return widest
}

// diverge gives the dense model streams of its own, where a target asks for them: the two models
// are no longer the same from here on.
func (p *pass[R]) diverge() {
	if p.options.Target > 0 && p.other == nil {
		p.other = p.streams.clone(p.dense)
	}
}

// check looks for wanted linear layers that were compressed before, ahead of the work for others.
func (p *pass[R]) check(layer int) error {
	for _, l := range p.layers.Model().BlockLinears(layer) {
		if !p.method.Wants(l) {
			continue
		}
		if _, err := Dense(l); err != nil {
			return err
		}
	}
	return nil
}

// site lets the method compress the wanted linear layers that read a site. all are the statistics
// of the layer in parallel mode.
func (p *pass[R]) site(ctx context.Context, layer int, site model.Site, all map[model.Site]*Stats) error {
	var linears []model.LinearLayer
	for _, l := range p.layers.Model().BlockLinears(layer) {
		if l.Site == site && p.method.Wants(l) {
			linears = append(linears, l)
		}
	}
	if len(linears) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	stats := &Stats{Layer: layer, Site: site, Width: linears[0].In}
	switch {
	case p.options.Parallel && p.plan != nil:
		stats = all[site]
		delete(all, site) // the method's own
	case p.plan != nil:
		var err error
		if stats, err = p.sequential(ctx, layer, site); err != nil {
			return err
		}
	}
	return p.method.Compress(ctx, stats, linears, p.report)
}

// sequential returns the statistics of a site in the model as it has become.
func (p *pass[R]) sequential(ctx context.Context, layer int, site model.Site) (*Stats, error) {
	stats, err := p.stored(ctx, layer, site)
	if stats == nil && err == nil {
		if first := sites[halfOf(site)][0]; site != first && p.plan.sites[layer][first].wanted {
			p.diverge()
		}
		h := half{layer, halfOf(site)}
		if stats, err = p.streams.gather(ctx, h, site, p.other, p.keeps(h, site)); err == nil {
			err = p.keep(ctx, stats)
		}
	}
	if err != nil {
		return nil, err
	}
	stats.Blend = p.options.Target
	return stats, nil
}

func (p *pass[R]) report(r R) {
	p.reports = append(p.reports, r)
	p.progress.Done++
	p.progress.Report = r
	if p.options.OnDone != nil {
		p.options.OnDone(p.progress)
	}
}
