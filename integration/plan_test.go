package integration_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/plan"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/ship"
)

// planOf is what agent plan says of a package in the container, by its exit status.
func planOf(s *ship.Ship, pkg []byte, status int, flags ...string) plan.Plan {
	s.T.Helper()
	return ship.Decode[plan.Plan](s, s.Ends(s.Agent(bytes.NewReader(pkg), append([]string{"plan", "-", "--json"}, flags...)...), status))
}

// untouched is all that a plan must leave as it is: files and their times, loaded code, release_handler's knowledge, the agent's records.
func untouched(s *ship.Ship) string {
	s.T.Helper()
	const tree = `cd /var/lib/release && find . -printf '%p %m %T@ %s\n' | sort && find . -type f -exec sha256sum {} + | sort`
	var files bytes.Buffer
	status, err := s.Exec(s.T.Context(), docker.Exec{Args: []string{"sh", "-c", tree}, Stdout: &files})
	s.Must(err)
	if status != 0 || files.Len() == 0 {
		s.T.Fatalf("cannot look at the volume: exit status %d", status)
	}
	code := s.Ends(s.Agent(nil, "eval", `{lists:sort([{M, erlang:get_module_info(M, md5)} || {M, _} <- code:all_loaded()]), release_handler:which_releases()}.`), 0)
	return files.String() + code.Stdout
}

func TestAPlanIsWhatTheUpgradeDoesAndChangesNothing(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		ip, err := s.IP(t.Context())
		s.Must(err)
		clients, err := load.Start(t.Context(), load.Config{HTTP: ip + ":8080", TCP: ip + ":7000", Sessions: 200})
		s.Must(err)
		second := s.Package(images.Second)
		hasRunWell(s)
		before := untouched(s)
		p := planOf(s, second, 0)
		if p.Verdict != plan.Hot || !p.Live || p.Way.Back != string(plan.Hot) || len(p.Reasons)+len(p.Warnings)+len(p.Unknown) > 0 {
			t.Errorf("the plan is not clean: %+v", p)
		}
		for _, a := range p.Processes {
			if a.Module == "demo_session" && a.Count != 200 {
				t.Errorf("%d sessions would be %s, not 200", a.Count, a.Effect)
			}
		}
		want := []plan.Setting{{Application: "demo", Key: "greeting", Change: "changed"}}
		if diff := cmp.Diff(want, planOf(s, s.Package(images.Third), 0).Config); diff != "" {
			t.Errorf("the settings of %s: %s", images.Third, diff)
		}
		if q := planOf(s, bare(s, images.Second), 5); q.Verdict != plan.Restart || !q.Way.Made || len(q.Steps) == 0 {
			t.Errorf("the relup that could be made is not offered: %+v", q)
		}
		if q := planOf(s, bare(s, images.Second), 0, "--derived"); q.Verdict != plan.Hot || q.Way.Back != string(plan.Restart) {
			t.Errorf("a relup that is made leads there, and not back: %+v", q)
		}
		if diff := cmp.Diff(before, untouched(s)); diff != "" {
			t.Errorf("the plans have changed something:\n%s", diff)
		}
		s.Ends(s.Upgrade(second), 0)
		s.Serves(images.Second)
		asPlanned(s, p)
		if report := clients.Stop(); !report.Lossless() {
			t.Errorf("the clients lost something: %+v", report)
		}
	})
}

// asPlanned compares what the engine has told of its own plan with the plan that was made before.
func asPlanned(s *ship.Ship, p plan.Plan) {
	s.T.Helper()
	for _, e := range s.History() {
		if e.Kind != "upgrade.planned" {
			continue
		}
		if e.Attrs["verdict"] != string(p.Verdict) || e.Attrs["instructions"] != float64(len(p.Steps)) || e.Attrs["way_back"] != (p.Way.Back == string(plan.Hot)) {
			s.T.Errorf("the engine planned %v, the plan was %+v", e.Attrs, p)
		}
		return
	}
	s.T.Error("the engine has told of no plan")
}
