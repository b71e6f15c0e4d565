package hardware

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// missed counts the rows of one candidate that a calibration predicts with an error above 2%, and
// returns the largest error.
func missed(t *testing.T, c Calibration, rows []paperRow) (count int, worst float64) {
	t.Helper()
	for _, r := range rows {
		e := served(t, r.model, c).FirstToken(r.prompt, c.Chunk)/r.p50 - 1
		worst = max(worst, math.Abs(e))
		if math.Abs(e) > 0.02 {
			count++
		}
	}
	return count, worst
}

// TestTables9And10: every row within 2%, in steps of 8192 tokens.
func TestTables9And10(t *testing.T) {
	c := shippedCopy(t, "sglang-0.4.1")
	rows := rowsOf(single)
	if len(rows) != 10 || c.Chunk != 8192 {
		t.Fatalf("%d rows in chunks of %d, expected 10 in chunks of 8192", len(rows), c.Chunk)
	}
	for _, r := range rows {
		p := served(t, r.model, c)
		got := p.FirstToken(r.prompt, c.Chunk)
		x := p.prefill(r.prompt, c.Chunk)
		t.Logf("%s at %d: %.1f ms, %+.1f%% (host %.0f, products %.0f, attention %.0f, all-reduce %.0f, elementwise %.0f)", r.model, r.prompt,
			1e3*got, 100*(got/r.p50-1), 1e3*p.Host(r.prompt), 1e3*x.GEMM, 1e3*x.Attention, 1e3*x.AllReduce, 1e3*x.Elementwise)
	}
	if count, worst := missed(t, c, rows); count > 0 {
		t.Errorf("%d of 10 rows are more than 2%% off, the worst by %.1f%%", count, 100*worst)
	}
}

// TestTables9And10Break: the check reports rows in another order and constants that are changed,
// and no constants fit rows in another order.
func TestTables9And10Break(t *testing.T) {
	c := shippedCopy(t, "sglang-0.4.1")
	rows := rowsOf(single)
	random := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		shuffled := slices.Clone(rows)
		moved := 0
		for i, j := range random.Perm(len(rows)) {
			shuffled[i].p50 = rows[j].p50
			if i != j {
				moved++
			}
		}
		if count, _ := missed(t, c, shuffled); count < moved-1 { // 0.195 s and 0.189 s are 3% apart
			t.Errorf("%d rows have another's time, %d are reported", moved, count)
		}
		again, _, err := FitRequests(c, Free{true, true, true, true}, requests(t, shuffled, c))
		if err == nil {
			if count, _ := missed(t, again, shuffled); count == 0 {
				t.Error("shuffled rows can be fitted")
			}
		}
	}
	for name, change := range map[string]func(c *Calibration, k *Kernels){
		"host of a request":        func(c *Calibration, _ *Kernels) { c.Host.Fixed += 5e-3 },
		"host of a token":          func(c *Calibration, _ *Kernels) { c.Host.Token *= 1.1 },
		"products":                 func(_ *Calibration, k *Kernels) { k.GEMM[FP8].Compute *= 0.8 },
		"attention":                func(_ *Calibration, k *Kernels) { k.Context[0].Compute *= 0.9 },
		"all-reduce":               func(_ *Calibration, k *Kernels) { k.AllReduce.Link *= 0.75 },
		"elementwise":              func(_ *Calibration, k *Kernels) { k.Elementwise.Stream *= 0.7 },
		"another chunk of prefill": func(c *Calibration, _ *Kernels) { c.Chunk = 512 },
	} {
		changed := c
		changed.Kernels = slices.Clone(c.Kernels)
		change(&changed, &changed.Kernels[0])
		if count, worst := missed(t, changed, rows); count == 0 {
			t.Errorf("%s: no row is reported, the worst is %.1f%% off", name, 100*worst)
		}
	}
}

