package agent

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	termHold   = 2 * time.Second        // from the launch, for the node to be able to hear TERM
	termResend = 300 * time.Millisecond // while kernel starts, TERM can still be swallowed
	holdPoll   = 10 * time.Millisecond
	quickTime  = 2 * time.Second // from QUIT to KILL
	sweepTime  = time.Second     // for the port programs that a dead node left, before they are killed
	askTime    = 500 * time.Millisecond
)

// listen acts on the signals that are requests, until the agent ends:
//
//	TERM INT   one orderly stop; those that follow change nothing
//	QUIT       a fast stop: the same, but what is left of the budget is two seconds at most
//	USR1       a crash dump of the node
func (a *agent) listen(ctx context.Context) {
	stopping := false
	for {
		select {
		case sig := <-a.init.Stops():
			a.stop()
			switch {
			case sig == unix.SIGQUIT:
				quick := time.AfterFunc(quickTime, a.keeper.hurry)
				defer quick.Stop()
				a.log.Info("stopping the node fast", "signal", sig.String(), "kill", quickTime.String())
			case !stopping:
				a.log.Info("stopping the node", "signal", sig.String())
			}
			stopping = true
		case <-a.init.Dumps():
			a.keeper.askForADump()
		case <-ctx.Done():
			return
		}
	}
}

// askForADump has the node write a crash dump, and end (kernel: erl_signal_handler, sigusr1). The policy decides
// what follows.
func (k *keeper) askForADump() {
	node, err := k.current()
	if err == nil {
		k.update(func() { node.dumped = true })
		err = node.process.Signal(unix.SIGUSR1)
	}
	if err != nil {
		k.journal.log.Error("cannot have a crash dump written", "err", err)
		return
	}
	k.journal.note("node.dump_requested", "a crash dump was asked for with USR1, the node ends with it", nil)
}

// end asks the node to stop, and kills it when its time is up.
func (k *keeper) end(node *incarnation) {
	ctx, cancel := context.WithTimeout(k.grace, k.config.StopTimeout)
	defer cancel()
	k.update(func() { k.deadline, _ = ctx.Deadline() })
	var asking sync.WaitGroup
	asking.Go(func() { k.tellWhatHangs(ctx, node) })
	k.mu.Lock()
	up := node.up
	k.mu.Unlock()
	if !up {
		k.hold(ctx, node)
	}
	node.process.Stop(ctx, termResend, k.config.StopTimeout)
	if killed := ctx.Err() != nil; killed {
		k.journal.note("node.killed", "the node did not stop in time and was killed", map[string]any{"seconds": k.config.StopTimeout.Seconds()})
	}
	cancel()
	asking.Wait()
}

// hold waits until TERM does any good. kernel starts its signal handler before its distribution (kernel:init/1); until
// then a BEAM swallows TERM, and one that comes while it makes its threads has it abort (erts: "Failed to create
// scheduler thread, error = 4"). A node whose distribution is not seen gets it some time after its launch.
func (k *keeper) hold(ctx context.Context, node *incarnation) {
	late := time.NewTimer(time.Until(node.since.Add(termHold)))
	defer late.Stop()
	poll := time.NewTicker(holdPoll)
	defer poll.Stop()
	for !node.listens(ctx) {
		select {
		case <-poll.C:
		case <-late.C:
			return
		case <-node.Ended():
			return
		case <-ctx.Done():
			return
		}
	}
}

// listens says whether the node is known to listen: by epmd, where that is asked for it, else by its port.
func (n *incarnation) listens(ctx context.Context) bool {
	if n.target.Epmd != "" {
		_, err := n.target.Resolve(ctx)
		return err == nil
	}
	return listens(n.target.Addr)
}

// listens says whether somebody listens at the port of addr, without a connection that a node would log
// (proc(5), /proc/net/tcp).
func listens(addr string) bool {
	_, text, _ := net.SplitHostPort(addr)
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return false
	}
	local := fmt.Appendf(nil, ":%04X", port)
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		sockets, _ := os.ReadFile(table)
		for line := range bytes.Lines(sockets) {
			// "sl local_address rem_address st …", where 0A is TCP_LISTEN.
			field := bytes.Fields(line)
			if len(field) > 3 && bytes.HasSuffix(field[1], local) && string(field[3]) == "0A" {
				return true
			}
		}
	}
	return false
}

// tellWhatHangs asks a node that has used most of its time which of its applications does not stop.
func (k *keeper) tellWhatHangs(ctx context.Context, node *incarnation) {
	patience := time.NewTimer(k.config.StopTimeout * 3 / 4)
	defer patience.Stop()
	select {
	case <-patience.C:
	case <-node.Ended():
		return
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := node.connect(ctx)
	if err != nil {
		return
	}
	application, where, err := conn.Stopping(ctx)
	if err != nil {
		k.journal.log.Warn("the node does not stop, and does not say why", "err", err)
		return
	}
	k.journal.note("node.hangs", fmt.Sprintf("application %s does not stop: it is in %s", application, where),
		map[string]any{"application": application, "where": where})
}

// sweep ends the port programs that the node left, so that the next one finds its ports and files free. When the agent
// ends as well they have what the node left of its time, else a second, until they are killed.
func (k *keeper) sweep(ctx context.Context, node *incarnation) {
	k.mu.Lock()
	left := time.Until(k.deadline)
	k.mu.Unlock()
	brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(sweepTime, left))
	defer cancel()
	if n := k.init.Sweep(brief, node.marker()); n > 0 {
		k.journal.note("node.swept", fmt.Sprintf("what the node left was ended, processes: %d", n), nil)
	}
}
