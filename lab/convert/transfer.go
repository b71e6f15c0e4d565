package convert

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Import writes the checkpoint from, in whatever format, as a Hugging Face folder of float tensors. Block formats and codes are dequantized.
func Import(ctx context.Context, from, to string, o Options) (*Result, error) {
	return transfer(ctx, from, to, "import", true, o)
}

// transfer moves all layers to a new folder, dense or in the formats that they have.
func transfer(ctx context.Context, from, to, verb string, dense bool, o Options) (*Result, error) {
	start := time.Now()
	source, err := o.Open(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if err := o.complete(source); err != nil {
		return nil, err
	}
	s, err := newStream(source, from, to, verb, o.DType)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	r.Parameters.Before, r.Bytes.Before = source.Config().Parameters(), storedBytes(source)
	s.dense = dense
	err = s.copyAll(ctx, o.Progress)
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", verb, err), s.to.Abandon())
	}
	return r, r.complete(to, start)
}
