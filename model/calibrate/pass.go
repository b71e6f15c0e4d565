package calibrate

import (
	"context"
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

// Method compresses linear layers and reports an R of each.
type Method[R any] interface {
	// Wants reports whether Compress is to be called for a linear layer. Its weight may not be in
	// memory yet.
	Wants(l model.LinearLayer) bool
	// Compress replaces the weights of linears, all wanted ones that read the input which s
	// describes, and calls report once for each. It may also change the widths and the other
	// weights of that half of the layer. s is its own to keep.
	Compress(ctx context.Context, s *Stats, linears []model.LinearLayer, report func(R)) error
}

// Options say how a pass runs and what is called as it goes on.
type Options[R any] struct {
	ChunkTokens int           // whole sequences run together up to this many tokens; 0 is 2048
	OnDone      func(Done[R]) // called after each linear layer; may be nil
}

// Done says how far a pass is, and what it has just done.
type Done[R any] struct {
	Done, Total int // linear layers that the method wants; those of finished layers count as done
	Report      R
}

// Run compresses all linear layers that the method wants, in their order of use, and returns its
// reports; of layers that were finished before there are none. Without sequences the method is
// given statistics of zero tokens.
func Run[R any](ctx context.Context, layers Layers, sequences []Sequence, o Options[R], method Method[R]) ([]R, error) {
	m := layers.Model()
	p := pass[R]{layers: layers, method: method, done: o.OnDone, wanted: make([]int, len(m.Blocks)), last: half{layer: -1}}
	for _, l := range m.Linears() {
		if method.Wants(l) {
			p.wanted[l.Layer]++
			p.progress.Total++
			p.last = half{l.Layer, halfOf(l.Site)}
		}
	}
	var err error
	if len(sequences) > 0 && p.progress.Total > 0 {
		if p.streams, err = newStreams(ctx, layers, sequences, o.ChunkTokens); err != nil {
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
		return nil, fmt.Errorf("%s is %s already, expected float32", l.Name, l.Weight.Format())
	}
	return d, nil
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
	streams *streams // nil without sequences
	wanted  []int    // linear layers of each layer
	// the last that has a wanted linear layer: nothing behind it needs the streams
	last     half
	done     func(Done[R])
	progress Done[R]
	reports  []R
}

func (p *pass[R]) layer(ctx context.Context, layer int) error {
	finished, err := p.layers.Load(ctx, layer)
	if err != nil {
		return err
	}
	if finished {
		p.progress.Done += p.wanted[layer]
	} else if err := p.check(layer); err != nil {
		return err
	}
	for part := range sites {
		for _, site := range sites[part] {
			if finished {
				break
			}
			if err := p.site(ctx, layer, site); err != nil {
				return err
			}
		}
		if h := (half{layer, part}); p.streams != nil && h.before(p.last) {
			if err := p.streams.advance(ctx, h); err != nil {
				return err
			}
		}
	}
	return p.layers.Leave(ctx, layer)
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

// site lets the method compress the wanted linear layers that read a site.
func (p *pass[R]) site(ctx context.Context, layer int, site model.Site) error {
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
	if p.streams != nil {
		var err error
		if stats, err = p.streams.gather(ctx, half{layer, halfOf(site)}, site); err != nil {
			return err
		}
	}
	return p.method.Compress(ctx, stats, linears, p.report)
}

func (p *pass[R]) report(r R) {
	p.reports = append(p.reports, r)
	p.progress.Done++
	p.progress.Report = r
	if p.done != nil {
		p.done(p.progress)
	}
}
