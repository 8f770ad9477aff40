package rpc_test

import (
	"errors"
	"net"
	"sync"
	"testing"

	"theseus/rpc"
)

// listen accepts connections and hands each to peer, until the test ends.
func listen(t testing.TB, peer func(net.Conn)) rpc.Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var peers sync.WaitGroup
	done := make(chan struct{})
	peers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			peers.Go(func() {
				peer(c)
				<-done
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		close(done)
		peers.Wait()
	})
	return rpc.Target{Node: "x@127.0.0.1", Addr: l.Addr().String(), Cookie: cookie}
}

func TestAHostilePeerIsAnError(t *testing.T) {
	for name, says := range map[string]string{
		"not Erlang":             "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an empty message":       "\x00\x00",
		"a message of one byte":  "\x00\x01s",
		"refused":                "\x00\x0csnot_allowed",
		"alive":                  "\x00\x06salive",
		"an old node":            "\x00\x03sok\x00\x0an\x00\x05\x00\x00\x00\x00abc",
		"a short challenge":      "\x00\x03sok\x00\x03N\x00\x00",
		"a name that runs over":  "\x00\x03sok\x00\x13N\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff",
		"no name":                "\x00\x03sok\x00\x13N\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"a message without end":  "\xff\xff" + string(make([]byte, 70_000)),
		"a wrong acknowledgment": "\x00\x03sok\x00\x1eN\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0bx@127.0.0.1\x00\x03xbc",
	} {
		target := listen(t, func(c net.Conn) { _, _ = c.Write([]byte(says)) })
		if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrHandshake) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPeerThatDoesNotKnowTheCookieIsFoundOut(t *testing.T) {
	challenge := "\x00\x03sok\x00\x1eN\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0bx@127.0.0.1"
	target := listen(t, func(c net.Conn) {
		_, _ = c.Write([]byte(challenge + "\x00\x11a0123456789abcdef"))
	})
	if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrCookie) {
		t.Errorf("got %v", err)
	}
}
