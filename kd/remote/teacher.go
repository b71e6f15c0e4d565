package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"

	"slimlab/kd"
	"slimlab/kernels"
)

// Form is what an endpoint can be asked.
type Form int

const (
	GivenTokens Form = iota // log-probabilities of tokens that the request lists
	OwnTokens               // those of its own most likely tokens
	WholeRows               // logits of the whole vocabulary, and of given tokens too
)

// Teacher is a kd.Teacher at a URL.
type Teacher struct {
	config   Config
	client   client
	form     Form
	answers  map[string][]list // of the step's examples, by their content
	examples []kd.Example      // of the last Read
	read     [][]list          // theirs
	rows     []float32
	lists    kd.Lists
}

// Dial finds out with one or two requests which form the endpoint has.
func Dial(ctx context.Context, c Config) (*Teacher, error) {
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	t := &Teacher{config: client.config, client: client}
	return t, t.probe(ctx)
}

// probe asks about a prompt of two tokens.
func (t *Teacher) probe(ctx context.Context) error {
	ids := []int32{0, 1}
	ask := request{Model: t.config.Model, Prompt: ids, TokenIDs: [][]int32{{}, ids}}
	if t.config.Tokens == nil && t.config.TopK == 0 {
		ask.Rows = []int{1} // which one that does not know them passes over
	}
	lists, err := t.client.ask(ctx, ask)
	switch {
	case err == nil && ask.Rows != nil && lists[1].logits != nil:
		t.form = WholeRows
		return t.checkAll()
	case err == nil && lists[1].hasAll(ids):
		t.form = GivenTokens
		return nil
	case err == nil:
		err = t.client.named(errors.New("it does not answer for the tokens that a request lists"))
	case !refusesForm(err):
		return err
	}
	t.form = OwnTokens
	if t.config.TopK == 0 {
		t.config.TopK = min(20, t.config.Vocab)
	}
	lists, second := t.client.ask(ctx, request{Model: t.config.Model, Prompt: ids, MaxTokens: 1, TopK: t.config.TopK})
	switch {
	case second != nil && refusesForm(second):
		return fmt.Errorf("%w; and with tokens listed (prompt_logprob_token_ids): %w", second, errors.Unwrap(err))
	case second != nil:
		return second
	case len(lists[1].ids) == 0:
		return t.client.named(fmt.Errorf("%w: prompt_logprobs %d got none for the second token", errNoLogprobs, t.config.TopK))
	}
	return nil
}

// checkAll tells the ids of a whole row, whose texts are not given.
func (t *Teacher) checkAll() error {
	for id := range t.config.Vocab {
		if t.config.Check == nil {
			break
		}
		if err := t.config.Check(int64(id), ""); err != nil {
			return t.client.named(fmt.Errorf("token id %d: %w", id, err))
		}
	}
	return nil
}

// refusesForm reports whether an endpoint has refused what it was asked, and may take another form.
func refusesForm(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return slices.Contains([]int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusNotImplemented}, status.Status)
	}
	return errors.Is(err, errNoLogprobs)
}

// hasAll reports whether all of some rising ids are listed.
func (l *list) hasAll(ids []int32) bool {
	at := 0
	for _, id := range ids {
		for at < len(l.ids) && l.ids[at] < id {
			at++
		}
		if at == len(l.ids) || l.ids[at] != id {
			return false
		}
	}
	return true
}

// Form is what the endpoint can be asked.
func (t *Teacher) Form() Form { return t.form }

// String says what the endpoint answers, such as for a run's notes.
func (t *Teacher) String() string {
	at := "teacher " + t.client.url.Redacted()
	switch {
	case t.form == WholeRows:
		return fmt.Sprintf("%s answers with the logits of all %d tokens", at, t.config.Vocab)
	case t.whole():
		return fmt.Sprintf("%s answers for given tokens: asked for all %d", at, t.config.Vocab)
	case t.form == GivenTokens:
		return at + " answers for given tokens: asked for the student's, the rest as one outcome"
	}
	return fmt.Sprintf("%s answers for its own %d most likely tokens, the rest as one outcome: it serves fkl, skl and sampled losses at temperature 1", at, t.config.TopK)
}

// whole reports whether rows are whole.
func (t *Teacher) whole() bool {
	return t.form == WholeRows || t.form == GivenTokens && t.config.Tokens == nil
}

// Vocab is the vocabulary that the teacher shares.
func (t *Teacher) Vocab() int { return t.config.Vocab }

// Positions are those of the Config.
func (t *Teacher) Positions() int { return t.config.Positions }

