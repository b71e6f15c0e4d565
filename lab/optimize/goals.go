package optimize

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"slimlab/internal/bytesize"
	"slimlab/lab"
)

// Goal is a bound on a figure of a row.
type Goal struct {
	Flag string `json:"flag"` // as the user wrote it: "--bytes 40%"
	// keys of metrics in order of preference: the first that a row has is bounded
	Metrics []string `json:"metrics"`
	// of the figure: at most Bound, or at least where AtLeast is set
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"at_least,omitempty"`
	// the figure is taken relative to the baseline row's
	Share bool `json:"share,omitempty"`
}

// Goals are the flags of what a model may take and lose; empty ones bound nothing.
type Goals struct {
	Bytes, KVBytes, AUC, KL, Perplexity, Accuracy, TTFT string
}

// Parse reads the flags.
func (g Goals) Parse() (goals []Goal, err error) {
	var errs []error
	add := func(flag, text string, parse func(text string) (Goal, error)) {
		if text == "" {
			return
		}
		goal, err := parse(text)
		if goal.Flag = flag + " " + text; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", goal.Flag, err))
			return
		}
		goals = append(goals, goal)
	}
	add("--bytes", g.Bytes, func(text string) (Goal, error) {
		if share, ok := strings.CutSuffix(text, "%"); ok {
			x, err := number(share)
			if err != nil || !(x > 0 && x <= 100) {
				return Goal{}, errors.New("expected a share of the checkpoint's bytes in bfloat16 above 0% and up to 100%, or a size such as 300MB")
			}
			return Goal{Metrics: []string{"bytes"}, Bound: x / 100, Share: true}, nil
		}
		x, err := size(text)
		return Goal{Metrics: []string{"bytes"}, Bound: x}, err
	})
	add("--kv-bytes", g.KVBytes, func(text string) (Goal, error) {
		goal := Goal{Metrics: []string{cacheBytes}}
		share, relative := strings.CutSuffix(text, "%")
		x, err := number(share)
		if goal.Bound, goal.Share = x, relative; relative {
			goal.Bound = x / 100
		}
		if n, unit, err := bytesize.Parse(text); unit != "" && err == nil {
			goal.Bound = n
			return goal, nil
		}
		if err != nil || !(x > 0) || relative && x > 100 {
			return Goal{}, errors.New("expected a share of the bytes of a KV cache in bfloat16 above 0% and up to 100%, or bytes a token such as 1024 or 1.5kB")
		}
		return goal, nil
	})
	add("--auc", g.AUC, func(text string) (Goal, error) {
		x, err := change(text)
		return Goal{Metrics: []string{"auc_soft_delta", "auc_delta"}, Bound: x, AtLeast: true}, err
	})
	add("--kl", g.KL, func(text string) (Goal, error) {
		x, err := number(text)
		if err != nil || !(x >= 0) {
			err = errors.New("expected a divergence in nats a prediction, such as 0.01")
		}
		return Goal{Metrics: []string{"kl"}, Bound: x}, err
	})
	add("--perplexity", g.Perplexity, func(text string) (Goal, error) {
		x, err := change(text)
		return Goal{Metrics: []string{"perplexity"}, Bound: 1 + x, Share: true}, err
	})
	add("--accuracy", g.Accuracy, func(text string) (Goal, error) {
		x, err := change(text)
		return Goal{Metrics: []string{"choice_accuracy", "exact"}, Bound: 1 + x, AtLeast: true, Share: true}, err
	})
	add("--ttft", g.TTFT, func(text string) (Goal, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			err = errors.New("expected a time such as 20ms")
		}
		return Goal{Metrics: []string{"ttft_cold_p50"}, Bound: d.Seconds()}, err
	})
	return goals, errors.Join(errs...)
}

func number(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
		err = errors.New("expected a finite number")
	}
	return x, err
}

// change reads a relative change such as -0.1%.
func change(text string) (float64, error) {
	share, ok := strings.CutSuffix(text, "%")
	x, err := number(share)
	if !ok || err != nil || x <= -100 {
		return 0, errors.New("expected a relative change such as -0.1%")
	}
	return x / 100, nil
}

// size reads bytes such as 300MB.
func size(text string) (float64, error) {
	x, _, err := bytesize.Parse(text)
	if err != nil {
		return 0, fmt.Errorf("expected a share such as 40%%, or a size such as 300MB (%s)", bytesize.Names)
	}
	return x, nil
}

// inBytes writes a size as size reads it, with some digits.
func inBytes(x float64, digits int) string {
	switch {
	case x >= 1e9:
		return fmt.Sprintf("%.*gGB", digits, x/1e9)
	case x >= 1e6:
		return fmt.Sprintf("%.*gMB", digits, x/1e6)
	}
	return fmt.Sprintf("%.*gkB", digits, x/1e3)
}

// inBytesUp writes a size in three digits, rounded up: as a goal it is reached.
func inBytesUp(n int64) string {
	unit := math.Pow(10, math.Floor(math.Log10(float64(max(n, 1))))-2)
	return inBytes(math.Ceil(float64(n)/unit)*unit, 3)
}

// Measured reports whether a task with some metrics has a figure that the goal bounds.
func (g Goal) Measured(metrics []string) bool {
	return slices.ContainsFunc(g.Metrics, func(key string) bool { return sized(key) || slices.Contains(metrics, key) })
}

// cacheBytes is the metric of the bytes that a token takes in the KV cache.
const cacheBytes = "kv_bytes_per_token"

// sized reports a metric that every row has.
func sized(key string) bool { return key == "bytes" || key == cacheBytes }

// Most is the largest size that the goals allow a metric, 0 for no bound. base is the model's own.
func Most(goals []Goal, key string, base float64) int64 {
	for _, g := range goals {
		if g.Metrics[0] == key {
			if g.Share {
				return int64(g.Bound * base)
			}
			return int64(g.Bound)
		}
	}
	return 0
}

// figure is the value that the goal bounds, in a row; ok is false where the row has none.
func (g Goal) figure(row, baseline map[string]float64) (x float64, ok bool) {
	for _, key := range g.Metrics {
		if x, ok = row[key]; !ok {
			continue
		}
		if !g.Share {
			return x, true
		}
		base, has := baseline[key]
		if !has || base == 0 {
			return 0, false
		}
		return x / base, true
	}
	return 0, false
}

// excess is how far a figure misses the bound; 0 or less where it does not.
func (g Goal) excess(x float64) float64 {
	if g.AtLeast {
		return g.Bound - x
	}
	return x - g.Bound
}

// share is an excess as a share of the number that the goal was given by, so that misses of
// different goals can be added: of 2% for a perplexity, of 40% for bytes. Numbers below leastGiven,
// such as 0, count as that.
func (g Goal) share(excess float64) float64 {
	given := g.Bound
	if g.Share && !sized(g.Metrics[0]) { // a change
		given--
	}
	return excess / max(math.Abs(given), leastGiven)
}

// leastGiven is 0.1%, or a thousandth of a nat, or a millisecond.
const leastGiven = 0.001

// CheckBytes reports a goal of bytes that no model can reach: least are the bytes of the smallest
// one, rest those that no choice changes, plain those of the model in bfloat16.
func CheckBytes(goals []Goal, least, rest, plain int64) error {
	most := Most(goals, "bytes", float64(plain))
	if !bounds(goals, "bytes") || most >= least {
		return nil
	}
	return fmt.Errorf("%s: cannot be reached: embedding, head and norms, which no choice makes smaller, are %s of the model's bytes in bfloat16, and with the smallest that --schemes and --mlp make of the layers it is not below %s (%s): expected no less",
		flagOf(goals, "bytes"), percent(rest, plain), percentUp(least, plain), inBytesUp(least))
}

// CheckCacheBytes is CheckBytes of the bytes that a token takes in the KV cache.
func CheckCacheBytes(goals []Goal, least, plain int64) error {
	if !bounds(goals, cacheBytes) || Most(goals, cacheBytes, float64(plain)) >= least {
		return nil
	}
	return fmt.Errorf("%s: cannot be reached: the smallest format of --kv takes %d bytes a token, %s of those in bfloat16: expected no less", flagOf(goals, cacheBytes), least, percentUp(least, plain))
}

func bounds(goals []Goal, key string) bool { return flagOf(goals, key) != "" }

// flagOf is the flag of a metric's goal, as the user wrote it; "" for none.
func flagOf(goals []Goal, key string) string {
	for _, g := range goals {
		if g.Metrics[0] == key {
			return g.Flag
		}
	}
	return ""
}

func percent(part, whole int64) string {
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// percentUp is percent, rounded up: as a goal it is reached.
func percentUp(part, whole int64) string {
	return fmt.Sprintf("%.1f%%", math.Ceil(1000*float64(part)/float64(whole))/10)
}

// Misses is a goal that a row does not reach.
type Misses struct {
	Goal       Goal    `json:"goal"`
	Value      float64 `json:"value"`
	Unmeasured bool    `json:"unmeasured,omitempty"` // the row has no such figure
}

// String says what was found: "--bytes 40%: 52%", with as many digits as it takes to tell it from
// the goal.
func (m Misses) String() string {
	if m.Unmeasured {
		return m.Goal.Flag + ": not measured"
	}
	const most = 9
	for digits := 3; ; digits++ {
		if text := m.Goal.write(m.Value, digits); text != m.Goal.write(m.Goal.Bound, digits) || digits == most {
			return m.Goal.Flag + ": " + text
		}
	}
}

// write is a figure of the goal's kind in digits.
func (g Goal) write(x float64, digits int) string {
	metric, _ := lab.MetricByKey(g.Metrics[0])
	switch {
	case g.Share && sized(g.Metrics[0]):
		return fmt.Sprintf("%.*g%%", digits, 100*x)
	case g.Share:
		return fmt.Sprintf("%+.*g%%", digits, 100*(x-1))
	case metric.Unit == lab.Percent:
		return fmt.Sprintf("%+.*g%%", digits, 100*x)
	case metric.Unit == lab.Seconds:
		step := time.Microsecond
		if digits > 6 {
			step = 1
		}
		return time.Duration(x * float64(time.Second)).Round(step).String()
	case metric.Unit == lab.Bytes:
		return inBytes(x, digits)
	}
	return fmt.Sprintf("%.*g", digits, x)
}
