package drift

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"theseus/agent/api"
	"theseus/integration/emulator"
)

// node is an emulator with the application svc, as the agent would reach it.
type node struct {
	t    *testing.T
	conn *emulator.Node
}

// boot starts it with the modules in dir.
func boot(t *testing.T, dir string, flags ...string) *node {
	t.Helper()
	ours := []string{"-boot", "start_sasl", "-pa", dir, "-eval", `{ok, _} = application:ensure_all_started(svc).`}
	return &node{t, emulator.Boot(t, append(ours, flags...)...)}
}

// Eval is as the agent has it.
func (n *node) Eval(ctx context.Context, req api.EvalRequest, out io.Writer) error {
	fmt.Fprint(out, `{"result":`)
	err := n.conn.Evaluate(ctx, req.Source, out)
	fmt.Fprint(out, "}")
	return err
}

func (n *node) do(expressions string) {
	n.t.Helper()
	if err := n.Eval(n.t.Context(), api.EvalRequest{Source: expressions}, io.Discard); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) picture() Snapshot {
	n.t.Helper()
	s, err := Take(n.t.Context(), n)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

func (s Snapshot) text(t *testing.T) string {
	t.Helper()
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// application compiles svc, which has a supervisor with a worker, a table and sessions that come and go.
func application(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sources := []string{"-o", dir}
	for name, text := range map[string]string{"svc": starter, "svc_sup": top, "svc_worker": worker, "svc_sessions": sessions} {
		sources = append(sources, write(t, filepath.Join(dir, name+".erl"), "-module("+name+").\n"+text+"\n"))
	}
	if said, err := exec.Command("erlc", sources...).CombinedOutput(); err != nil {
		t.Fatalf("the application does not compile: %v\n%s", err, said)
	}
	write(t, filepath.Join(dir, "svc.app"), `{application,svc,[{vsn,"1.0.0"},{modules,[svc,svc_sup,svc_worker,svc_sessions]},{registered,[]},{applications,[kernel,stdlib]},{mod,{svc,[]}},
		{env,[{greeting,"hello"},{db,[{host,"db"},{password,"hunter2"}]}]}]}.`)
	return dir
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	starter = `-behaviour(application). -export([start/2, stop/1]).
		start(_, _) -> svc_sup:start_link().
		stop(_) -> ok.`
	top = `-behaviour(supervisor). -export([start_link/0, init/1]).
		start_link() -> supervisor:start_link({local, svc_sup}, ?MODULE, []).
		init([]) -> {ok, {#{}, [
			#{id => worker, start => {svc_worker, start_link, [svc_worker]}},
			#{id => {self(), odd}, start => {svc_worker, start_link, [svc_odd]}, restart => transient},
			#{id => sessions, start => {svc_sessions, start_link, []}, type => supervisor}]}}.`
	worker = `-behaviour(gen_server). -export([start_link/1, session/0, init/1, handle_call/3, handle_cast/2]).
		start_link(Name) -> gen_server:start_link({local, Name}, ?MODULE, Name, []).
		session() -> gen_server:start_link(?MODULE, session, []).
		init(Name) -> ets:new(Name, [named_table || Name =/= session]), {ok, Name}.
		handle_call(_, _, S) -> {reply, S, S}. handle_cast(_, S) -> {noreply, S}.`
	sessions = `-behaviour(supervisor). -export([start_link/0, init/1]).
		start_link() -> supervisor:start_link({local, svc_sessions}, ?MODULE, []).
		init([]) -> {ok, {#{strategy => simple_one_for_one}, [#{id => session, start => {svc_worker, session, []}}]}}.`
)
