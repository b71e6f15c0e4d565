package run

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"slimlab/lab"
)

// TestRunsOfOneSecond: runs that draw the same digits in one second have other ids all the same;
// where no others are drawn, the error says that the file is there.
func TestRunsOfOneSecond(t *testing.T) {
	h, now := newHome(t), time.Unix(1e9, 0)
	digits := []uint64{1, 1, 1, 2, 2, 1, 3}
	next := func() uint64 {
		d := digits[0]
		digits = digits[1:]
		return d
	}
	ids := map[string]bool{}
	for range 3 {
		begin := lab.Begin{Scenario: "s", Started: now.Unix()}
		log, err := createLog(h.Logs, &begin, now, next)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		ids[begin.Run] = true
	}
	if len(ids) != 3 || len(digits) != 0 {
		t.Errorf("ids %v, digits left %v", ids, digits)
	}
	if _, err := createLog(h.Logs, &lab.Begin{Scenario: "s"}, now, func() uint64 { return 1 }); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an id that is always taken: %v", err)
	}
}
