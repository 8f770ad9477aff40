package drift

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTwoBootsOfOneReleaseAreAlike(t *testing.T) {
	t.Parallel()
	dir := application(t)
	first := boot(t, dir).picture()
	other := boot(t, dir)
	if got := Compare(first, other.picture()); len(got) > 0 {
		t.Errorf("another boot differs: %v", got)
	}
	if got := Compare(other.picture(), other.picture()); len(got) > 0 {
		t.Errorf("a node differs from itself: %v", got)
	}
}

func TestWorkThatComesAndGoesIsNoDifference(t *testing.T) {
	t.Parallel()
	n := boot(t, application(t))
	idle := n.picture()
	n.do(`[{ok, _} = supervisor:start_child(svc_sessions, []) || _ <- lists:seq(1, 10)],
		timer:send_after(60000, self(), late), inet:gethostbyname("localhost"), spawn(fun() -> timer:sleep(infinity) end)`)
	busy := n.picture()
	if got := Compare(idle, busy); len(got) > 0 {
		t.Errorf("a node with work differs: %v", got)
	}
	if got := busy.Dynamic["svc/sessions"]; got != 10 {
		t.Errorf("there are %d sessions, want 10", got)
	}
}

func TestEachDifferenceIsNamed(t *testing.T) {
	t.Parallel()
	n := boot(t, application(t))
	want := n.picture()
	for _, change := range []struct{ do, undo, want string }{
		{
			`application:set_env(svc, db, [{host, "db"}, {password, "hunter3"}])`,
			`application:set_env(svc, db, [{host, "db"}, {password, "hunter2"}])`, "environment-differs svc:db.password",
		},
		{`application:set_env(svc, more, 1)`, `application:unset_env(svc, more)`, "environment-differs svc:more"},
		{
			`supervisor:terminate_child(svc_sup, worker)`, `{ok, _} = supervisor:restart_child(svc_sup, worker)`,
			"child-differs svc/worker, name-missing svc_worker, processes-differ svc_worker:init/1, table-missing svc_worker",
		},
		{
			`{ok, _} = supervisor:start_child(svc_sup, #{id => more, start => {svc_worker, start_link, [svc_more]}})`,
			`supervisor:terminate_child(svc_sup, more), supervisor:delete_child(svc_sup, more)`,
			"child-extra svc/more, name-extra svc_more, processes-differ svc_worker:init/1, table-extra svc_more",
		},
		{`true = code:add_patha("/tmp")`, `true = code:del_path("/tmp")`, "path-differs /tmp"},
		{
			`{ok, M, B} = compile:forms([{attribute, 1, module, svc_sessions}]), {module, M} = code:load_binary(M, code:which(M), B)`,
			`code:purge(svc_sessions), {module, _} = code:load_file(svc_sessions), code:purge(svc_sessions)`, "module-differs svc_sessions",
		},
		{`ok = sys:suspend(svc_sup)`, `ok = sys:resume(svc_sup)`, "unanswered svc"},
	} {
		n.do(change.do)
		got := n.picture()
		n.do(change.undo)
		var said []string
		for _, d := range Compare(want, got) {
			said = append(said, d.Kind+" "+d.Subject)
		}
		if diff := cmp.Diff(change.want, strings.Join(said, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", change.do, diff)
		}
	}
}

func TestAPictureHasNoSecrets(t *testing.T) {
	t.Parallel()
	n := boot(t, application(t), "-svc", "token", `"sesame"`)
	s := n.picture()
	if s.Applications["svc"].Environment["token"] == "" {
		t.Errorf("there is no token: %v", s.Applications["svc"])
	}
	for _, secret := range []string{"hunter2", "sesame"} {
		if strings.Contains(s.text(t), secret) {
			t.Errorf("the picture has %s", secret)
		}
	}
}
