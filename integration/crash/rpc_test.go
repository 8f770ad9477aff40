package crash

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What becomes of the node, or the connection to it, while it is asked for something.
const (
	cutOff = "connection cut"
	killed = "node killed"
	hung   = "node hung"
)

// moments of a question to the node.
var questions = []shot{
	{how: cutOff},
	{how: cutOff, after: true},
	{how: cutOff, reply: true},
	{how: killed},
	{how: killed, after: true},
	{how: killed, reply: true},
	{how: hung},
	{how: hung, after: true},
}

// addQuestions has something become of each question that an operation asks, when it had told of these.
func (s *sweep) addQuestions(o *operation, told []string) {
	for n, step := range told {
		for _, q := range questions {
			q.operation, q.fault, q.n = o, rpcFault, n+1
			if q.how != hung || o.asks != nil && !hasMinutes(step) {
				s.offer(q)
			}
		}
	}
}

// hasMinutes says that a node that hangs is given minutes, because it changes its code: nobody waits for that here.
func hasMinutes(step string) bool { return step == "install.begun" }

// question looks at a call of the distribution's connection. Each write is a message.
func (f *flight) question(c *call) {
	fd := int(int32(c.args[0]))
	if c.number != unix.SYS_WRITE || !f.toNode(fd) {
		return
	}
	f.sent = append(f.sent, f.told)
	if f.fault != rpcFault || f.hit != nil || len(f.sent) != f.n {
		return
	}
	if f.how == hung && hasMinutes(f.told) {
		return // there were fewer questions before than there once were
	}
	f.hit = &change{op: "send", nth: f.n, step: f.told}
	f.socket, f.sender = fd, c
	if !f.after && !f.reply {
		f.interrupt()
	}
}

// answered is the other end of a call.
func (f *flight) answered(c *call) {
	switch {
	case f.sender == nil:
	case f.after && c == f.sender:
		f.interrupt()
	case f.reply && c.number == unix.SYS_READ && int(int32(c.args[0])) == f.socket && c.value > 0:
		f.interrupt()
		f.sender = nil
		lost := -int64(unix.ECONNRESET)
		c.answer = &lost
	}
}

func (f *flight) interrupt() {
	f.struck = true
	node := f.node()
	switch {
	case f.how == cutOff:
		_ = f.shutdown(f.socket)
	case node == 0:
	case f.how == killed:
		_ = unix.Kill(node, unix.SIGKILL)
	case f.how == hung:
		_ = halt(node)
	}
}

// shutdown ends a connection of the agent's, for both sides.
func (f *flight) shutdown(fd int) error {
	agent, err := unix.PidfdOpen(f.agent, 0)
	if err != nil {
		return err
	}
	defer unix.Close(agent)
	socket, err := unix.PidfdGetfd(agent, fd, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	return unix.Shutdown(socket, unix.SHUT_RDWR)
}

// toNode says that a file is the connection to the node: the only TCP connection that the agent makes.
func (f *flight) toNode(fd int) bool {
	inode, isSocket := strings.CutPrefix(f.file(fd), "socket:[")
	if !isSocket {
		return false
	}
	inode = strings.TrimSuffix(inode, "]")
	if known, ok := f.sockets[inode]; ok {
		return known
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", f.agent))
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 9 && fields[9] == inode {
			f.sockets[inode] = strings.HasPrefix(fields[2], "0100007F:")
		}
	}
	return f.sockets[inode]
}

// environment of a shot beside the operation's.
func (s shot) environment() []string {
	if s.how == hung {
		return append(slices.Clone(s.env), "AGENT_HEART_TIMEOUT=10s")
	}
	return s.env
}
