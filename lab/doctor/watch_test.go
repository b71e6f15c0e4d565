package doctor

import (
	"testing"
	"time"
)

// TestWatch: a watch takes samples before and after, tens of milliseconds in all, of every quantity
// that this machine has.
func TestWatch(t *testing.T) {
	w := NewWatch(t.Context())
	before := len(w.pulse.one)
	state, others := w.End()
	if before != watchSamples || len(w.pulse.one) != 2*watchSamples {
		t.Errorf("%d samples before and %d in all, expected %d each time", before, len(w.pulse.one), watchSamples)
	}
	if w.threads > 1 && len(w.pulse.all) != 2*watchSamples {
		t.Errorf("%d samples of all threads", len(w.pulse.all))
	}
	if (state.Verdict == Steady) != (len(state.Findings) == 0) || others < 0 {
		t.Errorf("%+v, %d others", state, others)
	}
	if took := time.Duration(3*2*watchSamples) * watchLeast; took > 50*time.Millisecond {
		t.Errorf("the samples take %v at least", took)
	}
}

// TestWatchNoticesAChange: a machine that is slower after what is timed than before is not steady.
func TestWatchNoticesAChange(t *testing.T) {
	const g = 1e9
	fast, slow := []float64{115 * g, 116 * g, 117 * g, 116 * g, 115 * g}, []float64{60 * g, 61 * g, 62 * g, 61 * g, 60 * g}
	p := pulse{one: append(append([]float64{}, fast...), slow...)}
	if s := p.assess(1); s.Verdict != Shared {
		t.Errorf("%+v", s)
	}
	if s := (&pulse{one: append(append([]float64{}, fast...), fast...)}).assess(1); s.Verdict != Steady {
		t.Errorf("%+v", s)
	}
}
