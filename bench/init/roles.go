package main

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// This program is also the command under each init, when the environment gives it a role.
const (
	roleVariable = "BENCH_INIT_ROLE"
	roleTarget   = "target"
)

var roles = map[string]func() int{roleTarget: beTarget}

// beTarget writes a byte when it is ready and one for each TERM.
func beTarget() int {
	terms := make(chan os.Signal, 16)
	signal.Notify(terms, unix.SIGTERM)
	for {
		if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
			fmt.Fprintln(os.Stderr, "init:", err)
			return 1
		}
		<-terms
	}
}

// crowd is a script that makes a thousand orphans of one group, which wait for a line that never comes, and
// writes a byte when they are there.
const crowd = `setsid sh -c 'f=/tmp/bench-init-$$; mkfifo $f; exec 3<>$f; rm $f
	n=0; while [ $n -lt 1000 ]; do (read x <&3) & n=$((n+1)); done'; printf .; exec sleep 1000`

const crowdSize = 1000
