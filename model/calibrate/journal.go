package calibrate

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// Journal keeps an account of each layer beside it, so that a run that goes on has the reports of
// the layers that were finished before. Layers may be one, or be Around such.
type Journal interface {
	// Note keeps the account of a layer that is about to be left.
	Note(layer int, account []byte)
	// Noted returns the account of a finished layer.
	Noted(layer int) []byte
}

// Around are Layers that hand the work of others on, whose Journal is theirs.
type Around interface{ Inner() Layers }

// journalOf is the Journal of layers, or nil.
func journalOf(layers Layers) Journal {
	for {
		if j, ok := layers.(Journal); ok {
			return j
		}
		around, ok := layers.(Around)
		if !ok {
			return nil
		}
		layers = around.Inner()
	}
}

// Accountant is a Method that has more to say of a layer than its reports.
type Accountant interface {
	// Account encodes what has come to be said since the last call.
	Account() ([]byte, error)
	// Restore adds the account of a layer that was finished before.
	Restore(account []byte) error
}

// entry is the account of a layer.
type entry[R any] struct {
	Reports []R
	Method  []byte // an Accountant's
}

// account asks the method for its account since the last time.
func (p *pass[R]) account() ([]byte, error) {
	if a, ok := any(p.method).(Accountant); ok {
		return a.Account()
	}
	return nil, nil
}

// note keeps the account of a layer, whose reports are the last ones from a number on.
func (p *pass[R]) note(layer, from int) error {
	said, err := p.account()
	if err != nil {
		return err
	}
	data, err := msgpack.Marshal(entry[R]{p.reports[from:], said})
	if err != nil {
		return fmt.Errorf("the account of layer %d: %w", layer, err)
	}
	p.journal.Note(layer, data)
	return nil
}

// restore adds the account of a finished layer.
func (p *pass[R]) restore(layer int) error {
	var e entry[R]
	if err := msgpack.Unmarshal(p.journal.Noted(layer), &e); err != nil {
		return fmt.Errorf("the account of layer %d: %w", layer, err)
	}
	p.reports = append(p.reports, e.Reports...)
	if a, ok := any(p.method).(Accountant); ok {
		return a.Restore(e.Method)
	}
	return nil
}
