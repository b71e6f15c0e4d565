package convert

import (
	"context"
	"fmt"
	"time"
)

// Import writes the checkpoint from, in whatever format, as a Hugging Face folder of float tensors. Block formats and codes are dequantized.
func Import(ctx context.Context, from, to string, o Options) (*Result, error) {
	start := time.Now()
	source, err := o.Open(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if err := o.complete(source); err != nil {
		return nil, err
	}
	s, err := newStream(source, from, to, "import", o.DType)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	r.Parameters.Before, r.Bytes.Before = source.Config().Parameters(), storedBytes(source)
	s.dense = true
	if err := s.copyAll(ctx, o.Progress); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	return r, r.complete(to, start)
}
