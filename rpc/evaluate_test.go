package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"theseus/rpc"
	"theseus/rpc/term"
)

// evaluate is what a job prints, and the text of its value.
func evaluate(t testing.TB, n *rpc.Node, job rpc.Job, style rpc.Style) (printed, value string, err error) {
	t.Helper()
	var output, text bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := n.Do(ctx, job, func(part []byte) error { output.Write(part); return nil })
	if err != nil {
		return output.String(), "", err
	}
	defer v.Close(t.Context())
	if err := v.Write(t.Context(), &text, style); err != nil {
		t.Fatal(err)
	}
	return output.String(), text.String(), nil
}

func TestExpressionsAreEvaluatedOneAfterAnother(t *testing.T) {
	n := startErlang(t).connect(t)
	for source, want := range map[string]string{
		"1 + 1.":                              "2",
		"A = 20. B = A + 1.\n\n{A, B}":        "{20,21}",
		"% a comment\nlists:seq(1, 3) . % …":  "[1,2,3]",
		`F = fun(X) -> X * 2 end, F(21)`:      "42",
		`"żółw"`:                              `"żółw"`,
		`<<"żółw"/utf8>>`:                     `<<"żółw"/utf8>>`,
		`io:get_line("anybody? ")`:            "eof",
		`try throw(a) catch throw:B -> B end`: "a",
	} {
		if _, value, err := evaluate(t, n, rpc.ErlangJob(source), rpc.Line); err != nil || value != want {
			t.Errorf("%s: got %s, %v", source, value, err)
		}
	}
}

