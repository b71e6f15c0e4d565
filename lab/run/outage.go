package run

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"slimlab/kd/remote"
	"slimlab/lab"
	"slimlab/lab/report"
)

// outageLog says of a training's endpoint that it does not answer, and that it does again.
type outageLog struct {
	open, said bool // of the outage that goes on
	count      int
	took       time.Duration // of those that are over
}

// outage shows each attempt in the progress. A note is kept of the first outage, the second, the
// fourth and so on, and of all others in which a third attempt is needed.
func (t *training) outage(o remote.Outage) {
	l, name := &t.outages, t.teaching.name()
	if o.Over() {
		l.took += o.Took
		switch after := report.Duration(o.Took.Seconds()); {
		case !l.said:
		case o.Err == nil:
			t.run.note(t.cell.ID, lab.Info, fmt.Sprintf("%s: %s answers again, after %s", t.stage, name, after))
		default:
			t.run.note(t.cell.ID, lab.Info, fmt.Sprintf("%s: %s is given up after %s", t.stage, name, after))
		}
		l.open, l.said = false, false
		t.again("")
		return
	}
	if !l.open {
		l.open = true
		l.count++
	}
	next := fmt.Sprintf("attempt %d of %d in %s", o.Attempt, o.Attempts, report.Duration(o.Wait.Seconds()))
	if !l.said && (o.Attempt > 2 || bits.OnesCount(uint(l.count)) == 1) {
		l.said = true
		times := ""
		if l.count > 1 {
			times = fmt.Sprintf(" (outage %d)", l.count)
		}
		t.run.note(t.cell.ID, lab.Warning, fmt.Sprintf("%s: %s does not answer%s: %v; %s", t.stage, name, times, o.Err, next))
	}
	t.again(fmt.Sprintf("%s: %s, %s", name, shortly(o.Err), next))
}

// again shows the progress that was shown last, with another text.
func (t *training) again(text string) {
	if t.trial != nil {
		text = t.trial.text(text)
	}
	t.run.emit(t.far(text))
}

// sayOutages sums up outages of which not all are in notes.
func (t *training) sayOutages() {
	if l := &t.outages; l.count > 1 {
		t.run.note(t.cell.ID, lab.Info, fmt.Sprintf("%s: %s did not answer %d times, for %s in all, which its speed has in it", t.stage, t.teaching.name(), l.count, report.Duration(l.took.Seconds())))
	}
	t.outages = outageLog{}
}

// shortly is an error in a few words, for a line of progress.
func shortly(err error) string {
	var status *remote.StatusError
	if errors.As(err, &status) {
		return fmt.Sprintf("status %d", status.Status)
	}
	const most = 40
	text := []rune(err.Error())
	if len(text) > most {
		return strings.TrimSpace(string(text[:most-1])) + "…"
	}
	return string(text)
}
