package loadreport

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"slimlab/serve/load"
)

const hostile = "<script>alert('x')</script>\x1b[31m \u202e & \"q\""

// someRun has an answer of each kind, and names that a terminal and a page would act on.
func someRun(n int) *Summary {
	rng := rand.New(rand.NewPCG(1, 1))
	run := Run{Title: hostile, Target: hostile, Workload: "random", Arrivals: "2 a second, Poisson", Rate: 2, Notes: []string{"3 records left out: " + hostile}, Objectives: []Objective{{TTFT, 50 * ms}}}
	at := time.Duration(0)
	for i := range n {
		at += time.Duration(rng.ExpFloat64() * 5e8)
		r := load.Record{Arrival: i, Scheduled: at, Sent: at + 10*time.Microsecond}
		switch i % 10 {
		case 3:
			r.Err, r.End = errors.New(hostile), at+ms
		case 7:
			r.Dropped, r.Sent, r.End = true, at, at
		default:
			r.First = at + time.Duration(20+rng.IntN(40))*ms
			r.Chunks = []time.Duration{r.First, r.First + 5*ms, r.First + 12*ms}
			r.End, r.Prompt, r.Cached, r.Tokens = r.Chunks[2], 100, 40, 3
		}
		run.Records = append(run.Records, r)
	}
	return Summarize(run)
}

func TestJSONHasTheKeysOfVLLM(t *testing.T) {
	s := someRun(200)
	var b strings.Builder
	if err := JSON(&b, s, true, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{TTFT, TPOT, ITL, E2E} {
		for _, of := range []string{"mean", "median", "std", "p99"} {
			if x, ok := got[of+"_"+id+"_ms"].(float64); !ok || x <= 0 && of != "std" {
				t.Errorf("%s_%s_ms: %v", of, id, got[of+"_"+id+"_ms"])
			}
		}
		if d, ok := got["definitions"].(map[string]any)[id].(map[string]any); !ok || d["definition"] != definition(id).Sentence {
			t.Errorf("no definition of %s: %v", id, got["definitions"])
		}
	}
	for key, want := range map[string]any{
		"date": "20260102-030405", "num_prompts": 200.0, "completed": 160.0, "failed": 20.0, "dropped": 20.0, "total_input_tokens": 16000.0, "total_output_tokens": 480.0,
		"request_rate": 2.0, "request_throughput": s.Figure(RequestRate), "output_throughput": s.Figure(OutputRate), "total_token_throughput": s.Figure(TotalRate), "duration": s.Figure(Duration),
		"request_goodput": s.Figure(Goodput), "median_ttft_ms": 1000 * s.Latency(TTFT).At(50), "max_concurrent_requests": s.Figure(PeakConcurrency),
	} {
		if got[key] != want {
			t.Errorf("%s: %v, expected %v", key, got[key], want)
		}
	}
	for _, key := range []string{"input_lens", "output_lens", "ttfts", "itls", "e2els", "start_times", "errors"} {
		if list, ok := got[key].([]any); !ok || len(list) != 200 {
			t.Errorf("%s has no value of each request", key)
		}
	}
	if itls := got["itls"].([]any)[0].([]any); len(itls) != 2 || got["errors"].([]any)[7] != "dropped" || got["ttfts"].([]any)[3] != nil {
		t.Errorf("itls %v, errors %v", itls, got["errors"])
	}
	b.Reset()
	if err := JSON(&b, Summarize(Run{}), false, time.Time{}); err != nil || strings.Contains(b.String(), "ttfts") || !strings.Contains(b.String(), `"request_rate": "inf"`) {
		t.Errorf("an empty run: %v\n%s", err, b.String())
	}
}

func TestRequestsAreLines(t *testing.T) {
	s := someRun(20)
	var b strings.Builder
	if err := Requests(&b, s.Records); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 20 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, text := range lines {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		r := &s.Records[i]
		switch {
		case l.Number != i || l.Scheduled != r.Scheduled.Seconds() || l.Dropped != r.Dropped || (l.Error != "") != (r.Err != nil):
			t.Errorf("%s of %+v", text, r)
		case r.Dropped && l.Sent != nil, r.Err != nil && l.First != nil:
			t.Errorf("%s has times that it did not have", text)
		case !r.Dropped && r.Err == nil && (*l.First != r.First.Seconds() || len(l.Chunks) != 3 || *l.End != r.End.Seconds() || *l.Cached != 40 || l.FirstByte != nil):
			t.Errorf("%s of %+v", text, r)
		}
	}
}

func TestTextSaysWhatItMeans(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, someRun(50), true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"requests 50: 40 answered, 5 failed, 5 dropped", "WARNING few-for-p99", "TTFT", "goodput", "TPOT (tpot): (E2E − TTFT) / (output tokens − 1)", "objectives ttft:50ms", "3 records left out", "?", "95% intervals, ms"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") {
		t.Error("a name acts on the terminal")
	}
	t.Log("\n" + b.String())
	b.Reset()
	if err := Text(&b, Summarize(Run{}), false); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "(ttft)") {
		t.Errorf("an empty run: %v\n%s", err, b.String())
	}
}

