package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/await"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab/convert"
	"slimlab/lab/report"
)

func (p *program) inspectCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "describe a model without reading its weights",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := nearest.Check("--format", format, formats); err != nil {
				return usage(err)
			}
			in, err := await.Do(cmd.Context(), func() (*convert.Inspection, error) { return convert.Inspect(names[0], p.home.OpenModel) })
			if err != nil {
				return usage(err)
			}
			return product{"slimlab.inspection/1", in, func() string { return inspectionText(in) }}.write(p.stdout, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(formats, ", "))
	return cmd
}

func inspectionText(in *convert.Inspection) string {
	t := plainTable(2)
	t.Add("family", in.Family)
	if in.Hidden > 0 {
		t.Add("shape", fmt.Sprintf("hidden %d, %s, head dim %d, vocabulary %d, %s", in.Hidden, plural.Of(in.Layers, "layer"), in.HeadDim, in.Vocabulary, plural.Of(in.Positions, "position")))
	}
	for _, w := range in.Widths {
		t.Add(w.Name(in.Layers), strings.Join([]string{plural.Of(w.Heads, "query head"), plural.Of(w.KVHeads, "KV head"), plural.Of(w.MLP, "MLP neuron")}, ", "))
	}
	if len(in.Widths) > 0 {
		head := "its own"
		if in.TiedHead {
			head = "the embedding"
		}
		t.Add("head", head)
	}
	t.Add("parameters", countText(in.Parameters)+" in "+bytesText(in.Bytes))
	for _, part := range in.Parts {
		if part.Parameters > 0 {
			t.Add("  "+part.Name, countText(part.Parameters)+" in "+bytesText(part.Bytes))
		}
	}
	for _, f := range in.Formats {
		t.Add("format", fmt.Sprintf("%s: %d linear layers", f.Name, f.Layers))
	}
	t.Add("tokenizer", cmp.Or(in.Tokenizer, "none"))
	for _, note := range in.Notes {
		t.Add("note", note)
	}
	t.Add("opened in", report.Duration(in.Seconds))
	for _, v := range in.Verdicts {
		t.Add(v.Engine, v.String())
	}
	if in.GGUF == nil {
		return in.Name + "\n" + t.Text()
	}
	t.Add("GGUF", fmt.Sprintf("version %d, architecture %s, %s, %s", in.GGUF.Version, cmp.Or(in.GGUF.Architecture, "not given"), plural.Of(len(in.GGUF.Metadata), "metadata key"), plural.Of(len(in.GGUF.Tensors), "tensor")))
	for _, use := range in.GGUF.Types {
		t.Add("  "+use.Type, fmt.Sprintf("%s in tensors: %d; %s", bytesText(use.Bytes), use.Tensors, use.Use))
	}
	t.Add("read by", strings.Join(in.Verbs, ", "))
	for _, problem := range in.Problems {
		t.Add("problem", problem)
	}
	return in.Name + "\n" + t.Text() + contentsText(in.GGUF)
}

// contentsText lists the metadata and the tensors of a GGUF file.
func contentsText(g *convert.GGUFContents) string {
	metadata, tensors := plainTable(2), plainTable(4)
	for _, k := range g.Metadata {
		metadata.Add(k.Key, k.Value)
	}
	for _, t := range g.Tensors {
		size := bytesText(t.Bytes)
		if !t.SizeKnown {
			size = "at most " + size
		}
		tensors.Add(t.Name, t.Type, fmt.Sprint(t.Shape), size)
	}
	return "\nmetadata\n" + metadata.Text() + "\ntensors\n" + tensors.Text()
}
