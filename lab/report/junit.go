package report

import (
	"encoding/xml"
	"io"
	"strconv"
	"strings"

	"slimlab/internal/visible"
	"slimlab/lab"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes each run as a test suite: a case for each verdict, which fails where it has not held
// and is skipped where it cannot be judged, with the values that it compares and their warnings as
// its output, and one with an error for each failed cell and for a
// run that broke or did not begin.
func JUnit(w io.Writer, views ...*lab.View) error {
	var all junitSuites
	for _, v := range views {
		all.Suites = append(all.Suites, newJUnitSuite(v))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func newJUnitSuite(v *lab.View) junitSuite {
	name := v.Begin.Scenario
	suite := junitSuite{Name: name, Time: decimal(v.Time)}
	for _, x := range v.Verdicts {
		one := junitCase{Class: name, Name: x.Text, Time: "0.000", Output: junitOutput(&x)}
		switch {
		case x.Held:
		case x.Unjudged:
			one.Skipped = &junitMessage{"not judged: " + x.Reason, x.Text + "\n" + x.Reason}
			suite.Skipped++
		default:
			one.Failure = &junitMessage{"not held: " + x.Reason, x.Text + "\n" + x.Reason}
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, one)
	}
	for i := range v.Cells {
		if c := &v.Cells[i]; c.State == lab.Failed {
			suite.fail(junitCase{Class: name, Name: "cell " + c.ID, Time: decimal(c.Ended - c.Started)}, c.Stage+": "+c.Error)
		}
	}
	switch {
	case !v.Begun && v.State == lab.Failed:
		suite.fail(junitCase{Class: name, Name: "start", Time: "0.000"}, "the run did not begin: "+v.Error)
	case v.State.Over() && v.State != lab.Done:
		suite.fail(junitCase{Class: name, Name: "run " + v.Begin.Run, Time: decimal(v.Time)}, v.State.String()+": "+v.Error)
	}
	suite.Tests = len(suite.Cases)
	return suite
}

// junitOutput writes what an expectation compares and the warnings of these values, a line each.
func junitOutput(x *lab.Verdict) string {
	lines := []string{x.Reason}
	for _, w := range x.Warnings {
		lines = append(lines, "warning: "+w)
	}
	return visible.Text(strings.Join(lines, "\n"))
}

func (s *junitSuite) fail(c junitCase, message string) {
	c.Error = &junitMessage{message, message}
	s.Errors++
	s.Cases = append(s.Cases, c)
}

func decimal(seconds float64) string { return strconv.FormatFloat(seconds, 'f', 3, 64) }
