package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/internal/golden"
	"slimlab/kernels/machine"
)

// tinySizes have every case, in moments.
var tinySizes = sizes{
	squares: []int{20}, weights: [][2]int{{48, 64}}, rows: []int{1, 5}, vocab: [2]int{100, 32}, vocabRows: []int{1},
	prefills: []int{70}, context: 65, tokens: 6, hidden: 64, heads: 4, kvHeads: 2, dim: 16, mlp: 96, adamW: 100, logits: 50, logitsRows: 3,
}

// testOptions measure nothing: by their clock every sample takes a millisecond.
func testOptions(threads int) Options {
	var now time.Duration
	tick := func() time.Duration { now += time.Millisecond; return now }
	return Options{Version: "1", Threads: threads, sizes: &tinySizes, buffer: 64 << 20, stopwatch: &stopwatch{context.Background(), tick, 5, 0}}
}

// TestExamine: every case of every family is there, on one thread and on all, and JSON reads back
// as what was written.
func TestExamine(t *testing.T) {
	for _, threads := range []int{1, 2} {
		var progress []string
		o := testOptions(threads)
		o.Progress = func(text string) { progress = append(progress, text) }
		r, err := Examine(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, k := range r.Kernels {
			if !slices.Contains(names, k.Name) {
				names = append(names, k.Name)
			}
			want := threads
			if k.Name == "parallel region" {
				want = 1
			}
			if len(k.Timings) != want {
				t.Errorf("%s %s has timings %v, want %d", k.Name, k.Format, k.Timings, want)
			}
			for _, timing := range k.Timings {
				if timing.Seconds != (Sample{0.001, 0.001, 0.001, 5}) {
					t.Errorf("%s %s took %v", k.Name, k.Format, timing.Seconds)
				}
				if bounded := timing.Limit != "" && timing.Share > 0; bounded == (k.Name == "parallel region") {
					t.Errorf("%s %s: %+v", k.Name, k.Format, timing)
				}
			}
		}
		want := []string{"weight", "prefill", "decode after 65", "attention backward", "RMSNorm", "residual sum", "rotary positions", "SwiGLU", "cross-entropy", "AdamW"}
		if threads > 1 {
			want = append(want, "parallel region")
		}
		if !slices.Equal(names, want) {
			t.Errorf("kernels are %q, want %q", names, want)
		}
		if len(progress) != len(tinySizes.families(threads))+1 || progress[0] != "peaks" {
			t.Errorf("progress was %q", progress)
		}
		var text bytes.Buffer
		if err := r.Write("json", &text); err != nil {
			t.Fatal(err)
		}
		var back struct {
			Schema string `json:"schema"`
			Diagnosis
		}
		decoder := json.NewDecoder(&text)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&back); err != nil {
			t.Fatal(err)
		}
		if back.Schema != schema || !reflect.DeepEqual(&back.Diagnosis, r) {
			t.Errorf("JSON reads back as\n%+v\nwant\n%+v", &back, r)
		}
		if err := r.Write("table", &text); err != nil || !strings.Contains(text.String(), r.Machine.CPU) {
			t.Errorf("the table: %v\n%s", err, text.String())
		}
		if err := r.Write("yaml", &text); err == nil {
			t.Error("a format that there is not is written")
		}
	}
}

func TestExamineEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := testOptions(1)
	o.Progress = func(text string) {
		if text == "attention" {
			cancel()
		}
	}
	if r, err := Examine(ctx, o); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("a run that was ended gives %v and %v", r, err)
	}
}

