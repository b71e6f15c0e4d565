package convert

import (
	"context"
	"fmt"
	"strings"
	"time"

	"slimlab/internal/plural"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/engines"
	"slimlab/pruning"
	"slimlab/quant"
	"slimlab/quant/transform"
)

// Result is what became of a checkpoint.
type Result struct {
	Parameters   pruning.Count         `json:"parameters"`
	Bytes        Bytes                 `json:"bytes"`
	Pruning      *pruning.CutReport    `json:"pruning,omitempty"`
	Smoothing    []transform.Fold      `json:"smoothing,omitempty"` // before the rounding
	Depth        *pruning.DepthReport  `json:"depth,omitempty"`     // of whole layers that were removed
	Quantization *quant.RoundingReport `json:"quantization,omitempty"`
	Distillation *DistillationReport   `json:"distillation,omitempty"`
	Notes        []string              `json:"notes,omitempty"` // what is not as one might expect
	Warnings     []string              `json:"warnings,omitempty"`
	Seconds      float64               `json:"seconds"`
	// of private memory, mapped files not counted, sampled; 0 where the system does not say
	Peak     int64                   `json:"peak_private_bytes,omitempty"`
	Verdicts []engines.Compatibility `json:"verdicts"`
}

// Bytes are those of all tensors as they are stored.
type Bytes struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Lines says in words what the method did, a line each. What is not as one might expect is in Notes
// and Warnings.
func (r *Result) Lines() []string {
	var lines []string
	if r.Pruning != nil {
		lines = append(lines, pruningLines(r.Pruning)...)
	}
	if r.Depth != nil {
		lines = append(lines, r.Depth.Summary())
	}
	if r.Quantization != nil {
		lines = append(lines, quantizationLine(r.Quantization))
	}
	if r.Distillation != nil {
		lines = append(lines, distillationLines(r.Distillation)...)
	}
	if r.Pruning != nil && len(r.Pruning.Refined) > 0 {
		lines = append(lines, refinedLine(r.Pruning.Refined))
	}
	if r.Quantization != nil && len(r.Quantization.Refined) > 0 {
		lines = append(lines, refinedLine(r.Quantization.Refined))
	}
	return lines
}

func pruningLines(r *pruning.CutReport) []string {
	lines := []string{r.Summary()}
	if r.Neurons.Before != r.Neurons.After && r.Align > 1 {
		lines = append([]string{fmt.Sprintf("MLP sizes are multiples of %d", r.Align)}, lines...)
	}
	if b := r.Budget; b != nil {
		lines = append(lines, budgetLine(b))
		if b.Time != nil {
			lines = append(lines, b.Time.Lines()...)
		}
	}
	for _, part := range []pruning.Part{pruning.Heads, pruning.QueryHeads, pruning.MLP} {
		masked, updated, n := 0.0, 0.0, 0
		for _, l := range r.Layers {
			if l.Part == part {
				masked, updated, n = masked+l.Masked.Undamped, updated+l.Updated.Undamped, n+1
			}
		}
		if n > 0 && r.Tokens > 0 {
			line := fmt.Sprintf("%s: mean relative output error on the calibration text %.4g", part, updated/float64(n))
			if updated != masked { // of methods that leave the weights both are one
				line += fmt.Sprintf(", %.4g without the update of weights", masked/float64(n))
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// budgetLine says what widths a budget has come to.
func budgetLine(b *pruning.BudgetReport) string {
	least, most := 1.0, 0.0
	for _, l := range b.Layers {
		kept := float64(l.Kept) / float64(l.Before)
		least, most = min(least, kept), max(most, kept)
	}
	if b.Time != nil {
		return fmt.Sprintf("layers keep %.3g%% to %.3g%% of their width; %s", 100*least, 100*most, b.Errors())
	}
	return fmt.Sprintf("layers keep %.3g%% to %.3g%% of their width, %d of %d parameters; %s", 100*least, 100*most, b.Kept, b.Parameters, b.Errors())
}

func quantizationLine(r *quant.RoundingReport) string {
	weight, output := 0.0, 0.0
	for _, l := range r.Linears {
		weight, output = weight+l.WeightError/float64(len(r.Linears)), output+l.Error/float64(len(r.Linears))
	}
	line := fmt.Sprintf("%s: mean relative error of weights %.4g", strings.Join(r.Schemes, ", "), weight)
	if r.Tokens > 0 {
		line += fmt.Sprintf(", of outputs on the calibration text %.4g", output)
	}
	return line
}

// DistillationReport is what Distil did to a student.
type DistillationReport struct {
	Objective string  `json:"objective"` // its formula
	Steps     int     `json:"steps"`
	Tokens    int     `json:"tokens"` // that were trained on
	Loss      float64 `json:"loss"`   // of the last step
	HeldOut   int     `json:"held_out"`
	// cross-entropy of the held-out sequences in nats a token; nil where there are none
	Before *float64 `json:"before,omitempty"`
	After  *float64 `json:"after,omitempty"`
}

func distillationLines(r *DistillationReport) []string {
	var lines []string
	if r.Before != nil {
		lines = append(lines, fmt.Sprintf("before: cross-entropy of %s %.4f nats a token", plural.Of(r.HeldOut, "held-out sequence"), *r.Before))
	}
	lines = append(lines, fmt.Sprintf("%s: %s, %s; last loss %.4f", r.Objective, plural.Of(r.Steps, "step"), plural.Of(r.Tokens, "token"), r.Loss))
	if r.After != nil {
		lines = append(lines, fmt.Sprintf("after: cross-entropy of the held-out sequences %.4f nats a token", *r.After))
	}
	return lines
}

// noteNotFinite notes the numbers of a source's tensors that are NaN or infinite, and are copied as
// they are.
func (r *Result) noteNotFinite(ctx context.Context, source *checkpoint.Checkpoint) error {
	found, err := source.AllNotFinite(ctx)
	if found != "" {
		r.Warnings = append(r.Warnings, "numbers that are NaN or infinite were copied, "+found)
	}
	return err
}

// complete describes the folder or file that was written, which it opens as any reader would.
func (r *Result) complete(to string, start time.Time) error {
	written, err := checkpoint.Open(to)
	if err != nil {
		return fmt.Errorf("the new checkpoint cannot be opened: %w", err)
	}
	defer written.Close()
	r.Parameters.After, r.Bytes.After = written.Config().Parameters(), written.Bytes()
	r.Verdicts = engines.Check(written)
	r.Seconds = time.Since(start).Seconds()
	return nil
}
