package hardware

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"slimlab/internal/shareddata"
)

func device(t *testing.T, name string) Device {
	t.Helper()
	d, err := FindDevice(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func must[T any](t *testing.T) func(v T, s Spread, err error) T {
	return func(v T, _ Spread, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// fitKernels fits one engine on one device, on three quarters of the shapes.
func (s stack) fitKernels(t *testing.T) Kernels {
	t.Helper()
	d := device(t, s.device)
	k := Kernels{Device: s.device, Stack: s.folder}
	for cache, f := range []Format{BF16, FP8} {
		if d.Peaks.Of(f) == 0 {
			continue // its tables have BF16 alone
		}
		k.GEMM[f] = must[GEMM](t)(FitGEMM(d, f, s.gemm(t, f).fitted))
		k.Context[cache] = must[Context](t)(FitContext(d, s.attention(t, "context", f).fitted))
		k.Decode[cache] = must[Decode](t)(FitDecode(d, s.attention(t, "generation", f).fitted))
	}
	k.AllReduce = must[AllReduce](t)(FitAllReduce(d, s.allReduce(t).fitted))
	k.Elementwise = must[Elementwise](t)(FitElementwise(d, profiledBetween(t, s.device)))
	return k
}

// profiles is the models that vidur's profiler measured on each device.
var profiles = map[string][]string{"a100": {"a100_Llama-2-7b-hf", "a100_Meta-Llama-3-8B"}, "h100": {"h100_Llama-2-7b-hf"}}

func profiledProducts(t *testing.T, device string) (all []GEMMSample) {
	for _, name := range profiles[device] {
		products, _ := profiled(t, name)
		all = append(all, products...)
	}
	return all
}

func profiledBetween(t *testing.T, device string) (all []ElementwiseSample) {
	for _, name := range profiles[device] {
		_, between := profiled(t, name)
		all = append(all, between...)
	}
	return all
}

// all fits every calibration once for all tests.
var all struct {
	sync.Once
	calibrations []Calibration
}

// fitAll fits what is shipped from the measurements and from the paper's tables.
func fitAll(t *testing.T) []Calibration {
	t.Helper()
	shareddata.Path(t, "hardware") // before the once, so that each test is skipped without it
	all.Do(func() {
		today, vllm := shippedCopy(t, "sglang-0.5"), shippedCopy(t, "vllm-0.24")
		today.Kernels = []Kernels{sglangH100.fitKernels(t), sglangA100.fitKernels(t)}
		vllm.Kernels = []Kernels{vllmH100.fitKernels(t), vllmA100.fitKernels(t)}
		for i := range 2 {
			today.Kernels[i].Errors, vllm.Kernels[i].Errors = Errors{}, Errors{}
		}
		old := fitTables9To11(t, oldSGLang(t, today, vllm))
		oldVLLM := fitTable7(t, oldVLLM(t, vllm, old))
		today.Host, today.LayerLaunch, today.Experts = old.Host, old.LayerLaunch, old.Experts
		vllm.Host, vllm.LayerLaunch, vllm.Experts = oldVLLM.Host, oldVLLM.LayerLaunch, old.Experts
		vllm.StepOverhead, today.StepOverhead = oldVLLM.StepOverhead, oldVLLM.StepOverhead
		all.calibrations = []Calibration{old, oldVLLM, today, vllm}
	})
	if all.calibrations == nil {
		t.Fatal("the calibrations could not be fitted, as another test says")
	}
	return all.calibrations
}

// shippedCopy is a shipped calibration, whose text is kept and whose constants are fitted.
func shippedCopy(t *testing.T, name string) Calibration {
	t.Helper()
	c, err := FindCalibration(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// oldSGLang is what is known of SGLang 0.4.1 beside the paper's tables: products in BF16, the work
// between and the all-reduce as vidur's profiler measured them in 2024, FlashAttention 2 as vLLM
// still has it on A100, and FP8 as SGLang has it today.
func oldSGLang(t *testing.T, today, vllm Calibration) Calibration {
	c := shippedCopy(t, "sglang-0.4.1")
	h100 := device(t, "h100")
	k := Kernels{Device: "h100", Elementwise: today.Kernels[0].Elementwise}
	k.GEMM[BF16] = must[GEMM](t)(FitGEMM(h100, BF16, profiledProducts(t, "h100")))
	k.GEMM[FP8] = today.Kernels[0].GEMM[FP8]
	k.Context[0], k.Decode[0] = vllm.Kernels[1].Context[0], vllm.Kernels[1].Decode[0]
	k.Context[0].Last = 0 // FlashInfer divides a prefill into blocks of equal work
	k.AllReduce = must[AllReduce](t)(FitAllReduce(h100, profiledAllReduce(t, "h100")))
	c.Kernels, c.Host, c.LayerLaunch, c.StepOverhead, c.Experts = []Kernels{k}, Host{}, 0, 0, 1
	return c
}

// oldVLLM is what is known of vLLM 0.6.1 beside Table 7.
func oldVLLM(t *testing.T, vllm, old Calibration) Calibration {
	c := shippedCopy(t, "vllm-0.6.1")
	h100, a100 := old.Kernels[0], vllm.Kernels[1]
	h100.GEMM[FP8] = vllm.Kernels[0].GEMM[FP8]
	a100.GEMM[BF16] = must[GEMM](t)(FitGEMM(device(t, "a100"), BF16, profiledProducts(t, "a100")))
	a100.GEMM[INT8], a100.GEMM[INT4] = a100.GEMM[BF16], a100.GEMM[BF16]
	a100.GEMM[INT8].RoundStream = vllm.Kernels[0].GEMM[FP8].RoundStream
	c.Kernels, c.Host, c.LayerLaunch, c.Experts = []Kernels{h100, a100}, Host{}, 0, old.Experts
	c.StepOverhead = 0
	return c
}

// TestShippedConstants fits every calibration anew and compares the constants.
func TestShippedConstants(t *testing.T) {
	for _, fitted := range fitAll(t) {
		shipped := shippedCopy(t, fitted.Name)
		t.Logf("%s host %+v launch %.3g step %.3g experts %.3g rms %.3g\n%s", fitted.Name, fitted.Host, fitted.LayerLaunch, fitted.StepOverhead, fitted.Experts, fitted.RMS, literal(fitted))
		if len(fitted.Kernels) != len(shipped.Kernels) {
			t.Errorf("%s: kernels of %d devices are shipped, expected %d", fitted.Name, len(shipped.Kernels), len(fitted.Kernels))
			continue
		}
		for i := range fitted.Kernels {
			fitted.Kernels[i].Errors = shipped.Kernels[i].Errors // TestUnseen has them
		}
		fitted.Far = shipped.Far
		different(t, fitted.Name, reflect.ValueOf(fitted), reflect.ValueOf(shipped))
	}
}

// different reports the numbers of two values that are more than 2% apart.
func different(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Float64:
		if x, y := a.Float(), b.Float(); math.Abs(x-y) > 0.02*math.Abs(x)+1e-12 {
			t.Errorf("%s: %.4g is shipped, the fit gives %.4g", path, y, x)
		}
	case reflect.Struct:
		for i := range a.NumField() {
			different(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range min(a.Len(), b.Len()) {
			different(t, fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
		}
	}
}

// literal is the kernels as the source has them.
func literal(c Calibration) string {
	var b strings.Builder
	short := func(v any) string {
		r := reflect.ValueOf(v)
		var fields []string
		for i := range r.NumField() {
			if x := r.Field(i).Float(); x != 0 {
				fields = append(fields, fmt.Sprintf("%s: %.3g", r.Type().Field(i).Name, x))
			}
		}
		return strings.Join(fields, ", ")
	}
	for _, k := range c.Kernels {
		fmt.Fprintf(&b, "{\n\tDevice: %q,\n\tGEMM: [formats]GEMM{\n", k.Device)
		for f, g := range k.GEMM {
			if g.Compute > 0 {
				fmt.Fprintf(&b, "\t\t%s: {%s},\n", strings.ToUpper(Format(f).String()), short(g))
			}
		}
		fmt.Fprintf(&b, "\t},\n\tContext: [2]Context{\n")
		for _, x := range k.Context {
			if s := short(x); s != "" {
				fmt.Fprintf(&b, "\t\t{%s},\n", s)
			}
		}
		fmt.Fprintf(&b, "\t},\n\tDecode: [2]Decode{\n")
		for _, x := range k.Decode {
			if s := short(x); s != "" {
				fmt.Fprintf(&b, "\t\t{%s},\n", s)
			}
		}
		fmt.Fprintf(&b, "\t},\n\tAllReduce: AllReduce{%s},\n\tElementwise: Elementwise{%s},\n},\n", short(k.AllReduce), short(k.Elementwise))
	}
	return b.String()
}

var _ = slices.Sort[[]int]
