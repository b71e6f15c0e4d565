package hardware

import (
	"math"
	"testing"
)

// paperRow is a row of Tables 9 to 11: P50 and P99 of the first token and tokens a second.
type paperRow struct {
	model                string
	prompt, candidates   int
	p50, p99, throughput float64 // seconds
}

// tables9To11 is the rows as printed.
var tables9To11 = []paperRow{
	{"8b", 16384, 1, 0.271, 0.282, 14121}, {"6.4b", 16384, 1, 0.256, 0.269, 14121}, {"3b", 16384, 1, 0.195, 0.209, 14121},
	{"2.4b", 16384, 1, 0.189, 0.197, 14122}, {"2.1b", 16384, 1, 0.171, 0.184, 14110},
	{"8b", 32768, 1, 0.626, 0.643, 28427}, {"6.4b", 32768, 1, 0.600, 0.613, 28427}, {"3b", 32768, 1, 0.452, 0.472, 28423},
	{"2.4b", 32768, 1, 0.437, 0.456, 28422}, {"2.1b", 32768, 1, 0.367, 0.391, 28420},
	{"8b", 32768, 4, 0.646, 0.671, 115568}, {"6.4b", 32768, 4, 0.626, 0.655, 115560}, {"3b", 32768, 4, 0.477, 0.500, 115546},
	{"2.4b", 32768, 4, 0.465, 0.488, 115544}, {"2.1b", 32768, 4, 0.378, 0.403, 115520},
	{"fm", 16384, 1, 1.032, 1.039, 14127}, {"fm", 32768, 1, 407.661, 45.791, 15740}, {"fm", 32768, 4, 179.483, 370.376, 45081},
}

// rowsOf selects rows.
func rowsOf(keep func(r paperRow) bool) (rows []paperRow) {
	for _, r := range tables9To11 {
		if keep(r) {
			rows = append(rows, r)
		}
	}
	return rows
}

func single(r paperRow) bool { return r.candidates == 1 && r.model != "fm" }

