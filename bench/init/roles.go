package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"theseus/signals"
)

// This program is also what it measures, when the environment gives it a role.
const (
	roleVariable = "BENCH_INIT_ROLE"
	roleInit     = "init"
	roleTarget   = "target"
)

var roles = map[string]func(args []string) int{roleInit: beInit, roleTarget: beTarget}

// beInit runs a command as the agent runs the node.
func beInit(args []string) int {
	init, err := signals.New(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return fail(err)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fail(err)
	}
	reaping, stop := context.WithCancel(context.Background())
	var reaper sync.WaitGroup
	reaper.Go(func() { _ = init.Run(reaping) })
	defer reaper.Wait()
	defer stop()
	p, err := init.Start(signals.Command{Path: path, Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		return fail(err)
	}
	for {
		select {
		case <-init.Stops():
			_ = p.Signal(unix.SIGTERM)
		case <-p.Done():
			return p.Exit().Status()
		}
	}
}

// beTarget writes a byte when it is ready and one for each TERM.
func beTarget([]string) int {
	terms := make(chan os.Signal, 16)
	signal.Notify(terms, unix.SIGTERM)
	for {
		if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
			return fail(err)
		}
		<-terms
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "init:", err)
	return 1
}