// TestPredict32k fits three constants to the five rows of 16k, which leave the fixed part of the
// host open, and predicts those of 32k.
func TestPredict32k(t *testing.T) {
	c := shippedCopy(t, "sglang-0.4.1")
	c.Host = Host{}
	short := rowsOf(func(r paperRow) bool { return single(r) && r.prompt == 16384 })
	c, rms, err := FitRequests(c, Free{HostToken: true, GEMM: true, Context: true}, requests(t, short, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("16k: rms %.2f%%, host %.2f us a token, products %.1f%% of the FP8 peak, attention %.1f%% of the BF16 peak",
		100*rms, 1e6*c.Host.Token, 100*c.Kernels[0].GEMM[FP8].Compute, 100*c.Kernels[0].Context[0].Compute)
	for _, r := range rowsOf(func(r paperRow) bool { return single(r) && r.prompt == 32768 }) {
		e := served(t, r.model, c).FirstToken(r.prompt, c.Chunk)/r.p50 - 1
		t.Logf("%s at 32k: %+.1f%%", r.model, 100*e)
		if math.Abs(e) > 0.03 {
			t.Errorf("%s at 32k: %+.1f%%, expected within 3%%", r.model, 100*e)
		}
	}
}

// TestTable11: four candidates of a member take the first one's time and one step more.
func TestTable11(t *testing.T) {
	c := shippedCopy(t, "sglang-0.4.1")
	for _, r := range rowsOf(func(r paperRow) bool { return r.candidates == 4 && r.model != "fm" }) {
		p := served(t, r.model, c)
		hot := hotStep(p, r.prompt, r.candidates)
		got := p.FirstToken(r.prompt, c.Chunk) + hot.Total()
		t.Logf("%s: %.1f ms, %+.1f%%; the hot step is %.1f ms, of which the device waits %.1f", r.model, 1e3*got, 100*(got/r.p50-1), 1e3*hot.Total(), 1e3*hot.Overhead)
		if math.Abs(got/r.p50-1) > 0.06 {
			t.Errorf("%s: %.1f ms, the paper has %.1f, expected within 6%%", r.model, 1e3*got, 1e3*r.p50)
		}
	}
}

// TestTable7: the first token within 5%. The rows of quantized weights have a constant each. The
// time of each further token follows from an assumed length of the answers.
func TestTable7(t *testing.T) {
	c := shippedCopy(t, "vllm-0.6.1")
	for _, r := range table7 {
		p := r.deployment(t, c)
		each, together := r.eachToken(p)
		first := p.FirstToken(table7Prompt, c.Chunk) + each/2
		t.Logf("%s %v: first token %.1f ms, %+.1f%%; each further %.2f ms, %+.1f%%, with %.1f answers at once", r.device, r.weights,
			1e3*first, 100*(first/r.first-1), 1e3*each, 100*(each/r.each-1), together)
		if math.Abs(first/r.first-1) > 0.05 {
			t.Errorf("%s %v: first token %.1f ms, the paper has %.1f, expected within 5%%", r.device, r.weights, 1e3*first, 1e3*r.first)
		}
		if math.Abs(each/r.each-1) > 0.12 {
			t.Errorf("%s %v: each further token %.2f ms, the paper has %.2f, expected within 12%%", r.device, r.weights, 1e3*each, 1e3*r.each)
		}
	}
}

// TestFoundationModel: the FM keeps up with one request a second of 16k, not of 32k. Its rows of
// 32k are an overload: what it serves is its capacity, and its latency grows as long as the run.
func TestFoundationModel(t *testing.T) {
	c := shippedCopy(t, "sglang-0.4.1")
	p := served(t, "fm", c)
	if b := p.Model.Parameters() / 1e9; b < 100 || p.Model.ActiveParameters()/1e9 > 50 {
		t.Errorf("the FM has %.0fB parameters, expected 100 or more, and a mixture", b)
	}
	short, long := p.prefill(16384, c.Chunk), p.prefill(32768, c.Chunk)
	rate := func(r paperRow) float64 { return r.throughput / float64(r.prompt) }
	eight := rowsOf(func(r paperRow) bool { return r.model == "8b" && r.candidates == 1 })
	if s := short.Total() * rate(eight[0]); s >= 1 {
		t.Errorf("16k: the devices are busy %.2f of the time, expected less than 1", s)
	}
	if s := long.Total() * rate(eight[1]); s < 1.5 {
		t.Errorf("32k: the devices would be busy %.2f of the time, expected an overload", s)
	}
	capacity := 32768 / long.Total()
	t.Logf("32k: %.2f s of service, a capacity of %.0f tokens a second", long.Total(), capacity)
	for _, r := range rowsOf(func(r paperRow) bool { return r.model == "fm" && r.prompt == 32768 && r.candidates == 1 }) {
		if e := capacity/r.throughput - 1; math.Abs(e) > 0.03 {
			t.Errorf("a capacity of %.0f tokens a second, the paper serves %.0f, expected within 3%%", capacity, r.throughput)
		}
	}
	for _, r := range tables9To11 {
		impossible := r.p99 < r.p50
		if want := r.model == "fm" && r.prompt == 32768 && r.candidates == 1; impossible != want {
			t.Errorf("%s at %d, %d candidates: P50 %.3f and P99 %.3f, expected only the FM's of 32k to be impossible", r.model, r.prompt, r.candidates, r.p50, r.p99)
		}
	}
}

// TestFigure5: without half of the heads the attention block of the 2.4B takes about 40% less at
// 32k and the forward pass about 28% less.
func TestFigure5(t *testing.T) {
	c := shippedCopy(t, "sglang-0.4.1")
	block := func(p *Deployment) float64 {
		// queries, keys, values, output, rotation, attention and its all-reduce
		total := 0.0
		hidden, l := float64(p.Model.Hidden), p.attention[0]
		for at := 0; at < 32768; at += c.Chunk {
			var b Batch
			b.Add(c.Chunk, at, 0)
			s := p.Step(&b)
			g := &p.kernels.GEMM[FP8]
			product := func(n, k float64) float64 { return g.seconds(&p.Device, FP8, 1, float64(c.Chunk), n, k) }
			total += s.Attention + s.AllReduce/2 + l.layers*(product((l.heads.heads+2*l.heads.kv)*l.heads.dim, hidden)+product(hidden, l.heads.heads*l.heads.dim))
			rotated := 4 * (l.heads.heads + l.heads.kv) * l.heads.dim * float64(c.Chunk)
			total += l.layers * rotated / (p.Device.Bandwidth * p.kernels.Elementwise.Stream)
		}
		return total
	}
	whole, half := served(t, "2.4b", c), served(t, "2.1b", c)
	forward := func(p *Deployment) Times { return p.prefill(32768, c.Chunk) }
	before, after := forward(whole), forward(half)
	for _, claim := range []struct {
		what      string
		got       float64
		low, high float64
	}{
		{"attention kernel", after.Attention/before.Attention - 1, -0.51, -0.48},
		{"attention block", block(half)/block(whole) - 1, -0.42, -0.36},
		{"forward pass", after.Total()/before.Total() - 1, -0.30, -0.25},
	} {
		t.Logf("%s: %+.1f%%", claim.what, 100*claim.got)
		if claim.got < claim.low || claim.got > claim.high {
			t.Errorf("%s: %+.1f%%, expected %.0f%% to %.0f%%", claim.what, 100*claim.got, 100*claim.low, 100*claim.high)
		}
	}
}
