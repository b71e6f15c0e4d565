package remote

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// list is what an answer says of one token of the prompt: log-probabilities of tokens in its place.
type list struct {
	ids  []int32 // rising
	logP []float64

	// Of an endpoint of WholeRows: the logits of all tokens, and log Σ e^logit.
	logits []float32
	logSum float64
}

// at is the log-probability of a token of a whole row.
func (l *list) at(id int) float64 {
	if l.logits != nil {
		return min(float64(l.logits[id])-l.logSum, 0)
	}
	return l.logP[id]
}

// errNoLogprobs is the error of an endpoint that answers without log-probabilities of the prompt.
var errNoLogprobs = errors.New("the answer has no log-probabilities of the prompt (choices[0].prompt_logprobs)")

// maxDepth bounds the nesting of what is skipped.
const maxDepth = 64

// parser reads an answer token by token, and keeps no more than it asks for.
type parser struct {
	d         *json.Decoder
	positions int
	vocab     int
	check     func(id int64, text string) error // may be nil
}

// parseAnswer reads choices[0].prompt_logprobs and prompt_logits of an answer about a prompt of so
// many tokens. Tokens beyond the vocabulary are left out.
func parseAnswer(r io.Reader, positions, vocab int, check func(id int64, text string) error) (lists []list, err error) {
	p := parser{json.NewDecoder(r), positions, vocab, check}
	found := false
	var rows []list
	err = p.object(func(name string) error {
		if name != "choices" {
			return p.skip()
		}
		n := 0
		return p.array(func() error {
			if n++; n > 1 {
				return p.skip()
			}
			return p.object(func(name string) error {
				switch name {
				case "prompt_logprobs":
					lists, err = p.lists()
					found = lists != nil
				case "prompt_logits":
					rows, err = p.rows()
				default:
					err = p.skip()
				}
				return err
			})
		})
	})
	switch {
	case err != nil && errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, errEarly
	case err != nil:
		return nil, err
	case !found && rows == nil:
		return nil, errNoLogprobs
	case !found:
		return rows, nil
	case len(lists) != positions:
		return nil, fmt.Errorf("log-probabilities of %d tokens, expected those of the prompt's %d", len(lists), positions)
	}
	for i, row := range rows {
		lists[i].logits, lists[i].logSum = row.logits, row.logSum
	}
	return lists, nil
}

// rows reads null, or whole rows by their places.
func (p *parser) rows() (rows []list, err error) {
	begins, err := p.begins('[')
	if err != nil || !begins {
		return nil, err
	}
	rows = make([]list, p.positions)
	for p.d.More() {
		var row struct {
			Place  int     `json:"place"`
			LogSum float64 `json:"log_sum"`
			Logits []byte  `json:"logits"` // float32, little endian, in base64
		}
		if err := p.d.Decode(&row); err != nil {
			return nil, fmt.Errorf("prompt_logits: %w", err)
		}
		switch {
		case row.Place < 1 || row.Place >= p.positions || rows[row.Place].logits != nil:
			return nil, fmt.Errorf("prompt_logits: a row of token %d of the prompt, expected one each of 1 to %d", row.Place, p.positions-1)
		case len(row.Logits)%4 != 0 || len(row.Logits)/4 < p.vocab:
			return nil, fmt.Errorf("prompt_logits: token %d of the prompt: %d bytes, expected 4 of each of the student's %d tokens", row.Place, len(row.Logits), p.vocab)
		}
		l := list{logits: make([]float32, p.vocab), logSum: row.LogSum}
		for id := range l.logits {
			z := math.Float32frombits(binary.LittleEndian.Uint32(row.Logits[4*id:]))
			if l.logits[id] = z; !(float64(z)-l.logSum <= 1e-3) || math.IsInf(float64(z), 0) {
				return nil, fmt.Errorf("prompt_logits: token %d of the prompt: token id %d: logit %v, expected a number of at most the row's log_sum %v", row.Place, id, z, l.logSum)
			}
		}
		rows[row.Place] = l
	}
	_, err = p.d.Token()
	return rows, err
}

// lists reads null, or the lists of all tokens.
func (p *parser) lists() (lists []list, err error) {
	begins, err := p.begins('[')
	if err != nil || !begins {
		return nil, err
	}
	lists = []list{}
	for p.d.More() {
		if len(lists) == p.positions {
			return nil, fmt.Errorf("log-probabilities of more than the prompt's %d tokens", p.positions)
		}
		l, err := p.list()
		if err != nil {
			return nil, fmt.Errorf("token %d of the prompt: %w", len(lists), err)
		}
		lists = append(lists, l)
	}
	_, err = p.d.Token()
	return lists, err
}

