package calibrate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"slimlab/model"
)

// Store keeps statistics between passes over the same model with the same sequences: the keys say
// nothing of these.
type Store interface {
	// Has reports whether statistics are kept that Load is to read.
	Has(key string) bool
	// Load reads kept ones. That there are none is an error, and a *DamagedError that they are
	// damaged.
	Load(ctx context.Context, key string) (*Stats, error)
	// Keeps reports whether statistics are to be saved: those of the model as it was, or those
	// of one that was changed before.
	Keeps(changed bool) bool
	// Save keeps some.
	Save(ctx context.Context, key string, s *Stats) error
}

// DamagedError is the error of kept statistics that are damaged.
type DamagedError struct {
	Files []string
	first error // what is wrong with one of them
}

// Damaged is the error of one file.
func Damaged(file string, err error) *DamagedError { return &DamagedError{[]string{file}, err} }

// mostNamed bounds the files that one message names.
const mostNamed = 32

// Error names the files, and says what to do.
func (e *DamagedError) Error() string {
	if len(e.Files) == 1 {
		return fmt.Sprintf("%s: %v: remove this file, and its statistics are gathered again", e.Files[0], e.first)
	}
	named, more := e.Files, ""
	if len(named) > mostNamed {
		named, more = named[:mostNamed], fmt.Sprintf(" and %d more, which the next run names", len(e.Files)-mostNamed)
	}
	return fmt.Sprintf("%d files are damaged, of the first %v: remove them, and their statistics are gathered again: %s%s", len(e.Files), e.first, strings.Join(named, " "), more)
}

// Unwrap returns what is wrong with one of them.
func (e *DamagedError) Unwrap() error { return e.first }

// plan says, before a pass, where its statistics come from.
type plan struct {
	sites [][len(siteNames)]planned // of each layer
	last  half                      // the last half whose statistics are gathered
}

// planned is one site of a plan.
type planned struct {
	wanted, kept bool
	changed      bool // something was done before
	key          string
}

// newPlan looks up what is kept. In the sequential order a key has all that was done before the
// site; where nothing was, and in parallel mode, it is that of the dense model.
func newPlan(ctx context.Context, m *model.Model, s Settings, wants func(model.LinearLayer) bool) (*plan, error) {
	p := &plan{sites: make([][len(siteNames)]planned, len(m.Blocks)), last: half{layer: -1}}
	before := "" // a hash of what was done
	for layer := range m.Blocks {
		for site := range model.Site(len(siteNames)) {
			at := &p.sites[layer][site]
			at.changed = before != ""
			at.key = fmt.Sprintf("layer %d, %s", layer, siteNames[site])
			if before != "" {
				at.key += ", after " + before
			}
			if before != "" && s.Target > 0 {
				at.key += ", with the dense model"
			}
			done := ""
			for _, l := range m.BlockLinears(layer) {
				if l.Site != site || !wants(l) {
					continue
				}
				at.wanted = true
				if s.Describe != nil && !s.Parallel {
					done += fmt.Sprintf("%s: %s\n", l.Name, s.Describe(l))
				}
			}
			at.kept = at.wanted && s.Store != nil && s.Sample == 0 && s.Store.Has(at.key)
			if at.wanted && !at.kept {
				p.last = half{layer, halfOf(site)}
			}
			if done != "" {
				before = fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\ntarget %v\n%s", before, s.Target, done)))
			}
		}
	}
	return p, ctx.Err()
}

// reach moves the last half on to that whose streams the last changed layer begins with, which a
// refiner needs of each.
func (p *plan) reach(wanted []int) {
	for layer, n := range wanted {
		if h := (half{layer, attention}); n > 0 && p.last.before(h) {
			p.last = h
		}
	}
}

// changes reports whether the method changes a half.
func (p *plan) changes(h half) bool {
	for _, site := range sites[h.part] {
		if p.sites[h.layer][site].wanted {
			return true
		}
	}
	return false
}

// stored reads the statistics of a site, nil where they were not kept when the pass began.
func (p *pass[R]) stored(ctx context.Context, layer int, site model.Site) (*Stats, error) {
	at := p.plan.sites[layer][site]
	if !at.kept {
		return nil, nil
	}
	s, err := p.options.Store.Load(ctx, at.key)
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		err = p.allDamaged(ctx, damaged)
	}
	if err != nil {
		return nil, fmt.Errorf("kept statistics: %w", err)
	}
	if width := p.widthOf(layer, site); s.Layer != layer || s.Site != site || s.Width != width {
		return nil, fmt.Errorf("kept statistics are of %s, %d wide, expected %s, %d wide", s.Place(), s.Width, (&Stats{Layer: layer, Site: site}).Place(), width)
	}
	return s, nil
}

// allDamaged adds to the first damaged statistics all others that the pass is to read, so that one
// message names them all.
func (p *pass[R]) allDamaged(ctx context.Context, first *DamagedError) error {
	all := &DamagedError{}
	for _, sites := range p.plan.sites {
		for _, at := range sites {
			if !at.kept {
				continue
			}
			_, err := p.options.Store.Load(ctx, at.key)
			var damaged *DamagedError
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.As(err, &damaged):
				if all.Files = append(all.Files, damaged.Files...); all.first == nil {
					all.first = damaged.first
				}
			}
		}
	}
	if len(all.Files) == 0 { // which another process has written anew meanwhile
		return first
	}
	return all
}

func (p *pass[R]) widthOf(layer int, site model.Site) int {
	for _, l := range p.model.BlockLinears(layer) {
		if l.Site == site {
			return l.In
		}
	}
	return 0
}

// keep stores statistics that were gathered.
func (p *pass[R]) keep(ctx context.Context, s *Stats) error {
	at := p.plan.sites[s.Layer][s.Site]
	if p.options.Store == nil || !p.options.Store.Keeps(at.changed) {
		return nil
	}
	if err := p.options.Store.Save(ctx, at.key, s); err != nil {
		return fmt.Errorf("keeping statistics: %w", err)
	}
	return nil
}
