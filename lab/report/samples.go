package report

import (
	"fmt"
	"io"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/visible"
	"slimlab/lab"
)

const samplesSchema = "slimlab.samples/1"

// SampleFormats lists the formats of WriteSamples.
func SampleFormats() []string { return []string{"table", "json"} }

// jsonSample is a sample with its place.
type jsonSample struct {
	Cell  string  `json:"cell"`
	Stage string  `json:"stage"`
	Step  int     `json:"step"`
	Time  float64 `json:"time"` // seconds since the run began
	*lab.Sample
}

// WriteSamples writes the answers that a run's trainings have sampled, as they came, each cell's
// together. A run without one says why.
func WriteSamples(format string, w io.Writer, v *lab.View) error {
	if err := nearest.Check("format of samples", format, SampleFormats()); err != nil {
		return err
	}
	if format == "json" {
		list := []jsonSample{}
		for i := range v.Cells {
			c := &v.Cells[i]
			for _, s := range c.Samples {
				list = append(list, jsonSample{c.ID, s.Stage, s.Step, s.Time, s.Sample})
			}
		}
		none := ""
		if len(list) == 0 {
			none = v.NoSamples()
		}
		return jsondoc.Write(w, samplesSchema, struct {
			Run     string       `json:"run"`
			Samples []jsonSample `json:"samples"`
			None    string       `json:"none,omitempty"` // why there are none
		}{v.Begin.Run, list, none})
	}
	_, err := io.WriteString(w, samplesText(v))
	return err
}

func samplesText(v *lab.View) string {
	var b strings.Builder
	for i := range v.Cells {
		c := &v.Cells[i]
		for j, s := range c.Samples {
			if j == 0 || s.Stage != c.Samples[j-1].Stage {
				if b.Len() > 0 {
					b.WriteString("\n")
				}
				b.WriteString(visible.Line(s.Stage))
				if len(v.Cells) > 1 {
					b.WriteString(" of " + visible.Line(c.ID))
				}
				b.WriteString("\n")
				if j == 0 && c.Forgotten > 0 {
					fmt.Fprintf(&b, "  %s are not shown\n", plural.Of(c.Forgotten, "earlier sample"))
				}
			}
			writeSample(&b, &s)
		}
	}
	if b.Len() == 0 {
		return fmt.Sprintf("run %s has no sample: %s\n", visible.Line(v.Begin.Run), v.NoSamples())
	}
	return b.String()
}

func writeSample(b *strings.Builder, s *lab.SampleView) {
	end := "ended"
	if !s.Ended {
		end = "no end"
	}
	by := string(s.By)
	if s.By == lab.ByBoth {
		by = "student and teacher"
	}
	fmt.Fprintf(b, "  step %d, %s, %s, %s\n", s.Step, by, plural.Of(s.Tokens, "token"), end)
	prompt, answer := visible.Line(strings.TrimSpace(s.Prompt)), visible.Line(s.Answer)
	if s.PromptCut > 0 {
		prompt = fmt.Sprintf("(%s before) … %s", plural.Of(s.PromptCut, "character"), prompt)
	}
	if s.AnswerCut > 0 {
		answer += fmt.Sprintf(" … (%s more)", plural.Of(s.AnswerCut, "character"))
	}
	if s.Answer == "" {
		answer = "(nothing: it ends at once)"
	}
	fmt.Fprintf(b, "    prompt  %s\n    answer  %s\n", prompt, answer)
}
