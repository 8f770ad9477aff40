// Command agent-plugin asks one plugin one question for the agent, which starts it, reads what it prints, and ends it with all
// that it has started. It is a program of its own, so that an agent without plugins pays nothing for their protocol. It
// needs no arguments: the order comes on standard input (theseus/agent/plugin/host).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"theseus/agent/plugin"
	"theseus/agent/plugin/host"
)

const (
	maxOrder  = 1 << 20 // bytes
	maxReason = 4 << 10
)

// parentLook is how often it is seen to whether somebody waits still.
const parentLook = time.Second

func main() {
	go endWithParent()
	os.Exit(run(context.Background(), os.Stdin, os.Stdout, os.Stderr))
}

// endWithParent ends the plugin when whoever started this is gone, and could not end it: a command that was killed.
func endWithParent() {
	parent := os.Getppid()
	for range time.Tick(parentLook) {
		if os.Getppid() != parent {
			plugin.EndAll()
			os.Exit(1)
		}
	}
}

func run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) int {
	var order host.Order
	if err := json.NewDecoder(io.LimitReader(stdin, maxOrder)).Decode(&order); err != nil {
		fmt.Fprintf(stderr, "agent-plugin: cannot read the order: %v; it is the agent that starts this\n", err)
		return 2
	}
	if null, err := os.Open(os.DevNull); err == nil {
		os.Stdin = null // which the plugin inherits
	}
	if order.Kind == host.Source {
		if err := fetch(ctx, order, stdout); err != nil {
			fmt.Fprintf(stderr, "%.*s\n", maxReason, err)
			return 1
		}
		return 0
	}
	json.NewEncoder(stdout).Encode(ask(ctx, order))
	return 0
}

func start(order host.Order) (*plugin.Client, error) {
	return plugin.Start(plugin.Program{
		Path: order.Program.Path, SHA256: order.Program.SHA256, Plain: order.Program.Plain, Dir: os.Getenv("TMPDIR"),
	})
}

// ask is an answer in any case: a plugin that cannot be asked is one that objects.
func ask(ctx context.Context, order host.Order) host.Answer {
	if order.Question == nil {
		return refusal(errors.New("there is no question"))
	}
	client, err := start(order)
	if err != nil {
		return refusal(err)
	}
	defer client.Close()
	q := order.Question
	err = client.Check(ctx, plugin.Question{
		When: q.When, Upgrade: q.Upgrade, Release: q.Release, From: q.From, To: q.To, Config: order.Config,
	})
	answer := host.Answer{OK: true}
	if err != nil {
		answer = refusal(err)
	}
	answer.Version = client.Version()
	return answer
}

func refusal(err error) host.Answer { return host.Answer{Reason: fmt.Sprintf("%.*s", maxReason, err)} }

func fetch(ctx context.Context, order host.Order, to io.Writer) error {
	client, err := start(order)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Fetch(ctx, order.Reference, order.Config, to)
}
