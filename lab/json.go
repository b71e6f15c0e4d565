package lab

import (
	"encoding/json"
	"math"
)

// Number is a float64 that JSON can carry: NaN and the infinities, which JSON lacks, are written as
// null.
type Number float64

// MarshalJSON writes the shortest text that reads back as the same value, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	x := float64(n)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(x)
}

// eventSchema names the shape of a file of events, a line each; it is in the first.
const eventSchema = "slimlab.events/1"

// MarshalJSON writes the event as one flat object; values that are not finite become null.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event // without this method
	out := struct {
		Kind string `json:"kind"`
		plain
		Schema string  `json:"schema,omitempty"`
		State  string  `json:"state,omitempty"`
		Level  string  `json:"level,omitempty"`
		Held   *bool   `json:"held,omitempty"`
		Value  *Number `json:"value,omitempty"`
	}{Kind: e.Kind.String(), plain: plain(e)}
	switch e.Kind {
	case KindBegin:
		out.Schema = eventSchema
	case KindCell, KindEnd:
		out.State = e.State.String()
	case KindPoint:
		value := Number(e.Value)
		out.Value = &value
	case KindNote:
		out.Level = e.Level.String()
	case KindVerdict:
		out.Held = &e.Held
	}
	return json.Marshal(out)
}

// MarshalJSON writes the matrix; values that are not finite become null.
func (m Matrix) MarshalJSON() ([]byte, error) {
	type plain Matrix // without this method
	values := make([]Number, len(m.Values))
	for i, x := range m.Values {
		values[i] = Number(x)
	}
	return json.Marshal(struct {
		plain
		Values []Number `json:"values"`
	}{plain(m), values})
}

// MarshalJSON writes the measure; values that are not finite become null.
func (m Measure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Value   Number `json:"value"`
		Low     Number `json:"low,omitempty"`
		High    Number `json:"high,omitempty"`
		N       int    `json:"n,omitempty"`
		Warning string `json:"warning,omitempty"`
	}{Number(m.Value), Number(m.Low), Number(m.High), m.N, m.Warning})
}
