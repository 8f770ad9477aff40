// Command timer runs a command a number of times and prints how long each run took, in nanoseconds, one
// a line. It runs inside the container, so that the time of docker exec is not part of the figure.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "timer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: timer N COMMAND [ARGUMENT...]")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		start := time.Now()
		if out, err := exec.Command(args[1], args[2:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot run %q: %w: %s", args[1:], err, out)
		}
		fmt.Println(time.Since(start).Nanoseconds())
	}
	return nil
}