// CheckObjective refuses losses that need the teacher's probabilities of tokens that the student
// finds likely, where the endpoint cannot be asked for them, and temperatures other than 1 without
// whole rows.
func (t *Teacher) CheckObjective(o kd.Objective) error {
	switch {
	case o.Sequence > 0 && o.SequenceLoss == kd.SequenceMixture && !t.config.Whole:
		return fmt.Errorf("the divergence over whole sequences needs rows at every token, and the teacher at %s is asked about answers", t.client.url.Redacted())
	case t.whole() || o.Sampled():
		return nil
	}
	if err := o.CheckLists(kernels.RestBucket, 1); err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	if t.form == OwnTokens && o.Divergence != kd.ForwardKL && o.Divergence != kd.SkewForwardKL {
		return fmt.Errorf("loss %s needs the teacher's probabilities of the student's likely tokens, and %s answers for its own alone: use fkl, a sampled loss, or an endpoint that takes prompt_logprob_token_ids", o, t.client.url.Redacted())
	}
	return nil
}

// Prepare asks for the distributions of a step's examples. When one fails the others are ended.
func (t *Teacher) Prepare(ctx context.Context, examples []kd.Example) error {
	chosen, err := t.choose(ctx, examples)
	if err != nil {
		return err
	}
	lists := make([][]list, len(examples))
	err = t.client.each(ctx, len(examples), func(ctx context.Context, i int) (err error) {
		lists[i], err = t.ask(ctx, &examples[i], chosen[i])
		return err
	})
	t.answers = make(map[string][]list, len(examples))
	for i := range examples {
		t.answers[t.key(&examples[i])] = lists[i]
	}
	return err
}

func (t *Teacher) choose(ctx context.Context, examples []kd.Example) ([][][]int32, error) {
	if t.form != GivenTokens || t.config.Tokens == nil {
		return make([][][]int32, len(examples)), nil
	}
	chosen, err := t.config.Tokens(ctx, examples)
	if err == nil && len(chosen) != len(examples) {
		err = fmt.Errorf("the student's tokens of %d examples, expected %d", len(chosen), len(examples))
	}
	return chosen, err
}

// asks reports whether an example's token has a row.
func (t *Teacher) asks(e *kd.Example, token int) bool {
	return token > 0 && (e.Answer[token] || t.config.Whole && e.Origin != kd.OfStudent)
}

// prompt is an example's tokens up to the last that has a row.
func (t *Teacher) prompt(e *kd.Example) []int32 {
	for last := len(e.Tokens) - 1; last > 0; last-- {
		if t.asks(e, last) {
			return e.Tokens[:last+1]
		}
	}
	return nil
}

// key is an example's content.
func (t *Teacher) key(e *kd.Example) string {
	var data []byte
	for i, token := range t.prompt(e) {
		data = binary.LittleEndian.AppendUint32(data, uint32(token))
		if t.asks(e, i) {
			data = append(data, 1)
		} else {
			data = append(data, 0)
		}
	}
	return string(data)
}