// list reads null or {"id": {"logprob": x}, …}; x alone is taken as well.
func (p *parser) list() (l list, err error) {
	begins, err := p.begins('{')
	if err != nil || !begins {
		return l, err
	}
	for n := 0; p.d.More(); n++ {
		if n > 2*p.vocab {
			return l, fmt.Errorf("more than %d log-probabilities", n)
		}
		name, err := p.d.Token()
		if err != nil {
			return l, err
		}
		id, err := strconv.ParseInt(name.(string), 10, 32)
		if err != nil || id < 0 {
			return l, fmt.Errorf("log-probability of %.40q, expected the id of a token", name)
		}
		logP, text, err := p.logprob()
		if err == nil && p.check != nil {
			err = p.check(id, text)
		}
		switch {
		case err != nil:
			return l, fmt.Errorf("token id %d: %w", id, err)
		case logP > 1e-3:
			return l, fmt.Errorf("token id %d: log-probability %v, expected at most 0", id, logP)
		}
		if id < int64(p.vocab) {
			l.ids, l.logP = append(l.ids, int32(id)), append(l.logP, min(logP, 0))
		}
	}
	if _, err := p.d.Token(); err != nil {
		return l, err
	}
	return l.sorted()
}

// sorted puts the ids in order, and refuses two log-probabilities of one.
func (l list) sorted() (list, error) {
	if !slices.IsSorted(l.ids) {
		order := make([]int, len(l.ids))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return int(l.ids[a]) - int(l.ids[b]) })
		s := list{ids: make([]int32, len(order)), logP: make([]float64, len(order))}
		for i, from := range order {
			s.ids[i], s.logP[i] = l.ids[from], l.logP[from]
		}
		l = s
	}
	for i := 1; i < len(l.ids); i++ {
		if l.ids[i] == l.ids[i-1] {
			return l, fmt.Errorf("two log-probabilities of token id %d", l.ids[i])
		}
	}
	return l, nil
}

// logprob reads a number, or an object with one named logprob, and the text decoded_token where it
// has one.
func (p *parser) logprob() (logP float64, text string, err error) {
	t, err := p.d.Token()
	if err != nil {
		return 0, "", err
	}
	if x, ok := t.(float64); ok {
		return x, "", nil
	}
	if t != json.Delim('{') {
		return 0, "", fmt.Errorf("found %v, expected a log-probability", t)
	}
	found := false
	err = p.members(func(name string) error {
		switch name {
		case "logprob":
		case "decoded_token":
			return p.text(&text)
		default:
			return p.skip()
		}
		t, err := p.d.Token()
		if err != nil {
			return err
		}
		if logP, found = t.(float64); !found {
			return fmt.Errorf("logprob is %v, expected a number", t)
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("no logprob")
	}
	return logP, text, err
}

// text reads a text; null is none.
func (p *parser) text(into *string) error {
	t, err := p.d.Token()
	if err != nil || t == nil {
		return err
	}
	s, ok := t.(string)
	if !ok {
		return fmt.Errorf("decoded_token is %v, expected a text", t)
	}
	*into = s
	return nil
}

// begins reads a delimiter; null is none.
func (p *parser) begins(delim json.Delim) (bool, error) {
	t, err := p.d.Token()
	switch {
	case err != nil:
		return false, err
	case t == nil:
		return false, nil
	case t != delim:
		return false, fmt.Errorf("found %.40q, expected %v", fmt.Sprint(t), delim)
	}
	return true, nil
}

// object calls f at the value of each member.
func (p *parser) object(f func(name string) error) error {
	begins, err := p.begins('{')
	if err != nil || !begins {
		return err
	}
	return p.members(f)
}

func (p *parser) members(f func(name string) error) error {
	for p.d.More() {
		name, err := p.d.Token()
		if err != nil {
			return err
		}
		if err := f(name.(string)); err != nil {
			return err
		}
	}
	_, err := p.d.Token()
	return err
}

// array calls f at each element.
func (p *parser) array(f func() error) error {
	begins, err := p.begins('[')
	if err != nil || !begins {
		return err
	}
	for p.d.More() {
		if err := f(); err != nil {
			return err
		}
	}
	_, err = p.d.Token()
	return err
}

// skip reads one value of any kind.
func (p *parser) skip() error {
	for depth := 0; ; {
		t, err := p.d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return fmt.Errorf("values within values, more than %d deep", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
