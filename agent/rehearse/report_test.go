package rehearse

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rehearsed is a report of three acts, of which one has found something that XML cannot write.
func rehearsed(err error) Report {
	failed := Act{Name: "upgrade", Notes: []string{"a note"}}
	failed.find(UpgradeFailed, "code-change-failed", "cannot install\x1b[2J <release>\nsecond line")
	failed.findOnce(CrashReport, "shop:init/1", "first")
	failed.findOnce(CrashReport, "shop:init/1", "the same once more")
	failed.close(1500 * time.Millisecond)
	passed := Act{Name: "boot-old", Reports: Reports{Errors: 2, First: []string{"no database"}}}
	passed.close(time.Second)
	r := Report{
		Old: Release{Name: "shop", Version: "1.0.0", Package: "/mnt/old.tar.gz"}, New: Release{Package: "/mnt/new.tar.gz"},
		Acts: []Act{passed, failed, {Name: "rollback", Outcome: Skipped, Why: "it did not go through"}},
	}
	r.end(time.Now(), err)
	return r
}

func TestTheReportIsReadByPeople(t *testing.T) {
	r := rehearsed(nil)
	var text strings.Builder
	for _, a := range r.Acts {
		text.WriteString(a.Text())
	}
	want := `passed   boot-old                                 1s
         logged: errors: 2
           no database
failed   upgrade                                  1.5s
         upgrade-failed: cannot install` + "\x1b" + `[2J <release>
           second line
         crash-report: first
         note: a note
skipped  rollback                                 0s
         it did not go through
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := r.Verdict(), "shop 1.0.0 to new.tar.gz: failed, findings: 2, 3 acts in 0s"; got != want || r.Passed {
		t.Errorf("%q, want %q; passed %t", got, want, r.Passed)
	}
}

func TestTheReportIsJUnitAlsoOfWhatBrokeOff(t *testing.T) {
	var out strings.Builder
	if err := rehearsed(errors.New("it broke off")).JUnit(&out); err != nil {
		t.Fatal(err)
	}
	var read testSuites
	if err := xml.Unmarshal([]byte(out.String()), &read); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	suite := read.Suites[0]
	if got, want := [4]int{suite.Tests, suite.Failures, suite.Errors, suite.Skipped}, [4]int{4, 1, 1, 1}; got != want {
		t.Errorf("tests, failures, errors, skipped: %v, want %v", got, want)
	}
	failure := suite.Cases[1].Failure
	if failure == nil || failure.Type != UpgradeFailed || failure.Message != "cannot install\ufffd[2J <release>" || !strings.Contains(failure.Text, "second line") {
		t.Errorf("the failure is %+v", failure)
	}
	if e := suite.Cases[3].Error; e == nil || e.Message != "it broke off" {
		t.Errorf("the error is %+v", e)
	}
}

func TestWhatIsNoReportOfTheFilterIsLeftOut(t *testing.T) {
	for line, want := range map[string]logged{
		"{crash,<<\"shop:init/1\">>,<<\"crasher\">>}.\n":      {"crash", "shop:init/1", "crasher"},
		"{error,<<>>,<<195,164>>}.":                           {"error", "", "ä"},
		"{crash,<<\"half":                                     {},
		"{crash,<<>>}.":                                       {},
		"a line of somebody else who writes into this file\n": {},
	} {
		got, ok := parseLogged([]byte(line))
		if ok != (want != logged{}) || ok && got != want {
			t.Errorf("%q is %+v, %t; want %+v", line, got, ok, want)
		}
	}
}

func TestAProbeWithoutAStateFollowsTheRelease(t *testing.T) {
	p := Probe{Name: "probe"}
	s := &stage{Options: Options{Probes: []Probe{p}}}
	old := &fresh{Release: &Release{Name: "shop", Version: "1"}, said: map[Probe]string{p: "10"}}
	now := &fresh{Release: &Release{Name: "shop", Version: "2"}, said: map[Probe]string{p: "50"}}
	restless := &fresh{Release: now.Release}
	for _, c := range []struct {
		about         string
		before, after string
		at            *fresh
		finds         bool
	}{
		{"a setting that was taken up", "10", "50", now, false},
		{"a setting that was not", "10", "10", now, true},
		{"a state that was kept", "7", "7", now, false},
		{"a state that was lost", "7", "50", now, true},
		{"another one at each boot, and kept", "10", "10", restless, false},
		{"an upgrade that was taken back", "10", "10", old, false},
	} {
		a := &Act{}
		(&trial{stage: s}).compareProbes(a, map[Probe]string{p: c.before}, map[Probe]string{p: c.after}, old, c.at)
		if found := len(a.Findings) > 0; found != c.finds {
			t.Errorf("%s: found %v", c.about, a.Findings)
		}
	}
}
