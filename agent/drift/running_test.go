package drift

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/rpc"
	"theseus/volume"
)

// release is OTP's own of this machine, as it is beside the application svc.
func (n *node) release() volume.Release {
	n.t.Helper()
	r := volume.Release{Name: "otp", Version: n.text(`erlang:system_info(otp_release)`)}
	for _, app := range []string{"kernel", "stdlib", "sasl", "compiler", "crypto"} {
		lib := volume.Lib{App: app, Version: n.text(`application:load(` + app + `), element(2, application:get_key(` + app + `, vsn))`)}
		if n.text(`lists:keymember(`+app+`, 1, application:which_applications())`) == "false" {
			lib.Type = "load"
		}
		r.Libs = append(r.Libs, lib)
	}
	return r
}

// text is what expressions evaluate to, a string.
func (n *node) text(expressions string) string {
	n.t.Helper()
	var out strings.Builder
	if err := n.conn.Evaluate(n.t.Context(), expressions+".", &out); err != nil {
		n.t.Fatal(err)
	}
	return strings.Trim(out.String(), `"`)
}

// drifts are the kinds and the subjects of what is found, in some order.
func (n *node) drifts(r volume.Release) (lines []string) {
	n.t.Helper()
	found, err := Check(n.t.Context(), n.conn, r)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, d := range found.Differences {
		lines = append(lines, d.Kind+" "+d.Subject)
	}
	return lines
}

const beside = "application-extra svc" // is true of each of them

func TestANodeIsComparedWithItsRelease(t *testing.T) {
	t.Parallel()
	n := boot(t, application(t), "-kernel", "net_ticktime", "61")
	r := n.release()
	usual := n.drifts(r)
	for _, kind := range usual {
		if kind != beside && !strings.HasPrefix(kind, ModuleElsewhere+" svc") {
			t.Errorf("a node that was booted has %s", kind)
		}
	}
	for _, change := range []struct{ do, undo, want string }{
		{`application:set_env(kernel, odd, 1)`, `application:unset_env(kernel, odd)`, "environment-extra kernel:odd"},
		{`application:set_env(kernel, net_ticktime, 60)`, `application:set_env(kernel, net_ticktime, 61)`, "environment-differs kernel:net_ticktime"},
		{`application:unset_env(kernel, net_tickintensity)`, `application:set_env(kernel, net_tickintensity, 4)`, "environment-differs kernel:net_tickintensity"},
		{
			`code:unstick_mod(queue), {ok, _, B} = compile:forms([{attribute, 1, module, queue}]), {module, _} = code:load_binary(queue, "/tmp/queue.beam", B)`,
			`code:purge(queue), {module, _} = code:load_file(queue), code:purge(queue)`, "module-differs queue",
		},
		{`true = code:del_path(sasl)`, `true = code:add_pathz(code:root_dir() ++ "/lib/sasl-` + r.Libs[2].Version + `/ebin")`, "path-differs sasl"},
		{`ok = application:stop(sasl)`, `ok = application:start(sasl)`, "application-missing sasl"},
	} {
		n.do(change.do)
		got := n.drifts(r)
		n.do(change.undo)
		if diff := cmp.Diff(change.want, strings.Join(without(got, usual), ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", change.do, diff)
		}
	}
	if got := without(n.drifts(r), usual); len(got) > 0 {
		t.Errorf("in the end it has %v", got)
	}
}

func without(lines, usual []string) (others []string) {
	known := set(usual)
	for _, line := range lines {
		if !known[line] {
			others = append(others, line)
		}
	}
	return others
}

func TestManyDifferencesOfOneKindHideNoOther(t *testing.T) {
	t.Parallel()
	n := boot(t, application(t))
	n.do(`[application:set_env(kernel, list_to_atom("a_" ++ integer_to_list(I)), I) || I <- lists:seq(1, 600)], application:unset_env(kernel, net_tickintensity)`)
	found, err := Check(t.Context(), n.conn, n.release())
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{}
	for _, d := range found.Differences {
		told[d.Kind]++
	}
	if told[EnvironmentExtra] != 500 || told[Environment] != 1 {
		t.Errorf("told are %v", told)
	}
	if found.More[EnvironmentExtra] < 100 || len(found.More) != 1 || found.Beyond(IsDrift) != 0 { // OTP's own are among them
		t.Errorf("more are %v", found.More)
	}
}

func TestProcessesInOldCodeAreNamed(t *testing.T) {
	t.Parallel()
	dir := application(t)
	n := boot(t, dir)
	n.do(`{ok, M, B} = compile:forms([{attribute, 1, module, odd}, {attribute, 1, export, [{wait, 0}]},
			{function, 1, wait, 0, [{clause, 1, [], [], [{'receive', 1, [{clause, 1, [{atom, 1, go}], [], [{call, 1, {atom, 1, wait}, []}]}]}]}]}]),
		Load = fun() -> {module, M} = code:load_binary(M, "nofile", B) end,
		Load(), [spawn(M, wait, []) || _ <- lists:seq(1, 3)], register(odd_one, spawn(M, wait, [])),
		(fun Until(4) -> ok; Until(_) -> Until(length([P || P <- processes(), process_info(P, current_function) =:= {current_function, {M, wait, 0}}])) end)(0), Load()`)
	found, err := Code(t.Context(), n.conn, n.release(), Scope{Applications: []string{}, Processes: true})
	if err != nil {
		t.Fatal(err)
	}
	lingering := map[string]string{}
	for _, d := range found.Differences {
		if d.Kind == OldCode {
			lingering[d.Subject] = d.Got
		}
	}
	want := map[string]string{"odd:wait/0": "3 processes run old code of odd", "odd_one": "1 process runs old code of odd"}
	if diff := cmp.Diff(want, lingering); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestApplicationsAreComparedWithTheRelease(t *testing.T) {
	release := volume.Release{Libs: []volume.Lib{
		{App: "kernel", Version: "9.0"}, {App: "demo", Version: "1.1.0"}, {App: "tools", Version: "2.0", Type: "load"}, {App: "gone", Version: "1"},
	}}
	running := []rpc.App{{Name: "kernel", Version: "9.0"}, {Name: "demo", Version: "1.0.0"}, {Name: "more", Version: "3"}}
	want := []Difference{
		{Kind: ApplicationVersion, Application: "demo", Subject: "demo", Want: "1.1.0", Got: "1.0.0"},
		{Kind: ApplicationMissing, Application: "gone", Subject: "gone", Want: "1"},
		{Kind: ApplicationExtra, Application: "more", Subject: "more", Got: "3"},
	}
	got := Applications(running, release)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := Mismatch(got); err == nil || err.Error() != "application demo runs in version 1.0.0, not 1.1.0" {
		t.Error(err)
	}
	if err := Mismatch(got[2:]); err != nil {
		t.Errorf("one that is there without need is a mismatch: %v", err)
	}
}
