package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/rpc"
	"theseus/rpc/term"
)

// eval runs Erlang expressions in the node, so that it makes terms Go cannot.
func eval(t testing.TB, n *rpc.Node, expr string) (term.Term, error) {
	t.Helper()
	tokens := call(t, n, "erl_scan", "string", term.String(expr+"."))
	exprs := call(t, n, "erl_parse", "parse_exprs", tokens.(term.Tuple)[1])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := n.Call(ctx, "erl_eval", "exprs", exprs.(term.Tuple)[1], term.List{})
	if err != nil {
		return nil, err
	}
	return answer.(term.Tuple)[1], nil
}

func call(t testing.TB, n *rpc.Node, module, function string, args ...term.Term) term.Term {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := n.Call(ctx, module, function, args...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func bigInt(s string) *big.Int {
	i, _ := new(big.Int).SetString(s, 10)
	return i
}

var bigInts = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

func TestTermsGoToTheNodeAndComeBackUnchanged(t *testing.T) {
	n := startErlang(t).connect(t)
	for _, want := range []term.Term{
		term.Atom("ok"), term.Atom(""), term.Atom("ünï"), term.Atom(strings.Repeat("ы", 255)),
		int64(0), int64(255), int64(256), int64(-1), int64(1<<31 - 1), int64(-1 << 31), int64(1<<62 + 3), int64(-1 << 63),
		bigInt("9223372036854775808"), bigInt("-170141183460469231731687303715884105728"),
		new(big.Int).Lsh(big.NewInt(1), 3000), 3.25, -0.5e-300,
		term.String("hello"), term.String("żółw 🐢"),
		term.List{},
		term.List{int64(1), int64(2)},
		term.List{int64(70000), int64(0)},
		term.Binary{},
		term.Binary{0, 255, 131},
		term.Tuple{},
		make255(),
		term.Improper{Elems: term.List{term.Atom("a")}, Tail: term.Atom("b")},
		term.Map{},
		term.Map{{Key: term.Tuple{term.Atom("a"), int64(1)}, Value: term.List{term.Map{{Key: term.List{int64(1)}, Value: 1.5}}}}},
	} {
		got := call(t, n, "erlang", "hd", term.List{want})
		if d := cmp.Diff(want, got, bigInts); d != "" {
			t.Errorf("%T: %s", want, d)
		}
	}
}

func make255() term.Term {
	tuple := make(term.Tuple, 300)
	for i := range tuple {
		tuple[i] = int64(i)
	}
	return tuple
}

func TestTermsWithoutAGoValueCanBeSentBack(t *testing.T) {
	n := startErlang(t).connect(t)
	for expr, text := range map[string]string{
		"self()":                     "<0.",
		"make_ref()":                 "#Ref<0.",
		"alias()":                    "#Ref<0.",
		"hd(erlang:ports())":         "#Port<0.",
		"fun lists:map/2":            "fun lists:map/2",
		"X = 5, fun(Y) -> X + Y end": "#Fun<erl_eval.",
		"<<1, 5:3>>":                 "<<1,5:3>>",
		"<<1:1>>":                    "<<1:1>>",
		"list_to_pid(\"<0.100.1>\")": "<0.100.1>",
	} {
		got, err := eval(t, n, expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if opaque, ok := got.(term.Opaque); !ok || !strings.HasPrefix(opaque.Text, text) {
			t.Errorf("%s is %#v, want %s", expr, got, text)
		}
		if same := call(t, n, "erlang", "=:=", got, call(t, n, "erlang", "hd", term.List{got})); same != term.Atom("true") {
			t.Errorf("%s came back as another term", expr)
		}
	}
}

func TestAMapKeepsEntriesWhoseKeysAreTuplesListsAndMaps(t *testing.T) {
	n := startErlang(t).connect(t)
	got, err := eval(t, n, "#{{a, 1} => x, [{b}] => y, #{c => 2} => z}")
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := got.(term.Map); !ok || len(m) != 3 {
		t.Errorf("got %s", term.Format(got))
	}
}

func TestAnAnswerNestedTooDeepIsAnErrorOfThatCallAlone(t *testing.T) {
	n := startErlang(t).connect(t)
	if got, err := eval(t, n, "lists:foldl(fun(_, A) -> [A] end, [], lists:seq(1, 100000))"); err == nil {
		t.Errorf("got %T", got)
	}
	call(t, n, "erlang", "node")
}

func TestAFailedCallSaysHow(t *testing.T) {
	n := startErlang(t).connect(t)
	for _, c := range []struct {
		module, function string
		args             []term.Term
		want             string
	}{
		{"erlang", "error", []term.Term{term.Atom("oops")}, "{'EXIT',{oops,["},
		{"erlang", "exit", []term.Term{term.Atom("oops")}, "{'EXIT',oops}"},
		{"nothere", "f", nil, "{'EXIT',{undef,[{nothere,f,[],[]}"},
	} {
		_, err := n.Call(t.Context(), c.module, c.function, c.args...)
		var failed *rpc.BadRPCError
		if !errors.As(err, &failed) || !strings.HasPrefix(term.Format(failed.Reason), c.want) {
			t.Errorf("%s:%s failed with %v, want %s", c.module, c.function, err, c.want)
		}
	}
	if got := call(t, n, "erlang", "throw", term.Atom("caught")); got != term.Term(term.Atom("caught")) {
		t.Errorf("a throw returned %v", got)
	}
}

func TestWhatACallPrintsStaysInTheNode(t *testing.T) {
	e := startErlang(t)
	n := e.connect(t)
	call(t, n, "io", "format", term.String("printed ~p~n"), term.List{term.Atom("here")})
	waitFor(t, "the node to print", func() bool { return strings.Contains(e.output(), "printed here") })
}

func TestACallReturnsThreeMegabytes(t *testing.T) {
	n := startErlang(t).connect(t)
	got := call(t, n, "binary", "copy", term.Binary("0123456789abcdef"), int64(3<<20/16))
	if b, ok := got.(term.Binary); !ok || len(b) != 3<<20 {
		t.Errorf("got %T", got)
	}
	list := call(t, n, "lists", "seq", int64(1), int64(400_000))
	if l, ok := list.(term.List); !ok || len(l) != 400_000 || l[399_999] != term.Term(int64(400_000)) {
		t.Errorf("got %T", list)
	}
}

func TestAnAnswerThatIsTooLargeIsAnErrorOfThatCallAlone(t *testing.T) {
	n := startErlang(t).connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	meanwhile := make(chan error)
	go func() {
		_, err := n.Call(ctx, "timer", "sleep", term.Atom("infinity"))
		meanwhile <- err
	}()
	waitFor(t, "the other call to run", func() bool { return sleeping(t, n) })
	if _, err := n.Call(ctx, "binary", "copy", term.Binary("x"), int64(40<<20)); !errors.Is(err, rpc.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	select {
	case err := <-meanwhile:
		t.Fatalf("the other call ended with it: %v", err)
	default:
	}
	wake(t, n)
	if err := <-meanwhile; err == nil || errors.Is(err, rpc.ErrUnknownOutcome) {
		t.Errorf("the other call: %v", err)
	}
}

func TestAnAnswerOfTooManyTermsIsAnErrorOfThatCallAlone(t *testing.T) {
	n := startErlang(t).connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	before := liveHeap()
	if _, err := n.Call(ctx, "lists", "duplicate", int64(15<<20), term.List{}); !errors.Is(err, rpc.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if after := liveHeap(); after > before+8<<20 {
		t.Errorf("it left %d bytes", after-before)
	}
	call(t, n, "erlang", "node")
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestALateAnswerIsAnUnknownOutcome(t *testing.T) {
	n := startErlang(t).connect(t)
	ctx, end := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, err := n.Call(ctx, "timer", "sleep", term.Atom("infinity"))
		failed <- err
	}()
	waitFor(t, "the call to run", func() bool { return sleeping(t, n) })
	end(context.DeadlineExceeded)
	err := <-failed
	if !errors.Is(err, rpc.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got, want := fmt.Sprint(err), "cannot call timer:sleep: the outcome is unknown: no answer in time"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	wake(t, n)
	waitFor(t, "the call to end", func() bool { return !sleeping(t, n) })
	call(t, n, "erlang", "node") // the late answer comes before this one's, or about then, and is nobody's
}

func TestACallThatCannotBeSentIsNotSent(t *testing.T) {
	n := startErlang(t).connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx context.Context
		arg term.Term
	}{
		"a context that has ended":     {ctx, term.Atom("a")},
		"a map with a key twice":       {t.Context(), term.Map{{Key: int64(1)}, {Key: int64(1)}}},
		"a Go value":                   {t.Context(), struct{}{}},
		"nil":                          {t.Context(), nil},
		"a pid from elsewhere":         {t.Context(), term.Opaque{Text: "<0.1.0>"}},
		"an atom of 256 characters":    {t.Context(), term.Atom(strings.Repeat("a", 256))},
		"a pid inside a list of lists": {t.Context(), term.List{term.List{term.Opaque{}}}},
	} {
		if _, err := n.Call(c.ctx, "erlang", "node", c.arg); !errors.Is(err, rpc.ErrNotSent) || errors.Is(err, rpc.ErrNoTerm) != (c.ctx == t.Context()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	call(t, n, "erlang", "node")
}

func TestAThousandCallsAtOnceEachGetTheirAnswer(t *testing.T) {
	n := startErlang(t).connect(t)
	var calls sync.WaitGroup
	for i := range int64(1000) {
		calls.Go(func() {
			got, err := n.Call(t.Context(), "erlang", "abs", -i)
			if err != nil || got != term.Term(i) {
				t.Errorf("call %d: %v, %v", i, got, err)
			}
		})
	}
	calls.Wait()
}

func BenchmarkCall(b *testing.B) {
	n := startErlang(b).connect(b)
	for b.Loop() {
		if _, err := n.Call(b.Context(), "erlang", "node"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleBadRPCError() {
	err := &rpc.BadRPCError{Module: "m", Function: "f", Reason: term.Tuple{term.Atom("EXIT"), term.Atom("oops")}}
	fmt.Println(err)
	// Output: cannot call m:f: {'EXIT',oops}
}
