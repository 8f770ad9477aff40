package rehearse

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The elements that the readers of JUnit's XML agree on.
type (
	testSuites struct {
		XMLName xml.Name    `xml:"testsuites"`
		Suites  []testSuite `xml:"testsuite"`
	}
	testSuite struct {
		Name      string     `xml:"name,attr"`
		Tests     int        `xml:"tests,attr"`
		Failures  int        `xml:"failures,attr"`
		Errors    int        `xml:"errors,attr"`
		Skipped   int        `xml:"skipped,attr"`
		Time      string     `xml:"time,attr"`
		Timestamp string     `xml:"timestamp,attr"`
		Cases     []testCase `xml:"testcase"`
	}
	testCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Time    string       `xml:"time,attr"`
		Skipped *testProblem `xml:"skipped"`
		Failure *testProblem `xml:"failure"`
		Error   *testProblem `xml:"error"`
		Out     string       `xml:"system-out,omitempty"`
	}
	testProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the report as JUnit's XML: a test for each act, and one that could not be done for what ended the rehearsal.
func (r Report) JUnit(out io.Writer) error {
	suite := testSuite{Name: "rehearsal of " + r.title(), Time: seconds(r.Duration), Timestamp: r.Began.UTC().Format("2006-01-02T15:04:05")}
	for _, a := range r.Acts {
		suite.add(a.testCase(r.title()))
	}
	if r.Error != "" {
		suite.add(testCase{Class: r.title(), Name: "rehearsal", Time: seconds(0), Error: &testProblem{Message: firstLine(r.Error), Text: r.Error}})
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	e := xml.NewEncoder(out)
	e.Indent("", "  ")
	if err := e.Encode(testSuites{Suites: []testSuite{suite}}); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	_, err := io.WriteString(out, "\n")
	return err
}

func (s *testSuite) add(c testCase) {
	s.Tests++
	switch {
	case c.Skipped != nil:
		s.Skipped++
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

func (a Act) testCase(class string) testCase {
	c := testCase{Class: class, Name: a.Name, Time: seconds(a.Duration)}
	switch {
	case a.Outcome == Skipped:
		c.Skipped = &testProblem{Message: a.Why}
	case len(a.Findings) > 0:
		first := a.Findings[0]
		c.Failure = &testProblem{Message: firstLine(first.Text), Type: first.Kind, Text: a.Text()}
	default:
		c.Out = a.Text()
	}
	return c
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
