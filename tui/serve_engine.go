package tui

import (
	"context"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab/endpoint"
	"slimlab/tui/text"
)

// Engine is a serving engine, of this process or behind the URL of a server. Its methods may take
// as long as a step of it.
type Engine interface {
	Place() string // URL; "" is this process
	State(ctx context.Context) (endpoint.State, error)
	Pause(ctx context.Context) (endpoint.State, error)
	Step(ctx context.Context) (endpoint.State, error)
	Resume(ctx context.Context) (endpoint.State, error)
	Flush(ctx context.Context) error
	// Complete has the model go on with a prompt, and gives write the answer as it comes.
	Complete(ctx context.Context, prompt string, most int, write func(text string)) error
	Close()
}

type (
	servableMsg struct { // what could be served
		found []Candidate
		err   error
	}
	attachedMsg struct {
		target string
		engine Engine
		err    error
	}
	engineMsg struct { // what an engine is doing
		engine Engine
		state  endpoint.State
		looked bool // the screen asked by itself
		err    error
	}
	lookAtEngineMsg struct{ engine Engine } // time to ask it again
)

// How often the engine on the screen is asked what it is doing, and one that gave no answer.
const (
	engineInterval = 250 * time.Millisecond
	silentInterval = 2 * time.Second
)

// answerTime is how long an answer is awaited, which comes between two steps of the engine.
const answerTime = 30 * time.Second

func engineLater(e Engine, after time.Duration) tea.Cmd {
	return tea.Tick(after, func(time.Time) tea.Msg { return lookAtEngineMsg{e} })
}

// chooseEngine asks for a model to serve, or for the URL of a server.
func (w *workbench) chooseEngine() tea.Cmd {
	w.say("looking for models …")
	return func() tea.Msg {
		found, err := w.bench.Servable(w.ctx)
		return servableMsg{found, err}
	}
}

func (w *workbench) pickEngine(msg servableMsg) {
	if msg.err != nil {
		w.fail("models", msg.err)
		return
	}
	w.message = ""
	p := &picker{workbench: w, title: "Serve which model? A path or the URL of slimlab serve can be typed"}
	for _, c := range msg.found {
		p.entries = append(p.entries, entry{text.Clean(c.Path), text.Clean(c.About), func() tea.Cmd { return w.attach(c.Path) }})
	}
	p.typed = func(line string) entry {
		return entry{text.Clean(line), "as typed: http://HOST:PORT, a Hugging Face folder, a GGUF file, run:ID/ROW", func() tea.Cmd { return w.attach(line) }}
	}
	w.push(p)
}

// attach loads a model and starts an engine on it, or attaches to a server.
func (w *workbench) attach(target string) tea.Cmd {
	w.say("attaching to %s …", text.Clean(target))
	return func() tea.Msg {
		engine, err := w.bench.Attach(w.ctx, target)
		return attachedMsg{target, engine, err}
	}
}

// meter derives rates from what an engine has counted.
type meter []endpoint.State

// meterSpan is the time that a rate is of, in seconds.
const meterSpan = 3

func (m *meter) add(s endpoint.State) {
	if n := len(*m); n > 0 {
		last := (*m)[n-1]
		if last.Counts.Steps > s.Counts.Steps || last.Now > s.Now { // another engine by now
			*m = nil
		}
	}
	s.Requests, s.Ended, s.Tree = nil, nil, nil
	*m = append(*m, s)
	old := 0
	for old+2 < len(*m) && s.Now-(*m)[old+1].Now >= meterSpan {
		old++
	}
	*m = slices.Delete(*m, 0, old)
}

// rates are tokens a second: computed, and of these generated.
func (m meter) rates() (computed, generated float64) {
	if len(m) < 2 {
		return 0, 0
	}
	first, last := &m[0], &m[len(m)-1]
	span := last.Now - first.Now
	if span <= 0 {
		return 0, 0
	}
	return float64(last.Counts.Computed-first.Counts.Computed) / span, float64(last.Counts.Generated-first.Counts.Generated) / span
}

// spread is the median of values and the largest, those that are 0 left out.
func spread(values []float64) (median, most float64, n int) {
	values = slices.DeleteFunc(values, func(v float64) bool { return v <= 0 })
	if n = len(values); n == 0 {
		return 0, 0, 0
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2, values[n-1], n
}