// served is the paper's deployment of a model: FP8 on four H100.
func served(t testing.TB, name string, c Calibration) *Deployment {
	t.Helper()
	m, err := FindModel(name)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = m.In(FP8, BF16); err != nil {
		t.Fatal(err)
	}
	d, count, err := ParseDevices("h100x4")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewDeployment(m, d, count, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func requests(t *testing.T, rows []paperRow, c Calibration) (all []Request) {
	for _, r := range rows {
		p := served(t, r.model, c)
		all = append(all, Request{p.Model, p.Device, p.Count, r.prompt, r.p50})
	}
	return all
}

// hotStep is the step in which the other candidates follow the first: their prefix is cached, and
// each has a short text of its own.
func hotStep(p *Deployment, prompt, candidates int) Times {
	const suffix = 32
	var b Batch
	for range candidates - 1 {
		b.Add(suffix, prompt-suffix, 1)
	}
	return p.Step(&b)
}

// fitTables9To11 fits four constants to the ten rows of one candidate, then what launching a layer
// takes to those of four, and the efficiency of a mixture to the one row of it that is no overload.
func fitTables9To11(t *testing.T, base Calibration) Calibration {
	c, rms, err := FitRequests(base, Free{HostFixed: true, HostToken: true, GEMM: true, Context: true}, requests(t, rowsOf(single), base))
	if err != nil {
		t.Fatal(err)
	}
	c.RMS = rms
	layers, sum := 0.0, 0.0
	for _, r := range rowsOf(func(r paperRow) bool { return r.candidates == 4 && r.model != "fm" }) {
		p := served(t, r.model, c)
		alone := rowsOf(func(o paperRow) bool { return o.model == r.model && o.prompt == r.prompt && o.candidates == 1 })[0]
		layers += float64(len(p.Model.Layers)) * float64(len(p.Model.Layers))
		sum += float64(len(p.Model.Layers)) * (r.p50 - alone.p50)
	}
	c.LayerLaunch = sum / layers // least squares through 0
	c.Experts = search([]float64{0.5}, 0.3, func(x []float64) float64 {
		c.Experts = x[0]
		return math.Abs(served(t, "fm", c).FirstToken(16384, c.Chunk)/1.032 - 1)
	})[0]
	return c
}

// table7Row is a row of Table 7: medians of the first token and of each after it.
type table7Row struct {
	device  string
	weights Format
	first   float64
	each    float64
}

var table7 = []table7Row{
	{"h100", BF16, 0.136, 0.0103}, {"h100", FP8, 0.122, 0.0094}, {"a100", BF16, 0.332, 0.0183},
	{"a100", INT8, 0.227, 0.0129}, {"a100", INT4, 0.389, 0.0112},
}

// What Table 7 says of its prompts, and what it does not: the length of the answers is assumed.
const (
	table7Prompt, table7Rate = 3800, 1.0
	table7Answer             = 300
)

func (r table7Row) deployment(t *testing.T, c Calibration) *Deployment {
	t.Helper()
	m, err := FindModel("8b")
	if err != nil {
		t.Fatal(err)
	}
	if m, err = m.In(r.weights, BF16); err != nil {
		t.Fatal(err)
	}
	p, err := NewDeployment(m, device(t, r.device), 1, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r table7Row) request(t *testing.T, c Calibration) Request {
	p := r.deployment(t, c)
	return Request{p.Model, p.Device, 1, table7Prompt, r.alone()}
}

// alone is the time to the first token without what a request waits for the step of others that is
// under way when it comes: half of one, on average, since there are always others.
func (r table7Row) alone() float64 { return r.first - r.each/2 }

// eachToken solves for the time of a token while requests come at a rate: Little's law gives how
// many are answered at once, and prefills stop them all.
func (r table7Row) eachToken(p *Deployment) (seconds, together float64) {
	prefill := p.prefill(table7Prompt, 0)
	busy := table7Rate * prefill.Total()
	step := func(sequences int) float64 {
		var b Batch
		for range sequences {
			b.Add(1, table7Prompt+table7Answer/2, 1)
		}
		t := p.Step(&b)
		return t.Total()
	}
	seconds = 0.01
	for range 100 {
		together = max(1, table7Rate*table7Answer*seconds)
		whole := int(together)
		part := together - float64(whole)
		seconds = ((1-part)*step(whole) + part*step(whole+1)) / (1 - busy)
	}
	return seconds, together
}

// fitTable7 fits what the host takes and what a step waits for to the two rows in FP16, whose
// kernels were measured elsewhere, and to each of the others the efficiency of its products and of
// its streams.
func fitTable7(t *testing.T, c Calibration) Calibration {
	t.Helper()
	c.Host = Host{}
	squares, host := 0.0, 0.0
	for _, r := range table7 {
		if r.weights == BF16 {
			p := r.deployment(t, c)
			squares += 1 / (r.first * r.first)
			host += (r.alone() - p.FirstToken(table7Prompt, 0)) / (r.first * r.first)
		}
	}
	c.Host.Fixed = host / squares
	c.StepOverhead = search([]float64{1e-3}, 0.3, func(x []float64) float64 {
		c.StepOverhead = x[0]
		squares := 0.0
		for _, r := range table7 {
			if r.weights == BF16 {
				each, _ := r.eachToken(r.deployment(t, c))
				squares += (each/r.each - 1) * (each/r.each - 1)
			}
		}
		return squares
	})[0]
	for _, r := range table7 {
		if r.weights == BF16 {
			continue
		}
		// a few rounds, since each constant moves the other's time a little
		for range 8 {
			fitted, _, err := FitRequests(c, Free{GEMM: true}, []Request{r.request(t, c)})
			if err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			c = fitted
			_, k, err := own(c, []Request{r.request(t, c)})
			if err != nil {
				t.Fatal(err)
			}
			c.Kernels = append([]Kernels(nil), c.Kernels...)
			for i := range c.Kernels {
				if c.Kernels[i].Device == k.Device {
					k = &c.Kernels[i]
				}
			}
			k.GEMM[r.weights].Stream = search([]float64{0.5}, 0.3, func(x []float64) float64 {
				k.GEMM[r.weights].Stream = min(x[0], 1)
				each, _ := r.eachToken(r.deployment(t, c))
				return math.Abs(each/r.each - 1)
			})[0]
			k.GEMM[r.weights].Stream = min(k.GEMM[r.weights].Stream, 1)
		}
	}
	squares = 0
	for _, r := range table7 {
		e := r.deployment(t, c).FirstToken(table7Prompt, 0)/r.alone() - 1
		squares += e * e
	}
	c.RMS = math.Sqrt(squares / float64(len(table7)))
	return c
}
