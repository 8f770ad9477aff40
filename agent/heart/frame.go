package heart

import (
	"bufio"
	"encoding/binary"
	"io"
)

// The operations (erts: heart.c).
const (
	opAck            = 1
	opBeat           = 2
	opShutDown       = 3
	opSetCommand     = 4
	opClearCommand   = 5
	opGetCommand     = 6
	opCommand        = 7
	opPreparingCrash = 8
)

// maxText is the longest command that is kept (erts: MSG_BODY_SIZE in heart.c).
const maxText = 2048

// readFrame reads one message as {packet,2} has it: its length in two bytes, the high one first, then the operation and
// its text. What is longer than a command may be is cut. A message of nothing is operation 0, which there is not.
func readFrame(in *bufio.Reader) (op byte, text []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint16(head[:]))
	body := make([]byte, min(size, 1+maxText))
	if _, err := io.ReadFull(in, body); err != nil {
		return 0, nil, err
	}
	if _, err := in.Discard(size - len(body)); err != nil {
		return 0, nil, err
	}
	if len(body) == 0 {
		return 0, nil, nil
	}
	return body[0], body[1:], nil
}

// frame is a message to the node. The text is one that readFrame has cut.
func frame(op byte, text string) []byte {
	head := binary.BigEndian.AppendUint16(nil, uint16(1+len(text))) //nolint:gosec // of maxText at most
	return append(append(head, op), text...)
}
