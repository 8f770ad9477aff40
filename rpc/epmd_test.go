package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"theseus/rpc"
	"theseus/rpc/term"
)

func TestANodeIsFoundThroughEpmdAndEpmdKnowsNothingOfUs(t *testing.T) {
	e := start(t, boot{program: "erl", name: "-name", host: "127.0.0.1", dir: t.TempDir(), epmd: true})
	n := e.connect(t)
	names, err := eval(t, n, "{ok, Names} = erl_epmd:names(), Names")
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := names.(term.List); len(list) != 1 {
		t.Errorf("epmd knows %s", term.Format(names))
	}
}

func TestANodeThatEpmdDoesNotKnowIsNotUp(t *testing.T) {
	e := start(t, boot{program: "erl", name: "-sname", host: "localhost", dir: t.TempDir(), epmd: true})
	e.connect(t)
	target := e.Target
	target.Node = "other@localhost"
	if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrRefused) || !strings.Contains(err.Error(), "does not know other") {
		t.Errorf("got %v", err)
	}
	e.kill()
	waitFor(t, "epmd to forget the node", func() bool {
		_, err := e.Resolve(t.Context())
		return errors.Is(err, rpc.ErrRefused)
	})
}

func TestAnEpmdThatIsNoneIsAnError(t *testing.T) {
	for about, c := range map[string]struct{ says, want string }{
		"nobody":     {"", "gave no answer"},
		"another":    {"HTTP/1.1 400", "is no epmd"},
		"cut short":  {"\x77\x00", "gave no answer"},
		"without it": {"\x77\x01", "does not know x"},
	} {
		peer := listen(t, func(conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, 4) // the question
			_, _ = conn.Write([]byte(c.says))
			_ = conn.Close()
		})
		target := rpc.Target{Node: "x@127.0.0.1", Addr: "127.0.0.1:0", Epmd: peer.Addr}
		if _, err := target.Resolve(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", about, err)
		}
	}
}

func TestASilentEpmdIsNotWaitedForLongerThanItsContext(t *testing.T) {
	silent := listen(t, func(net.Conn) {})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	target := rpc.Target{Node: "x@127.0.0.1", Addr: "127.0.0.1:0", Epmd: silent.Addr}
	if _, err := target.Resolve(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
