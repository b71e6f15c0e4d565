package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/tui/text"
)

// samplesPane shows the answers that the run's trainings have sampled, the newest first, and goes
// with the run: a list, and below it the whole of the one under the cursor.
type samplesPane struct {
	*workbench
	screen   *runScreen
	training training    // whose samples are shown; zero: those of all
	by       lab.Writer  // empty: of all writers
	at       *lab.Sample // under the cursor; nil: the newest, whichever it is
	scroll   int         // of the text under the list
	seen     int         // lines of the list in the last frame
	found    foundSamples
}

// foundSamples is what a view has to show, found once until there is more of it.
type foundSamples struct {
	view      *lab.View
	sampled   int
	training  training
	by        lab.Writer
	list      []written  // the newest first
	trainings []training // that have samples
}

// training is one stage of one cell.
type training struct{ cell, stage string }

// written is a sample with its place.
type written struct {
	lab.SampleView
	of training
}

// listedSamples bounds how many samples the pane takes from all cells together: each cell's newest,
// leastListed of them at least.
const (
	listedSamples = 4096
	leastListed   = 4
)

// samplesKey opens the samples of the run: of the row under the cursor where that has some.
func (r *runScreen) samplesKey() binding {
	return binding{keys: []string{"S"}, footer: "S samples", help: "samples: answers that student and teacher write while a step is trained on them, the newest first", when: r.hasSamples, why: r.noSamples, do: act(func() {
		p := &samplesPane{workbench: r.workbench, screen: r}
		r.session.read(func(v *lab.View) {
			if r.row >= len(v.Rows) {
				return
			}
			row := &v.Rows[r.row]
			for _, t := range trainings(v) {
				if t.stage == row.Name && slices.Contains(row.Cells, t.cell) {
					p.training = t
					return
				}
			}
		})
		r.push(p)
	})}
}

func (r *runScreen) hasSamples() (some bool) {
	r.session.read(func(v *lab.View) {
		for i := 0; i < len(v.Cells) && !some; i++ {
			some = len(v.Cells[i].Samples) > 0
		}
	})
	return some
}

// noSamples says why the run has none.
func (r *runScreen) noSamples() (why string) {
	r.session.read(func(v *lab.View) { why = "no sample: " + v.NoSamples() })
	return why
}

// trainings are the stages that have samples, in the order of the cells.
func trainings(v *lab.View) (list []training) {
	for i := range v.Cells {
		c := &v.Cells[i]
		from := len(list)
		for j := range c.Samples {
			if stage := c.Samples[j].Stage; j == 0 || stage != c.Samples[j-1].Stage {
				if t := (training{c.ID, stage}); !slices.Contains(list[from:], t) {
					list = append(list, t)
				}
			}
		}
	}
	return list
}

// find finds the samples that are shown.
func (p *samplesPane) find(v *lab.View) *foundSamples {
	f := &p.found
	if f.view != v || f.sampled != v.Sampled || f.training != p.training || f.by != p.by {
		*f = foundSamples{v, v.Sampled, p.training, p.by, p.list(v), trainings(v)}
	}
	return f
}

func (p *samplesPane) list(v *lab.View) (list []written) {
	each := max(leastListed, listedSamples/max(1, len(v.Cells)))
	type place struct {
		time     float64
		cell, at int
	}
	var places []place // which are sorted faster than the samples themselves
	for i := range v.Cells {
		c := &v.Cells[i]
		if p.training.cell != "" && c.ID != p.training.cell {
			continue
		}
		for j, n := len(c.Samples)-1, 0; j >= 0 && (n < each || p.training.cell != ""); j-- {
			s := &c.Samples[j]
			if p.training.cell != "" && s.Stage != p.training.stage || p.by != "" && s.By != p.by {
				continue
			}
			places, n = append(places, place{s.Time, i, j}), n+1
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(a.cell, b.cell), cmp.Compare(b.at, a.at))
	})
	list = make([]written, len(places))
	for i, at := range places {
		c := &v.Cells[at.cell]
		list[i] = written{c.Samples[at.at], training{c.ID, c.Samples[at.at].Stage}}
	}
	return list
}

