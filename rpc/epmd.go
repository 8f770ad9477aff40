package rpc

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// epmdTime is for one question, which epmd answers from memory, but not on a machine that stands still.
const epmdTime = 5 * time.Second

// PORT_PLEASE2_REQ and PORT2_RESP (erts "Distribution Protocol"; kernel: erl_epmd:get_port/3).
const (
	portPlease   = 122
	portResponse = 119
)

// Resolve is where the node listens for distribution. Where that is not fixed, the epmd of its machine is asked, which
// is told nothing of us. The error wraps ErrRefused as long as the node is not registered there.
func (t Target) Resolve(ctx context.Context) (*net.TCPAddr, error) {
	addr, err := net.ResolveTCPAddr("tcp", t.Addr)
	if err != nil || t.Epmd == "" {
		return addr, err
	}
	name, _, _ := strings.Cut(t.Node, "@")
	addr.Port, err = askEpmd(ctx, t.Epmd, name)
	return addr, err
}

func askEpmd(ctx context.Context, epmd, name string) (port int, err error) {
	ctx, cancel := context.WithTimeout(ctx, epmdTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", epmd)
	if err != nil {
		return 0, fmt.Errorf("%w: no epmd answers: %w", ErrRefused, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	request := binary.BigEndian.AppendUint16(nil, uint16(1+len(name)))
	if _, err := conn.Write(append(append(request, portPlease), name...)); err != nil {
		return 0, fmt.Errorf("cannot ask epmd at %s: %w", epmd, endedBy(ctx, err))
	}
	var answer [4]byte // its tag, an error, and where there is none the port
	n, err := io.ReadFull(conn, answer[:])
	switch {
	case n >= 2 && answer[0] == portResponse && answer[1] != 0:
		return 0, fmt.Errorf("%w: epmd at %s does not know %s", ErrRefused, epmd, name)
	case err != nil:
		return 0, fmt.Errorf("epmd at %s gave no answer: %w", epmd, endedBy(ctx, err))
	case answer[0] != portResponse:
		return 0, fmt.Errorf("what answers at %s is no epmd", epmd)
	}
	return int(binary.BigEndian.Uint16(answer[2:])), nil
}
