// Command load is the many sessions of bench/crowd. It runs beside the service, in the network namespace of its container, where all
// ports are free. It says "ready" when all are connected; a line that it reads begins a phase of that name, and at the end of its
// input it writes the report as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"theseus/integration/load"
)

func main() {
	cfg := load.Config{HTTP: "127.0.0.1:8080", TCP: "127.0.0.1:7000", HTTPClients: 1, Timeout: time.Minute}
	flag.IntVar(&cfg.Sessions, "sessions", 1000, "long-lived TCP sessions")
	flag.Float64Var(&cfg.SessionRate, "rate", 0.02, "lines a second of each")
	flag.Parse()
	if err := run(cfg); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(cfg load.Config) error {
	clients, err := load.Start(context.Background(), cfg)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	phases := bufio.NewScanner(os.Stdin)
	for phases.Scan() {
		clients.Mark(phases.Text())
	}
	return json.NewEncoder(os.Stdout).Encode(clients.Stop())
}