// ask asks about one example; chosen are the tokens that the student asks for.
func (t *Teacher) ask(ctx context.Context, e *kd.Example, chosen [][]int32) ([]list, error) {
	prompt := t.prompt(e)
	if prompt == nil {
		return nil, nil
	}
	r := request{Model: t.config.Model, Prompt: prompt, TopK: t.config.TopK}
	var lists []list
	var err error
	switch t.form {
	case WholeRows:
		lists, err = t.askRows(ctx, e, prompt)
	case OwnTokens:
		r.MaxTokens = 1
		lists, err = t.client.ask(ctx, r)
	default:
		r.TokenIDs = t.tokens(e, prompt, chosen)
		lists, err = t.client.ask(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	for i := range prompt {
		switch {
		case !t.asks(e, i):
			lists[i] = list{}
		case t.form == GivenTokens && !lists[i].hasAll(r.TokenIDs[i]):
			return nil, t.client.named(fmt.Errorf("token %d of the prompt: %d log-probabilities, which lack some of the %d that were asked for", i, len(lists[i].ids), len(r.TokenIDs[i])))
		case len(lists[i].ids)+len(lists[i].logits) == 0:
			return nil, t.client.named(fmt.Errorf("token %d of the prompt: %w", i, errNoLogprobs))
		}
		if sum := lists[i].mass(); t.asks(e, i) && (sum > 1+massError || t.whole() && !(sum >= leastMass)) {
			return nil, t.client.named(fmt.Errorf("token %d of the prompt: the probabilities of %d tokens sum to %.4g, expected at most 1, and about 1 over the whole vocabulary", i, len(lists[i].ids)+len(lists[i].logits), sum))
		}
	}
	return lists, nil
}

// askRows asks for whole rows, in as many requests as the bound of an answer needs.
func (t *Teacher) askRows(ctx context.Context, e *kd.Example, prompt []int32) ([]list, error) {
	all := make([]list, len(prompt))
	row := 4*4*int64(t.config.Vocab)/3 + 100 // bytes, in base64
	most := int(max(1, min(t.config.MaxAnswer/2/row, int64(len(prompt)))))
	var places []int
	for i := range prompt {
		if t.asks(e, i) {
			places = append(places, i)
		}
	}
	for part := range slices.Chunk(places, most) {
		lists, err := t.client.ask(ctx, request{Model: t.config.Model, Prompt: prompt[:part[len(part)-1]+1], Rows: part})
		if err != nil {
			return nil, err
		}
		for _, i := range part {
			all[i] = lists[i]
		}
	}
	return all, nil
}

const (
	// massError is how much the probabilities of an answer may be above 1: endpoints write few
	// digits, and some compute in bfloat16.
	massError = 0.02
	// leastMass is what those of the whole vocabulary have: an endpoint may know more tokens, of
	// which a text needs few.
	leastMass = 0.5
)

// mass is the sum of the listed probabilities.
func (l *list) mass() (sum float64) {
	for _, x := range l.logP {
		sum += math.Exp(x)
	}
	for id := range l.logits {
		sum += math.Exp(l.at(id))
	}
	return sum
}

// tokens are the ids that each token of a prompt is asked about, rising.
func (t *Teacher) tokens(e *kd.Example, prompt []int32, chosen [][]int32) [][]int32 {
	var all []int32
	if t.whole() {
		all = make([]int32, t.config.Vocab)
		for id := range all {
			all[id] = int32(id)
		}
	}
	ids := make([][]int32, len(prompt))
	for i := range prompt {
		ids[i] = []int32{}
		switch {
		case !t.asks(e, i):
		case all != nil:
			ids[i] = all
		default:
			ids[i] = append(ids[i], prompt[i])
			if i < len(chosen) {
				ids[i] = append(ids[i], chosen[i]...)
			}
			ids[i] = slices.DeleteFunc(ids[i], func(id int32) bool { return int(id) >= t.config.Vocab })
			slices.Sort(ids[i])
			ids[i] = slices.Compact(ids[i])
		}
	}
	return ids
}

// Read finds the answers about a pass's examples.
func (t *Teacher) Read(_ context.Context, r kd.Reading) error {
	t.examples, t.read = r.Examples, t.read[:0]
	for i := range r.Examples {
		lists, ok := t.answers[t.key(&r.Examples[i])]
		if !ok {
			return fmt.Errorf("example %d of a pass was not asked about: it is not one of the step's", i)
		}
		t.read = append(t.read, lists)
	}
	return nil
}

// Rows returns the answers at the targets.
func (t *Teacher) Rows(targets []kd.Target, vocab int) (kd.Rows, error) {
	if vocab > t.config.Vocab {
		return kd.Rows{}, fmt.Errorf("rows over %d tokens, of a teacher of %d", vocab, t.config.Vocab)
	}
	l := &t.lists
	l.Starts, l.IDs, l.TokenLogP, l.LogRest = append(l.Starts[:0], 0), l.IDs[:0], l.TokenLogP[:0], l.LogRest[:0]
	if cap(t.rows) < len(targets)*vocab && t.whole() {
		t.rows = make([]float32, len(targets)*vocab)
	}
	for i, target := range targets {
		of := t.read[target.Example]
		if target.Token >= len(of) || len(of[target.Token].ids)+len(of[target.Token].logits) == 0 {
			return kd.Rows{}, fmt.Errorf("token %d of example %d of a pass was not asked about", target.Token, target.Example)
		}
		if t.whole() {
			of[target.Token].fill(t.rows[i*vocab : (i+1)*vocab])
		} else {
			of[target.Token].appendTo(l, vocab)
		}
	}
	if t.whole() {
		return kd.Rows{Logits: t.rows[:len(targets)*vocab]}, nil
	}
	l.Rest, l.Temperature = kernels.RestBucket, 1
	return kd.Rows{Lists: *l}, nil
}

// fill sets a row to log-probabilities less the largest, in float32. Where they are z − log Σe^z
// of float32 logits, it is z − max z as float32 subtracts them: the difference is first rounded
// to far finer steps than float32 has, and coarser ones than the errors of float64, so that what
// lies half way between two float32 is rounded as such.
func (l *list) fill(row []float32) {
	most := math.Inf(-1)
	for id := range row {
		most = max(most, l.at(id))
	}
	for id := range row {
		logP := l.at(id)
		step := math.Ldexp(1, math.Ilogb(max(1, -logP, -most))-46)
		row[id] = float32(math.Round((logP-most)/step) * step)
	}
}

// appendTo adds the list, as far as it is within a vocabulary. The mass beyond is that of the rest.
func (l *list) appendTo(lists *kd.Lists, vocab int) {
	var sum float64
	for i, id := range l.ids {
		if int(id) < vocab {
			sum += math.Exp(l.logP[i])
			lists.IDs, lists.TokenLogP = append(lists.IDs, id), append(lists.TokenLogP, float32(l.logP[i]))
		}
	}
	lists.Starts = append(lists.Starts, int32(len(lists.IDs)))
	lists.LogRest = append(lists.LogRest, float32(math.Log(max(0, 1-sum))))
}
