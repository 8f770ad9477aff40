package pairs

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/agent/plan"
	"theseus/agent/rehearse"
)

// look has every tool look at a pair.
func look(t *testing.T, agent, dir string, p Pair) map[Tool]Said {
	t.Helper()
	made := p.In(dir)
	said := inService(t, agent, made, p)
	said[Rehearse] = rehearsal(t, agent, p, made.Old, made.New)
	p.Live = "" // the package alone is tried
	said[Derived] = rehearsal(t, agent, p, made.Old, made.Bare, "--derived")
	return said
}

// inService is the older release in service, and what becomes of it.
func inService(t *testing.T, agent string, made Packages, p Pair) map[Tool]Said {
	t.Helper()
	s := serve(t, agent, made.Old)
	if p.Live != "" {
		s.evaluates(p.Live)
	}
	said := map[Tool]Said{Plan: s.plan(made.New)}
	found := s.drift()
	a := s.ask("", "upgrade", "--json", made.New)
	said[Upgrade] = outcome(t, a)
	said[Drift] = differences(slices.Concat(found, s.told(a), s.drift()))
	s.isTrue(p.Shows)
	if p.Says[Rollback] != nil {
		said[Rollback] = outcome(t, s.ask("", "rollback", "--json"))
		s.isTrue(p.Back)
	}
	return said
}

// isTrue makes sure of what the story tells.
func (s *service) isTrue(expressions string) {
	s.t.Helper()
	if expressions == "" {
		return
	}
	if value := s.evaluates(expressions); value != "true" {
		s.t.Errorf("%sis %s\n%s", expressions, value, s.text())
	}
}

func (s *service) plan(pkg string) Said {
	s.t.Helper()
	a := s.ask("", "plan", "--json", pkg)
	made := decode[plan.Plan](s.t, a)
	var codes []string
	for _, f := range slices.Concat(made.Reasons, made.Warnings) {
		codes = append(codes, string(f.Code))
	}
	if made.Verdict == plan.Hot && len(made.Unknown) > 0 {
		s.t.Errorf("the plan does not know all: %q", made.Unknown)
	}
	return Said{append([]string{string(made.Verdict)}, distinct(codes)...), a.stdout}
}

// drift is what agent verify --running says.
func (s *service) drift() []api.Difference {
	s.t.Helper()
	return decode[api.Drift](s.t, s.ask("", "verify", "--running", "--json")).Differences
}

// taken are the kinds in the error of an upgrade that was taken back for them.
var taken = regexp.MustCompile(`\b((?:module|application|path|environment|child)-[a-z]+) ([^:,]+)`)

// told are the differences that the engine tells of in an upgrade.
func (s *service) told(a answer) (all []api.Difference) {
	for line := range strings.Lines(a.stdout) {
		var event struct {
			Kind  string
			Attrs struct{ Differences []api.Difference }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			s.t.Fatalf("%v\n%s", err, line)
		}
		all = append(all, event.Attrs.Differences...)
	}
	r := result(s.t, a)
	for _, warning := range r.Warnings {
		if who, is := strings.CutPrefix(warning, "processes go on in code that was replaced: "); is {
			all = append(all, api.Difference{Kind: drift.OldCode, Subject: who})
		}
	}
	if r.Error != nil && r.Error.Code == api.CodeDrift {
		for _, found := range taken.FindAllStringSubmatch(r.Error.Message, -1) {
			all = append(all, api.Difference{Kind: found[1], Subject: found[2]})
		}
	}
	return all
}

func differences(all []api.Difference) (said Said) {
	for _, d := range all {
		said.Words = append(said.Words, d.Kind)
		said.Text += d.String() + "\n"
	}
	said.Words = distinct(said.Words)
	return said
}

// result is in the last line of what an upgrade or a rollback prints.
func result(t *testing.T, a answer) api.Result {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(a.stdout), "\n")
	var event api.Event
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &event); err != nil || event.Result == nil {
		t.Fatalf("no result: exit status %d: %v\n%s\n%s", a.status, err, a.stdout, a.stderr)
	}
	return *event.Result
}

func outcome(t *testing.T, a answer) Said {
	t.Helper()
	r := result(t, a)
	said := Said{Words: []string{string(r.Outcome)}, Text: a.stdout}
	if r.Error != nil {
		said.Words = append(said.Words, r.Error.Code)
	}
	return said
}

// rehearsal has what is true in service made true by its load, and looks at the state by a probe.
func rehearsal(t *testing.T, agent string, p Pair, from, to string, flags ...string) Said {
	t.Helper()
	args := slices.Concat(alone, []string{agent, "rehearse", "--quick", "--json", "--settle", "500ms"})
	for flag, expressions := range map[string]string{"--load": p.Live, "--probe": p.Probe} {
		if expressions != "" {
			args = append(args, flag, "agent eval '"+strings.ReplaceAll(expressions, "'", `'\''`)+"'")
		}
	}
	a := run(t, "", append(append(args, flags...), from, to)...)
	if a.status != 0 && a.status != 3 { // what cannot be rehearsed is named as well
		return Said{[]string{"impossible"}, a.stderr}
	}
	report := decode[rehearse.Report](t, a)
	if report.Passed {
		return Said{[]string{"passed"}, a.stdout}
	}
	return Said{append([]string{"failed"}, findings(report)...), a.stdout}
}

// findings are their kinds, and the codes of what was refused or failed.
func findings(r rehearse.Report) (words []string) {
	for _, act := range r.Acts {
		for _, f := range act.Findings {
			switch f.Kind {
			case rehearse.UpgradeRefused, rehearse.UpgradeFailed, rehearse.RollbackFailed:
				words = append(words, f.Kind+"/"+cmp.Or(f.Subject, "?"))
			default:
				words = append(words, f.Kind)
			}
		}
	}
	return distinct(words)
}

func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.stdout), &v); err != nil {
		t.Fatalf("no JSON: exit status %d: %v\n%s\n%s", a.status, err, a.stdout, a.stderr)
	}
	return v
}

func distinct(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}