func TestWhatIsPrintedComesAsItIsPrinted(t *testing.T) {
	n := startErlang(t).connect(t)
	source := `register(printer, self()), io:format("before ~ts~n", ["ż"]), receive go -> ok end, io:put_chars(<<"after\n">>), io:fwrite(standard_io, "~w", [x]), done.`
	var all []string
	v, err := n.Do(t.Context(), rpc.ErlangJob(source), func(part []byte) error {
		if all = append(all, string(part)); len(all) == 1 { // it prints no more until we have this
			call(t, n, "erlang", "send", term.Atom("printer"), term.Atom("go"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v.Close(t.Context())
	if got := strings.Join(all, "|"); got != "before ż\n|after\n|x" {
		t.Errorf("got %q", got)
	}
}

func TestWhatCannotBeEvaluatedIsOneLineWithItsNumber(t *testing.T) {
	n := startErlang(t).connect(t)
	for source, want := range map[string]string{
		"A = 1.\nB = foo(.":     "line 2: syntax error before: '.'",
		"A = 1,\n":              "line 2: syntax error before: '.'",
		"ok.\nA.":               "line 2: variable 'A' is unbound",
		"ok.\n\n\"never ends":   "line 3: unterminated string",
		"ok. '\x01":             "line 1: unterminated atom",
		"":                      "line 1: there is no expression",
		"begin\n1, 2\nend end.": "line 3: syntax error before: 'end'",
	} {
		printed, _, err := evaluate(t, n, rpc.ErlangJob(source+""), rpc.Line)
		var syntax *rpc.SyntaxError
		if !errors.As(err, &syntax) || !strings.HasPrefix(syntax.Text, want) || strings.Contains(syntax.Text, "\n") || printed != "" {
			t.Errorf("%q: %q, %v", source, printed, err)
		}
	}
}

func TestAnExceptionHasItsClassReasonAndStack(t *testing.T) {
	n := startErlang(t).connect(t)
	for source, want := range map[string][]string{
		"1 = 2.":                                {"exception error: no match of right hand side value 2"},
		"case 2 of 1 -> X = 2; 2 -> ok end. X.": {"exception error: variable 'X' is unbound"},
		"lists:sum([a]).":                       {"exception error: an error occurred when evaluating an arithmetic expression", "in call from lists:sum/2 (lists.erl"},
		"throw({a, b}).":                        {"exception throw: {a,b}"},
		"exit(enough).":                         {"exception exit: enough"},
		"error(lists:duplicate(1000000, $a)).":  {"exception error: "},
		"nobody:knows().":                       {"undefined function nobody:knows/0"},
		"exit(self(), kill), receive after infinity -> ok end.": {"the process that evaluated it ended: killed"},
	} {
		_, _, err := evaluate(t, n, rpc.ErlangJob(source), rpc.Line)
		var exception *rpc.ExceptionError
		if !errors.As(err, &exception) || len(exception.Text) > 20_000 {
			t.Errorf("%s: %.300v", source, err)
			continue
		}
		for _, part := range want {
			if !strings.Contains(exception.Text, part) || strings.Contains(exception.Text, "erl_eval") {
				t.Errorf("%s: %s", source, exception.Text)
			}
		}
	}
}

// hundred is a result of 100 MB.
const hundred = 100 << 20

// count counts what is written, and the most memory that was in use meanwhile.
type count struct {
	t     *testing.T
	bytes int64
	most  uint64
	looks int
}

func (c *count) Write(text []byte) (int, error) {
	c.bytes += int64(len(text))
	if c.looks++; c.looks%256 == 0 {
		c.most = max(c.most, liveHeap())
	}
	return len(text), nil
}

func TestAResultOfAnySizeIsWrittenInABoundedAmountOfMemory(t *testing.T) {
	n := startErlang(t).connect(t)
	for about, c := range map[string]struct {
		job   rpc.Job
		least int64
	}{
		"a text":      {rpc.CallJob("binary", "copy", term.Binary("x"), int64(hundred)), hundred + 6},
		"no text":     {rpc.CallJob("binary", "copy", term.Binary{0}, int64(hundred/4)), hundred/2 + 3},
		"a string":    {rpc.CallJob("lists", "duplicate", int64(hundred/10), int64('x')), hundred/10 + 2},
		"small terms": {rpc.CallJob("lists", "duplicate", int64(hundred/20), term.Tuple{term.Atom("a"), term.List{}}), hundred / 4},
	} {
		before := liveHeap()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		v, err := n.Do(ctx, c.job, nil)
		cancel()
		if err != nil {
			t.Errorf("%s: %v", about, err)
			continue
		}
		out := &count{t: t}
		if err := v.Write(t.Context(), out, rpc.Pretty); err != nil || out.bytes < c.least {
			t.Errorf("%s: %d bytes, %v", about, out.bytes, err)
		}
		if v.Close(t.Context()); out.most > before+8<<20 {
			t.Errorf("%s: %d bytes were in use, and %d before", about, out.most, before)
		}
	}
}

func TestACallIsWhatRpcCallMakesOfIt(t *testing.T) {
	n := startErlang(t).connect(t)
	for text, job := range map[string]rpc.Job{
		"[1,2,3]": rpc.CallJob("lists", "seq", int64(1), int64(3)),
		"thrown":  rpc.CallJob("erlang", "throw", term.Atom("thrown")),
	} {
		if _, got, err := evaluate(t, n, job, rpc.Line); err != nil || got != text {
			t.Errorf("got %s, %v", got, err)
		}
	}
	for want, job := range map[string]rpc.Job{
		"cannot call erlang:error: {'EXIT',{oops,[": rpc.CallJob("erlang", "error", term.Atom("oops")),
		"cannot call erlang:exit: {'EXIT',oops}":    rpc.CallJob("erlang", "exit", term.Atom("oops")),
		"cannot call nobody:knows: {'EXIT',{undef,": rpc.CallJob("nobody", "knows"),
	} {
		var bad *rpc.BadRPCError
		if _, _, err := evaluate(t, n, job, rpc.Line); !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
	_, _, err := evaluate(t, n, rpc.CallJob("erlang", "error", term.String(strings.Repeat("secret", 10_000))), rpc.Line)
	if err == nil || len(err.Error()) > 8<<10 {
		t.Errorf("the reason has %d bytes", len(err.Error()))
	}
}

// receiving are the processes that wait for a message in what is evaluated: what starts sessions, and each session.
const receiving = "[P || P <- processes(), process_info(P, current_function) =:= {current_function, {prim_eval, 'receive', 2}}]"

// waitForSessions waits until there are so many, beside what starts them.
func waitForSessions(t *testing.T, n *rpc.Node, count int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d sessions", count), func() bool {
		found, err := eval(t, n, "length("+receiving+")")
		if err != nil {
			t.Fatal(err)
		}
		return found == term.Term(int64(1+count))
	})
}

func TestAnEvaluationEndsWhenNobodyWaitsForItAndACallGoesOn(t *testing.T) {
	n := startErlang(t).connect(t)
	evaluate(t, n, rpc.ErlangJob("ok"), rpc.Line)
	waitForSessions(t, n, 0)
	for _, c := range []struct {
		job   rpc.Job
		stays bool
	}{
		{rpc.ErlangJob("process_flag(trap_exit, true), timer:sleep(600000)"), false},
		{rpc.ErlangJob(`F = fun F() -> io:format("again~n"), F() end, F()`), false},
		{rpc.CallJob("timer", "sleep", int64(600_000)), true},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := n.Do(ctx, c.job, func([]byte) error { return nil })
		cancel()
		if !errors.Is(err, rpc.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		waitForSessions(t, n, 0)
		waitFor(t, fmt.Sprintf("it to sleep: %v", c.stays), func() bool { return sleeping(t, n) == c.stays })
	}
	if _, err := n.Do(t.Context(), rpc.ErlangJob(`io:format("x"), timer:sleep(infinity)`), func([]byte) error { return io.ErrClosedPipe }); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	waitForSessions(t, n, 0)
}

func TestASessionEndsWithTheConnection(t *testing.T) {
	e := startErlang(t)
	n := e.connect(t)
	if v, err := n.Do(t.Context(), rpc.ErlangJob("lists:seq(1, 100000)"), nil); err != nil || v == nil {
		t.Fatal(err)
	}
	waitForSessions(t, n, 1) // it keeps what has not been read
	n.Close()
	waitForSessions(t, e.connect(t), -1) // what starts them has ended, too
}

func TestAnEvaluationMayEndWhatStartsThem(t *testing.T) {
	n := startErlang(t).connect(t)
	kill := "(fun Kill() -> case " + receiving + " of [_, _] = Both -> [exit(P, kill) || P <- Both]; _ -> Kill() end end)()"
	_, _, err := evaluate(t, n, rpc.ErlangJob(kill), rpc.Line)
	if !errors.Is(err, rpc.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	if _, value, err := evaluate(t, n, rpc.ErlangJob("1 + 1"), rpc.Line); value != "2" {
		t.Errorf("got %s, %v", value, err)
	}
}

// On a node that hangs, one who may wait for an hour must not make the others wait.
func TestADeadlineHoldsAlsoWhileAnotherStartsTheFirstSession(t *testing.T) {
	n := startErlang(t).connect(t)
	suspending, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, _ = n.Call(suspending, "sys", "suspend", term.Atom("rex")) // it may be rex that answers
	patient, give := context.WithTimeout(t.Context(), time.Hour)
	defer give()
	ended := make(chan error, 2)
	brief, over := context.WithTimeout(t.Context(), time.Second)
	defer over()
	for _, ctx := range []context.Context{patient, brief} {
		go func() {
			_, err := n.Do(ctx, rpc.ErlangJob("ok"), nil)
			ended <- err
		}()
	}
	for range 2 {
		select {
		case err := <-ended:
			if !errors.Is(err, rpc.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		case <-time.After(patience):
			t.Fatal("one still waits")
		}
	}
}

func TestWhatAnEvaluationLeavesRunningPrintsWhereTheNodeDoes(t *testing.T) {
	e := startErlang(t)
	n := e.connect(t)
	source := `register(late, spawn(fun() -> receive go -> io:format("the late ~s~n", ["one"]), receive after infinity -> ok end end end)), ok.`
	if _, _, err := evaluate(t, n, rpc.ErlangJob(source), rpc.Line); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "its session to leave it", func() bool {
		left, err := eval(t, n, "process_info(whereis(late), group_leader) =:= {group_leader, whereis(user)}")
		return err == nil && left == term.Term(term.Atom("true"))
	})
	call(t, n, "erlang", "send", term.Atom("late"), term.Atom("go"))
	waitFor(t, "its line in the node's output", func() bool { return strings.Contains(e.output(), "the late one") })
	if call(t, n, "erlang", "whereis", term.Atom("late")) == term.Term(term.Atom("undefined")) {
		t.Error("it has ended")
	}
}

// A call whose time is up at the moment of its writing must not take the connection from the others.
func TestADeadlineAtTheMomentOfWritingBreaksNothing(t *testing.T) {
	n := startErlang(t).connect(t)
	call(t, n, "erlang", "node")
	for i := range 2000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%200)*time.Microsecond)
		_, _ = n.Call(ctx, "erlang", "node")
		cancel()
	}
	if call(t, n, "erlang", "node"); !n.Connected() {
		t.Error("the connection was lost")
	}
}

func BenchmarkJob(b *testing.B) {
	n := startErlang(b).connect(b)
	for b.Loop() {
		if _, _, err := evaluate(b, n, rpc.CallJob("erlang", "node"), rpc.Pretty); err != nil {
			b.Fatal(err)
		}
	}
}
