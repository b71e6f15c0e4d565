package doctor

import (
	"fmt"
	"io"
	"math"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/report"
)

// Formats lists what Write takes.
func Formats() []string { return []string{"table", "json"} }

// Write writes the report in a format, one of Formats.
func (r *Diagnosis) Write(format string, w io.Writer) error {
	switch format {
	case "table":
		return r.Text(w)
	case "json":
		return r.JSON(w)
	}
	return nearest.Check("format", format, Formats())
}

// JSON writes the report as one indented document.
func (r *Diagnosis) JSON(w io.Writer) error { return jsondoc.Write(w, schema, r) }

// Text writes the report for people.
func (r *Diagnosis) Text(w io.Writer) error {
	var b strings.Builder
	r.Machine.text(&b)
	r.State.text(&b)
	b.WriteString("\n")
	b.WriteString(peakTable(r.Peaks, r.Machine.Threads).Text())
	noisy := false
	if len(r.Kernels) > 0 {
		b.WriteString("\n")
		b.WriteString(kernelTable(r.Kernels, r.Machine.Threads).Text())
		for _, k := range r.Kernels {
			for _, t := range k.Timings {
				noisy = noisy || t.Seconds.noisy()
			}
		}
	}
	if r.Model != nil {
		b.WriteString("\n")
		r.Model.text(&b, r.Machine.Threads)
		for _, t := range r.Model.Tests {
			noisy = noisy || t.Seconds.noisy()
		}
	}
	if noisy {
		fmt.Fprintf(&b, "~ the slowest sample took more than %.1f times the fastest\n", noise)
	}
	if d := r.Home; d != nil {
		b.WriteString(homeText(d))
	}
	for _, text := range r.LeftOut {
		fmt.Fprintf(&b, "left out: %s\n", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// homeText says what the home folder holds.
func homeText(d *home.Disk) string {
	size := func(n int64) string { return report.Format(lab.Bytes, float64(n)) }
	free := "unknown"
	if d.Free >= 0 {
		free = size(d.Free)
	}
	statistics := ""
	if d.Statistics > 0 {
		statistics = fmt.Sprintf(", statistics of %s (%s of a model and a calibration text) of %s", plural.Of(d.Statistics, "input"), plural.Of(d.StatisticsSets, "pair"), size(d.StatisticsBytes))
	}
	return fmt.Sprintf("\nhome %s: %s of %s, %s of %s, %s of %s%s; free %s\n", d.Folder,
		plural.Of(d.Runs, "run"), size(d.RunBytes), plural.Of(d.Artifacts, "artifact"), size(d.ArtifactBytes),
		plural.Of(d.Evaluations, "evaluation"), size(d.EvaluationBytes), statistics, free)
}

func (m *Machine) text(b *strings.Builder) {
	parts := []string{m.CPU}
	if m.Family > 0 {
		parts = append(parts, fmt.Sprintf("%s family %d model %d stepping %d", m.Vendor, m.Family, m.Model, m.Stepping))
	}
	parts = append(parts, fmt.Sprintf("%d logical processors", m.CPUs), m.System)
	fmt.Fprintln(b, strings.Join(parts, " · "))
	var caches []string
	for i, size := range []int64{m.L1, m.L2, m.L3} {
		if size > 0 {
			caches = append(caches, fmt.Sprintf("L%d %s", i+1, binarySize(size)))
		}
	}
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(b, "%-9s %s\n", name, text)
		}
	}
	line("caches", strings.Join(caches, ", "))
	line("features", strings.Join(m.Features, " "))
	line("kernels", fmt.Sprintf("%s: %s (of %s)", m.Implementation, m.Reason, strings.Join(m.Implementations, ", ")))
}

func (s *MachineState) text(b *strings.Builder) {
	text := string(s.Verdict)
	if s.Verdict != Steady {
		text = strings.ToUpper(text)
	}
	if len(s.Findings) > 0 {
		text += ": " + strings.Join(s.Findings, "; ")
	}
	fmt.Fprintf(b, "%-9s %s\n", "state", text)
	if s.Clock != nil {
		fmt.Fprintf(b, "%-9s %.2f GHz (%.2f–%.2f), %.3g float32 operations a cycle\n", "clock", s.Clock.Median/1e9, s.Clock.Min/1e9, s.Clock.Max/1e9, s.PerCycle)
	}
	if s.Delivered > 0 {
		fmt.Fprintf(b, "%-9s all threads do the float32 work of %.1f\n", "delivered", s.Delivered)
	}
}

func peakTable(peaks []Peak, threads int) *texttable.Table {
	t := texttable.New(2, "peak", "of", plural.Of(1, "thread"), "")
	if threads > 1 {
		t = texttable.New(2, "peak", "of", plural.Of(1, "thread"), "", plural.Of(threads, "thread"), "", "")
	}
	for _, p := range peaks {
		row := []string{p.Name, p.Means, rateText(p.One.Median, p.Unit), spread(p.One, p.Unit)}
		if p.All != nil {
			row = append(row, rateText(p.All.Median, p.Unit), spread(*p.All, p.Unit), fmt.Sprintf("%.1f×", p.All.Median/p.One.Median))
		}
		t.Add(row...)
	}
	return t
}

func kernelTable(kernels []Kernel, threads int) *texttable.Table {
	head := []string{"kernel", "format", "shape", "rows"}
	counts := []int{1}
	if threads > 1 {
		counts = []int{1, threads}
	}
	for _, n := range counts {
		head = append(head, plural.Of(n, "thread"), "", "limit", "share")
	}
	t := texttable.New(3, head...)
	for _, k := range kernels {
		row := []string{k.Name, k.Format, k.Shape, ""}
		if k.Rows > 0 {
			row[3] = fmt.Sprint(k.Rows)
		}
		for _, n := range counts {
			row = append(row, k.timing(n)...)
		}
		t.Add(row...)
	}
	return t
}

// timing is the texts of a kernel on n threads: time, rate, limit, share.
func (k *Kernel) timing(n int) []string {
	for _, t := range k.Timings {
		if t.Threads == n {
			return append([]string{report.Format(lab.Seconds, t.Seconds.Median), k.rate(t)}, t.shareText()...)
		}
	}
	return []string{"", "", "", ""}
}

// rate is what the kernel did of that which limits it.
func (k *Kernel) rate(t Timing) string {
	switch {
	case t.Limit == "":
		return ""
	case k.Operations > 0 && t.Least*t.Seconds.Median > 0 && t.computes():
		return rateText(k.Operations/t.Seconds.Median, operationsPerSecond)
	}
	return rateText(k.Bytes/t.Seconds.Median, bytesPerSecond)
}

// computes reports whether arithmetic is the limit, not memory.
func (t *Timing) computes() bool {
	switch t.Limit {
	case "L1", "L2", "L3", "DRAM":
		return false
	}
	return t.Limit != ""
}

func (t *Timing) shareText() []string {
	if t.Limit == "" {
		return []string{"", ""}
	}
	share := fmt.Sprintf("%.0f%%", 100*t.Share)
	if t.Seconds.noisy() {
		share += "~"
	}
	return []string{t.Limit, share}
}

// noise is how many times its fastest sample the slowest may take before a figure is marked.
const noise = 1.3

func (s Sample) noisy() bool { return s.Max > noise*s.Min }

func (m *ModelSpeed) text(b *strings.Builder, threads int) {
	weights := m.Format
	if m.Head != m.Format {
		weights += ", head in " + m.Head
	}
	fmt.Fprintf(b, "%s in %s · keys and values in %s, %s a token · %.4gM parameters, %.4g MB · %s\n\n", m.Shape, weights, m.Cache, report.Format(lab.Bytes, float64(m.CacheBytes)), float64(m.Parameters)/1e6, float64(m.Bytes)/1e6, plural.Of(threads, "thread"))
	t := texttable.New(1, "test", "tokens/s", "median", "min", "max", "n", "bytes/token", "", "limit", "share")
	for _, test := range m.Tests {
		rate := rateText(test.Operations*test.Rate.Median, operationsPerSecond)
		if !test.computes() {
			rate = rateText(test.Bytes*test.Rate.Median, bytesPerSecond)
		}
		row := []string{test.Name, number(test.Mean), number(test.Rate.Median), number(test.Rate.Min), number(test.Rate.Max), fmt.Sprint(test.Rate.N), report.Format(lab.Bytes, test.Bytes), rate}
		t.Add(append(row, test.shareText()...)...)
	}
	b.WriteString(t.Text())
}

// number writes four digits, all digits of what is larger.
func number(x float64) string {
	decimals := max(0, 3-int(math.Floor(math.Log10(max(x, 1e-9)))))
	return fmt.Sprintf("%.*f", min(decimals, 3), x)
}

// rateText writes a rate with the prefix that suits it.
func rateText(x float64, unit string) string {
	if unit == bytesPerSecond {
		return report.Format(lab.BytesPerSecond, x)
	}
	return report.Format(lab.OperationsPerSecond, x)
}

// spread is the range of a sample.
func spread(s Sample, unit string) string {
	u := lab.OperationsPerSecond
	if unit == bytesPerSecond {
		u = lab.BytesPerSecond
	}
	scale := report.ScaleOf(u, s.Min, s.Max)
	return "(" + strings.TrimSuffix(scale.Format(s.Min), scale.Suffix) + "–" + scale.Format(s.Max) + ")"
}