// The page is well-formed, needs nothing from elsewhere, and no name becomes markup.
func TestThePageIsWhole(t *testing.T) {
	for _, n := range []int{0, 1, 50, 5000} {
		var b strings.Builder
		if err := HTML(&b, someRun(n)); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, never := range []string{"<script", "\x1b", "\u202e", "http:", "https:", "src=", "href=", "@import", "url(", "NaN", "Inf"} {
			if strings.Contains(page, never) {
				t.Errorf("%d requests: %q is in the page", n, never)
			}
		}
		if drawn := strings.Count(page, "<svg"); drawn != map[bool]int{true: 0, false: 6}[n == 0] {
			t.Errorf("%d requests: %d drawings", n, drawn)
		}
		if (n == 5000) != strings.Contains(page, "points are drawn") {
			t.Errorf("%d requests: whether points are left out is not said as it is", n)
		}
		d := xml.NewDecoder(strings.NewReader(strings.NewReplacer("<!DOCTYPE html>", "", "<meta charset=\"utf-8\">", "", "<meta name=\"viewport\" content=\"width=device-width\">", "").Replace(page)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%d requests: %v", n, err)
			}
		}
		for _, match := range coordinates.FindAllStringSubmatch(page, -1) {
			for _, pair := range strings.Fields(match[1] + strings.ReplaceAll(match[2], `" cy="`, ",")) {
				var x, y float64
				if _, err := fmt.Sscanf(pair, "%f,%f", &x, &y); err != nil || x < left-0.1 || x > chartWidth-right+0.1 || y < top-0.1 || y > chartHeight-foot+0.1 {
					t.Fatalf("%d requests: a point at %q lies outside of the axes, %v", n, pair, err)
				}
			}
		}
		if len(page) > 1<<20 {
			t.Errorf("%d requests make a page of %d bytes", n, len(page))
		}
	}
}

// coordinates finds the points of a page's drawings: those of lines, and dots.
var coordinates = regexp.MustCompile(`points="([^"]*)"|<circle cx="([0-9.-]+" cy="[0-9.-]+)"`)

func TestAxes(t *testing.T) {
	for _, most := range []float64{0, 1e-9, 0.3, 1, 1.0001, 2, 3.7, 4, 9.99, 10, 12345, 1e12, math.Inf(1), math.NaN()} {
		end, step := axis(most)
		if n := end / step; !(end > 0 && step > 0) || n < 3.9 || n > 10.1 || most > 0 && !math.IsInf(most, 1) && (end < most*0.9999 || end > 1.5*most) {
			t.Errorf("up to %v: an axis to %v in steps of %v", most, end, step)
		}
	}
	points := make([]point, 10_000)
	points[7777].y = 5
	if thinned := thin(points); len(thinned) != mostPoints || !contains(thinned, 5) {
		t.Errorf("%d points, the peak is lost", len(thinned))
	}
}

func contains(points []point, y float64) bool {
	for _, p := range points {
		if p.y == y {
			return true
		}
	}
	return false
}

func TestDigits(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 1: "1.00", 12.345: "12.3", 123.4: "123", 123456: "123456", 0.01234: "0.0123", 1e-9: "0.000000", -2.5: "-2.50"} {
		if got := digits(x); got != want {
			t.Errorf("%v is %q, expected %q", x, got, want)
		}
	}
}

// Every figure that a summary has says what it is.
func TestAllIsDefined(t *testing.T) {
	for _, d := range someRun(30).definitions() {
		if d.ID == "" || d.Name == "" || !strings.HasSuffix(d.Sentence, ".") {
			t.Errorf("%+v", d)
		}
	}
	if _, ok := DefinitionOf("nothing"); ok {
		t.Error("an unknown figure is defined")
	}
}
