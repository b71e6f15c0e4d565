package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Formats lists what Write takes.
func Formats() []string { return []string{"table", "json"} }

// Write writes the report in a format, one of Formats.
func (r *Report) Write(format string, w io.Writer) error {
	switch format {
	case "table":
		return r.Text(w)
	case "json":
		return r.JSON(w)
	}
	return fmt.Errorf("format %q: expected one of %s", format, strings.Join(Formats(), ", "))
}

// JSON writes the report as one indented document.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	r.Machine.text(&b)
	r.State.text(&b)
	b.WriteString("\n")
	peakTable(r.Peaks, r.Machine.Threads).write(&b)
	noisy := false
	if len(r.Kernels) > 0 {
		b.WriteString("\n")
		kernelTable(r.Kernels, r.Machine.Threads).write(&b)
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
	for _, text := range r.LeftOut {
		fmt.Fprintf(&b, "left out: %s\n", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
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

func (s *State) text(b *strings.Builder) {
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

func peakTable(peaks []Peak, threads int) *table {
	t := newTable(2, "peak", "of", threadsText(1), "")
	if threads > 1 {
		t = newTable(2, "peak", "of", threadsText(1), "", threadsText(threads), "", "")
	}
	for _, p := range peaks {
		row := []string{p.Name, p.Means, rateText(p.One.Median, p.Unit), spread(p.One, p.Unit)}
		if p.All != nil {
			row = append(row, rateText(p.All.Median, p.Unit), spread(*p.All, p.Unit), fmt.Sprintf("%.1f×", p.All.Median/p.One.Median))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func kernelTable(kernels []Kernel, threads int) *table {
	head := []string{"kernel", "format", "shape", "rows"}
	counts := []int{1}
	if threads > 1 {
		counts = []int{1, threads}
	}
	for _, n := range counts {
		head = append(head, threadsText(n), "", "limit", "share")
	}
	t := newTable(3, head...)
	for _, k := range kernels {
		row := []string{k.Name, k.Format, k.Shape, ""}
		if k.Rows > 0 {
			row[3] = fmt.Sprint(k.Rows)
		}
		for _, n := range counts {
			row = append(row, k.timing(n)...)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// timing is the texts of a kernel on n threads: time, rate, limit, share.
func (k *Kernel) timing(n int) []string {
	for _, t := range k.Timings {
		if t.Threads == n {
			return append([]string{secondsText(t.Seconds.Median), k.rate(t)}, t.shareText()...)
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

func (m *Model) text(b *strings.Builder, threads int) {
	weights := m.Format
	if m.Head != m.Format {
		weights += ", head in " + m.Head
	}
	fmt.Fprintf(b, "%s in %s · keys and values in %s · %.4gM parameters, %.4g MB · %s\n\n", m.Shape, weights, m.Cache, float64(m.Parameters)/1e6, float64(m.Bytes)/1e6, threadsText(threads))
	t := newTable(1, "test", "tokens/s", "median", "min", "max", "n", "bytes/token", "", "limit", "share")
	for _, test := range m.Tests {
		rate := rateText(test.Operations*test.Rate.Median, operationsPerSecond)
		if !test.computes() {
			rate = rateText(test.Bytes*test.Rate.Median, bytesPerSecond)
		}
		row := []string{test.Name, number(test.Mean), number(test.Rate.Median), number(test.Rate.Min), number(test.Rate.Max), fmt.Sprint(test.Rate.N), scaled(test.Bytes, "B", 3), rate}
		t.rows = append(t.rows, append(row, test.shareText()...))
	}
	t.write(b)
}

// number writes four digits, all digits of what is larger.
func number(x float64) string {
	decimals := max(0, 3-int(math.Floor(math.Log10(max(x, 1e-9)))))
	return fmt.Sprintf("%.*f", min(decimals, 3), x)
}

// scaled writes x with a prefix of a thousand and so many digits.
func scaled(x float64, unit string, digits int) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T"} {
		if x < 999.5 {
			break
		}
		x, prefix = x/1000, p
	}
	decimals := digits - 1
	for d := 10.0; x >= d && decimals > 0; d *= 10 {
		decimals--
	}
	return fmt.Sprintf("%.*f %s%s", decimals, x, prefix, unit)
}

func rateText(x float64, unit string) string {
	if unit == bytesPerSecond {
		return scaled(x, "B/s", 3)
	}
	return scaled(x, "op/s", 3)
}

// spread is the least and the most of a sample.
func spread(s Sample, unit string) string {
	least, most := rateText(s.Min, unit), rateText(s.Max, unit)
	value, suffix, _ := strings.Cut(least, " ")
	if value2, suffix2, _ := strings.Cut(most, " "); suffix == suffix2 {
		return "(" + value + "–" + value2 + ")"
	}
	return "(" + least + "–" + most + ")"
}

func secondsText(s float64) string {
	switch {
	case s >= 1:
		return scaled(s, "s", 3)
	case s >= 1e-3:
		return scaled(s*1e3, "ms", 3)
	}
	return scaled(s*1e6, "µs", 3)
}

// table is columns of text with two spaces between: the first few to the left, the others to the
// right.
type table struct {
	left int
	rows [][]string
}

func newTable(left int, head ...string) *table { return &table{left, [][]string{head}} }

func (t *table) write(b *strings.Builder) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, text := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i < t.left {
				line.WriteString(text + space)
			} else {
				line.WriteString(space + text)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