func (p *samplesPane) Title() string { return "Samples" }

func (p *samplesPane) Keys() []keyGroup {
	move := movingKeys(p.move)
	move[0].footer = "↑ ↓ sample"
	move[4].help, move[5].help = "the newest, and those that come", "the oldest"
	more := func() bool { return p.trainings() > 1 }
	return []keyGroup{{"Samples of a run", append([]binding{
		{keys: []string{"esc", "enter", "S"}, footer: "esc back", help: "back to the run", do: act(func() { p.pop(p) })},
	}, append(move, []binding{
		{keys: []string{"n", ">"}, footer: "n next training", help: "those of the next training alone, or of all", when: more, do: act(func() { p.nextTraining(1) })},
		{keys: []string{"N", "<"}, help: "those of the training before", when: more, do: act(func() { p.nextTraining(-1) })},
		{keys: []string{"w"}, footer: "w writer", help: "those of all writers, of the student, of the teacher", do: act(p.nextWriter)},
		{keys: []string{"J"}, help: "scroll the text down", do: act(func() { p.scroll += 3 })},
		{keys: []string{"K"}, help: "scroll it up", do: act(func() { p.scroll = max(0, p.scroll-3) })},
		{keys: []string{"Y"}, footer: "Y command", help: "copy the command that prints the same (OSC 52)", do: p.copyCommand},
	}...)...)}}
}

func (p *samplesPane) trainings() (n int) {
	p.screen.session.read(func(v *lab.View) { n = len(p.find(v).trainings) })
	return n
}

// place is where the cursor is in a list: at the top where its sample is gone.
func (p *samplesPane) place(list []written) int {
	return max(0, slices.IndexFunc(list, func(s written) bool { return s.Sample == p.at }))
}

// move moves the cursor. On the newest it goes with those that come.
func (p *samplesPane) move(rows, pages int) {
	p.screen.session.read(func(v *lab.View) {
		list := p.find(v).list
		to := max(0, min(p.place(list)+rows+pages*max(1, p.seen), len(list)-1))
		p.at, p.scroll = nil, 0
		if to > 0 {
			p.at = list[to].Sample
		}
	})
}

// nextTraining goes from all trainings to the first, the second and so on, and from the last to
// all.
func (p *samplesPane) nextTraining(by int) {
	p.screen.session.read(func(v *lab.View) {
		list := p.find(v).trainings
		at := slices.Index(list, p.training) + 1 // 0: all
		at = (at + by + len(list) + 1) % (len(list) + 1)
		p.training, p.at, p.scroll = training{}, nil, 0
		if at > 0 {
			p.training = list[at-1]
		}
	})
}

func (p *samplesPane) nextWriter() {
	writers := []lab.Writer{"", lab.ByStudent, lab.ByTeacher}
	p.by = writers[(slices.Index(writers, p.by)+1)%len(writers)]
	p.at, p.scroll = nil, 0
}

func (p *samplesPane) copyCommand() tea.Cmd {
	command := "slimlab show " + shellWord(p.session.id) + " --samples"
	p.say("copied: %s", text.Clean(command))
	return p.copy(command)
}

func (p *samplesPane) View(width, height int) (lines []string) {
	p.screen.version = p.screen.session.board.Version()
	p.screen.session.read(func(v *lab.View) {
		list := p.find(v).list
		lines = append(lines, p.heading(v, list, width))
		if figures := p.figures(v, list); figures != "" {
			lines = append(lines, text.Fit(" "+figures, width))
		}
		if doubt := p.screen.doubtLine(v, width); doubt != "" {
			lines = append(lines, doubt)
		}
		if len(list) == 0 {
			lines = append(lines, p.none(v, width)...)
			return
		}
		lines = append(lines, p.parts(v, list, width, height-len(lines), len(lines))...)
	})
	return lines
}

