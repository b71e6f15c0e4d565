package safetensors

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
)

// Info describes a tensor in a file.
type Info struct {
	Name  string
	DType DType
	Shape []int

	start, end int64 // bytes from where the tensors begin
}

// Elements is the product of the shape.
func (t Info) Elements() int { return elements(t.Shape) }

// Bytes is what the tensor takes in the file.
func (t Info) Bytes() int64 { return t.end - t.start }

// parseHeader reads a header and checks it against the number of bytes that follow it.
func parseHeader(data []byte, payload int64) (tensors []Info, metadata map[string]string, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, nil, fmt.Errorf("safetensors header: found %.40q, expected a JSON object", data)
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("safetensors header: %w", explain(data, err))
		}
		name := token.(string) // in an object, More is followed by a key
		if seen[name] {
			return nil, nil, fmt.Errorf("safetensors header: tensor %q is listed twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := decodeValue(d, &metadata); err != nil {
				return nil, nil, fmt.Errorf("safetensors header: %w", jsonread.At("__metadata__", explain(data, err)))
			}
			continue
		}
		var entry struct {
			DType   DType   `json:"dtype"`
			Shape   []int64 `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := decodeValue(d, &entry); err != nil {
			return nil, nil, fmt.Errorf("safetensors header: tensor %q: %w", name, explain(data, err))
		}
		t, err := newInfo(name, entry.DType, entry.Shape, entry.Offsets)
		if err != nil {
			return nil, nil, fmt.Errorf("safetensors header: tensor %q: %w", name, err)
		}
		tensors = append(tensors, t)
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, fmt.Errorf("safetensors header: %w", explain(data, err))
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return nil, nil, fmt.Errorf("safetensors header: found %.40q after the object, expected only spaces", rest)
	}
	if err := checkLayout(tensors, payload); err != nil {
		return nil, nil, fmt.Errorf("safetensors header: %w", err)
	}
	return tensors, metadata, nil
}

// decodeValue decodes the next value, with errors in the words of the file.
func decodeValue(d *json.Decoder, v any) error {
	var raw json.RawMessage
	if err := d.Decode(&raw); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the header ends within the value")
	} else if err != nil {
		return err
	}
	return jsonread.Decode(raw, v)
}

// explain puts an error of encoding/json in the words of the header, where that is no JSON.
func explain(header []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return cmp.Or(jsonread.Decode(header, new(json.RawMessage)), err)
	}
	return err
}

func newInfo(name string, dtype DType, shape, offsets []int64) (Info, error) {
	t := Info{Name: name, DType: dtype}
	size := dtype.Size()
	if size == 0 {
		return t, fmt.Errorf("dtype %q is not known", dtype)
	}
	if len(offsets) != 2 || offsets[0] < 0 || offsets[1] < offsets[0] {
		return t, fmt.Errorf("data_offsets are %d, expected two, the first not above the second", offsets)
	}
	want := uint64(size)
	for _, n := range shape {
		if n < 0 {
			return t, fmt.Errorf("shape is %d, expected no negative sizes", shape)
		}
		high, low := bits.Mul64(want, uint64(n))
		if high != 0 || low > 1<<62 {
			return t, fmt.Errorf("shape %d of %s overflows", shape, dtype)
		}
		want = low
		t.Shape = append(t.Shape, int(n))
	}
	if found := offsets[1] - offsets[0]; uint64(found) != want {
		return t, fmt.Errorf("data_offsets %d hold %d bytes, expected %d for shape %d of %s", offsets, found, want, shape, dtype)
	}
	t.start, t.end = offsets[0], offsets[1]
	return t, nil
}

// checkLayout sorts tensors by their place and checks that they fill the payload without overlap or
// hole, as the format demands.
func checkLayout(tensors []Info, payload int64) error {
	slices.SortFunc(tensors, func(a, b Info) int {
		switch {
		case a.start != b.start:
			return int(min(1, max(-1, a.start-b.start)))
		case a.end != b.end:
			return int(min(1, max(-1, a.end-b.end)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	var end int64
	last := "the header"
	for _, t := range tensors {
		switch {
		case t.end > payload:
			return fmt.Errorf("tensor %q ends at byte %d of the data, but the file has only %d: it is truncated or not what its header says", t.Name, t.end, payload)
		case t.start < end:
			return fmt.Errorf("tensor %q begins at byte %d, inside %s, which ends at %d", t.Name, t.start, last, end)
		case t.start > end:
			return fmt.Errorf("tensor %q begins at byte %d, but %s ends at %d: expected no hole", t.Name, t.start, last, end)
		}
		end, last = t.end, fmt.Sprintf("tensor %q", t.Name)
	}
	if end != payload {
		return fmt.Errorf("the tensors end at byte %d, but the file has %d: expected nothing after them", end, payload)
	}
	return nil
}
