package signals

import (
	"context"
	"crypto/rand"
	"os"

	"golang.org/x/sys/unix"
)

// GuestVariable is in the environment of a command that Finish runs and of all that it starts, so that what it leaves can be
// found.
const GuestVariable = "AGENT_GUEST"

// Finish runs a command to its end, but to no later than that of ctx. All that it has started ends with it. The error says why
// nothing can be said of how it ended: it could not be started, or ctx was done first.
func (i *Init) Finish(ctx context.Context, cmd Command) (Exit, error) {
	marker := GuestVariable + "=" + rand.Text()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], marker)
	p, err := i.Start(cmd)
	if err != nil {
		return Exit{}, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		err = ctx.Err()
		_ = unix.Kill(-p.Pid(), unix.SIGKILL) // the session that it leads; what has left that is swept
		<-p.done
	}
	over, cancel := context.WithCancel(context.Background())
	cancel() // it had its time
	i.Sweep(over, marker)
	return p.Exit(), err
}
