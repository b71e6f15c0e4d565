package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"slimlab/kd"
	"slimlab/kd/kdtest"
)

// TestOutagesAreTold: each attempt that follows a failure with its wait and the reason, and once
// that the endpoint answers again; however many requests wait, they are one outage.
func TestOutagesAreTold(t *testing.T) {
	server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
	fails := func(n int) bool { return n == 2 || n == 3 || n == 5 }
	server.Before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if fails(n) {
			http.Error(w, "slow down", http.StatusTooManyRequests)
		}
		return fails(n)
	}
	config, _ := configOf(t, server)
	config.Concurrent = 1
	var told []string
	now := time.Unix(1e9, 0)
	config.Now = func() time.Time { now = now.Add(time.Second); return now }
	config.Outage = func(o Outage) {
		if !strings.HasSuffix(o.Endpoint, "/v1/completions") {
			t.Errorf("endpoint %q", o.Endpoint)
		}
		told = append(told, fmt.Sprintf("%d: %d/%d %v %v %v %v", o.Number, o.Attempt, o.Attempts, o.Wait, o.Took, o.Over(), o.Err))
	}
	teacher := dial(t, config)
	for range 2 { // requests 2 to 4, and 5 and 6
		if err := teacher.Prepare(context.Background(), kdtest.Examples(1, kdtest.Vocab, 3)); err != nil {
			t.Fatal(err)
		}
	}
	const busy = "false status 429 Too Many Requests: slow down"
	want := []string{
		"1: 2/6 250ms 1s " + busy, "1: 3/6 500ms 2s " + busy, "1: 0/0 0s 3s true <nil>",
		"2: 2/6 250ms 1s " + busy, "2: 0/0 0s 2s true <nil>",
	}
	if strings.Join(told, "; ") != strings.Join(want, "; ") {
		t.Errorf("told %q, expected %q", told, want)
	}
}

// TestOneOutageOfManyRequests ends when none is waiting; that one was given up is told too.
func TestOneOutageOfManyRequests(t *testing.T) {
	for _, dies := range []bool{false, true} {
		server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
		server.Before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			bad := n > 1 && (dies || n < 20)
			if bad {
				http.Error(w, "", http.StatusServiceUnavailable)
			}
			return bad
		}
		config, _ := configOf(t, server)
		config.Attempts = 40
		if dies {
			config.Attempts = 3
		}
		most, over := 0, []error{}
		config.Outage = func(o Outage) {
			if most = max(most, o.Number); o.Over() {
				over = append(over, o.Err)
			}
		}
		err := dial(t, config).Prepare(context.Background(), kdtest.Examples(8, kdtest.Vocab, 3))
		if (err != nil) != dies || most == 0 || len(over) != most {
			t.Fatalf("%v: %v, %d outages, of which end %v", dies, err, most, over)
		}
		for _, err := range over {
			if (err != nil) != dies {
				t.Errorf("%v: the outage ends with %v", dies, err)
			}
		}
	}
}

// TestNoOutage is told of answers that come at once, and of errors that end at once.
func TestNoOutage(t *testing.T) {
	server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
	config, _ := configOf(t, server)
	config.Outage = func(o Outage) { t.Errorf("told of %+v", o) }
	teacher := dial(t, config)
	if err := teacher.Prepare(context.Background(), []kd.Example{kdtest.Examples(1, kdtest.Vocab, 3)[0]}); err != nil {
		t.Error(err)
	}
	server.SetBefore(func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "no", http.StatusForbidden)
		return true
	})
	var status *StatusError
	if err := teacher.Prepare(context.Background(), kdtest.Examples(4, kdtest.Vocab, 3)); !errors.As(err, &status) {
		t.Error(err)
	}
}
