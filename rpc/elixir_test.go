package rpc_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"theseus/integration/need"
	"theseus/rpc"
	"theseus/rpc/term"
)

// startElixir is a node that has Elixir, this machine's.
func startElixir(t *testing.T) *rpc.Node {
	t.Helper()
	if otp := os.Getenv("AGENT_TEST_OTP"); otp != "" && otp != "host" {
		t.Skip("the image of OTP " + otp + " has no Elixir; this machine has")
	}
	need.Tool(t, "elixir")
	lib, err := exec.Command("elixir", "-e", `IO.write(:code.lib_dir(:elixir))`).Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := start(t, boot{program: "erl", name: "-name", host: "127.0.0.1", dir: dir, flags: []string{
		"-pa", string(lib) + "/ebin", "-eval", "{ok, _} = application:ensure_all_started(elixir).",
	}})
	n := e.connect(t)
	waitFor(t, "Elixir to run", func() bool {
		got, err := eval(t, n, "lists:keymember(elixir, 1, application:which_applications())")
		return err == nil && got == term.Term(term.Atom("true"))
	})
	return n
}

func TestElixirIsEvaluatedAndShownAsItShowsItself(t *testing.T) {
	n := startElixir(t)
	for source, want := range map[string]string{
		"a = 20\nb = a + 1\n%{b: [b, [1, 2]]}": "%{b: [21, [1, 2]]}",
		`"żółw"`:                               `"żółw"`,
		"Enum.to_list(1..60) |> Enum.count()":  "60",
		`IO.gets("anybody? ")`:                 ":eof",
	} {
		if _, value, err := evaluate(t, n, rpc.ElixirJob(source, rpc.Pretty), rpc.Pretty); err != nil || value != want {
			t.Errorf("%s: got %s, %v", source, value, err)
		}
	}
	if printed, value, err := evaluate(t, n, rpc.ElixirJob(`IO.puts("hello"); %{"a" => nil, b: {:ok, 'x'}}`, rpc.JSON), rpc.JSON); err != nil || printed != "hello\n" || value != `{"b":["ok","x"],"a":null}` {
		t.Errorf("got %s, %s, %v", printed, value, err)
	}
	large, value, err := evaluate(t, n, rpc.ElixirJob(`String.duplicate("x", 5_000_000)`, rpc.Pretty), rpc.Pretty)
	if err != nil || len(value) != 5_000_006 {
		t.Errorf("got %d bytes, %s, %v", len(value), large, err)
	}
}

func TestWhatElixirCannotEvaluateIsOneLineWithItsNumber(t *testing.T) {
	n := startElixir(t)
	for source, want := range map[string]string{
		"a = 1\nfoo(":  "line 2: ",
		"1 +\n+ )":     "line 2: ",
		"\"never ends": "line 1: ",
	} {
		_, _, err := evaluate(t, n, rpc.ElixirJob(source, rpc.Pretty), rpc.Pretty)
		var syntax *rpc.SyntaxError
		if !errors.As(err, &syntax) || !strings.HasPrefix(syntax.Text, want) || strings.Contains(syntax.Text, "\n") {
			t.Errorf("%q: %v", source, err)
		}
	}
	for source, want := range map[string]string{
		`raise "oops"`:                 "** (RuntimeError) oops",
		`raise <<"ż", 255, "x", 197>>`: "** (RuntimeError) ż\uFFFDx\uFFFD",
		"throw(:away)":                 "** (throw) :away",
		"exit(:enough)":                "** (exit) :enough",
		":ok\n\nnobody_has":            "** (CompileError) line 3: undefined ",
		"Enum.fetch!([], 3)":           "** (Enum.OutOfBoundsError)",
		"%{a: 1}.b":                    "** (KeyError) key :b not found in:",
		"Nobody.knows(1)":              "** (UndefinedFunctionError)",
		"[_ | _] = Enum.to_list([])":   "** (MatchError)",
	} {
		_, _, err := evaluate(t, n, rpc.ElixirJob(source, rpc.Pretty), rpc.Pretty)
		var exception *rpc.ExceptionError
		if !errors.As(err, &exception) || !strings.HasPrefix(exception.Text, want) || strings.Contains(exception.Text, "erl_eval") && !strings.Contains(exception.Text, "(elixir") {
			t.Errorf("%q: %v", source, err)
		}
	}
}

// A module is compiled while the code around it runs, so nobody may say that nothing was evaluated.
func TestWhatElixirCannotCompileOnItsWayIsAnException(t *testing.T) {
	n := startElixir(t)
	printed, _, err := evaluate(t, n, rpc.ElixirJob("IO.puts(\"done\")\ndefmodule Q do\n  def f(x), do: nope(x)\nend", rpc.Pretty), rpc.Pretty)
	var exception *rpc.ExceptionError
	if !errors.As(err, &exception) || !strings.HasPrefix(exception.Text, "** (CompileError) line 3: undefined function nope/1") || printed != "done\n" {
		t.Errorf("got %q, %v", printed, err)
	}
}

func TestANodeWithoutElixirSaysSo(t *testing.T) {
	_, _, err := evaluate(t, startErlang(t).connect(t), rpc.ElixirJob(":ok", rpc.Pretty), rpc.Pretty)
	var syntax *rpc.SyntaxError
	if !errors.As(err, &syntax) || syntax.Text != "the release has no Elixir" {
		t.Errorf("got %v", err)
	}
}
