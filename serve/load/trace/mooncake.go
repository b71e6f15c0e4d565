package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"slimlab/internal/jsonread"
	"slimlab/internal/visible"
)

// MooncakeBlock is the tokens of a block of Mooncake's traces.
const MooncakeBlock = 512

var mooncakeKeys = jsonread.Keys(jsonread.Read, "timestamp", "input_length", "output_length", "hash_ids")

// ReadMooncake reads a trace in the form of Mooncake's (Qin et al. 2024): one object a line,
// {"timestamp": milliseconds, "input_length": …, "output_length": …, "hash_ids": […]} with an id
// for each block of MooncakeBlock tokens, the last of which may be cut off.
func ReadMooncake(r io.Reader) (*Trace, error) {
	t := &Trace{Block: MooncakeBlock}
	err := lines(r, func(n int, line []byte) error {
		if len(bytes.TrimSpace(line)) == 0 {
			return fmt.Errorf("found an empty line, expected an object")
		}
		var record struct {
			Timestamp *float64 `json:"timestamp"`
			Input     *int     `json:"input_length"`
			Output    *int     `json:"output_length"`
			Blocks    []uint64 `json:"hash_ids"`
		}
		if err := jsonread.Decode(line, &record); err != nil {
			return err
		}
		if err := onlyKeys(line, mooncakeKeys); err != nil {
			return err
		}
		switch {
		case record.Timestamp == nil || record.Input == nil || record.Output == nil || record.Blocks == nil:
			return fmt.Errorf("found no timestamp, input_length, output_length or hash_ids, expected all four")
		case bytes.Contains(line, []byte("null")):
			return fmt.Errorf("found null in hash_ids, expected numbers")
		case !(*record.Timestamp >= 0 && *record.Timestamp <= maxTime/1e6):
			return fmt.Errorf("found a timestamp of %v, expected milliseconds from 0 on, within 10 years", *record.Timestamp)
		}
		if want := (max(0, *record.Input) + MooncakeBlock - 1) / MooncakeBlock; len(record.Blocks) != want {
			return fmt.Errorf("found %d hash_ids of %d tokens, expected %d: one for each %d", len(record.Blocks), *record.Input, want, MooncakeBlock)
		}
		at := time.Duration(math.Round(*record.Timestamp * float64(time.Millisecond)))
		return t.add(Record{n, at, *record.Input, *record.Output, record.Blocks})
	})
	if err != nil {
		return nil, err
	}
	return t.finish()
}

// onlyKeys refuses an object with keys that its reader does not know.
func onlyKeys(line []byte, keys jsonread.Table) error {
	var object map[string]json.RawMessage
	if err := jsonread.Decode(line, &object); err != nil {
		return err
	}
	unknown, err := keys.Check(object)
	if err == nil && len(unknown) > 0 {
		err = fmt.Errorf("found the key %q, which has no meaning here", visible.Line(unknown[0]))
	}
	return err
}
