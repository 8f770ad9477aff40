package signals

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAStopThatComesWithItsContinuationGoesBeforeIt(t *testing.T) {
	const usr1, cont, stop, read = unix.SIGUSR1, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN
	for _, c := range []struct{ come, forwarded []syscall.Signal }{
		{[]syscall.Signal{cont}, []syscall.Signal{cont}},
		{[]syscall.Signal{stop}, []syscall.Signal{stop}},
		{[]syscall.Signal{usr1, cont}, []syscall.Signal{usr1, cont}},
		{[]syscall.Signal{stop, cont}, []syscall.Signal{stop, cont}},
		{[]syscall.Signal{cont, stop}, []syscall.Signal{stop, cont}},
		{[]syscall.Signal{usr1, cont, stop, read, usr1}, []syscall.Signal{usr1, stop, read, cont, usr1}},
	} {
		incoming := make(chan os.Signal, len(c.come))
		for _, sig := range c.come[1:] {
			incoming <- sig
		}
		if got := inOrder(c.come[0], incoming); !slices.Equal(got, c.forwarded) {
			t.Errorf("%v become %v, not %v", c.come, got, c.forwarded)
		}
	}
}
