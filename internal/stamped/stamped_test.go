package stamped

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestStamped: content comes back whole; cut short or changed at any byte, and with another mark,
// it is an error, as is that of what fills or takes.
func TestStamped(t *testing.T) {
	const mark, content = "mark\x01", "what is kept"
	var whole bytes.Buffer
	fill := func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
	if err := Write(&whole, mark, fill); err != nil {
		t.Fatal(err)
	}
	taken := make([]byte, len(content))
	take := func(r io.Reader) error {
		_, err := io.ReadFull(r, taken)
		return err
	}
	if err := Read(bytes.NewReader(whole.Bytes()), mark, take); err != nil || string(taken) != content {
		t.Errorf("%q, %v", taken, err)
	}
	for n := range whole.Len() {
		if err := Read(bytes.NewReader(whole.Bytes()[:n]), mark, take); err == nil || err.Error() != "it is cut short" {
			t.Errorf("cut at %d: %v", n, err)
		}
		changed := bytes.Clone(whole.Bytes())
		changed[n] ^= 4
		if err := Read(bytes.NewReader(changed), mark, take); err == nil {
			t.Errorf("changed at %d: no error", n)
		}
	}
	if err := Read(bytes.NewReader(whole.Bytes()), "kram\x01", take); err == nil || !strings.Contains(err.Error(), `begins with "mark\x01", expected "kram\x01"`) {
		t.Errorf("another mark: %v", err)
	}
	full := errors.New("full")
	if err := Write(io.Discard, mark, func(io.Writer) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if err := Read(bytes.NewReader(whole.Bytes()), mark, func(io.Reader) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}