// heading says whose samples are seen, and how many.
func (p *samplesPane) heading(v *lab.View, list []written, width int) string {
	name := "all trainings"
	if of := p.only(v); of.cell != "" {
		name = text.Clean(of.stage)
		if len(v.Cells) > 1 {
			name += " of " + text.Clean(of.cell)
		}
	}
	head := " " + p.theme.head.On("samples of "+text.Cut(name, max(10, width/2)))
	about := "  " + plural.Of(len(list), "sample")
	if p.by != "" {
		about += " by the " + string(p.by)
	}
	if p.at == nil {
		about += ", the newest first"
	} else if len(list) > 0 {
		about += fmt.Sprintf(", %d newer than the one below", p.place(list))
	}
	return text.Fit(head+p.theme.dim.On(about), width)
}

// only is the training whose samples alone are seen: the chosen one, or the only one that has some.
func (p *samplesPane) only(v *lab.View) training {
	if list := p.find(v).trainings; p.training.cell == "" && len(list) == 1 {
		return list[0]
	}
	return p.training
}

// figures are the last points of the curves of the training that is seen, or of the one whose
// sample is the newest.
func (p *samplesPane) figures(v *lab.View, list []written) string {
	of := p.training
	if of.cell == "" && len(list) > 0 {
		of = list[0].of
	}
	c := v.Cell(of.cell)
	if c == nil {
		return ""
	}
	var parts []string
	step := 0
	for _, key := range []string{"ended", "length", "repeated", "divergence"} {
		s := c.Find(of.stage + "." + key)
		if s == nil {
			continue
		}
		step = max(step, s.Last.Step)
		part := key + " " + curveText(s.Name, s.Last.Value)
		if noun := lab.CurveOf(s.Name).Noun; noun != "" {
			part += " " + noun
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	at := fmt.Sprintf("%s at step %d", text.Cut(text.Clean(of.stage), 20), step)
	if total := stageTotal(c, of.stage); total > 0 {
		at += fmt.Sprintf(" of %d", total)
	}
	return at + ":  " + strings.Join(parts, " · ")
}

// stageTotal is how many steps a stage of a cell has; 0 where that is not known.
func stageTotal(c *lab.CellView, stage string) int {
	for i := range c.Stages {
		if c.Stages[i].Name == stage {
			return c.Stages[i].Total
		}
	}
	return 0
}

// none says why there is nothing to show.
func (p *samplesPane) none(v *lab.View, width int) []string {
	why := "No sample: " + v.NoSamples() + "." // another run is shown
	if p.by != "" && len(p.find(v).trainings) > 0 {
		why = "The " + string(p.by) + " has written none of them (w)."
	}
	lines := []string{""}
	for _, line := range text.Wrap(why, width-4) {
		lines = append(lines, "  "+line)
	}
	return lines
}

// parts shares the height between the list and the sample under the cursor.
func (p *samplesPane) parts(v *lab.View, list []written, width, height, above int) []string {
	at := p.place(list)
	body := p.textLines(&list[at], width-4)
	below := min(len(body)+1, max(height*2/5, height-len(list)-1))
	p.seen = max(1, height-below-1)
	from, to := window(at, p.seen, len(list))
	columns := p.columns(v, list[from:to])
	lines := []string{columns.head(p.theme.dim, width)}
	for i := from; i < to; i++ {
		lines = append(lines, columns.line(p, v, &list[i], i == at, width))
	}
	p.takesMouse(region{y: above + 1, width: width, height: to - from, wheel: func(n int) { p.move(n/wheelLines, 0) }, click: func(_, y int) tea.Cmd {
		p.move(from+y-at, 0)
		return nil
	}})
	lines = append(lines, p.screen.chartHeading(p.about(v, &list[at]), "", width))
	room := max(0, height-len(lines))
	p.takesMouse(region{y: above + len(lines), width: width, height: room, wheel: func(n int) { p.scroll = max(0, p.scroll+n) }})
	return append(lines, p.scrolled(body, width, room)...)
}

// about says of a sample where it was written, by whom, and how it ends.
func (p *samplesPane) about(v *lab.View, s *written) string {
	who := "by the " + writerWord(s.By)
	where := text.Cut(text.Clean(s.of.stage), 20)
	if len(v.Cells) > 1 {
		where += " of " + text.Cut(text.Clean(s.of.cell), 30)
	}
	end := "ended after " + plural.Of(s.Tokens, "token")
	if !s.Ended {
		end = "no end within " + plural.Of(s.Tokens, "token")
	}
	return fmt.Sprintf("%s, step %d, %s, %s", where, s.Step, who, end)
}

func writerWord(by lab.Writer) string {
	if by == lab.ByBoth {
		return "student, with tokens of the teacher"
	}
	return string(by)
}

// sampleColumns are the widths of the list's columns.
type sampleColumns struct {
	step, stage, by, tokens int
}

func (p *samplesPane) columns(v *lab.View, list []written) sampleColumns {
	c := sampleColumns{step: len("step"), by: len("student"), tokens: len("tokens")}
	several := p.only(v).cell == ""
	for i := range list {
		s := &list[i]
		c.step, c.tokens = max(c.step, len(fmt.Sprint(s.Step))), max(c.tokens, len(fmt.Sprint(s.Tokens)))
		if several {
			c.stage = max(c.stage, len("training"), min(16, text.Width(s.name(v))))
		}
	}
	return c
}

// name tells the sample's training from the others.
func (s *written) name(v *lab.View) string {
	if len(v.Cells) > 1 {
		return text.Clean(s.of.stage + " " + s.of.cell)
	}
	return text.Clean(s.of.stage)
}

// head names the columns.
func (c sampleColumns) head(dim text.Paint, width int) string {
	line := " " + text.Right("step", c.step) + "  "
	if c.stage > 0 {
		line += text.Fit("training", c.stage) + "  "
	}
	line += text.Fit("by", c.by) + "  " + text.Right("tokens", c.tokens) + "  " + text.Fit("end", endWidth) + "  prompt → answer"
	return dim.On(text.Fit(line, width))
}

// endWidth is the width of the word that says whether a sample ended.
const endWidth = len("no end")

// line is a sample on one line; of a prompt that is long, its end.
func (c sampleColumns) line(p *samplesPane, v *lab.View, s *written, under bool, width int) string {
	left := text.Right(fmt.Sprint(s.Step), c.step) + "  "
	if c.stage > 0 {
		left += text.Fit(s.name(v), c.stage) + "  "
	}
	end, paint := "ended", text.Paint{}
	if !s.Ended {
		end, paint = "no end", p.theme.warning
	}
	by, writer := text.Fit(string(s.By), c.by), p.theme.line(1)
	if s.By == lab.ByTeacher {
		writer = p.theme.line(0)
	}
	tokens := "  " + text.Right(fmt.Sprint(s.Tokens), c.tokens) + "  "
	prompt, answer := text.Clean(strings.TrimSpace(s.Prompt)), "→ "+text.Clean(s.Answer)
	room := width - 1 - text.Width(left) - c.by - text.Width(tokens) - endWidth - 2
	if s.Answer == "" {
		answer += "(nothing)"
	}
	answer = text.Cut(answer, max(8, room*2/3))
	if left := room - text.Width(answer) - 1; s.PromptCut > 0 || text.Width(prompt) > left {
		prompt = cutLeft(prompt, left)
	}
	if under {
		return p.theme.selected.On(text.Fit("▌"+left+by+tokens+text.Fit(end, endWidth)+"  "+prompt+" "+answer, width))
	}
	return text.Fit(" "+left+writer.On(by)+tokens+paint.On(text.Fit(end, endWidth))+"  "+p.theme.dim.On(prompt)+" "+answer, width)
}