// TestTooLong: what would take seconds a call is not run, and said to be left out.
func TestTooLong(t *testing.T) {
	o := testOptions(2)
	o.complete(t.Context())
	e, err := newExamination(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	run := false
	err = e.family(context.Background(), family{"slow", func(*generator) []kernelCase {
		operations := 3 * e.peak("float32", 1)
		return []kernelCase{{name: "slow", shape: "[1, 1]", rows: 7, arithmetic: "float32", operations: operations, bytes: 8, run: func() { run = true }}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if run || len(e.report.Kernels) != 0 || len(e.report.LeftOut) != 2 || e.report.LeftOut[0] != "slow [1, 1] × 7 on 1 thread: it would take 3.0 s a call at best" {
		t.Errorf("run %v, left out %q", run, e.report.LeftOut)
	}
}

func TestLevels(t *testing.T) {
	l := limits{cpu: machine.CPU{L1: 32 << 10, L2: 1 << 20, L3: 32 << 20}, buffer: readBuffer(t, 64<<20)}
	for _, c := range []struct {
		bytes   float64
		threads int
		want    string
	}{{32 << 10, 1, "L1"}, {40 << 10, 1, "L2"}, {40 << 10, 2, "L1"}, {2 << 20, 1, "L3"}, {2 << 20, 2, "L2"}, {32 << 20, 2, "L3"}, {33 << 20, 8, "DRAM"}} {
		if got := l.level(c.bytes, c.threads); got != c.want {
			t.Errorf("%v bytes read by %d threads are in %s, want %s", c.bytes, c.threads, got, c.want)
		}
	}
	for _, m := range l.memory(2) {
		if got := l.level(m.size(2), 2); got != m.level {
			t.Errorf("%s is measured by reading %v bytes, which are in %s", m.level, m.size(2), got)
		}
	}
	for _, c := range []struct {
		l3      int64
		threads int
		want    int
	}{{0, 1, 512 << 20}, {32 << 20, 1, 512 << 20}, {96 << 20, 1, 768 << 20}, {32 << 20, 2, 1 << 30}, {512 << 20, 64, 1 << 30}} {
		if got := bufferSize(c.l3, c.threads); got != c.want {
			t.Errorf("a third cache of %d bytes and %d threads give a buffer of %d, want %d", c.l3, c.threads, got, c.want)
		}
	}
}

// sample is a report with every kind of line.
func sample() *Diagnosis {
	clock := Sample{3.65e9, 3.6e9, 3.7e9, 14}
	all := func(m, lo, hi float64) *Sample { return &Sample{m, lo, hi, 7} }
	return &Diagnosis{
		Version: "1.2.3",
		Machine: Machine{
			Vendor: "AuthenticAMD", CPU: "AMD EPYC", Family: 25, Model: 17, Stepping: 1, System: "linux/amd64", Features: []string{"avx2", "fma", "avx512f"}, CPUs: 2, L1: 32 << 10, L2: 1 << 20, L3: 32 << 20,
			Threads: 2, Implementation: "avx512", Implementations: []string{"ref", "avx2", "avx512"}, Reason: "the fastest that this CPU runs",
		},
		State: MachineState{Shared, []string{"2 threads deliver the work of 1.1 (at best 1.9)"}, 1.1, &clock, 32},
		Peaks: []Peak{
			{"float32", operationsPerSecond, "VFMADD231PS, 512 bits", Sample{117e9, 115e9, 118e9, 7}, all(128e9, 99e9, 230e9)},
			{"DRAM", bytesPerSecond, "reading 1 GiB", Sample{33.3e9, 32e9, 34e9, 7}, all(37e9, 36e9, 38e9)},
		},
		Kernels: []Kernel{
			{"weight", "w8a8", "[4864, 896]", 512, 4.5e9, 12e6, []Timing{
				{1, Sample{10.3e-3, 10e-3, 11e-3, 7}, "int8", 9.5e-3, 0.92},
				{2, Sample{6.2e-3, 5e-3, 9e-3, 7}, "int8", 4.7e-3, 0.76},
			}},
			{"weight", "float32", "[151936, 896]", 1, 272e6, 545e6, []Timing{{1, Sample{17.9e-3, 17e-3, 18e-3, 7}, "DRAM", 16.4e-3, 0.914}}},
			{"parallel region", "", "2 threads meet", 0, 0, 0, []Timing{{2, Sample{0.8e-6, 0.7e-6, 0.9e-6, 7}, "", 0, 0}}},
		},
		Model: &ModelSpeed{"qwen2.5-0.5b", "w4a8", "w8a8", "bfloat16", 12288, 494032768, 496e6, []Test{
			{"prefill 512", 1, 512, Sample{900, 890, 910, 5}, 899.5, 7e8, 1e6, Timing{2, Sample{0.569, 0.56, 0.58, 5}, "int8", 0.43, 0.76}},
			{"decode 128", 1, 128, Sample{62.5, 44, 63.2, 5}, 59.1, 1e9, 498e6, Timing{2, Sample{2.05, 2, 2.9, 5}, "DRAM", 1.8, 0.88}},
		}},
		LeftOut: []string{"weight [2048, 2048] × 2048 on 1 thread: it would take 12 s a call at best"},
	}
}

func TestGolden(t *testing.T) {
	for format, name := range map[string]string{"table": "report.txt", "json": "report.json"} {
		var got bytes.Buffer
		if err := sample().Write(format, &got); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, name, got.String())
	}
}

func TestTexts(t *testing.T) {
	for got, want := range map[string]string{
		number(0.0123):                       "0.012",
		number(54.321):                       "54.32",
		number(21579.4):                      "21579",
		binarySize(24 << 10):                 "24 KiB",
		binarySize(1 << 20):                  "1 MiB",
		rateText(466e9, operationsPerSecond): "466Gop/s",
		spread(Sample{Min: 99e9, Max: 130e9}, bytesPerSecond):  "(99.0–130.0GB/s)",
		spread(Sample{Min: 0.9e9, Max: 1.3e9}, bytesPerSecond): "(0.900–1.300GB/s)",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func readBuffer(t *testing.T, n int) *machine.ReadBuffer {
	t.Helper()
	b, err := machine.NewReadBuffer(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
